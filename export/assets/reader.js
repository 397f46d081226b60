"use strict";
/* Recordings as coordinates, number for number as reader/ntu_reader.py, recordings.py and transformer.py make them: sums are in float32, in NumPy's order.
   Letters: M bodies, T frames, V joints, C coordinates. */
const MAX_FRAMES = 300, LONGEST_FILE = 256 * 2 ** 20, FARTHEST = 1e6, MAX_BODIES = 6, NUM_BODIES = 2, JOINTS = 25, AXES = 3;
const WORDS = /[^ \t\r\v\f]+/g, NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/;
const NOT_FINITE = /^[-+]?(nan(\([a-z]*\))?|inf(inity)?|1\.?#(ind|inf|qnan|snan)\d*)$/i; // no damage in fields that nobody uses
let KINDS = []; // rows of reader/formats/kinds.yaml
const f32 = Math.fround, range = n => [...Array(n).keys()];

/** Why a file is not taken: `key` of a sentence in words.js, the values in it, and the line where it is (null: the whole file). */
class Refusal extends Error {
  constructor(key, values = [], line = null) { super(key); Object.assign(this, { key, values, line }); }
}

// ---------------------------------------------------------------- files

/** {M: 6, T, V: 25, C: 3, data (M, T, V, C)} of a .skeleton file: metres; 0 where a body's slot is empty. */
function readSkeleton(bytes) {
  const kind = KINDS.find(([start, at]) => [...start].every((letter, i) => bytes[at + i] === letter.charCodeAt(0)));
  if (kind) throw new Refusal("foreign", kind.slice(2), 1);
  const lines = new TextDecoder("latin1").decode(bytes).split("\n"), short = value => String(Number(value.toPrecision(6)));
  let line = 0; // of the words read last, from 1
  const refuse = (key, ...values) => { throw new Refusal(key, values, line); };
  function next() {
    while (line < lines.length) { const words = lines[line++].match(WORDS); if (words) return words; }
    return null;
  }
  function numbers(what, count, used = 1) {
    const words = next();
    if (!words) refuse("ends", what);
    if (words.length !== count) refuse("fields", what, words.length, count);
    const wrong = words.find((word, place) => !(NUMBER.test(word) || place >= used && NOT_FINITE.test(word)));
    if (wrong !== undefined) refuse("number", wrong.slice(0, 20), what);
    const values = words.slice(0, used).map(Number);
    return values.every(Number.isFinite) ? values : refuse("large", what);
  }
  function count(what, least, most) {
    const [value] = numbers(what, 1);
    if (!Number.isInteger(value)) refuse("whole_number", what, short(value));
    return value >= least && value <= most ? value : refuse("allowed", what, value, least === most ? least : `${least} – ${most}`);
  }
  const frames = [];
  for (let left = count("number of frames", 1, bytes.length); left; left--) {
    const bodies = count("number of bodies", 0, MAX_BODIES), place = bodies ? new Float32Array(bodies * JOINTS * AXES) : null;
    for (let m = 0; m < bodies; m++) {
      numbers("body", 10, 0);
      count("number of joints", JOINTS, JOINTS);
      for (let v = 0; v < JOINTS; v++) {
        const xyz = numbers(`joint ${v + 1}`, 12, AXES), far = xyz.find(x => Math.abs(x) > FARTHEST);
        if (far !== undefined) refuse("far", v + 1, short(far));
        place.set(xyz, (m * JOINTS + v) * AXES);
      }
    }
    frames.push(place);
  }
  if (next()) refuse("more");
  if (!frames.some(place => place && place.some(x => x))) throw new Refusal("nobodyAtAll");
  const size = JOINTS * AXES, data = new Float32Array(MAX_BODIES * frames.length * size);
  frames.forEach((place, t) => { for (let m = 0; place && m * size < place.length; m++) data.set(place.subarray(m * size, (m + 1) * size), (m * frames.length + t) * size); });
  return { M: MAX_BODIES, T: frames.length, V: JOINTS, C: AXES, data };
}

/** [recording as of readSkeleton] of a .npy file, float32 (C, T, V, M) or (N, C, T, V, M). */
function readArray(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), text = (from, to) => new TextDecoder("latin1").decode(bytes.subarray(from, to));
  if (bytes[0] !== 0x93 || text(1, 6) !== "NUMPY") throw new Refusal("npy");
  const wide = bytes[6] > 1, start = wide ? 12 : 10, end = start + (wide ? view.getUint32(8, true) : view.getUint16(8, true)), header = text(start, end);
  let shape = (/'shape': *\(([\d, ]*)\)/.exec(header) || ["", ""])[1].split(",").filter(word => word.trim()).map(Number);
  const values = shape.reduce((a, b) => a * b, 1);
  if (!header.includes("'descr': '<f4'") || !header.includes("'fortran_order': False") || ![4, 5].includes(shape.length) || !values || values * 4 !== bytes.length - end) throw new Refusal("npy");
  const [N, C, T, V, M] = shape.length === 4 ? [1, ...shape] : shape, all = new Float32Array(bytes.slice(end).buffer);
  return range(N).map(n => {
    const data = new Float32Array(M * T * V * C);
    for (let c = 0, i = n * C * T * V * M; c < C; c++) for (let t = 0; t < T; t++) for (let v = 0; v < V; v++) for (let m = 0; m < M; m++) data[((m * T + t) * V + v) * C + c] = all[i++];
    return { M, T, V, C, data, slots: range(M) };
  });
}

