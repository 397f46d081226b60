"""Folders of `.skeleton` files like NTU RGB+D's: a few distinct ones under as many names as asked for."""

import itertools
import os

from dataset.demo_motion import ACTIONS
from reader.splits import ignored_names
from tools.demo_data import sample_texts

DISTINCT = 48
FRAMES = (94, 94)  # the mean of NTU RGB+D 60


def make_recordings(folder, count, frames=FRAMES, seed=1, two_people=False):
    """Write `count` files into `folder`: DISTINCT synthetic ones, all others links to them. Returns the paths.

    `frames`: fewest and most of a file; None: lengths as NTU's recordings have. NTU's actions 50 to 60 show two people.
    """
    folder.mkdir(parents=True)
    ways = itertools.product(range(1, 18), (1, 2), range(1, 61), range(1, 41), range(1, 4))
    names = (f"S{s:03}C{c:03}P{p:03}R{r:03}A{a:03}" for s, r, a, p, c in ways)
    paths = [folder / f"{name}.skeleton" for name in itertools.islice((n for n in names if n not in ignored_names()), count)]
    performances = itertools.product(range(1, 100), [action for action in sorted(ACTIONS) if (action >= 50) == two_people])
    texts = (text for p, a in performances for text in sample_texts(seed, p, 1, a, frames))
    originals = [(path, next(texts)) for path in paths[:DISTINCT]]
    for path, text in originals:
        path.write_bytes(text.encode())
    for number, path in enumerate(paths[DISTINCT:]):
        os.link(originals[number % DISTINCT][0], path)
    return paths
