"""Write synthetic .skeleton files in the format of NTU RGB+D: people of `demo_motion` seen by three Kinect v2 cameras.

python tools/demo_data.py --save_dir demo/skeletons
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.demo_data"))

import itertools
from pathlib import Path

import numpy as np

from dataset.demo_motion import ACTIONS, Clip, draw_body, drift, joints, perform, turn
from reader.ntu_writer import skeleton_text
from utils.errors import UserError
from utils.files import replacing
from utils.terminal import Parser

CAMERAS = {1: 0, 2: -45, 3: 45}  # number: degrees around the stage, as in NTU; people face camera 2, in repeats 3
SETUPS = (10, 13)  # even and odd, for x-set; none of our names is among the data set's missing skeletons there
FRAMES = ((0, 0.25, 0.5, 0.75, 0.97, 1), (42, 74, 86, 105, 150, 227))  # shares of real files and their frame counts
BODY_ID = "72057591"  # and nine digits more; real ones begin with 72057594, so no real file is taken for ours

# Sensor noise by joint, standard deviation in metres a coordinate, tuned to measurements of real files: JITTER from
# frame to frame, and a slow SWAY that makes bone lengths vary.
JITTER = np.array([*[0.3] * 4, 0.6, 1, 1.5, 3.4, 0.6, 1, 1.5, 3.4, 0.6, 1, 1.5, 3.7, 0.6, 1, 1.5, 3.7, 0.3, *[3.7] * 4]) / 1e3
SWAY = np.array([3, 3, 3, 3, 6, 20, 18, 17, 6, 20, 18, 17, 6, 28, 25, 18, 6, 28, 25, 18, 3, 18, 15, 18, 15]) / 1e3


def sense(place, rng, rough=1):
    """What a sensor makes of joints (T,25,3): noisy ones, and tracking states (T,25): 2 seen, 1 inferred, 0 lost."""
    frames = len(place)
    behind = place[..., 2] - place[:, :1, 2]
    doubt = 5 * behind + 0.7 * drift(rng, frames, (25,)) + 300 * JITTER
    state = 2 - (doubt > 2.2).astype(int) - (doubt > 3.2)
    noise = JITTER[:, None] * rng.standard_normal((frames, 25, 3))
    noise += SWAY[:, None] * drift(rng, frames, (25, 3), (0.3, 1.2))
    return place + rough * noise * (1 + 0.5 * (state < 2))[..., None], state


def view(places, ghost, angle, lens, rng):
    """One camera's file (text) of people at `places` on the stage, (T,25,3) each, with the oddities of real files.

    The camera stands `angle` degrees around the stage; `lens`: its height and distance in metres, its pitch in radians.
    """
    late, haunted, gap, swapped, crlf = rng.random(5) < (0.2, 0.1, 0.1, 0.5, 0.1)
    height, distance, pitch = lens
    cast = [(place, 1) for place in (places[::-1] if swapped else places)] + [(ghost, 2.5)] * int(haunted)
    names, sensed, visible = [], [], np.ones((len(cast), len(ghost)), bool)
    for place, rough in cast:
        ahead = turn(place, -np.radians(angle)) + np.array([0, -height, distance])
        level = np.roll(turn(np.roll(ahead, 1, -1), pitch), -1, -1)  # about the x axis
        names.append(f"{BODY_ID}{rng.integers(10**8, 10**9)}")
        sensed.append(sense(level, rng, rough))
    if late and len(places) == 2:  # the second person is found late
        visible[1, : int(rng.uniform(0.08, 0.3) * len(ghost))] = False
    if haunted:  # a thing is taken for a body, now and then
        visible[-1] = drift(rng, len(ghost)) > 0.4
    if gap:  # nobody is found for some frames, half of the time the first ones
        start = rng.choice((0, rng.integers(len(ghost))))
        visible[:, start : start + rng.integers(1, 7)] = False
    places, states = zip(*sensed, strict=True)
    return skeleton_text(places, states, visible, names).replace("\n", "\r\n" if crlf else "\n")


def sample_texts(seed, performer, replication, action, frames=None):
    """One performance as the texts of its three cameras' files; they depend on these numbers only."""
    leader = draw_body(np.random.default_rng((seed, 1, performer)), left_handed=performer % 5 == 2)
    other = draw_body(np.random.default_rng((seed, 2, performer)), left_handed=False)
    lens = np.random.default_rng((seed, 3, performer % 2)).uniform((0.75, 3.15, -0.03), (0.95, 3.4, 0.03))
    rng = np.random.default_rng((seed, 4, performer, replication, action))
    length = rng.integers(*frames, endpoint=True) if frames else round(np.interp(rng.random(), *FRAMES))
    facing = np.radians(CAMERAS[3 - replication % 2] + rng.normal(0, 6))
    spot = rng.uniform(-0.15, 0.15, 3) * (1, 0, 1)
    places = [turn(place, facing) + spot for place in perform(action, length, leader, other, rng)]
    ghost = 0.5 * joints(Clip(length, other, rng).standing(), other) + np.array([rng.choice((-1.1, 1.1)), 0.2, 0.3])
    return [
        view(places, ghost, angle, lens, np.random.default_rng((seed, 5, performer, replication, action, camera)))
        for camera, angle in CAMERAS.items()
    ]


