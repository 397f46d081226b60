"""Names the actions in skeleton recordings with an exported program, by Paddle Inference or ONNX Runtime.

from infer import Recognizer

recognizer = Recognizer("exported")
for prediction in recognizer.predict("S001C001P001R001A007.skeleton"):
    print(prediction.name, prediction.classes[0], prediction.probabilities[0])
"""

import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    from utils.command import run_command

    sys.exit(run_command("infer"))

import argparse
import itertools
import os
from collections import deque
from functools import cached_property
from pathlib import Path

import numpy as np

from dataset.actions import action_names
from dataset.ntu_feeder import load_labels
from evaluation.scores import softmax
from inference.engines import Program
from inference.predictions import Prediction, save, show, show_batch
from reader.ntu_reader import MAX_FRAMES
from reader.plausibility import implausible
from reader.recordings import Wanted, read_samples
from reader.splits import check_labels
from utils.errors import UserError
from utils.terminal import Parser, boolean, paint

FRAMES_PER_SECOND = 30  # of NTU RGB+D's sensor


class Recognizer:
    """An exported program with its preprocessing: recordings in, actions out.

    `path` is a program file, its prefix or its folder; `engine` one of native, onednn, gpu, onnxruntime (None: the native one
    for Paddle's programs, ONNX Runtime for ONNX files); `batch_size`: recordings at a time (None: as is quickest); further
    options as of inference.engines.Program. Raises UserError where the program can't be had or was not verified with the engine.
    """

    def __init__(self, path, engine=None, *, top_k=5, batch_size=None, **options):
        self.program = Program(path, engine, **options)
        self.top_k, self.batch_size = top_k, max(batch_size or self.program.at_once, self.program.shape[0])
        self.settings = self.program.preprocessing
        name, bodies = self.settings.graph.name, self.program.num_bodies
        if bodies == 1:  # it may be one body's of several; records of old do not say
            bodies = self.settings.num_person or (2 if name == "ntu" else 1)
        self.wanted = Wanted(name, self.program.num_joints, self.program.num_channel, bodies, self.settings.transform)

    def predict(self, source, window=None, stride=None):
        """[Prediction] of each sample of `source`: a file of any form of docs/custom_data.md, an array, a folder or list of them.

        Arrays are (T, V, C) or (T, M, V, C) as a sensor gives them, or (C, T, V, M) or (N, C, T, V, M) as a data set stores
        them: view-normalised already, where the configuration asks for it. With `window` (frames) there is one prediction every
        `stride` frames.
        """
        batches = self.predict_batches(source, window=window, stride=stride)
        return [prediction for _, predictions in batches for prediction in predictions]

    def predict_batches(self, source, label_file=None, window=None, stride=None, failed=None):
        """Yield (samples, predictions), lists of at most `batch_size`.

        The list `failed` takes (name, error) of each recording that can't be read or does not fit, and the rest goes on;
        without it a UserError ends everything.
        """
        if window is not None and not 3 <= window <= self.settings.num_frame:
            raise UserError(f"--window {window}: must be 3 to {self.settings.num_frame}, the frames that the program takes")
        samples = read_samples(source, label_file, wanted=self.wanted, window=window, stride=stride, failed=failed)
        while batch := list(itertools.islice(samples, self.batch_size)):
            yield batch, self.name_actions(batch, self.logits(*self.prepare(batch)))

    def prepare(self, batch):
        """(the program's input for the bodies to compute, which bodies (N, M) these are; None: it takes all bodies at once)."""
        C, V, M = self.program.num_channel, self.program.num_joints, self.program.num_bodies
        x = np.zeros((len(batch), C, self.settings.num_frame, V, batch[0].coordinates.shape[-1]), "float32")
        for row, sample in zip(x, batch, strict=True):
            frames = sample.coordinates[:, : self.settings.num_frame]
            row[:, : frames.shape[1]] = frames
        if x.shape[-1] == M:
            return self.arrange(x), None
        x = np.moveaxis(x, -1, 1)  # (N, M, C, T, V)
        present = x.any(axis=(2, 3, 4))
        return self.arrange(x[present][..., None]), present

    def arrange(self, coordinates):
        """The program's input: coordinates (N, C, T, V, M) themselves, or their features (N, I, 2C, T, V, M)."""
        return coordinates if self.program.takes_coordinates else self.settings.features(coordinates)

    def logits(self, x, present):
        """Logits (N, classes) of what `prepare` returned.

        The classifier is linear, so that a sample's logits are the mean of its bodies': a one-body program computes every
        body that is there, and the body that is not only once.
        """
        if present is None:
            return self.program(x)
        logits = np.tile(self.empty_body, (*present.shape, 1))
        if len(x):
            logits[present] = self.program(x)
        return logits.mean(axis=1)

    @cached_property
    def empty_body(self):
        """Logits (classes,) of a body that is not there."""
        nobody = np.zeros((1, self.program.num_channel, *self.program.shape[-3:]), "float32")
        return self.program(self.arrange(nobody))[0]

    def name_actions(self, batch, logits):
        """[Prediction] of logits (N, classes)."""
        if not np.isfinite(logits).all():
            raise UserError(f"{self.program.path}: logits are not finite at {batch[0].name} or after it")
        names = self.program.classes or action_names(logits.shape[1])
        if len(names) != logits.shape[1]:
            raise UserError(f"{self.program.path}: its record names {len(names)} classes, it gives {logits.shape[1]} logits")
        order = np.argsort(-logits, axis=1, kind="stable")[:, : self.top_k]
        predictions = []
        for sample, row, best in zip(batch, softmax(logits), order.tolist(), strict=True):
            if sample.label is not None and not 0 <= sample.label < len(row):
                raise UserError(f"{sample.name}: label {sample.label}; the program has {len(row)} classes")
            seconds = sample.span and tuple(frame / FRAMES_PER_SECOND for frame in sample.span)
            predictions.append(Prediction(sample.name, best, [names[i] for i in best], row[best].tolist(), seconds))
        return predictions


