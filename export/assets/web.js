"use strict";
/* The page: files in, answers out. `recordings` holds what came in, as worker.js tells of it. */
const recordings = []; // {name, refused} or {name, shown, motion, windows: [{start, end, logits, bodies}], ms}
let about, worker, player, current = null, most; // frames of a recording that is recognised at once

const softmax = logits => { const most = Math.max(...logits), powers = Array.from(logits, x => Math.exp(x - most)), sum = powers.reduce((a, b) => a + b); return powers.map(x => x / sum); };
const mean = lists => lists[0].map((_, k) => lists.reduce((sum, list) => sum + list[k], 0) / lists.length);
const best = (probabilities, count) => probabilities.map((_, k) => k).sort((a, b) => probabilities[b] - probabilities[a] || a - b).slice(0, count);
const code = k => action(about, k).slice(0, 4);
const seconds = frames => (frames / about.rate).toFixed(1);
/** Probabilities over a recording: of its one window, else the mean of them. */
const overall = ({ windows }) => mean(windows.map(({ logits }) => softmax(logits)));

// ---------------------------------------------------------------- reading and recognising

function take(name, source) {
  worker.postMessage({ id: recordings.length, name, ...source });
  recordings.push({ name });
  $("answers").hidden = false;
  list();
  tell();
}
const takeFiles = files => { for (const file of files) take(file.name, { file }); };

const heard = {}; // "id number" -> place in recordings: an array file holds several
function hear({ data }) {
  const { id, number = 0, shown, progress, windows, refused, ms } = data;
  if (data.ready) return ready(data.most);
  if (data.fatal) return void ($("status").textContent = say("fatal", data.fatal));
  if (number && heard[[id, number]] === undefined) heard[[id, number]] = recordings.push({ name: `${recordings[id].name} ${number}` }) - 1;
  const place = number ? heard[[id, number]] : id, recording = recordings[place];
  if (refused) recording.refused = refused;
  if (shown) Object.assign(recording, { shown, motion: forStage(shown) });
  if (windows) Object.assign(recording, windows.length ? { windows, ms } : { refused: { key: "nobodyAtAll", values: [], line: null } });
  if (progress) recording.done = progress[0] / progress[1];
  tell();
  if (!windows && !refused) return;
  list();
  if (current === null && recording.windows) choose(place, recordings.every(r => r.windows || r.refused)); // what plays would take time from the rest
}

/** How far it is. */
function tell() {
  const left = recordings.filter(r => !r.windows && !r.refused), finished = recordings.length - left.length, ms = recordings.reduce((sum, r) => sum + (r.ms || 0), 0);
  $("progress").value = (finished + left.reduce((sum, r) => sum + (r.done || 0), 0)) / recordings.length;
  $("progress").style.visibility = left.length ? "visible" : "hidden";
  $("status").textContent = left.length ? say("busy", finished, recordings.length) : say("done", recordings.length, (ms / 1000).toFixed(2));
}

/** What the player takes, (T, M, V, 3): x right, y up, z away from who looks at a person's front; NaN where a joint is missing. */
function forStage({ M, T, V, C, data, raw }) {
  const motion = new Float32Array(T * M * V * 3).fill(NaN);
  for (let m = 0; m < M; m++) for (let t = 0; t < T; t++) for (let v = 0; v < V; v++) {
    const [x, y, z] = [0, 1, 2].map(c => c < C ? data[((m * T + t) * V + v) * C + c] : 0);
    if (x || y || z) motion.set(C === 2 ? [x, -y, 0] : about.transform && !raw ? [-x, z, -y] : [-x, y, z], ((t * M + m) * V + v) * 3);
  }
  return { motion, shape: [T, M, V], bones: about.bones };
}

// ---------------------------------------------------------------- what is shown

