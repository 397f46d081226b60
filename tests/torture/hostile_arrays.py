"""Arrays that are wrong or mean harm, in the forms that import and infer.py take; see hostile."""

import io
import json
import zipfile

import numpy as np

from tests.torture.hostile import npy
from tests.torture.hostile_pickles import damaged


def npz_files():
    """Yield (rule, bytes) of wrong files in the form of CTR-GCN's."""
    right = {"x_train": np.ones((2, 9, 150), "f4"), "y_train": np.eye(2), "x_test": np.ones((1, 9, 150), "f4"), "y_test": np.eye(1, 2)}

    def packed(**changes):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, value in {**right, **changes}.items():
                part = io.BytesIO()
                if isinstance(value, np.ndarray):
                    np.save(part, value)
                elif isinstance(value, bytes):
                    part.write(value)
                if value is not None:
                    archive.writestr(f"{name}.npy", part.getvalue())
        return file.getvalue()

    whole = packed()
    for end in (4, 30, len(whole) // 2, len(whole) - 30):
        yield f"cut at {end}", whole[:end]
    for place in (40, len(whole) // 3, len(whole) // 2):
        yield f"damaged at {place}", whole[:place] + bytes(8) + whole[place + 8 :]
    for name in right:
        yield f"without {name}", packed(**{name: None})
        yield f"{name} is no array", packed(**{name: b"no"})
        yield f"{name} holds objects", packed(**{name: np.array([{}], object)})
        for shape in ((), (0, 9, 150), (10**12, 9, 150), (2, 10**9, 150), (2, 9, 151), (2**62, 2**62, 2**62), (2, -1, 150)):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
            yield f"{name} of shape {shape}", packed(**{name: header.getvalue() + bytes(9)})


def array_files():
    """Yield (rule, file name, bytes) of wrong samples of a data set of one's own: 18 joints, 2 coordinates, one body."""
    sample = np.zeros((4, 18, 2), "float32")
    for rule, data in damaged(npy(sample), cuts=6):
        yield rule, "a.npy", data
    for what, wrong in {
        "17 joints": sample[:, :17], "3 coordinates": np.zeros((4, 18, 3)), "two bodies": np.zeros((4, 2, 18, 2)), "no frames": sample[:0],
        "nan": sample * np.nan, "inf": sample + np.inf, "five axes": sample[None, None], "texts": np.full((4, 18, 2), "x"),
        "complex": sample.astype(complex),
    }.items():  # fmt: skip
        yield what, "a.npy", npy(np.asarray(wrong))
    yield "objects that run something", "a.npy", npy(sample, "|O", shape=(1,), body=b"cos\nsystem\n(Vtouch hacked\ntR.")
    frame = [[[0, 0]] * 18]
    for what, value in {
        "a dict": {}, "a number": 3, "null": None, "a text": "abc", "no frames": [], "a joint less": [[frame[0][:17]]], "a text among numbers": [
            [[["x", 0]] * 18]], "null among numbers": [[[[None, 0]] * 18]], "uneven": [[[[0, 0], [0]] * 9]], "two bodies": [frame + frame],
        "numbers for frames": [1, 2], "deep": [[[[[[[0]]]]]]],
    }.items():  # fmt: skip
        yield f"JSON: {what}", "a.json", json.dumps(value).encode()
    yield "JSON: nan", "a.json", json.dumps([frame]).replace("0", "NaN", 1).encode()
    yield "JSON: 1e400", "a.json", json.dumps([frame]).replace("0", "1e400", 1).encode()
    yield "JSON: number of 10,000 digits", "a.json", json.dumps([frame]).replace("0", "7" * 10000, 1).encode()
    yield "JSON: 100,000 deep", "a.json", b"[" * 100000
    yield "JSON: cut", "a.json", json.dumps([frame]).encode()[:-5]
    yield "JSON: no text", "a.json", b"\xff\xfe{}"
    yield "JSON: empty", "a.json", b""
