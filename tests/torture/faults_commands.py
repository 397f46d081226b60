"""Faults of the commands that replace files: infer, export, convert."""

import shutil
import signal
import time
from pathlib import Path

from tests.helpers.raw_folders import contents as file_contents
from tests.helpers.raw_folders import some_names, write_raw
from tests.torture.attempts import EVALUATE, TRAIN, call
from tests.torture.cases import small_config
from tests.torture.faults import SIGNALS, Ended, Trial, kill, run, start, wrong
from utils.log import set_up_logging


class Replacement:
    """Two commands that write the same files, each from other input, and what they leave: one in place, one to be stopped."""

    def __init__(self, name, folder, first, second):
        self.name, self.folder, self.first, self.second = name, folder, first, second
        self.again = run if name == "export" else lambda command: Ended(*call(command))  # names in a program count on
        begun = time.perf_counter()
        ended = run(second)
        assert ended.code == 0, ended.err
        self.seconds, self.new = time.perf_counter() - begun, file_contents(folder)
        self.reset()
        self.old = file_contents(folder)
        assert self.old != self.new

    def reset(self):
        ended = self.again(self.first)
        assert ended.code == 0, ended.err

    def lost(self, code, tidy):
        found = file_contents(self.folder)
        whole = {name: data for name, data in found.items() if not name.startswith(".")}
        if whole not in (self.old, self.new):
            return f"files are not whole: {sorted(whole)}"
        if code == 0 and whole != self.new:
            return "it said that it was done"
        if tidy and found != whole:
            return f"left behind: {sorted(set(found) - set(whole))}"
        self.reset()
        if file_contents(self.folder) != self.old:
            return f"not as new after the next run: {sorted(file_contents(self.folder))}"
        return None


def recognition(place, files=240):
    """infer.py with its predictions written to a file."""
    few, many = (write_raw(place / f"infer_{name}", some_names(count), (1, 2, 1, 2)) for name, count in (("few", 3), ("many", files)))
    (place / "predictions").mkdir()
    command = ["infer.py", "--model_file=export/weights.onnx", f"--output={place / 'predictions' / 'out.jsonl'}"]
    return Replacement("infer", place / "predictions", *([*command, f"--data_file={raw}"] for raw in (few, many)))


def other_weights(place):
    """Folder with weights of the same network, but of another run."""
    folder = place / "other"
    folder.mkdir()
    code, _, err = call([*TRAIN, "--seed=2", f"--work_dir={folder / 'work'}"])
    assert code == 0, err
    set_up_logging()  # closes the run's log
    shutil.move(folder / "work" / "model.pdparams", folder / "weights.pdparams")
    return folder


def export(place, other):
    command = [*EVALUATE[:-3], "-ex", f"--save_inference_dir={place / 'program'}", "--export_to=onnx"]
    sources = Path("weights.pdparams").resolve(), other / "weights.pdparams"
    return Replacement("export", place / "program", *([*command, "-pp", str(source)] for source in sources))


def conversion(place, other):
    (place / "converted").mkdir()
    (place / "network.yaml").write_bytes(small_config())
    sources = Path("weights.pdparams").resolve(), other / "weights.pdparams"
    where = [str(place / "converted" / "ours.safetensors"), "-c", str(place / "network.yaml")]
    return Replacement("convert", place / "converted", *(["convert_weights.py", str(source), *where] for source in sources))


def kill_command(rng, set_up):
    """Kill a command at a random moment of the time that it takes."""
    number, delay = rng.choice(list(SIGNALS)), rng.uniform(0, set_up.seconds)
    process = start(set_up.second)
    ended = kill(process, number, delay)
    problem = wrong(ended, number, process.pid) or set_up.lost(ended.code, number != signal.SIGKILL)
    return Trial(signal.Signals(number).name, set_up.name, f"after {delay:.3f} s", problem, ended.code != 0)