/** The list of recordings: for programs too, an answer says what it is of (data-recording) and names its action (data-answer). */
function list() {
  $("list").replaceChildren(...recordings.map((recording, place) => {
    const { name, windows, refused } = recording, button = element("button", "", refused ? "wrong" : ""), p = windows && overall(recording), k = windows && best(p, 1)[0];
    button.type = "button";
    button.dataset.recording = name;
    if (windows) button.dataset.answer = code(k);
    if (refused) button.dataset.refused = refused.key;
    button.disabled = !windows && !refused;
    button.setAttribute("aria-current", place === current);
    button.append(element("b", windows ? timeLine(windows).map(part => about.classes[part.k]).join(" → ") : refused ? "✗" : "…"), element("small", refused ? `${name}: ${reason(refused)}` : `${name.replace(/\.(skeleton|npy)$/i, "")}${!windows ? "" : ` · ${windows.length > 1 ? say("long", seconds(recording.shown.T)) : percent(p[k], 0)}`}`));
    button.onclick = () => { if (windows) choose(place, true); };
    return button;
  }));
}

function choose(place, play = false) {
  current = place;
  const { shown, motion, windows } = recordings[place];
  $("scrub").max = shown.T - 1;
  drawTimeLine(shown.T, windows);
  $("who").replaceChildren(element("option"));
  player.load(motion);
  const several = player.bodies.length > 1;
  $("whose").hidden = !several;
  $("who").replaceChildren(element("option", say("both")), ...player.bodies.map(m => element("option", say("body", m + 1))));
  [...$("who").options].forEach((option, i) => { option.value = i ? shown.slots[player.bodies[i - 1]] : ""; });
  list();
  player.seek(0);
  if (play && !matchMedia("(prefers-reduced-motion: reduce)").matches) player.play();
}

/** [{k, from, to}]: actions along the time, in frames; windows of one action, one after the other, are one part. */
function timeLine(windows) {
  const parts = [], middle = ({ start, end }) => (start + end) / 2;
  windows.forEach((window, i) => {
    const [k] = best(softmax(window.logits), 1), last = parts[parts.length - 1], after = windows[i + 1];
    const from = i ? (middle(windows[i - 1]) + middle(window)) / 2 : window.start, to = after ? (middle(window) + middle(after)) / 2 : window.end;
    if (last && last.k === k) last.to = to; else parts.push({ k, from, to });
  });
  return parts;
}

function drawTimeLine(T, windows) {
  $("line").hidden = windows.length < 2;
  $("line").replaceChildren(...timeLine(windows).map(({ k, from, to }) => {
    const button = element("button", about.classes[k]);
    button.type = "button";
    button.title = `${action(about, k)}: ${say("part", seconds(from), seconds(to))}`;
    button.style.cssText = `left: ${100 * from / T}%; width: ${100 * (to - from) / T}%`;
    Object.assign(button.dataset, { from, to });
    button.onclick = () => { player.pause(); player.seek(Number(from)); };
    return button;
  }), element("i"));
}

let told = null; // recording, window and body of the answer that is shown
function moved(t) {
  if (current === null) return;
  const { name, windows, shown: { T, unit } } = recordings[current], where = say("frame", t + 1, T), who = $("who").value, nearest = windows.reduce((a, b) => Math.abs(a.start + a.end - 2 * t) <= Math.abs(b.start + b.end - 2 * t) ? a : b);
  $("stage").dataset.frame = t;
  $("stage").setAttribute("aria-label", say("stage", name, where));
  $("frame").textContent = where;
  $("scrub").value = t;
  $("line").lastChild.style.left = `${100 * (t + .5) / T}%`;
  for (const button of $("line").querySelectorAll("button")) button.setAttribute("aria-current", t >= button.dataset.from && t < button.dataset.to);
  if (told === `${[current, nearest.start, who, language]}`) return;
  told = `${[current, nearest.start, who, language]}`;
  const p = softmax(who !== "" && nearest.bodies[nearest.slots.indexOf(Number(who))] || nearest.logits), five = best(p, 5);
  $("named").textContent = about.classes[five[0]];
  $("part").textContent = windows.length > 1 ? say("part", seconds(nearest.start), seconds(nearest.end)) : say("whole");
  $("top").replaceChildren(...five.map((k, i) => guess(action(about, k), p[k], i ? "guess" : "guess true")));
  $("note").textContent = `${unit ? `${say(unit)} ` : ""}${windows.length > 1 ? `${say("window", most, seconds(about.window), seconds(about.stride))} ` : ""}${say("certain", about.classes.length)}`;
}

