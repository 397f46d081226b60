"""The list of bad inputs: commands with one bad file in place of a good one, each breaking another rule."""

import os
import pickle
import shutil
from functools import reduce
from pathlib import Path

import numpy as np
import yaml

from options.schema import FOLDER
from tests.helpers.skeleton_corpus import BAD_NAMES, malformed, skeleton_bytes
from tests.torture import hostile, hostile_arrays, hostile_pickles
from tests.torture.attempts import COMMON, EVAL_DATA, EVAL_LABELS, EVALUATE, INFER, RUN, TRAIN, TRAIN_LABELS, Case, call, contents
from utils.errors import printable


def cases():
    """Yield all cases, kind by kind."""
    weights = Path("weights.pdparams").read_bytes()
    state = pickle.loads(weights)
    yield from checkpoints(weights, state)
    yield from data_sets()
    yield from other_files(state)
    yield from foreign_files()
    yield from settings()


def checkpoints(weights, state):
    last, out = f"{RUN}/last.pdparams", "converted.pdparams"
    uses = {
        "-pp": (EVALUATE, "weights.pdparams"),
        "-r": ([*TRAIN, "-r"], last),
        "convert": (["convert_weights.py", "weights.pdparams", out, "-c", "small.yaml"], "weights.pdparams"),
    }
    small = {"small.yaml": small_config()}
    for use, (command, path) in uses.items():
        for rule, data in hostile_pickles.hostile_pickles():
            yield Case(f"checkpoint, {use}", f"pickle {rule}", command, {path: data, **small})
        for rule, data in hostile_pickles.damaged(weights):
            yield Case(f"checkpoint, {use}", rule, command, {path: data, **small})
        for rule, data in hostile_arrays.npz_files():
            yield Case(f"checkpoint, {use}", f"npz {rule}", command, {path: data, **small})
        for rule, data in hostile.weight_changes(state):
            if use == "-r" or not rule.startswith("opt "):  # weights alone need no optimizer's state
                yield Case(f"checkpoint, {use}", rule, command, {path: data, **small}, may_run=use == "convert")
    for rule, data in hostile.train_changes(state):
        yield Case("checkpoint, -r", rule, [*TRAIN, "-r"], {last: data})
    for rule, data in hostile_pickles.torch_files(state):
        yield Case("PyTorch file, convert", rule, uses["convert"][0], {"weights.pdparams": data, **small})
    for rule, data in hostile_pickles.damaged(b"\x08" + bytes(7) + b'{"a":{}}'):
        command = ["convert_weights.py", "x.safetensors", out, "-c", "small.yaml"]
        yield Case("safetensors file, convert", rule, command, {"x.safetensors": data, **small})


def small_config():
    """The network of TINY as a YAML file."""
    values = {}
    for key, value in COMMON.items():
        *path, last = key.split(".")
        inner = values
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = yaml.safe_load(value)
    return hostile.yaml_bytes(values)


def data_sets():
    data = np.load(EVAL_DATA)
    names = pickle.loads(Path(EVAL_LABELS).read_bytes())[0]
    infer = [*INFER, f"--data_file={EVAL_DATA}", f"--label_file={EVAL_LABELS}"]
    for use, command in {"-e": EVALUATE, "training": TRAIN, "infer": infer}.items():
        labels = TRAIN_LABELS if use == "training" else EVAL_LABELS
        count = 8 if use == "training" else 3
        for rule, wrong in [
            *((f"pickle {rule}", wrong) for rule, wrong in hostile_pickles.hostile_pickles()),
            *hostile_pickles.damaged(Path(labels).read_bytes()),
            *hostile.label_files([f"{names[0]}{i}" for i in range(count)]),
        ]:
            if not (use == "infer" and rule.startswith("length beyond")):
                yield Case(f"label file, {use}", rule, command, {labels: wrong}, may_run=rule == "two lists")
    for use, command in {"-e": EVALUATE, "infer": infer}.items():
        for rule, wrong in hostile.data_files(data):
            if not (use == "infer" and rule in ("fewer frames than the network takes", "four axes")):
                taken = use == "infer" and (rule.startswith(("type ", "axes", "M other")))  # any numbers, and bodies chosen
                yield Case(f"data file, {use}", rule, command, {EVAL_DATA: wrong}, may_run=taken)