# ---------------------------------------------------------------- the command


def noted(sample, settings, window):
    """Lines on a sample that was recognised, but perhaps not rightly."""
    T = max(settings.num_frame, MAX_FRAMES if settings.transform else 0)  # view normalisation fills all frames
    lines = implausible(sample.coordinates, settings.graph, settings.transform, sample.rate)
    if window is None and sample.coordinates[:, T:].any():
        lines.append(f"longer than the program's {settings.num_frame} frames, the rest was left out; --window slides over all")
    return lines


def recognise(recognizer, options, failures):
    """Yield the Predictions of a command line's data, each when it is printed or written; then print what is said over all.

    The list `failures` takes (name, error) of recordings that fail.
    """
    source = options.data_file
    if source == "-":
        source = (os.path.expanduser(line.strip()) for line in sys.stdin if line.strip())
    if options.label_file and not options.trust_labels:
        check_labels(*load_labels(options.label_file)[:2], options.label_file)
    samples, right, last, notes = [], [], None, {}  # {note: names}
    failed = None if options.stop_on_error else failures
    for samples, predictions in recognizer.predict_batches(source, options.label_file, options.window, options.stride, failed):
        if samples[0].label is not None:
            classes = recognizer.program.classes or action_names(1 + max(sample.label for sample in samples))
            right += show_batch(samples, predictions, classes)
        for sample, prediction in zip(samples, predictions, strict=True):
            if sample.label is None and not options.output:
                show(prediction, last)
            last = prediction.name
            for note in noted(sample, recognizer.settings, options.window):
                notes.setdefault(note, []).append(sample.name)
            yield prediction
    if not samples:
        others = f"; {len(failures)} recordings, none of them usable" * (len(failures) > 1)
        raise UserError(failures[0][1] + others if failures else f"{options.data_file}: holds nothing to recognise")
    for name, error in failures:
        prediction = Prediction(name, [], [], [], error=error)
        show(prediction, None)
        yield prediction
    if right:
        share = sum(right) / len(right)
        people, programs = f"{sum(right)} of {len(right)} right, {share:.2%}", f"Infer Mean Accuracy:  {round(share, 6)}"
        print(people if sys.stdout.isatty() else programs)
    for note, names in notes.items():
        print(f"note: {names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}: {note}")
    if options.benchmark:
        from inference.benchmark import measure

        print("\n".join(measure(recognizer, samples)))


