"use strict";
/**
 * Skeletons in motion on a canvas, in perspective; dragging and arrow keys turn them. Needs no other script.
 *
 *   const player = createPlayer(canvas, { onframe(frame) {}, onplay(playing) {} });
 *   player.load({ motion, shape: [T, M, V], bones: [[0, 1], ...], heat: (t, m, v) => .5, start: 0 });
 *   player.play(); player.pause(); player.seek(12); player.speed = .5; player.theme();
 *
 * motion: T*M*V*3 numbers, frame by frame, x to the viewer's right, y up, z away, in any unit; NaN where a joint is missing.
 * heat: 0 to 1, the colour and size of a joint; null for none. start: the frame that is shown first, and after playing once.
 * Colours are the page's properties --low, --mid, --high (joints), --muted, --second (bones of the first body and of the
 * others), --line (floor) and --bg (outlines); `theme` reads them again.
 */
function createPlayer(canvas, { rate = 30, onframe = () => {}, onplay = () => {}, nobody = () => "nobody in this frame" } = {}) {
  const TURN = Math.PI / 6, TILT = .12, STEEPEST = 1.5, DISTANCE = 3.5, MARGIN = 14, STEPS = 100; // distance: in radii of what moves
  let T = 1, M = 0, V = 0, motion = [], bones = [], heat = null, start = 0, bodies = [], centre = [0, 0, 0], radius = 1, floor = 0, flat = false;
  let time = 0, last = null, left = 0, yaw = TURN, pitch = TILT, held = null, points = [], ramp = [], colour = {};
  const context = canvas.getContext("2d"), inside = (x, low, high) => Math.min(Math.max(x, low), high);

  /** Set what moves, and show its frame `start` turned by 30 degrees (from the front where it is flat). */
  function load(given) {
    ({ motion, bones, heat = null, start = 0, shape: [T, M, V] } = given);
    const low = [1, 1, 1].map(() => Infinity), high = low.map(x => -x), there = new Set();
    for (let i = 0; i < motion.length; i += 3) if (!Number.isNaN(motion[i])) {
      there.add(Math.floor(i / 3 / V) % M);
      for (let axis = 0; axis < 3; axis++) { low[axis] = Math.min(low[axis], motion[i + axis]); high[axis] = Math.max(high[axis], motion[i + axis]); }
    }
    bodies = [...there].sort();
    centre = low.map((x, axis) => there.size ? (x + high[axis]) / 2 : 0);
    radius = 1e-6;
    for (let i = 0; i < motion.length; i += 3) if (!Number.isNaN(motion[i])) radius = Math.max(radius, Math.hypot(...centre.map((x, axis) => motion[i + axis] - x)));
    floor = (low[1] - centre[1]) / radius;
    flat = !(high[2] > low[2]);
    pause();
    time = start;
    front(flat ? 0 : TURN);
  }

  /** [x, y, pixels of a radius, depth in radii] on the canvas; the sphere of all joints fits whatever the angle. */
  function project(x, y, z, width, height) {
    const a = x * Math.cos(yaw) + z * Math.sin(yaw), b = z * Math.cos(yaw) - x * Math.sin(yaw);
    const up = y * Math.cos(pitch) + b * Math.sin(pitch), far = b * Math.cos(pitch) - y * Math.sin(pitch);
    const pixels = (Math.min(width, height) / 2 - MARGIN) * Math.sqrt(DISTANCE ** 2 - 1) / (DISTANCE + far);
    return [width / 2 + a * pixels, height / 2 - up * pixels, pixels, far];
  }

  function draw() {
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, t = frame(), shapes = [];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const line = (from, to, style, wide) => {
      context.strokeStyle = style; context.lineWidth = wide; context.lineCap = "round";
      context.beginPath(); context.moveTo(from[0], from[1]); context.lineTo(to[0], to[1]); context.stroke();
    };
    if (Number.isFinite(floor)) for (let i = -1; i <= 1; i += .25) {
      line(project(i, floor, -1, width, height), project(i, floor, 1, width, height), colour.line, 1);
      line(project(-1, floor, i, width, height), project(1, floor, i, width, height), colour.line, 1);
    }
    points = [];
    const size = inside(Math.min(width, height) / 460, .8, 1.5);
    for (const m of bodies) {
      const at = [...Array(V).keys()].map(v => {
        const i = ((t * M + m) * V + v) * 3;
        return Number.isNaN(motion[i]) ? null : project(...centre.map((x, axis) => (motion[i + axis] - x) / radius), width, height);
      });
      for (const [a, b] of bones) if (at[a] && at[b]) shapes.push([(at[a][3] + at[b][3]) / 2, () => line(at[a], at[b], m === bodies[0] ? colour.muted : colour.second, 3.2 * size)]);
      at.forEach((p, v) => {
        if (!p) return;
        const x = heat ? heat(t, m, v) : .4;
        points.push([p[0], p[1], m, v]);
        shapes.push([p[3] - .02, () => {
          context.beginPath(); context.arc(p[0], p[1], (4.5 + 5.5 * x) * size, 0, 7);
          context.fillStyle = heatColour(x); context.fill();
          context.lineWidth = 1; context.strokeStyle = colour.bg; context.stroke();
        }]);
      });
    }
    shapes.sort((a, b) => b[0] - a[0]).forEach(shape => shape[1]());
    if (!points.length) { context.fillStyle = colour.muted; context.font = "14px system-ui, sans-serif"; context.textAlign = "center"; context.fillText(nobody(), width / 2, height / 2); }
    onframe(t);
  }

  /** The colour of a value from 0 to 1. */
  const heatColour = x => ramp[Math.round(inside(x, 0, 1) * (STEPS - 1))];
  function theme() {
    const style = getComputedStyle(canvas);
    for (const name of ["low", "mid", "high", "muted", "second", "line", "bg"]) colour[name] = style.getPropertyValue(`--${name}`).trim();
    const stops = [colour.low, colour.mid, colour.high].map(hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)));
    ramp = [...Array(STEPS).keys()].map(i => {
      const x = i / (STEPS - 1) * 2, k = Math.min(Math.floor(x), 1);
      return `rgb(${stops[k].map((c, j) => Math.round(c + (stops[k + 1][j] - c) * (x - k)))})`;
    });
    draw();
  }

  const frame = () => Math.min(Math.floor(time), T - 1);
  function seek(t) { time = inside(t, 0, T - 1); draw(); }
  function turn(x, y) { yaw += x; pitch = inside(pitch + y, -STEEPEST, STEEPEST); draw(); }
  function front(angle = 0) { yaw = angle; pitch = TILT; draw(); }
  function tick(now) {
    if (last === null) return;
    const step = Math.min(now - last, 100) / 1000 * rate * player.speed;
    last = now;
    left -= step;
    if (left <= 0) { pause(); return seek(start); }
    time = (time + step) % T;
    draw();
    requestAnimationFrame(tick);
  }
  function pause() { last = null; onplay(false); }
  /** Play on and on, or once around, which ends at `start`. */
  function play(once = false) {
    if (once) time = start;
    left = once ? T : Infinity;
    last = performance.now();
    onplay(true);
    requestAnimationFrame(tick);
  }
  /** [body, joint] drawn nearest to a point of the window, or null. */
  function nearest(x, y) {
    const box = canvas.getBoundingClientRect(), near = points.map(p => [Math.hypot(p[0] - x + box.left, p[1] - y + box.top), p]).sort((a, b) => a[0] - b[0])[0];
    return near && near[0] < 20 ? near[1].slice(2) : null;
  }

  canvas.addEventListener("pointerdown", event => { held = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = null; });
  canvas.addEventListener("pointermove", event => {
    if (!held) return;
    turn((event.clientX - held[0]) * .01, event.pointerType === "touch" ? 0 : (event.clientY - held[1]) * .01); // a finger moves the page up and down
    held = [event.clientX, event.clientY];
  });
  canvas.addEventListener("keydown", event => {
    const by = { ArrowLeft: [-.1, 0], ArrowRight: [.1, 0], ArrowUp: [0, .1], ArrowDown: [0, -.1] }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    turn(...by);
    event.preventDefault();
  });
  new ResizeObserver(draw).observe(canvas);
  const player = { speed: 1, load, theme, seek, turn, front, play, pause, nearest, heatColour, get frame() { return frame(); }, get bodies() { return bodies; }, get playing() { return last !== null; } };
  theme();
  return player;
}
