"use strict";
/** The moving skeleton with its list of samples, strip over time and five best classes; returns {draw}. */
function startPlayer(data) {
  const RATE = 30, MISSING = 9999, stage = $("stage"), strip = $("strip");
  const samples = data.samples.map(sample => { // coordinates from their differences
    const [T, M, V] = sample.shape, size = M * V * 3, motion = Int16Array.from(sample.motion);
    for (let i = size; i < motion.length; i++) motion[i] += motion[i - size];
    let floor = 0;
    for (let i = 0; i < motion.length; i += 3) if (motion[i] !== MISSING) floor = Math.min(floor, motion[i + 1]);
    const bodies = [...Array(M).keys()].filter(m => { for (let i = 0; i < motion.length; i += 3) if (Math.floor(i / 3 / V) % M === m && motion[i] !== MISSING) return true; return false; });
    return { ...sample, T, M, V, motion, floor, bodies };
  });
  let sample = samples[0], map = null, time = 0, yaw = 0, pitch = .12, last = null, ramp = [], dragging = null;
  const frame = () => Math.min(Math.floor(time), sample.T - 1);

  const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  function readTheme() {
    const stops = ["low", "mid", "high"].map(name => rgb(css(name)));
    ramp = [...Array(100).keys()].map(i => { const x = i / 99 * 2, k = Math.min(Math.floor(x), 1); return `rgb(${stops[k].map((c, j) => Math.round(c + (stops[k + 1][j] - c) * (x - k)))})`; });
  }
  /** 0 to 99: the chosen map at a frame, a body and a joint. */
  const value = (t, m, v) => map ? map.values[(Math.floor(t * map.frames / sample.T) * sample.M + m) * sample.V + v] : 40;

  function canvas(element) {
    const ratio = devicePixelRatio || 1, width = element.clientWidth, height = element.clientHeight;
    if (element.width !== Math.round(width * ratio)) element.width = Math.round(width * ratio);
    if (element.height !== Math.round(height * ratio)) element.height = Math.round(height * ratio);
    const context = element.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return [context, width, height];
  }

  /** [x, y, scale, depth] on the stage of a point in thousandths, seen from where the mouse turned to. */
  function project(x, y, z, width, height) {
    const a = x * Math.cos(yaw) + z * Math.sin(yaw), b = z * Math.cos(yaw) - x * Math.sin(yaw), up = y * Math.cos(pitch) + b * Math.sin(pitch), far = b * Math.cos(pitch) - y * Math.sin(pitch);
    const scale = 4200 / (4200 + far) * Math.min(width, height) / 2300;
    return [width / 2 + a * scale, height / 2 - up * scale, scale, far];
  }

  let points = []; // on the stage: [x, y, body, joint], for the mouse
  function drawStage() {
    const [context, width, height] = canvas(stage), t = frame(), { M, V, motion } = sample, shapes = [];
    context.strokeStyle = css("line");
    context.lineWidth = 1;
    for (let i = -4; i <= 4; i++) for (const [from, to] of [[[i * 250, -1000], [i * 250, 1000]], [[-1000, i * 250], [1000, i * 250]]]) {
      context.beginPath();
      context.moveTo(...project(from[0], sample.floor, from[1], width, height).slice(0, 2));
      context.lineTo(...project(to[0], sample.floor, to[1], width, height).slice(0, 2));
      context.stroke();
    }
    points = [];
    for (const m of sample.bodies) {
      const at = [...Array(V).keys()].map(v => { const i = ((t * M + m) * V + v) * 3; return motion[i] === MISSING ? null : project(motion[i], motion[i + 1], motion[i + 2], width, height); });
      for (const [a, b] of data.bones) if (at[a] && at[b]) shapes.push({ far: (at[a][3] + at[b][3]) / 2, draw() {
        context.strokeStyle = m === sample.bodies[0] ? css("muted") : css("second");
        context.lineWidth = 3.2;
        context.beginPath(); context.moveTo(at[a][0], at[a][1]); context.lineTo(at[b][0], at[b][1]); context.stroke();
      } });
      at.forEach((p, v) => { if (!p) return; points.push([p[0], p[1], m, v]); shapes.push({ far: p[3] - 15, draw() {
        const x = value(t, m, v);
        context.beginPath(); context.arc(p[0], p[1], (4 + x * .06) * Math.min(Math.max(p[2] * 5.4, .7), 1.5), 0, 7);
        context.fillStyle = ramp[x]; context.fill();
        context.lineWidth = 1; context.strokeStyle = css("panel"); context.stroke();
      } }); });
    }
    context.lineCap = "round";
    shapes.sort((a, b) => b.far - a.far).forEach(shape => shape.draw());
    if (!points.length) { context.fillStyle = css("muted"); context.font = "14px system-ui, sans-serif"; context.textAlign = "center"; context.fillText("nobody in this frame", width / 2, height / 2); }
    stage.dataset.frame = t;
    stage.setAttribute("aria-label", `Skeleton of ${sample.name}, frame ${t + 1} of ${sample.T}`);
    $("frame").textContent = `frame ${t + 1} of ${sample.T}`;
    $("scrub").value = t;
  }

  function drawStrip() {
    const [context, width, height] = canvas(strip), { V, T, bodies } = sample, gap = 4;
    const band = (height - gap * (bodies.length - 1)) / Math.max(bodies.length, 1), columns = map ? map.frames : 1;
    bodies.forEach((m, place) => { for (let c = 0; c < columns; c++) for (let v = 0; v < V; v++) {
      context.fillStyle = ramp[value(c * T / columns, m, v)];
      context.fillRect(c * width / columns, place * (band + gap) + v * band / V, width / columns + .5, band / V + .5);
    } });
    context.fillStyle = css("text");
    context.fillRect((frame() + .5) / T * width - 1, 0, 2, height);
  }
  const show = () => { drawStage(); drawStrip(); };

  function seek(t) { time = Math.min(Math.max(t, 0), sample.T - 1); show(); }
  function tick(now) {
    if (last === null) return;
    time = (time + Math.min(now - last, 100) / 1000 * RATE * Number($("speed").value)) % sample.T;
    last = now;
    show();
    requestAnimationFrame(tick);
  }
  function play(on) {
    last = on ? performance.now() : null;
    $("play").textContent = on ? "Pause" : "Play";
    $("play").setAttribute("aria-pressed", on);
    if (on) requestAnimationFrame(tick);
  }

  function chooseMap(number) {
    map = sample.maps[number] || null;
    $("low").textContent = map ? map.low.toPrecision(2) : "";
    $("high").textContent = map ? map.high.toPrecision(2) : "";
    document.querySelector(".legend").hidden = !map;
    show();
  }
  function choose(number) {
    sample = samples[number];
    [...$("list").children].forEach((button, i) => button.setAttribute("aria-current", i === number));
    $("scrub").max = sample.T - 1;
    $("sample-name").textContent = sample.name.replace(/\.skeleton$/, "");
    const good = sample.top[0][0] === sample.label;
    $("verdict").replaceChildren(element("span", good ? "✓ right: " : "✗ wrong: ", good ? "right" : "wrong"), good ? action(data, sample.label) : `it is ${action(data, sample.label)}`);
    $("top").replaceChildren(...sample.top.map(([k, p]) => {
      const fill = element("i"), row = element("div", "", k === sample.label ? "guess true" : "guess", element("span", "", "", element("b", action(data, k)), element("em", percent(p))), element("div", "", "", fill));
      fill.style.width = `${100 * p}%`;
      row.setAttribute("role", "listitem");
      return row;
    }));
    const flat = sample.maps.filter(m => m.title.startsWith("attention") && m.low === m.high).length;
    $("note").textContent = !sample.maps.some(m => m.title.startsWith("attention")) ? "This network has no attention (att_type none); class activation shows what spoke for a class."
      : flat ? "This kind of attention weighs channels, not joints or frames: its maps are even." : "Class activation: what spoke for the class, joint by joint. Attention: how strongly the network let each joint and frame pass.";
    const before = $("colour").selectedIndex;
    $("colour").replaceChildren(...sample.maps.map(m => element("option", m.title)), element("option", "bodies only"));
    $("colour").selectedIndex = Math.min(Math.max(before, 0), sample.maps.length);
    time = 0;
    chooseMap($("colour").selectedIndex);
  }
  const current = () => samples.indexOf(sample);

  samples.forEach((s, i) => {
    const good = s.top[0][0] === s.label, button = element("button", "", "", element("span", `${good ? "✓" : "✗"} ${data.classes[s.label]}`, good ? "right" : "wrong"), element("small", good ? `${percent(s.top[0][1], 0)} sure` : `taken for ${data.classes[s.top[0][0]]}`));
    button.type = "button";
    button.onclick = () => choose(i);
    $("list").append(button);
  });
  document.addEventListener("click", event => { const link = event.target.closest("[data-sample]"); if (link) choose(Number(link.dataset.sample)); });
  $("play").onclick = () => play(last === null);
  $("scrub").oninput = () => { play(false); seek(Number($("scrub").value)); };
  $("reset").onclick = () => { yaw = 0; pitch = .12; show(); };
  $("colour").onchange = () => chooseMap($("colour").selectedIndex);
  document.querySelector(".player").addEventListener("keydown", event => {
    const turn = { ArrowLeft: [-.1, 0], ArrowRight: [.1, 0], ArrowUp: [0, .1], ArrowDown: [0, -.1] }[event.key];
    const step = { ",": -1, ".": 1 }[event.key], other = { "[": -1, "]": 1 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (turn && event.target === stage) { yaw += turn[0]; pitch = Math.min(Math.max(pitch + turn[1], -1.5), 1.5); show(); }
    else if (event.key === " " && event.target === stage) play(last === null);
    else if (step) { play(false); seek(frame() + step); }
    else if (other) choose((current() + other + samples.length) % samples.length);
    else return;
    event.preventDefault();
  });
  stage.onpointerdown = event => { dragging = [event.clientX, event.clientY]; stage.setPointerCapture(event.pointerId); };
  stage.onpointerup = stage.onpointercancel = () => { dragging = null; };
  stage.onpointermove = event => {
    if (dragging) {
      yaw += (event.clientX - dragging[0]) * .01;
      pitch = Math.min(Math.max(pitch + (event.clientY - dragging[1]) * .01, -1.5), 1.5);
      dragging = [event.clientX, event.clientY];
      return show();
    }
    const box = stage.getBoundingClientRect(), near = points.map(p => [Math.hypot(p[0] - event.clientX + box.left, p[1] - event.clientY + box.top), p]).sort((a, b) => a[0] - b[0])[0];
    stage.title = near && near[0] < 16 ? say(frame(), near[1][2], near[1][3]) : "";
  };
  /** Name of a joint, with what the chosen map says of it. */
  const say = (t, m, v) => `${data.joints[v]}${sample.bodies.length > 1 ? `, body ${m + 1}` : ""}${map ? `: ${(map.low + value(t, m, v) / 99 * (map.high - map.low)).toPrecision(2)}` : ""}`;
  const onStrip = event => {
    const box = strip.getBoundingClientRect(), t = Math.min(Math.max(Math.floor((event.clientX - box.left) / box.width * sample.T), 0), sample.T - 1);
    const y = (event.clientY - box.top) / box.height * sample.bodies.length, m = sample.bodies[Math.floor(y)];
    if (m !== undefined) strip.title = say(t, m, Math.min(Math.floor(y % 1 * sample.V), sample.V - 1));
    return t;
  };
  strip.onpointermove = event => { const t = onStrip(event); if (event.buttons) seek(t); };
  strip.onpointerdown = event => { play(false); seek(onStrip(event)); };
  new ResizeObserver(show).observe(stage);
  readTheme();
  choose(0);
  return { draw() { readTheme(); show(); } };
}