// ---------------------------------------------------------------- samples

/** Sum of `n` values of a Float32Array from `start`, as numpy.sum has it. */
function sum32(x, start = 0, n = x.length) {
  if (n > 128) { const half = (n >> 1) - (n >> 1) % 8; return f32(sum32(x, start, half) + sum32(x, start + half, n - half)); }
  let total = 0, i = 0;
  if (n >= 8) {
    const r = x.slice(start, start + 8);
    for (i = 8; i < n - n % 8; i++) r[i % 8] += x[start + i];
    total = f32(f32(f32(r[0] + r[1]) + f32(r[2] + r[3])) + f32(f32(r[4] + r[5]) + f32(r[6] + r[7])));
  }
  for (; i < n; i++) total = f32(total + x[start + i]);
  return total;
}

/** The `count` bodies that move most, most first, and their slots; of equal ones the later slot. */
function selectBodies({ M, T, V, C, data }, count = NUM_BODIES) {
  const energy = range(M).map(m => {
    const valid = range(T).filter(t => sum32(data, (m * T + t) * V * C, V * C) !== 0), n = valid.length * V;
    const spread = range(n ? C : 0).map(c => {
      const x = new Float32Array(n);
      valid.forEach((t, i) => { for (let v = 0; v < V; v++) x[i * V + v] = data[((m * T + t) * V + v) * C + c]; });
      const mean = f32(sum32(x) / n), squares = x.map(value => { const off = f32(value - mean); return off * off; });
      return f32(Math.sqrt(f32(sum32(squares) / n)));
    });
    return sum32(Float32Array.from(spread));
  });
  const order = range(M).sort((a, b) => energy[b] - energy[a] || b - a).slice(0, count), size = T * V * C, chosen = new Float32Array(order.length * size);
  order.forEach((m, place) => chosen.set(data.subarray(m * size, (m + 1) * size), place * size));
  return { M: order.length, T, V, C, data: chosen, slots: order };
}

const LOOKED_AT = 8, SMALLEST_BODY = 0.15, LARGEST_BODY = 4; // frames; metres from the joint farthest from another to that one

/** What the bodies' size says against metres, as reader/plausibility.py: "tiny", "centimetres", "millimetres"; null where a body is a person's size, or none is there. */
function wrongUnit({ M, T, V, C, data }) {
  const size = V * C, place = (m, t, v) => data.subarray((m * T + t) * size + v * C, (m * T + t) * size + (v + 1) * C);
  const units = range(M).map(m => {
    const seen = range(T).filter(t => data.subarray((m * T + t) * size, (m * T + t + 1) * size).some(x => x)), ts = range(seen.length ? LOOKED_AT : 0).map(i => seen[Math.floor(i * (seen.length - 1) / (LOOKED_AT - 1))]);
    const median = values => { const [low, high] = values.sort((a, b) => a - b).slice(LOOKED_AT / 2 - 1); return (low + high) / 2; };
    const extent = ts.length ? Math.max(...range(V * V).map(i => median(ts.map(t => { const a = place(m, t, i % V), b = place(m, t, Math.floor(i / V)); return Math.hypot(...a.map((x, c) => x - b[c])); })))) : null;
    return extent === null ? null : extent <= SMALLEST_BODY ? "tiny" : extent < LARGEST_BODY ? "" : extent < 100 * LARGEST_BODY ? "centimetres" : "millimetres";
  }).filter(unit => unit !== null);
  return units.length && units[0] && units.every(unit => unit === units[0]) ? units[0] : null;
}

/** The recording up to the last frame in which anybody is seen. */
function trim({ M, T, V, C, data, ...more }) {
  const size = V * C, seen = t => range(M).some(m => data.subarray((m * T + t) * size, (m * T + t + 1) * size).some(x => x));
  let end = T;
  while (end > 1 && !seen(end - 1)) end--;
  return { M, T: end, V, C, data: frames({ M, T, V, C, data }, 0, end), ...more };
}