def other_files(state):
    with np.load("scores.npz") as file:
        scores = dict(file)
    for rule, data in hostile.score_files(scores):
        yield Case("score file, ensemble", rule, ["ensemble.py", "scores.npz", "--output=together.npz"], {"scores.npz": data})
    for rule, name, data in hostile_arrays.array_files():
        taken = rule in ("3 coordinates", "two bodies", "JSON: two bodies")  # what is not wanted is left out
        command, files = ["import_data.py", "own", "-c", "own.yaml"], {f"own/train/one/{name}": data}
        yield Case("own sample, import_data", rule, command, files, may_run=taken)
    for rule, data in malformed():
        name = "S001C001P001R001A001.skeleton"
        yield Case(".skeleton file, infer", rule, [*INFER, f"--data_file={name}"], {name: data}, may_run=rule == "5 bodies")
    for program in ("weights.onnx", "weights.json", "weights.pdiparams"):
        for rule, data in hostile_pickles.damaged(Path(f"export/{program}").read_bytes()):
            command = ["infer.py", f"--model_file=export/{program.replace('pdiparams', 'json')}", "--data_file=raw"]
            yield Case("program, infer", f"{program} {rule}", command, {f"export/{program}": data})
    record = yaml.safe_load(Path("export/weights.yaml").read_text())
    for rule, data in hostile.records(record):
        yield Case("record of a program, infer", rule, [*INFER, "--data_file=raw"], {"export/weights.yaml": data}, may_run=True)
    for what, data in {"empty": b"", "a class twice": b"one\none", "no text": b"\xff\xfe", "control codes": b"one\n\x1b[31m",
                       "2 MB": b"x\n" * 2**20}.items():  # fmt: skip
        command = ["import_data.py", "own", "-c", "own.yaml"]
        yield Case("class names", what, command, {"classes.txt": data})


def foreign_files():
    """What others pass around, with a hostile file at each door."""
    header = np.lib.format.magic(1, 0) + (118).to_bytes(2, "little")
    header += b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
    files = [(f"pickle {rule}", "x.pkl", data) for rule, data in hostile_pickles.hostile_pickles()]
    files += [(f"dict in .npy {rule}", "x.npy", header + data) for rule, data in hostile_pickles.hostile_pickles()]
    files += [(f"npz {rule}", "x.npz", data) for rule, data in hostile_arrays.npz_files()]
    for rule, name, data in files:
        yield Case("file of others, import_data", rule, ["import_data.py", name, "-c", "2001", "--as_is"], {name: data})
        recognise = [*INFER, f"--data_file={name}", "--stop_on_error"]  # else what is good before the damage is recognised
        yield Case("file of others, infer", rule, recognise, {name: data})
    odd = [(f"pyskl: {rule}", "x.pkl", data) for rule, data in hostile_arrays.pyskl_files()]
    for rule, name, data in [*odd, *hostile_arrays.foreign_texts()]:
        command, folder = (["x.pkl", "-c", "2001"], "") if name == "x.pkl" else (["own", "-c", "own.yaml"], "own/train/one/")
        yield Case("odd recording of others, import_data", rule, ["import_data.py", *command], {folder + name: data}, may_run=True)
        recognise = [*INFER, f"--data_file={name.partition('/')[0]}", "--stop_on_error"]
        yield Case("odd recording of others, infer", rule, recognise, {name: data}, may_run=True)
    stored = {f"others/{split}_data.npy": hostile.npy(np.ones((2, 3, 4, 25, 2), "f4")) for split in ("train", "val")}
    right = pickle.dumps((["a", "b"], [0, 1]))
    for rule, data in [*hostile_pickles.hostile_pickles(), *hostile_pickles.damaged(right), *hostile.label_files(["a", "b"])]:
        files = {**stored, "others/train_label.pkl": data, "others/val_label.pkl": right}
        accepted = rule in ("two lists", "labels is a tuple", "lengths is a tuple", "length beyond the array")  # lengths follow from the data
        yield Case("label file, import_data", rule, ["import_data.py", "others", "-c", "2001"], files, may_run=accepted)


def settings():
    command = ["main.py", "-c", "changed.yaml", *EVALUATE[3:]]
    for rule, data in hostile.yaml_texts():
        chosen = [word for word in command if not word.startswith("--work_dir") or "folder" not in rule]
        yield Case("YAML file, -c", rule, chosen, {"changed.yaml": data})
    defaults = yaml.safe_load((FOLDER / "defaults.yaml").read_text())
    for path in hostile.leaves(defaults):
        name = ".".join(path)
        for what, value in hostile.ODD.items():
            if name in COMMON or name in ("delay_hours", "generate_data", "check", "resume", "extract", "visualize"):
                continue
            odd = list(value) if isinstance(value, tuple) else value
            data = hostile.yaml_bytes(reduce(lambda inner, key: {key: inner}, reversed(path), odd))
            yield Case("YAML file, -c", f"{name} is {what}", command, {"changed.yaml": data}, may_run=True)


