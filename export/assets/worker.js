"use strict";
/* The network, apart from the page, which therefore never freezes. Takes {packed, about} once, then {id, name, file or recording}; answers {id, ...} step by step. */
const WARM = 12; // runs
let session, ort, about, nobody; // logits of a body that is not there
let queue = Promise.resolve(), asked = false; // one thing after the other; whether for a recording

self.onmessage = ({ data }) => { asked = !data.packed; queue = queue.then(() => data.packed ? start(data) : recognise(data)); };

async function start({ packed, about: given }) {
  try {
    const [runtime, wasmBinary, program] = await Promise.all(packed.map(text => inflate(text).arrayBuffer()));
    ort = await import(URL.createObjectURL(new Blob([runtime], { type: "text/javascript" })));
    Object.assign(ort.env.wasm, { wasmBinary, numThreads: 1 }); // more need a page that is cross-origin isolated, which none from disk is
    session = await ort.InferenceSession.create(program, { logSeverityLevel: 3 });
    about = given;
    KINDS = about.kinds;
    const { C, V } = about;
    nobody = await run(new Float32Array(C * V), 1);
    postMessage({ ready: true, most: MAX_FRAMES });
    const any = new Float32Array(C * about.window * V).map(Math.random);
    for (let turn = 0; turn < WARM && !asked; turn++) { // WebAssembly takes half the time once the browser has compiled it for the second time
      await run(any, about.window);
      await new Promise(done => setTimeout(done)); // lets a recording in
    }
  } catch (error) { postMessage({ fatal: String(error.message || error) }); }
}

/** Logits of one body, x (C, T, V). */
async function run(x, T) {
  const { logits } = await session.run({ x: new ort.Tensor("float32", x, [1, about.C, T, about.V, 1]) });
  return logits.data.slice();
}

async function recognise({ id, name, file, recording }) {
  let number = 0, began = performance.now();
  try {
    const raw = !file || /\.skeleton$/i.test(name), recordings = file ? await read(file, name) : [recording];
    for (const found of recordings.map(trim)) {
      const { M, T, V, C } = found, spans = cut(T, T > MAX_FRAMES ? about.window : 0, about.stride), windows = [];
      if (V !== about.V || C !== about.C) throw new Refusal("misfit", [V, C, about.V, about.C]);
      if (!found.data.every(Number.isFinite)) throw new Refusal("finite");
      const shown = { ...(raw || M > about.bodies ? selectBodies(found, about.bodies) : found), raw };
      shown.unit = about.sample && wrongUnit(shown); // of the sensor's joints, which people's size is known in
      for (const [place, [start, end]] of spans.entries()) {
        if (place) postMessage({ id, number, progress: [place, spans.length] }); // what the page draws takes time from a single core
        const window = await answer(found, start, end, raw);
        if (window) windows.push(window);
      }
      postMessage({ id, number, shown, windows, ms: performance.now() - began });
      number++;
      began = performance.now();
    }
  } catch (error) {
    const { key = "failed", values = [String(error.message || error)], line = null } = error instanceof Refusal ? error : {};
    postMessage({ id, number, refused: { key, values, line } });
  }
}

async function read(file, name) {
  if (file.size > LONGEST_FILE) throw new Refusal("size", [Math.ceil(file.size / 2 ** 20), LONGEST_FILE / 2 ** 20]);
  const read = /\.skeleton$/i.test(name) ? readSkeleton : /\.npy$/i.test(name) ? bytes => readArray(bytes) : null;
  if (!read) throw new Refusal("kind");
  const found = read(new Uint8Array(await file.arrayBuffer()));
  return Array.isArray(found) ? found : [found];
}

/** {start, end, logits, bodies: logits of each, null where nobody is, slots: who they are} of some frames; null where nobody is at all. As infer.py. */
async function answer(found, start, end, raw) {
  const part = { ...found, T: end - start, data: frames(found, start, end) }, sample = raw || found.M > about.bodies ? selectBodies(part, about.bodies) : part;
  const { M, C, V } = sample, T = raw ? MAX_FRAMES : part.T, size = C * T * V, taken = Math.min(T, about.frames), bodies = [];
  let x = layout(sample, 0, part.T, T);
  if (raw && about.transform) x = viewNormalise(x, M, T, V);
  for (let m = 0; m < M; m++) {
    const body = new Float32Array(C * taken * V);
    for (let c = 0; c < C; c++) body.set(x.subarray(m * size + c * T * V, m * size + (c * T + taken) * V), c * taken * V);
    bodies.push(body.some(value => value) ? await run(body, taken) : null);
  }
  while (bodies.length < about.bodies) bodies.push(null);
  if (!bodies.some(logits => logits)) return null;
  return { start, end, bodies, slots: sample.slots, logits: nobody.map((empty, k) => bodies.reduce((sum, logits) => sum + (logits ? logits[k] : empty), 0) / bodies.length) };
}