def write_demo(save_dir, *, performers=10, repeats=1, seed=1, actions=tuple(ACTIONS), frames=None):
    """Write synthetic files into a folder and return their paths; what else is there stays, ours are written anew.

    performers: P001 to this (3 or more, so that x-sub has both its sides); repeats: R001 to this; frames: (least, most)
    of a file, None for lengths like real ones. Raises UserError for values that can't be, and where a file that this
    command didn't write has the name of one that it would.
    """
    for key, got, low, top in ("performers", performers, 3, 40), ("repeats", repeats, 1, 99), ("seed", seed, 0, 10**9):
        if not low <= got <= top:
            raise UserError(f"--{key} {got}: choose from {low} to {top}")
    if Path(save_dir).is_file():
        raise UserError(f"--save_dir {save_dir}: is a file; choose a folder")
    if not actions or set(actions) - set(ACTIONS):
        raise UserError(f"--actions {' '.join(map(str, actions))}: choose from {' '.join(map(str, ACTIONS))}")
    if frames and not 10 <= frames[0] <= frames[1] <= 300:
        raise UserError(f"--frames {frames[0]} {frames[1]}: give the least and the most, from 10 to 300")
    samples = itertools.product(range(1, performers + 1), range(1, repeats + 1), sorted(set(actions)))
    files = {
        (p, r, a): [Path(save_dir) / f"S{SETUPS[p % 2]:03}C{c:03}P{p:03}R{r:03}A{a:03}.skeleton" for c in CAMERAS]
        for p, r, a in samples
    }
    paths = list(itertools.chain(*files.values()))
    for path in paths:
        if path.is_file() and BODY_ID.encode() not in path.read_bytes()[:2000]:
            raise UserError(f"{path}: was not written by this command; choose another --save_dir")
    for sample, three in files.items():
        for path, text in zip(three, sample_texts(seed, *sample, frames), strict=True):
            with replacing(path) as temporary:
                temporary.write_bytes(text.encode())
    return paths


def main():
    parser = Parser(prog="tools/demo_data.py", description=__doc__)
    parser.add_argument("--save_dir", required=True, help="folder to write into")
    parser.add_argument("--performers", type=int, default=10, help="number of people, P001 on (default 10)")
    parser.add_argument("--repeats", type=int, default=1, help="replications, R001 on (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    parser.add_argument("--actions", type=int, nargs="+", default=[*ACTIONS], metavar="A", help=f"of {[*ACTIONS]} (default all)")
    parser.add_argument("--frames", type=int, nargs=2, metavar=("LO", "HI"), help="of a file (default: like real ones)")
    options = parser.parse_args()
    count, actions = len(write_demo(**vars(options))), len(set(options.actions))
    made = f"{actions} action{'s' * (actions > 1)}, {options.performers} performers, {len(CAMERAS)} cameras, seed {options.seed}"
    print(f"{count} synthetic .skeleton files ({made}) in {options.save_dir}")
