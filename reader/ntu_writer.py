"""Bodies as the text of an NTU RGB+D `.skeleton` file; the format is described in docs/data.md."""

import numpy as np

# A body: clipped edges, hands, lean and, of 25 joints, orientations are 0, as no reader of skeletons takes them.
BODY = "%s 0 0 0 0 0 0 0 0 2\n25\n" + ("%.7g " * 7 + "0 0 0 0 %d\n") * 25


def skeleton_text(places, states, seen, names):
    """Text of a file of M bodies, each in its place among those of a frame.

    places: joints (M,T,25,3) in metres, camera space; states: their tracking states (M,T,25), 2 seen, 1 inferred, 0 lost;
    seen: (M,T) bool, the frames in which a body is there; names: M body ids of up to 17 digits.
    """
    frames = [[] for _ in seen[0]]
    for place, state, there, name in zip(places, states, seen, names, strict=True):
        x, y, z = np.moveaxis(place[there], -1, 0)
        pixels = 256.3 + 366 * x / z, 208.5 - 366 * y / z, 974 + 1081 * x / z, 568 - 1081 * y / z
        rows = np.stack([x, y, z, *pixels, state[there]], -1).reshape(len(x), 25 * 8)
        for frame, fields in zip(np.flatnonzero(there), rows.tolist(), strict=True):
            frames[frame].append(BODY % (name, *fields))
    return f"{len(frames)}\n" + "".join(f"{len(bodies)}\n{''.join(bodies)}" for bodies in frames)
