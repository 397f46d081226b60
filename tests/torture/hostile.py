"""Files that are wrong or mean harm, for every command that reads a file; each breaks another rule. Made from a seed.

A corpus yields (the rule that is broken, bytes). `cases` turns them into commands to run in a folder that `prepare` filled.
"""

import io
import pickle
import struct
import zipfile

import numpy as np
import yaml

from tests.torture.hostile_pickles import damaged

# ---------------------------------------------------------------- values of the wrong kind

ODD = {
    "null": None, "true": True, "a number": 7, "minus one": -1, "a fraction": 0.5, "a text": "x", "an empty text": "",
    "a list": [1], "an empty list": [], "a dict": {"x": 1}, "a nested list": [[1], [1, 2]], "bytes": b"1",
    "a huge number": 2**70, "nan": float("nan"), "inf": float("inf"), "a tuple": (1, 2),
}  # fmt: skip


def label_files(names, num_classes=60):
    """Yield (rule, bytes) of wrong label files for samples of these names."""
    count = len(names)
    good = list(names), [0] * count, [300] * count

    def changed(part, place, value):
        lists = [list(x) for x in good]
        lists[part][place] = value
        return pickle.dumps(tuple(lists), 4)

    for what, value in ODD.items():
        yield f"the whole is {what}", pickle.dumps(value, 4)
        for part, name in enumerate(("names", "labels", "lengths")):
            yield f"{name} is {what}", pickle.dumps((*good[:part], value, *good[part + 1 :]), 4)
            accepted = (what in ("a text", "an empty text"), what in ("a number", "true"), what in ("a number", "true"))
            if not accepted[part]:
                yield f"one of {name} is {what}", changed(part, count // 2, value)
    yield "two lists", pickle.dumps(good[:2], 4)
    yield "four lists", pickle.dumps((*good, good[0]), 4)
    yield "one sample less", pickle.dumps(tuple(part[:-1] for part in good), 4)
    yield "one sample more", pickle.dumps(tuple([*part, part[-1]] for part in good), 4)
    yield "one label less", pickle.dumps((good[0], good[1][:-1], good[2]), 4)
    yield "labels from 1", changed(1, 0, num_classes)
    yield "length beyond the array", changed(2, 0, 301)
    for what, name in {"line end": "a\nb", "control code": "\x1b[31m", "NUL": "\0", "lone surrogate": "\udcff"}.items():
        yield f"name with a {what}", changed(0, 0, name)


def npy(array, descr=None, shape=None, order=False, version=(1, 0), body=None):
    """Bytes of a npy file whose header may say something else than its body."""
    header = {"descr": descr or array.dtype.str, "fortran_order": order, "shape": shape or array.shape}
    return with_header(repr(header), array.tobytes() if body is None else body, version)


def with_header(header, body=b"", version=(1, 0)):
    header = header.encode("latin1") + b"\n"
    size = struct.pack("<H" if version[0] == 1 else "<I", len(header) % 65536)
    return b"\x93NUMPY" + bytes(version) + size + header + body


def data_files(data):
    """Yield (rule, bytes) of wrong npy files instead of one with the array `data` (N, C, T, V, M) float32."""
    N, C, T, V, M = data.shape
    yield from damaged(npy(data))
    for kind in ("f8", ">f4", "f2", "i4", "u1", "c8", "S4", "U1", "M8[s]", "b1"):
        size = np.dtype(kind).itemsize
        yield f"type {kind}", npy(data, np.dtype(kind).str, body=bytes(data.size * size))
    yield "objects", npy(data, "|O", shape=(1,), body=pickle.dumps([{}]))
    yield "objects that run something", npy(data, "|O", shape=(1,), body=b"cos\nsystem\n(Vtouch hacked\ntR.")
    yield "a pickle", pickle.dumps(data)
    yield "fields", npy(data, [("x", "<f4")])
    yield "axes in the other order", npy(data, order=True)
    for axis, name in enumerate("NCTVM"):
        for what, step in (("more", 1), ("less", -1)):
            shape = tuple(n + step * (i == axis) for i, n in enumerate(data.shape))
            yield f"{name} one {what} than there is", npy(data, shape=shape, body=data.tobytes() + bytes(step == 1))
    for axis, name in enumerate("CVM", 1):
        wrong = np.zeros(
            tuple(3 + (i == axis) if name in "C" else n + (i == axis + (axis > 1)) for i, n in enumerate(data.shape))
        )
        yield f"{name} other than the configuration's", npy(wrong.astype("float32"))
    yield "fewer frames than the network takes", npy(np.ascontiguousarray(data[:, :, :4]))
    yield "no samples", npy(data[:0])
    yield "four axes", npy(data[0])
    yield "six axes", npy(data[None])
    yield "a number", npy(np.float32(3))
    for what, shape in {"huge": (10**15, C, T, V, M), "negative": (-1, C, T, V, M), "overflowing": (2**62,) * 5}.items():
        yield f"{what} shape", npy(data, shape=shape)
    for what, shape in {"text": "x", "None": None, "list": [N, C, T, V, M], "fractions": (1.5, C, T, V, M)}.items():
        yield f"shape is a {what}", with_header(repr({"descr": "<f4", "fortran_order": False, "shape": shape}), data.tobytes())
    for what, header in {
        "a key missing": "{'descr': '<f4', 'shape': (1,)}", "a key more": "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "a list": "[1, 2]", "an expression": "__import__('os').system('touch hacked')", "unbalanced": "{'descr': (((",
        "deeply nested": "(" * 5000 + ")" * 5000, "empty": "", "of 60,000 characters": repr({"descr": "<f4", "x": "y" * 60000}),
        "a type that runs": "{'descr': 'os.system', 'fortran_order': False, 'shape': (1,)}",
    }.items():  # fmt: skip
        yield f"header is {what}", with_header(header, data.tobytes())
    yield "version 9", npy(data, version=(9, 0))
    archive = io.BytesIO()
    np.savez(archive, data)
    yield "npz", archive.getvalue()


def weight_changes(state):
    """Yield (rule, bytes) of checkpoints that are wrong in one place."""
    name = next(iter(state["model"]))
    for what, value in ODD.items():
        yield f"the whole is {what}", pickle.dumps(value, 4)
        for key in ("model", "opt"):
            if (key, what) != ("opt", "a dict"):
                yield f"{key} is {what}", pickle.dumps({**state, key: value}, 4)
        yield f"a weight is {what}", pickle.dumps({**state, "model": {**state["model"], name: value}}, 4)
        yield f"a name is {what}", pickle.dumps({**state, "model": {**state["model"], what: state["model"][name]}}, 4)
    shape = np.asarray(state["model"][name][1]).shape
    for what, value in {
        "of another shape": np.zeros((*shape, 2), "f4"), "empty": np.zeros(0, "f4"), "not finite": np.full(shape, np.nan, "f4"),
        "infinite": np.full(shape, np.inf, "f4"), "texts": np.full(shape, "x"), "objects": np.full(shape, None),
        "booleans of another shape": np.zeros(3, bool), "complex": np.zeros(shape, complex),
    }.items():  # fmt: skip
        yield f"a weight is {what}", pickle.dumps({**state, "model": {**state["model"], name: (name, value)}}, 4)
    missing = dict(list(state["model"].items())[1:])
    yield "a weight is missing", pickle.dumps({**state, "model": missing}, 4)
    yield "all weights are missing", pickle.dumps({**state, "model": {}}, 4)
    nested = [0]
    for _ in range(40):
        nested = [nested, nested]
    yield "a weight is lists without end", pickle.dumps({**state, "model": {**state["model"], name: nested}}, 4)
    loop = {}
    loop["model"] = loop
    yield "it holds itself", pickle.dumps(loop, 4)


def train_changes(state):
    """Yield (rule, bytes) of checkpoints whose weights are right and whose state of training is not."""
    for key in ("epoch", "best_state", "progress"):
        for what, value in ODD.items():
            if not (key == "epoch" and what in ("a number", "minus one")) and not (key != "epoch" and what == "null"):
                yield f"{key} is {what}", pickle.dumps({**state, key: value}, 4)
    for outer in ("best_state", "progress"):
        for key in state[outer] or ():
            for what in ("null", "a text", "a dict") if key == "cm" else ("null", "a text", "minus one", "nan", "a huge number", "a dict"):
                yield f"{outer}.{key} is {what}", pickle.dumps({**state, outer: {**state[outer], key: ODD[what]}}, 4)


def score_files(scores):
    """Yield (rule, bytes) of wrong score files; `scores` {names, labels, logits}."""

    def saved(**arrays):
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    yield from damaged(saved(**scores))
    for key, value in scores.items():
        yield f"without {key}", saved(**{k: v for k, v in scores.items() if k != key})
        yield f"{key} of one sample less", saved(**{**scores, key: value[:-1]})
        yield f"{key} of no sample", saved(**{**scores, key: value[:0]})
        for kind in ("f8", "i8", "U3", "S3", "M8[s]", "c8", "?"):
            if (key, kind) not in (("names", "U3"), ("labels", "i8"), ("logits", "f8")):
                yield f"{key} of type {kind}", saved(**{**scores, key: np.zeros(value.shape, kind)})
        yield f"{key} are objects", saved(**{**scores, key: np.full(value.shape, None)})
    yield "labels below 0", saved(**{**scores, "labels": scores["labels"] - 100})
    yield "labels beyond the classes", saved(**{**scores, "labels": scores["labels"] + 1000})
    yield "logits not finite", saved(**{**scores, "logits": scores["logits"] * np.nan})
    yield "logits of one axis", saved(**{**scores, "logits": scores["logits"][:, 0]})
    yield "a sample twice", saved(**{**scores, "names": np.full(scores["names"].shape, "x")})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in scores:
            archive.writestr(f"{key}.npy", npy(np.zeros(0), "<f8", shape=(10**9,), body=bytes(10**8)))
        archive.writestr("more", bytes(11 * 10**8))
    yield "a zip bomb", file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for key in scores:
            archive.writestr(f"{key}.npy", npy(np.zeros(0), "<f8", shape=(10**12,), body=b""))
    yield "arrays larger than the file", file.getvalue()


# ---------------------------------------------------------------- settings


def leaves(values, path=()):
    """Yield the path of every key of nested dicts."""
    for key, value in values.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))


def with_value(values, path, value):
    """A copy of nested dicts with another value in one place."""
    if not path:
        return value
    return {**values, path[0]: with_value(values[path[0]], path[1:], value)}


def yaml_texts():
    """Yield (rule, bytes) of files that are no settings at all, or mean harm."""
    yield from {
        "a list": b"- 1", "a text": b"hello", "a number": b"3", "not YAML": b"a: [", "unbalanced": b"a: }", "tabs": b"a:\n\tb: 1",
        "a key twice": b"seed: 1\nseed: 2", "a key that is a number": b"3: 4", "a key that is a list": b"[1]: 2",
        "a key that is null": b"~: 2", "an unknown key": b"sed: 1", "an unknown key at depth": b"model_args: {edg: true}",
        "an anchor without an alias": b"a: *b", "two documents": b"seed: 1\n---\nseed: 2", "bytes that are no text": b"\xff\xfe\x00",
        "NUL": b"seed: 1\0", "an object": b"seed: !!python/object:os.system {}", "a call": b"seed: !!python/object/apply:os.system ['touch hacked']",
        "a name": b"seed: !!python/name:os.system", "a module": b"seed: !!python/module:antigravity", "an unknown tag": b"seed: !x 1",
        "a number of 10,000 digits": b"seed: " + b"7" * 10000, "a hexadecimal of 100,000 digits": b"seed: 0x" + b"f" * 100000,
        "sixties without end": b"seed: 1" + b":59" * 5000, "a date": b"seed: 2022-06-06", "an impossible date": b"seed: 2022-99-99",
        "lists 10,000 deep": b"seed: " + b"[" * 10000 + b"]" * 10000, "dicts 2,000 deep": b"{a: " * 2000 + b"}" * 2000,
        "a merge key": b"a: &a {seed: 1}\n<<: *a", "a graph that is a folder": b"dataset: custom-x\ndataset_args: {custom: {graph: ..}}",
        "a folder name with NUL": b'work_dir: "a\\0b"', "a folder name with a line end": b'work_dir: "a\\nb"',
        "a folder name of 5,000 characters": b"work_dir: " + b"a" * 5000, "2 MB": b"# " + b"x" * 2_000_000,
    }.items()  # fmt: skip
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    yield "aliases that stand for 400 million values", laughs.encode()
    yield "aliases in a known key", laughs.replace("a8:", "seed:").encode()


# ---------------------------------------------------------------- programs and arrays


def records(record):
    """Yield (rule, bytes) of wrong records beside an exported program."""
    yield from yaml_texts()
    for path in leaves(record):
        name = ".".join(path)
        if path[0] == "source" or path[-1] in ("nodes", "bytes", "paddle", "difference", "reason", "outputs"):
            continue  # said, not used
        yield f"without {name}", without(record, path)
        for what, value in ODD.items():
            yield f"{name} is {what}", yaml_bytes(with_value(record, path, list(value) if isinstance(value, tuple) else value))


def without(values, path):
    """The YAML text of nested dicts less one key."""
    if len(path) > 1:
        inner = yaml.safe_load(without(values[path[0]], path[1:]))
        return yaml_bytes({**values, path[0]: inner})
    return yaml_bytes({key: value for key, value in values.items() if key != path[0]})


def yaml_bytes(values):
    return yaml.safe_dump(values, sort_keys=False).encode()
