"use strict";
/* What one person before the camera does: MediaPipe's pose model finds landmarks, the last seconds of which are a recording, recognised again and again. */
Object.assign(TEXTS.en, { camera: "Camera", film: "Start the camera", stop: "Stop the camera", experimental: "Experimental, one person, seen whole; how well it does was not measured.",
  opening: "The camera and its model are being started …", looking: "Nobody is found: step back until all of you is in the picture.", noCamera: "The camera can't be used: {0}.",
  unsafe: "browsers lend it only to pages from disk, from localhost or over https", NotFoundError: "none is connected", NotAllowedError: "this page was not allowed to; allow it beside the address, then start again",
  NotReadableError: "another program has it, or the system does not lend it", noWebGL: "its model needs WebGL, which this browser does not offer" });
Object.assign(TEXTS.zh, { camera: "摄像头", film: "打开摄像头", stop: "关闭摄像头", experimental: "实验功能：一个人，全身可见；准确度未测。",
  opening: "正在启动摄像头及其模型……", looking: "未看到人：请后退，直到全身都在画面中。", noCamera: "无法使用摄像头：{0}。", unsafe: "浏览器只向本地文件、localhost 或 https 的页面开放摄像头",
  NotFoundError: "没有连接摄像头", NotAllowedError: "本页未获许可；请在地址栏旁允许，然后重试", NotReadableError: "正被其他程序占用，或系统不允许使用", noWebGL: "其模型需要 WebGL，而此浏览器不支持" });
$("answers").before($("camera"));

const AGAIN = 0.5; // seconds from one answer to the next
let pose = null, landmarks = null, camera = null; // the stream while it films

/** MediaPipe's model, from the files in the page. */
async function openPose() {
  const urls = {};
  for (const part of document.querySelectorAll("[data-file]")) {
    const name = part.dataset.file, type = name.endsWith(".js") ? "text/javascript" : name.endsWith(".wasm") ? "application/wasm" : "";
    urls[name] = URL.createObjectURL(new Blob([await inflate(part.textContent).arrayBuffer()], { type }));
  }
  await new Promise((done, failed) => document.head.append(Object.assign(element("script"), { src: urls["pose.js"], onload: done, onerror: failed })));
  const opened = new Pose({ locateFile: name => urls[name] });
  opened.setOptions({ modelComplexity: 1, smoothLandmarks: true });
  opened.onResults(({ poseLandmarks, poseWorldLandmarks }) => { landmarks = poseWorldLandmarks && { image: poseLandmarks, world: poseWorldLandmarks }; });
  await opened.initialize();
  return opened;
}

const stopTracks = () => { for (const track of camera ? camera.getTracks() : []) track.stop(); };

async function film() {
  const video = $("lens");
  $("film").disabled = true;
  $("filmed").textContent = say("opening");
  try {
    if (!navigator.mediaDevices) throw new Error(say("unsafe"));
    if (!["webgl2", "webgl"].some(kind => element("canvas").getContext(kind))) throw new Error(say("noWebGL"));
    camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
    video.srcObject = camera;
    await video.play();
    pose = pose || await openPose();
    $("film").dataset.say = "stop";
    $("film").textContent = say("stop");
    $("film").disabled = false;
    await watch(video);
    $("filmed").textContent = "";
  } catch (error) { $("filmed").textContent = say("noCamera", TEXTS.en[error.name] ? say(error.name) : String(error.message || error)); }
  stopTracks();
  camera = null;
  $("film").dataset.say = "film";
  $("film").textContent = say("film");
  $("film").disabled = false;
  $("filming").hidden = true;
}

/** Look and recognise until the camera is stopped. */
async function watch(video) {
  const own = new Worker(workerURL()), span = about.window / RATE;
  let times = [], rows = [], asked = 0, busy = true, failed = null;
  own.onmessage = ({ data: { ready, windows, fatal, refused } }) => {
    if (fatal) failed = new Error(fatal);
    if (windows && windows.length && rows.length) named(windows[0].logits);
    if (ready || windows || refused) busy = false;
  };
  own.postMessage(network());
  for (const seen = element("canvas"); ;) { // a moment of the video, which goes on while the model looks
    const now = performance.now() / 1000, size = [video.videoWidth, video.videoHeight];
    [seen.width, seen.height] = size;
    seen.getContext("2d").drawImage(video, 0, 0);
    await pose.send({ image: seen });
    if (failed || !camera.active) break;
    const joints = landmarks && inCameraSpace(landmarks.world, landmarks.image, size, POINTS);
    if (joints) { times.push(now); rows.push(joints.flatMap(joint => joint.slice(0, 3))); }
    const old = times.findIndex(time => time > now - span);
    times = old < 0 ? [] : times.slice(old);
    rows = old < 0 ? [] : rows.slice(old);
    draw(seen, size, joints);
    $("filmed").textContent = rows.length ? "" : say("looking");
    if (!rows.length) { $("guesses").replaceChildren(); delete $("camera").dataset.answer; }
    if (!busy && rows.length > 1 && now - asked > AGAIN) {
      own.postMessage({ id: 0, name: "", recording: recordingOf(times, rows, now) });
      [asked, busy] = [now, true];
    }
    await new Promise(requestAnimationFrame);
  }
  own.terminate();
  if (failed) throw failed;
}

/** The last seconds as a recording of one body, and one that is not there. */
function recordingOf(times, rows, now) {
  const { values, seen } = resample(times.map(time => time - times[0]), rows, now - times[0]), T = values.length, data = new Float32Array(2 * T * 75);
  values.forEach((row, t) => { if (seen[t]) data.set(row, 75 * t); });
  return { M: 2, T, V: 25, C: 3, data };
}

/** The picture as in a mirror, with the bones. */
function draw(picture, [width, height], joints) {
  const canvas = $("mirror"), context = canvas.getContext("2d"), focal = FOCAL * Math.max(width, height);
  Object.assign(canvas, { width, height });
  $("filming").hidden = false;
  context.setTransform(-1, 0, 0, 1, width, 0);
  context.drawImage(picture, 0, 0);
  if (!joints) return;
  const at = joints.map(([x, y, z]) => [width / 2 - focal * x / z, height / 2 - focal * y / z]);
  context.beginPath();
  for (const [joint, parent] of about.bones) { context.moveTo(...at[joint]); context.lineTo(...at[parent]); }
  for (const [colour, lineWidth] of [["bg", 9], ["accent", 5]]) { // with a rim, to be seen on any picture
    Object.assign(context, { strokeStyle: css(colour), lineWidth, lineCap: "round", lineJoin: "round" });
    context.stroke();
  }
}

function named(logits) {
  const p = softmax(logits), five = best(p, 5);
  $("guesses").replaceChildren(...five.map((k, i) => guess(action(about, k), p[k], i ? "guess" : "guess true")));
  $("camera").dataset.answer = code(five[0]);
}

$("film").onclick = () => { if (camera) stopTracks(); else film(); };
