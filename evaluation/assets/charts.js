"use strict";
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
}

/** Cards, charts and tables; returns {draw}, which draws the charts in the colours of the theme. */
function startCharts(data) {
  const esc = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "&#36;"); // Plotly reads a little HTML, and TeX
  const short = text => { const most = innerWidth < 700 ? 16 : 30, letters = [...text]; return esc(letters.length > most ? letters.slice(0, most - 1).join("") + "…" : text); };
  const K = data.classes.length, right = new Array(K).fill(0), total = new Array(K).fill(0), guessed = new Array(K).fill(0);
  for (const [t, p, n] of data.cells) { total[t] += n; guessed[p] += n; if (t === p) right[t] += n; }
  const accuracy = k => total[k] ? right[k] / total[k] : NaN;
  const occurring = data.classes.map((_, k) => k).filter(k => total[k] || guessed[k]);
  const tested = occurring.filter(k => total[k]);

  $("title").textContent = data.title;
  $("subtitle").textContent = Object.values(data.about).slice(2, 4).join(" · ");
  const calibrated = data.count >= data.calibration.counts.length; // fewer samples than bins say nothing
  for (const [value, name] of [[percent(data.top1, 2), "top-1 accuracy"], [percent(data.top5, 2), "top-5 accuracy"], [data.loss.toFixed(4), "mean loss (nats)"],
    ...(calibrated ? [[percent(data.ece, 2), "calibration error (ECE)"]] : []), [data.count, data.count === 1 ? "sample" : "samples"], [tested.length, `of ${K} classes tested`]])
    $("cards").append(element("div", "", "card", element("b", value), element("span", name)));
  $("about").append(...Object.entries(data.about).map(([key, value]) => element("div", `${key}: ${value}`)));

  for (const [t, p, n, seen] of data.confusions) {
    const cell = element("td");
    for (const [name, number] of seen) {
      const link = element(number === null ? "span" : "a", name.replace(/\.skeleton$/, ""));
      if (number !== null) { link.href = "#samples"; link.dataset.sample = number; }
      cell.append(link);
    }
    $("confusions").tBodies[0].append(element("tr", "", "", element("td", action(data, t)), element("td", action(data, p)), element("td", `${n} of ${total[t]}`, "n"), cell));
  }
  for (const k of [...tested].sort((a, b) => accuracy(a) - accuracy(b) || a - b)) {
    const fill = element("i"), bar = element("td", "", "", element("div", "", "meter", fill));
    fill.style.width = `${100 * accuracy(k)}%`;
    const row = element("tr", "", "", element("th", action(data, k)), bar, element("td", percent(accuracy(k)), "n"), element("td", `${right[k]} of ${total[k]}`, "n"));
    row.title = `${action(data, k)}: ${right[k]} of ${total[k]} right`;
    row.firstChild.scope = "row";
    $("classes").tBodies[0].append(row);
  }
  // what has nothing to say is not there
  const [charted, matrix] = [Object.keys(data.curves).length > 0, occurring.length > 1];
  if (!data.confusions.length) $("confusions").parentNode.remove();
  for (const [id, there] of [["training", charted || data.curves_note], ["confusion", matrix], ["per-class", tested.length > 1], ["calibration", calibrated]]) if (!there) $(id).remove();
  if (calibrated) $("ece").textContent = `Expected calibration error ${percent(data.ece, 2)}: the mean gap between how sure the network is and how often it is right, over ${data.calibration.counts.length} equal bins of confidence. Above the diagonal it is too modest, below it too sure; bins of few samples are pale.`;

  const plot = (id, traces, layout, config) => {
    const axis = { gridcolor: css("line"), zerolinecolor: css("line"), linecolor: css("line"), automargin: true };
    const wide = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: css("text"), size: 12, family: "system-ui, sans-serif" }, margin: { l: 54, r: 14, t: 34, b: 44 },
      showlegend: traces.length > 1, dragmode: false, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, hoverlabel: { bgcolor: css("panel"), bordercolor: css("accent"), font: { color: css("text") } }, ...layout };
    for (const key of ["xaxis", "yaxis"]) wide[key] = { ...axis, ...layout[key] };
    return Plotly.react(id, traces, wide, { responsive: true, displaylogo: false, displayModeBar: false, ...config });
  };

  function drawCurves() {
    if (data.curves_note) $("curves-note").textContent = data.curves_note;
    const line = (key, name, colour, dash) => data.curves[key] && { x: data.curves[key][0], y: data.curves[key][1], name, line: { color: css(colour), dash, width: 2 }, marker: { size: 5 },
      mode: data.curves[key][0].length < 30 ? "lines+markers" : "lines" };
    const chart = (id, title, lines, yaxis) => !lines.some(Boolean) ? $(id)?.remove() : plot(id, lines.filter(Boolean), { xaxis: { title: { text: "epoch" }, rangemode: "tozero" }, yaxis: { title: { text: title }, ...yaxis } });
    chart("c-accuracy", "accuracy", [line("train_top1", "training top-1", "accent", "dot"), line("eval_top1", "evaluation top-1", "accent"), line("eval_top5", "top-5", "second")], { tickformat: ".0%", range: [0, 1.02] });
    chart("c-loss", "loss (nats)", [line("train_loss", "training", "mid", "dot"), line("eval_loss", "evaluation", "wrong")], { rangemode: "tozero" });
    chart("c-lr", "learning rate", [line("lr", "learning rate", "right")], { rangemode: "tozero" });
  }

  let order = occurring, cursor = null;
  const cells = new Map(data.cells.map(([t, p, n]) => [t * K + p, n]));
  function drawMatrix() {
    const by = { class: (a, b) => a - b, worst: (a, b) => (total[b] > 0) - (total[a] > 0) || accuracy(a) - accuracy(b) || a - b, samples: (a, b) => total[b] - total[a] || a - b, name: (a, b) => data.classes[a].localeCompare(data.classes[b]) };
    order = [...occurring].sort(by[$("order").value]);
    const place = new Map(order.map((k, i) => [k, i])), z = order.map(() => new Float32Array(order.length));
    for (const [t, p, n] of data.cells) z[place.get(t)][place.get(p)] = Math.sqrt(total[t] ? n / total[t] : 0); // so that rare confusions are seen too
    const phone = innerWidth < 700, named = order.length <= 150, needed = named ? order.length * 10 + 150 : 0, stacked = order.length > 25;
    $("matrix").style.width = `max(100%, ${needed}px)`; // names need their room: a narrow screen scrolls
    $("matrix").style.height = `max(${needed}px, min(92vw, ${stacked ? 1080 : 640}px))`;
    const ticks = named ? { tickvals: order.map((_, i) => i), ticktext: order.map(k => short(data.classes[k])), tickfont: { size: order.length > 40 ? 9 : 11 } } : { tickvals: [] };
    const axis = (text, more) => ({ title: { text, standoff: 8 }, showgrid: false, zeroline: false, ...ticks, ...more });
    $("matrix").closest(".split").classList.toggle("stacked", stacked || !data.confusions.length);
    const marks = [0, .01, .05, .2, .5, 1];
    cursor = null;
    plot("matrix", [{ type: "heatmap", z, hoverinfo: "none", zmin: 0, zmax: 1, xgap: order.length < 80 ? 1 : 0, ygap: order.length < 80 ? 1 : 0, colorscale: [[0, css("zero")], [.5, css("half")], [1, css("full")]], showscale: !phone,
      colorbar: { title: { text: "share of true class", side: "right" }, tickvals: marks.map(Math.sqrt), ticktext: marks.map(x => percent(x, 0)), thickness: 10, outlinewidth: 0 } }],
      { xaxis: axis("predicted class", { tickangle: stacked ? -90 : -60, side: "bottom" }), yaxis: axis("true class", { autorange: "reversed" }), margin: { l: 40, r: 10, t: 10, b: 40 } }, { staticPlot: true });
  }

  /** Say what a cell of the matrix holds, and mark it where the keyboard chose it. */
  function tell(row, column, mark = true) {
    cursor = [row, column];
    const t = order[row], p = order[column], n = cells.get(t * K + p) || 0;
    $("cell").textContent = `${action(data, t)} → ${action(data, p)}: ${n} of ${total[t]} samples${total[t] ? ` (${percent(n / total[t])})` : ""}`;
    Plotly.relayout("matrix", { shapes: [{ type: "rect", x0: column - .5, x1: column + .5, y0: row - .5, y1: row + .5, line: { color: css(mark ? "wrong" : "accent"), width: 2 } }] });
  }
  if (matrix) for (const type of ["pointermove", "pointerdown"]) $("matrix").addEventListener(type, event => {
    const box = $("matrix").querySelector(".hm image").getBoundingClientRect(), at = (x, from, size) => Math.floor((x - from) / size * order.length);
    const row = at(event.clientY, box.top, box.height), column = at(event.clientX, box.left, box.width);
    if (order[row] !== undefined && order[column] !== undefined) tell(row, column, false);
  });
  if (matrix) $("order").onchange = drawMatrix;
  if (matrix) $("matrix-box").addEventListener("keydown", event => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const inside = x => Math.min(Math.max(x, 0), order.length - 1);
    tell(...(cursor ? cursor.map((x, i) => inside(x + step[i])) : [0, 0]));
  });

  function drawCalibration() {
    const { counts, confidence, accuracy: hit } = data.calibration, bins = counts.length, middle = counts.map((_, i) => (i + .5) / bins), some = counts.map((n, i) => i).filter(i => counts[i]);
    const bar = { type: "bar", width: 1 / bins * .92 };
    plot("reliability", [{ x: [0, 1], y: [0, 1], mode: "lines", name: "perfectly calibrated", line: { color: css("muted"), dash: "dash" }, hoverinfo: "skip" },
      { ...bar, x: some.map(i => middle[i]), y: some.map(i => hit[i]), name: "accuracy", marker: { color: css("accent"), opacity: some.map(i => .15 + .85 * Math.sqrt(counts[i] / Math.max(...counts))) }, customdata: some.map(i => [counts[i], confidence[i]]), hovertemplate: "confidence %{customdata[1]:.1%}<br>accuracy %{y:.1%}<br>%{customdata[0]} samples<extra></extra>" }],
      { xaxis: { title: { text: "confidence" }, range: [0, 1], tickformat: ".0%" }, yaxis: { title: { text: "accuracy" }, range: [0, 1.02], tickformat: ".0%" } });
    plot("confidence", [{ ...bar, x: middle, y: counts, marker: { color: css("second"), opacity: .8 }, hovertemplate: "%{y} samples<extra></extra>" }], { xaxis: { title: { text: "confidence" }, range: [0, 1], tickformat: ".0%" }, yaxis: { title: { text: "samples" } } });
  }
  return { draw() { if (charted) drawCurves(); if (matrix) drawMatrix(); if (calibrated) drawCalibration(); } };
}
