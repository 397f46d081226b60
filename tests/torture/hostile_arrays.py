"""Arrays that are wrong or mean harm, in the forms that import and infer.py take; see hostile."""

import copy
import io
import json
import pickle
import zipfile
from functools import reduce

import numpy as np

from tests.torture.hostile import ODD, npy
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


def foreign_texts():
    """Yield (rule, file name, bytes) of what sensors and pose estimators write, 18 joints (Azure Kinect: 32), odd in one place."""
    joints, frames = [[1.0, 2.0, 3.0]] * 18, range(2)
    for form, name, value in (
        ("OpenPose", "clip/x_0_keypoints.json", {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [1.0, 2.0, 3.0] * 18}]}),
        ("Azure Kinect", "x.json", {"frames": [{"timestamp_usec": t, "bodies": [
            {"body_id": 1, "joint_positions": [[1.0, 2.0, 3.0]] * 32}]} for t in frames]}),
        ("ZED", "x.json", {str(t): {"timestamp": t, "body_list": [{"id": 0, "keypoint": joints}]} for t in frames}),
        ("Kinetics", "x.json", {"data": [{"frame_index": t, "skeleton": [{"pose": [0.5] * 36, "score": [0.5] * 18}]} for t in frames],
                                "label": "x", "label_index": 0}),
    ):  # fmt: skip
        for rule, data in changes(value, lambda value: json.dumps(value, default=repr).encode()):
            yield f"{form}: {rule}", name, data
    table = ",".join(f"{axis}{joint}" for joint in range(18) for axis in "xyz") + 2 * ("\n" + ",".join(["0.5"] * 54))
    for what, text in {
        "a row too short": table[:-4], "a text among numbers": table.replace("0.5", "x", 1), "nan": table.replace("0.5", "nan", 1),
        "an axis missing": table.replace("y0", "q0"), "an axis twice": table.replace("y0", "x0"), "no rows": table.split("\n")[0],
        "a quote without end": '"' + table, "NUL": "\0" + table, "a number of 10,000 digits": table.replace("0.5", "7" * 10000, 1),
        "a field of 1 MB": table.replace("0.5", "x" * 2**20, 1), "10,000 columns more": "x," * 10000 + table, "no joints": "x\n1\n",
    }.items():  # fmt: skip
        yield f"CSV: {what}", "x.csv", text.encode()
    for rule, data in damaged(table.encode()):
        yield f"CSV: {rule}", "x.csv", data


def pyskl_files():
    """Yield (rule, bytes) of pickles in the form of pyskl's, odd in one place."""
    names = "S001C001P001R001A001", "S001C001P003R001A001"
    points = np.ones((1, 4, 25, 3), "float16")
    items = [{"frame_dir": name, "label": 0, "total_frames": 4, "keypoint": points, "keypoint_score": points[..., 0]} for name in names]
    yield from changes({"split": {"xsub_train": [names[0]], "xsub_val": [names[1]]}, "annotations": items}, pickle.dumps)


def changes(value, write):
    """Yield (rule, bytes) of a value that `write` turns into bytes: with something odd in each of its places, cut, damaged."""
    yield from damaged(write(value))
    for path in places(value):
        for what, odd in ODD.items():
            whole = [copy.deepcopy(value)]
            reduce(lambda inner, key: inner[key], path[:-1], whole)[path[-1]] = odd
            yield f"{'.'.join(map(str, path[1:])) or 'the whole'} is {what}", write(whole[0])


def places(value, path=(0,)):
    """Yield the path of every key of nested dicts and lists, of a list only the first."""
    yield path
    for key in value if isinstance(value, dict) else [0] if isinstance(value, list) and value else ():
        yield from places(value[key], (*path, key))
