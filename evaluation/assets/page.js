"use strict";
/* What pages have in common. */
const $ = id => document.getElementById(id);

/** A Response with what base64 of gzip holds. */
function inflate(text) {
  const binary = atob(text.trim()), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}
/** Text of a script element that holds base64 of gzip. */
const unpack = async id => (await inflate($(id).textContent)).text();

const css = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const percent = (x, digits = 1) => `${(100 * x).toFixed(digits)} %`;
const action = (data, k) => `A${String(k + 1).padStart(3, "0")} ${data.classes[k]}`;

/** A new element with text and children; nothing of the data is ever taken as HTML. */
function element(tag, text = "", classes = "", ...children) {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

/** A row of a list of classes: name, probability p and its bar. */
function guess(name, p, classes = "guess") {
  const fill = element("i"), row = element("div", "", classes, element("span", "", "", element("b", name), element("em", percent(p))), element("div", "", "", fill));
  fill.style.width = `${100 * p}%`;
  row.setAttribute("role", "listitem");
  return row;
}

/** Let the elements play, speed, scrub and reset, and keys in .player, drive a player on #stage; `other(by)` shows the next sample (1) or the last (-1). */
function control(player, other) {
  const step = by => { player.pause(); player.seek(player.frame + by); }, toggle = () => player.playing ? player.pause() : player.play();
  $("play").onclick = toggle;
  $("speed").onchange = () => { player.speed = Number($("speed").value); };
  $("scrub").oninput = () => { player.pause(); player.seek(Number($("scrub").value)); };
  $("reset").onclick = () => player.front();
  document.querySelector(".player").addEventListener("keydown", event => {
    const does = { ",": () => step(-1), ".": () => step(1), "[": () => other(-1), "]": () => other(1), " ": event.target === $("stage") && toggle }[event.key];
    if (!does || event.ctrlKey || event.metaKey || event.altKey) return;
    does();
    event.preventDefault();
  });
}