def entries(folder):
    """Fill a folder with .skeleton entries that break a rule each; returns {path: rule}, duplicates left out."""
    rules = {}
    for i, (rule, data) in enumerate(malformed()):
        path = folder / f"S001C001P{1 + i % 900:03}R{1 + i // 900:03}A050.skeleton"
        path.write_bytes(data)
        rules[path] = rule
    for name in BAD_NAMES:
        if "/" not in name and name.lower().endswith(".skeleton"):
            (folder / name).write_bytes(skeleton_bytes(0))
            rules[folder / name] = f"name {name!r}"
    special = (folder / f"S002C001P00{i}R001A050.skeleton" for i in range(1, 7))
    for (rule, make), path in zip({
        "folder": Path.mkdir, "pipe": os.mkfifo, "link to nothing": lambda path: path.symlink_to("nothing"),
        "link to itself": lambda path: path.symlink_to(path.name), "link to a folder": lambda path: path.symlink_to(".."),
        "link to a device": lambda path: path.symlink_to("/dev/zero"),
    }.items(), special, strict=True):  # fmt: skip
        make(path)
        rules[path] = rule
    for name, rule in {"\x1b[31m.skeleton": "control codes in the name", "a\nb.skeleton": "line end in the name",
                       "%s{0}<b>.skeleton": "format in the name", b"\xff.skeleton": "name that is no text"}.items():  # fmt: skip
        path = folder / os.fsdecode(name)
        path.write_bytes(skeleton_bytes(0))
        rules[path] = rule
    return rules


def bad_folder():
    """Yield (command, rule, problem, line) of the bad entries of a raw folder, each of which three commands must name."""
    raw, good = Path("bad").resolve(), sorted(Path("raw").iterdir())
    raw.mkdir()
    rules = entries(raw)
    for path in good:
        shutil.copy(path, raw)
        rules.pop(raw / path.name, None)
    root = Path("generated").resolve()
    report = root / "original" / "ntu-xsub_bad_files.txt"
    options = [f"--dataset_args.ntu.root_folder={root}", f"--work_dir={root / 'work'}", "-np"]
    first = call(["main.py", "-c", "2001", "-gd", f"--dataset_args.ntu.ntu60_path={Path('raw').resolve()}", *options])
    assert first[0] == 0, first[2]
    before = contents(root / "original")
    for command, switches, exit_code in (
        ("--check", ["--check"], 2), ("-gd", ["-gd"], 2), ("-gd --skip_bad", ["-gd", "--skip_bad=true"], 0),
    ):  # fmt: skip
        code, out, err = call(["main.py", "-c", "2001", *switches, f"--dataset_args.ntu.ntu60_path={raw}", *options])
        lines = out.splitlines() if command == "--check" else report.read_text().splitlines()
        named = {}
        for line in map(str.strip, lines):
            named.setdefault(line.partition(": ")[0], []).append(line)
        after = contents(root / "original")
        changed = {path for path, _ in set(after.items()) ^ set(before.items())} - {str(report)}
        wrong = None
        if code != exit_code or "Traceback" in err:
            wrong = f"exit code {code}: {err[-300:]}"
        elif command != "-gd --skip_bad" and (changed or not err.isascii() or len(err.splitlines()) != (command == "-gd")):
            wrong = f"changed {changed}, said {err[-300:]}"
        elif command == "-gd --skip_bad" and f"Left out: {len(rules)} bad file" not in out:
            wrong = f"does not say how many are left out: {out[-300:]}"
        for path, rule in rules.items():
            found = named.get(printable(path), [])
            problem = wrong or (None if len(found) == 1 and found[0].isprintable() else f"named by {found}")
            yield command, rule, problem, " ".join(found)
    data = np.load(root / "original/ntu-xsub/eval_data.npy")
    assert len(data) == sum("P003" in path.name for path in good)
    shutil.copytree("raw", "raw_again")
    twice = [f"--dataset_args.ntu.ntu60_path={Path('raw').resolve()}", f"--dataset_args.ntu.ntu120_path={Path('raw_again').resolve()}"]
    code, out, err = call(["main.py", "-c", "2003", "-gd", *twice, *options])
    ok = code == 2 and len(err.splitlines()) == 1 and "keep one file of each" in err
    yield "-gd", "the same names in two folders", None if ok else f"exit code {code}: {err}", err
