"""The report's player by itself, in a real browser."""

import re

import numpy as np
import pytest

pytest_plugins = ["tests.helpers.pages"]


def test_the_whole_body_stays_inside_at_every_angle(bare_player):
    inside = """() => {
      const canvas = document.querySelector("canvas"), context = canvas.getContext("2d");
      canvas.style.setProperty("--line", "transparent"); // the floor may go on
      const player = createPlayer(canvas);
      const ends = [[0, -3, 0], [0, 1, .5], [2, 0, -1], [-1, 0, 2]], seen = [];
      player.load({ motion: ends.flat(), shape: [1, 1, 4], bones: [[0, 1], [2, 3]], heat: () => 1 });
      for (let pitch = 0; pitch < 4; pitch++, player.turn(0, -.8)) for (let yaw = 0; yaw < 16; yaw++, player.turn(Math.PI / 8, 0)) {
        const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
        let all = 0, edge = 0;
        for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (data[(y * width + x) * 4 + 3]) { all++; if (x < 2 || y < 2 || x >= width - 2 || y >= height - 2) edge++; }
        seen.push([all, edge]);
      }
      return seen;
    }"""
    seen = bare_player.evaluate(inside)
    assert len(seen) == 64 and all(drawn > 500 and not outside for drawn, outside in seen)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_joint_and_bone_stands_out_from_the_stage(bare_player, theme):
    colours = """theme => {
      document.documentElement.dataset.theme = theme;
      const player = createPlayer(document.querySelector("canvas")), style = getComputedStyle(document.documentElement);
      const named = name => { const i = document.body.appendChild(document.createElement("i")); i.style.color = style.getPropertyValue(name); return getComputedStyle(i).color; };
      return [...["--bg", "--panel", "--muted", "--second"].map(named), ...[...Array(50).keys()].map(i => player.heatColour(i / 49))];
    }"""
    stage, panel, *marks = ([int(x) / 255 for x in re.findall(r"\d+", colour)] for colour in bare_player.evaluate(colours, theme))
    linear = lambda x: x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4
    luminance = lambda colour: np.dot([0.2126, 0.7152, 0.0722], [linear(x) for x in colour])
    for behind in (stage, panel):  # contrast as WCAG 2.1 defines it
        for mark in marks:
            low, high = sorted((luminance(behind), luminance(mark)))
            assert (high + 0.05) / (low + 0.05) >= 3, (behind, mark)