// ---------------------------------------------------------------- language, theme, start

function speak(to) {
  language = document.documentElement.lang = to;
  for (const part of document.querySelectorAll("[data-say]")) part.textContent = say(part.dataset.say);
  for (const part of document.querySelectorAll("[data-name]")) part.setAttribute("aria-label", say(part.dataset.name));
  const { source, C, V, frames, transform } = about;
  const rows = { network: source.model, dataset: `${source.dataset} (${about.classes.length})`, checkpoint: `${source.checkpoint}, SHA-256 ${source.sha256}`,
    takes: say("shape", V, C, frames) + (transform ? say("turned") : ""), licence: about.licence, limits: say("limited"), private: say("privacy") };
  $("about").replaceChildren(...Object.entries(rows).flatMap(([key, text]) => [element("dt", say(key)), element("dd", text || "–")]));
  theme(document.documentElement.dataset.theme);
  sayPlay(player.playing);
  list();
  if (recordings.length) tell();
  if (current !== null) { const who = $("who").value; choose(current); $("who").value = who; player.seek(0); }
}
function sayPlay(playing) {
  $("play").textContent = say(playing ? "pause" : "play");
  $("play").setAttribute("aria-pressed", playing);
}
function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = say(name === "dark" ? "light" : "dark");
  if (player) player.theme();
}

function ready(frames) {
  most = frames;
  for (const id of ["choose", "sample"]) $(id).disabled = false;
  $("status").textContent = say("ready");
  document.body.dataset.ready = "yes";
}

const workerURL = () => URL.createObjectURL(new Blob([`${inflate}\n`, $("work").textContent], { type: "text/javascript" }));
const network = () => ({ packed: ["runtime", "wasm", "program"].map(name => $(`packed-${name}`).textContent), about });

(async () => {
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function" || typeof Worker !== "function") return; // the sentence that the page begins with stays
  about = JSON.parse(await unpack("packed-about"));
  worker = new Worker(workerURL());
  worker.onmessage = hear;
  worker.onerror = event => hear({ data: { fatal: event.message } });
  worker.postMessage(network());
  player = createPlayer($("stage"), { rate: about.rate, onframe: moved, onplay: sayPlay, nobody: () => say("nobody") });
  control(player, by => { const places = recordings.map((_, place) => place).filter(place => recordings[place].windows); choose(places[(places.indexOf(current) + by + places.length) % places.length], true); });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.onchange = () => theme(dark.matches ? "dark" : "light");
  $("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  $("other").onclick = () => speak(language === "en" ? "zh" : "en");
  $("status").textContent = "";
  speak(navigator.language.startsWith("zh") ? "zh" : "en");
  $("status").textContent = say("starting");

  $("choose").onclick = () => $("files").click();
  $("files").onchange = () => { takeFiles([...$("files").files]); $("files").value = ""; };
  $("sample").hidden = !about.sample;
  $("sample").onclick = () => { const { shape: [M, T, V, C], millimetres } = about.sample; take(say("sampleName"), { recording: { M, T, V, C, data: Float32Array.from(millimetres, x => x / 1000) } }); };
  $("who").onchange = () => player.seek(player.frame);
  for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) addEventListener(kind, event => {
    event.preventDefault();
    $("take").classList.toggle("over", over);
    if (kind === "drop" && document.body.dataset.ready) takeFiles(event.dataTransfer.files);
  });
})();