def positive(text, least=1):
    """A whole number of a command line's text."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, at least {least}")
    return int(text)


def parse(argv):
    """Options of a command line; --use-gpu and --use_gpu are the same."""
    examples = Path(__file__).with_name("inference").joinpath("examples.txt").read_text(encoding="utf-8")
    usage = "python infer.py --model_file PROGRAM --data_file RECORDINGS [OPTION ...]"
    parser = Parser(prog="infer.py", usage=usage, description=__doc__.splitlines()[0], epilog=examples)
    add, switch = (parser.add_argument, {"type": boolean, "nargs": "?", "const": True, "default": False, "metavar": "BOOL"})
    add("--model_file", required=True, help="program: a file (.json, .pdmodel, .onnx), its prefix, or its folder")
    add("--params_file", help="its parameters (default: the file beside it)")
    what = "recordings of any format (docs/custom_data.md), folders of them; -: file names from stdin"
    add("--data_file", required=True, nargs="+", metavar="PATH", help=what)
    add("--label_file", help="labels (.pkl) of a .npy data file: shows which answers are right")
    add("-b", "--batch_size", type=positive, help="default: 1 with labels or names from stdin, else the fastest")
    add("--backend", choices=["paddle", "onnxruntime"], help="what runs it (default: by the program's kind)")
    add("--use_gpu", help="Paddle's engine for GPUs", **switch)
    add("--gpu_id", type=lambda text: positive(text, 0), default=0, help="GPU (default 0), counted in CUDA_VISIBLE_DEVICES")
    add("--precision", choices=["fp32", "fp16"], default="fp32", help="default fp32; fp16 on a GPU; no int8 (docs/findings.md)")
    add("--enable_mkldnn", help="Paddle's engine with oneDNN", **switch)
    add("--cpu_threads", type=positive, help="default: the number of cores")
    add("--use_tensorrt", help="TIPC passes False; True is refused", **switch)
    add("--gpu_mem", type=positive, default=8000, help="MB of GPU memory taken at the start (default 8000)")
    add("--allow_unverified", help="run an engine that the export did not verify", **switch)
    add("--top_k", type=positive, default=5, help="classes for each sample (default 5)")
    add("--window", type=positive, help="frames: slide over recordings of any length and print a time line")
    add("--stride", type=positive, help="frames from one window to the next (default: the window)")
    add("--output", help="write the predictions to a .csv or .jsonl file instead of printing them")
    add("--stop_on_error", help="stop at the first recording that can't be read", **switch)
    add("--trust_labels", help="accept labels that contradict the Axxx in the names", **switch)
    add("--benchmark", help="measure and print speed and memory", **switch)
    words = (word.partition("=") if word.startswith("--") else ("", "", word) for word in argv)
    options = parser.parse_args([key[:2] + key[2:].replace("-", "_") + sign + value for key, sign, value in words])
    if len(options.data_file) == 1:
        (options.data_file,) = options.data_file
    if options.output and not options.output.endswith((".csv", ".jsonl")):
        raise UserError(f"--output {options.output}: must end with .csv or .jsonl")
    return options


def choose_engine(options):
    """The engine that the flags ask for; None: by the program found."""
    if options.use_tensorrt:
        hint = "leave it out; --use_gpu True runs Paddle's own GPU engine"
        raise UserError(f"--use_tensorrt True: Paddle's TensorRT can't run the .json programs of Paddle 3; {hint}")
    if not (options.use_gpu or options.enable_mkldnn):
        return "native" if options.backend == "paddle" else options.backend
    if options.backend == "onnxruntime":
        raise UserError("--backend onnxruntime: runs on the CPU, without --use_gpu and --enable_mkldnn")
    return "gpu" if options.use_gpu else "onednn"


def main(argv=None):
    options = parse(sys.argv[1:] if argv is None else argv)
    taken = ("top_k", "batch_size", "allow_unverified", "precision", "cpu_threads", "gpu_mem", "gpu_id", "params_file")
    options.batch_size = options.batch_size or (1 if options.label_file or options.data_file == "-" else None)
    recognizer = Recognizer(options.model_file, choose_engine(options), **{key: getattr(options, key) for key in taken})
    for note in recognizer.program.notes:
        print(f"note: {note}")
    failures = []
    predictions = recognise(recognizer, options, failures)
    if options.output:
        save(options.output, predictions)
        print(f"Written: {options.output}")
    else:
        deque(predictions, maxlen=0)  # printed when they are asked for
    if failures:
        said = f"not recognised: {failures[0][0]}{f' and {len(failures) - 1} more' * (len(failures) > 1)}"
        print(f"{paint('error:', 'red', sys.stderr)} {said}", file=sys.stderr)
    return 1 if failures else 0