/** (M, end - start, V, C) of a recording's coordinates. */
function frames({ M, T, V, C, data }, start, end) {
  const size = V * C, part = new Float32Array(M * (end - start) * size);
  for (let m = 0; m < M; m++) part.set(data.subarray((m * T + start) * size, (m * T + end) * size), m * (end - start) * size);
  return part;
}

/** Frames `start` to `end` in the network's order, (M, C, frames, V), zeros after them. */
function layout({ M, T, V, C, data }, start, end, frames) {
  const x = new Float32Array(M * C * frames * V);
  for (let m = 0; m < M; m++) for (let t = start; t < end; t++) for (let v = 0; v < V; v++) for (let c = 0; c < C; c++) x[((m * C + c) * frames + t - start) * V + v] = data[((m * T + t) * V + v) * C + c];
  return x;
}

/** [[start, end]] of windows over `length` frames, the last one ending with them. */
function cut(length, window, stride) {
  if (!window || length <= window) return [[0, length]];
  const starts = [];
  for (let start = 0; start < length - window; start += stride) starts.push(start);
  return [...starts, length - window].map(start => [start, start + window]);
}

// ---------------------------------------------------------------- view normalisation

const BOTTOM = 0, SPINE = 1, LEFT_SHOULDER = 4, RIGHT_SHOULDER = 8, SMALLEST = 1e-6;

/** As view_normalise: x (M, 3, T, V) to the same. */
function viewNormalise(x, M, T, V) {
  const size = AXES * T * V, at = (m, c, t, v) => ((m * AXES + c) * T + t) * V + v, sum = (x, m, t, v) => f32(f32(x[at(m, 0, t, v)] + x[at(m, 1, t, v)]) + x[at(m, 2, t, v)]);
  const isNull = (x, m, t) => sum32(Float32Array.from(range(V), v => sum(x, m, t, v))) === 0;
  const seen = range(M).filter(m => x.subarray(m * size, (m + 1) * size).some(value => value)), bodies = range(seen.length ? seen[seen.length - 1] + 1 : 0);
  const result = new Float32Array(x.length);
  for (const m of bodies) { // gaps are filled
    const valid = range(T).filter(t => !isNull(x, m, t)), source = !valid.length ? range(T) : valid[0] > 0 ? valid : range(valid[valid.length - 1] + 1);
    for (let t = 0; t < T; t++) for (let c = 0; c < AXES; c++) for (let v = 0; v < V; v++) result[at(m, c, t, v)] = x[at(m, c, source[t % source.length], v)];
  }
  if (!bodies.length) return result;
  const spine = Float32Array.from(range(AXES * T), i => result[at(0, Math.floor(i / T), i % T, SPINE)]);
  for (const m of bodies) for (let t = 0; t < T; t++) for (let v = 0; v < V; v++)
    if (sum(result, m, t, v) !== 0) for (let c = 0; c < AXES; c++) result[at(m, c, t, v)] -= spine[c * T + t];
  for (const [start, end, target] of [[BOTTOM, SPINE, 2], [LEFT_SHOULDER, RIGHT_SHOULDER, 0]]) {
    const R = turning(range(AXES).map(c => f32(result[at(0, c, 0, end)] - result[at(0, c, 0, start)])), target);
    if (R) for (const m of bodies) for (let t = 0; t < T; t++) if (!isNull(result, m, t)) for (let v = 0; v < V; v++) {
      const x = result[at(m, 0, t, v)], y = result[at(m, 1, t, v)], z = result[at(m, 2, t, v)];
      for (let c = 0; c < AXES; c++) result[at(m, c, t, v)] = f32(f32(R[c][0] * x) + f32(R[c][1] * y)) + f32(R[c][2] * z);
    }
  }
  return result;
}

/** The 3x3 float32 matrix that turns a vector onto the axis `target`, by Rodrigues' formula; null where it lies there. */
function turning(vector, target) {
  const [a, b, c] = vector, axis = target === 2 ? [b, -a, 0] : [0, c, -b];
  if (axis.reduce((sum, x) => sum + Math.abs(x), 0) < SMALLEST) return null;
  const angle = Math.acos(Math.min(Math.max(vector[target] / Math.hypot(...vector), -1), 1));
  if (angle < SMALLEST) return null;
  const [x, y, z] = axis.map(value => value / Math.hypot(...axis)), K = [[0, -z, y], [z, 0, -x], [-y, x, 0]];
  return K.map((row, i) => row.map((value, j) => f32((i === j) + Math.sin(angle) * value + range(3).reduce((sum, k) => sum + (1 - Math.cos(angle)) * row[k] * K[k][j], 0))));
}
