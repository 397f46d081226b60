"use strict";
const plain = x => new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(x);

/** The list of samples, their player with its strip over time, and the five best classes; returns {draw}. */
function startSamples(data) {
  const RATE = 30, MISSING = 9999, stage = $("stage"), strip = $("strip"), V = data.joints.length;
  const GUTTER = 84, HEAD = 18, AXIS = 20, ROWS = Math.max(92, 3.6 * V); // pixels of the strip: names, a body's title, seconds, a body
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const samples = data.samples.map(sample => { // coordinates from their differences
    const [T, M] = sample.shape, size = M * V * 3, sums = Int16Array.from(sample.motion);
    for (let i = size; i < sums.length; i++) sums[i] += sums[i - size];
    return { ...sample, T, M, motion: Float32Array.from(sums, x => x === MISSING ? NaN : x) };
  });
  const rows = data.parts.flatMap(([, joints]) => joints); // joints in the order of the strip
  let sample = null, map = null;

  const player = createPlayer(stage, { rate: RATE, onframe: told, onplay: on => { $("play").textContent = on ? "Pause" : "Play"; $("play").setAttribute("aria-pressed", on); } });
  /** 0 to 1: the chosen map at a frame, a body and a joint. */
  const heat = (t, m, v) => map ? map.values[(Math.floor(t * map.frames / sample.T) * sample.M + m) * V + v] / 99 : .4;
  const several = () => player.bodies.length > 1, seconds = t => `${(t / RATE).toFixed(1)} s`;
  /** Name of a joint, when, and what the chosen map says of it. */
  const say = (t, m, v) => { $("joint").textContent = `${data.joints[v]}${several() ? `, body ${m + 1}` : ""}, ${seconds(t)}${map ? `: ${plain(map.low + heat(t, m, v) * (map.high - map.low))}` : ""}`; };

  function told(t) {
    if (!sample) return;
    stage.dataset.frame = t;
    stage.setAttribute("aria-label", `Skeleton of ${sample.name}, frame ${t + 1} of ${sample.T}`);
    $("frame").textContent = `${seconds(t)}, frame ${t + 1} of ${sample.T}`;
    $("scrub").value = t;
    drawStrip(t);
  }

  function drawStrip(t) {
    const bodies = player.bodies, head = several() ? HEAD : 0, ratio = devicePixelRatio || 1, { T } = sample;
    strip.style.height = `${bodies.length * (ROWS + head) + AXIS}px`;
    const width = strip.clientWidth, height = strip.clientHeight, wide = width - GUTTER, context = strip.getContext("2d"), columns = map ? map.frames : 1;
    [strip.width, strip.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    context.scale(ratio, ratio);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    bodies.forEach((m, place) => {
      const top = place * (ROWS + head) + head, tall = ROWS / rows.length;
      context.fillStyle = css("text");
      context.textAlign = "left";
      if (head) context.fillText(`body ${m + 1}`, GUTTER, top - head / 2);
      for (let c = 0; c < columns; c++) rows.forEach((v, row) => {
        context.fillStyle = player.heatColour(heat(c * T / columns, m, v));
        context.fillRect(GUTTER + c * wide / columns, top + row * tall, wide / columns + .5, tall + .5);
      });
      let row = 0;
      context.textAlign = "right";
      for (const [name, joints] of data.parts) {
        context.fillStyle = css("muted");
        if (joints.length * tall >= 10) context.fillText(name, GUTTER - 8, top + (row + joints.length / 2) * tall, GUTTER - 8);
        context.fillStyle = css("panel");
        if (row) context.fillRect(0, top + row * tall - .5, width, 1.5);
        row += joints.length;
      }
    });
    const step = [.1, .2, .5, 1, 2, 5, 10, 20, 60].find(x => x * RATE / T * wide >= 45) || 60;
    context.fillStyle = css("muted");
    context.textAlign = "center";
    for (let k = 0; k * step * RATE <= T; k++) {
      const x = GUTTER + k * step * RATE / T * wide;
      context.fillRect(x - .5, height - AXIS, 1, 4);
      if (x < width - 10) context.fillText(`${+(k * step).toFixed(1)} s`, x, height - 8);
    }
    context.fillStyle = css("text");
    context.fillRect(GUTTER + (t + .5) / T * wide - 1, 0, 2, height - AXIS);
  }

  function chooseMap(number) {
    map = sample.maps[number] || null;
    document.querySelector(".legend").hidden = !map;
    $("joint").textContent = "Point at a joint or at its row over time, or tap it, to read its value.";
    if (map) {
      $("low").textContent = plain(map.low);
      $("high").textContent = plain(map.high);
      $("even").hidden = !map.even;
    }
    $("note").textContent = !map ? "" : map.title.startsWith("attention") ? "How strongly the network let each joint and moment pass." : "How much each joint and moment spoke for the class.";
    player.seek(player.frame);
  }

  function choose(number) {
    sample = samples[number];
    [...$("list").children].forEach((button, i) => button.setAttribute("aria-current", i === number));
    $("scrub").max = sample.T - 1;
    $("sample-name").textContent = sample.name.replace(/\.skeleton$/, "");
    const good = sample.top[0][0] === sample.label;
    $("verdict").replaceChildren(element("span", good ? "✓ right: " : "✗ wrong: ", good ? "right" : "wrong"), good ? action(data, sample.label) : `it is ${action(data, sample.label)}`);
    $("top").replaceChildren(...sample.top.map(([k, p]) => guess(action(data, k), p, k === sample.label ? "guess true" : "guess")));
    const before = $("colour").selectedIndex;
    $("colour").replaceChildren(...sample.maps.map(m => element("option", m.title.replace("class activation, ", ""))), element("option", "bodies only"));
    $("colour").selectedIndex = Math.min(Math.max(before, 0), sample.maps.length);
    map = null;
    player.load({ motion: sample.motion, shape: sample.shape, bones: data.bones, heat, start: sample.peak });
    chooseMap($("colour").selectedIndex);
    if (!still.matches && stage.dataset.seen) player.play(true);
  }

  samples.forEach((s, i) => {
    const good = s.top[0][0] === s.label, button = element("button", "", "", element("span", `${good ? "✓" : "✗"} ${data.classes[s.label]}`, good ? "right" : "wrong"), element("small", good ? `${percent(s.top[0][1], 0)} sure` : `taken for ${data.classes[s.top[0][0]]}`));
    button.type = "button";
    button.onclick = () => choose(i);
    $("list").append(button);
  });
  control(player, by => choose((samples.indexOf(sample) + by + samples.length) % samples.length));
  document.addEventListener("click", event => { const link = event.target.closest("[data-sample]"); if (link) choose(Number(link.dataset.sample)); });
  $("colour").onchange = () => chooseMap($("colour").selectedIndex);
  const onStage = event => { const near = player.nearest(event.clientX, event.clientY); if (near) say(player.frame, ...near); };
  const onStrip = event => {
    const box = strip.getBoundingClientRect(), x = (event.clientX - box.left - GUTTER) / (box.width - GUTTER), t = Math.min(Math.max(Math.floor(x * sample.T), 0), sample.T - 1);
    const band = ROWS + (several() ? HEAD : 0), y = event.clientY - box.top, m = player.bodies[Math.floor(y / band)];
    const row = Math.floor((y % band - band + ROWS) / ROWS * rows.length);
    if (event.buttons || event.type === "pointerdown") { player.pause(); player.seek(t); }
    if (m !== undefined && row >= 0) say(t, m, rows[row]);
  };
  for (const type of ["pointermove", "pointerdown"]) { stage.addEventListener(type, onStage); strip.addEventListener(type, onStrip); }
  choose(0);
  new IntersectionObserver((entries, observer) => { // plays once when it is first looked at
    if (!entries.some(entry => entry.isIntersecting)) return;
    observer.disconnect();
    stage.dataset.seen = "yes";
    if (!still.matches) player.play(true);
  }, { threshold: .6 }).observe(stage);
  return { draw: player.theme };
}
