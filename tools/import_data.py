"""Data of the field or of one's own -> the data set of a configuration (docs/custom_data.md has all forms).

python tools/import_data.py ntu60_3d.pkl -c 2001

SOURCE is a file or folder of others (pyskl or MMAction2 pickle, CTR-GCN npz, ST-GCN or 2s-AGCN npy, txt2npy.py's dicts), or a
folder train/CLASS/NAME and eval/CLASS/NAME of single recordings, where CLASS is a line of class_names.
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.import_data"))

import re
import unicodedata
from collections import Counter
from contextlib import suppress

from tqdm import tqdm

from dataset.actions import action_names, read_names
from dataset.graph import NTU
from dataset.ntu_feeder import SPLITS, split_paths, writing_data_set
from options.schema import load_config
from reader.formats import NORMALISED, STORED
from reader.ntu_reader import MAX_FRAMES, SkeletonError, parse_name
from reader.plausibility import implausible
from reader.recordings import Wanted, arrange, fit, open_recordings
from reader.splits import DATA_SETS, ignored_names
from utils.errors import UserError, printable
from utils.files import replacing_folder
from utils.terminal import Parser


def import_data(source, config, *, split=None, as_is=False):
    """Write a configuration's data set from `source`; returns report lines. It is complete or as it was before.

    `split` chooses among a file's splits (`xsub` of xsub_train and xsub_val); recordings with NTU RGB+D's names follow NTU's
    own rules. `as_is` stores view-normalised samples for a configuration that does not ask for them. Raises UserError where
    anything does not fit.
    """
    data, rules = config.data, DATA_SETS.get(config.dataset)
    skeleton = (data.graph.name, len(data.graph.joints)) if data.graph else (NTU.name, NTU.num_joints)
    wanted = Wanted(*skeleton, data.num_channel, data.num_person, data.transform)
    classes = action_names(rules.num_classes) if rules else read_names(data.class_names)
    shape = (data.num_channel, MAX_FRAMES if rules else data.num_frame, wanted.num_joints, data.num_person)
    paths = {side: split_paths(data.root_folder, data.transform, config.dataset, side) for side in SPLITS}
    folder, labels = paths["train"][0].parent, {side: {} for side in SPLITS}
    counts = {what: Counter() for what in (*SPLITS, "Left out")}
    with (
        replacing_folder(folder, {path.name for pair in paths.values() for path in pair}) as new,
        writing_data_set({side: [new / path.name for path in pair] for side, pair in paths.items()}, shape) as add,
    ):
        for recording in tqdm(open_recordings(source, wanted), desc="import", unit=" samples", disable=None):
            name, label, sides, reason = place(recording, rules, classes, split)
            if reason:
                counts["Left out"][reason] += 1
                continue
            if not (name.isprintable() and 0 <= label < len(classes)):
                raise UserError(f"{printable(name)}: its label {recording.label!r} is no class, or its name can't be printed")
            x, length, said = stored(recording, wanted, shape[1], as_is or not rules)
            for side in sides:
                if name in labels[side]:
                    raise UserError(f"{name}: two samples of one name in {side}; rename one")
                labels[side][name] = label
                counts[side].update(said)
                add(side, x, name, label, length)
        for side, found in labels.items():
            samples = f"sample{'s' * (len(found) != 1)} of {len(set(found.values()))} of {len(classes)} classes"
            counts[side] = {samples: len(found)} | counts[side]
        report = [
            f"{what}: {', '.join(f'{count} {of}' for of, count in notes.items())}" for what, notes in counts.items() if notes
        ]
        if missing := [side for side in SPLITS if not labels[side]]:
            raise UserError("; ".join([f"{source}: no sample belongs to the {missing[0]} split of {config.dataset}", *report]))
    return [*report, f"Written: {folder}"]


def place(recording, rules, classes, split):
    """(name, label, splits of the data set, why it is left out or None) of a Recording.

    NTU's `rules` decide for names that are NTU's; for others the recording's own splits, of which `split` chooses.
    """
    name, label, parsed, stem = recording.name, recording.label, None, recording.name.split(".")[0]
    kinds = {_kind(one) for one in recording.splits}
    sides = {"train" if "train" in one else "eval" for one in recording.splits if split in (None, _kind(one))}
    with suppress(SkeletonError):
        parsed = rules and parse_name(stem)
    if isinstance(label, str):
        label = next((number for number, one in enumerate(classes) if folder_name(one) == folder_name(label)), -1)
    if parsed:
        if label not in (None, parsed.action - 1):
            raise UserError(f"{name}: label {label} contradicts the name, which says {parsed.action - 1}")
        name, label, sides = f"{stem}.skeleton", parsed.action - 1, {rules.split(parsed)}
    elif split is None and len(kinds) > 1:
        raise UserError(f"several splits: {', '.join(sorted(kinds))}; choose one with --split")
    reasons = {
        "without coordinates": recording.coordinates is None,
        "of other setups": parsed and not rules.split(parsed),
        "named in reader/ignore.txt": parsed and stem in ignored_names(),
        "without a label": label is None,
        "in no split": not sides,
    }
    return name, label, sides, next(filter(reasons.get, reasons), None)


def _kind(split):
    """`xsub` of xsub_train, `1` of test1; empty where there is nothing to choose from."""
    return re.sub("train|eval|val|test", "", split).strip("_")


def folder_name(name):
    """How a class may be called as a folder: signs that systems forbid are _, letters are composed."""
    return re.sub(r'[/\\:*?"<>|]', "_", unicodedata.normalize("NFC", name)).strip(" .")


def stored(recording, wanted, num_frame, as_is):
    """(coordinates (C, T, V, M) of at most `num_frame` frames, their frames, what a report counts) of a Recording."""
    if NORMALISED in recording.done and not (wanted.transform or as_is):
        needed = "choose a configuration with transform, like 2002, or add --as_is"
        raise UserError(f"{recording.name}: {NORMALISED}, which the configuration does not ask for; {needed}")
    whole = fit(recording, wanted)
    x, frames = arrange(whole, recording, wanted)[:, :num_frame], whole.shape[1]
    notes = {
        f"cut to {num_frame} frames": frames > num_frame,
        "view-normalised now": wanted.transform and not {STORED, NORMALISED} & set(recording.done),
        f"with more than {wanted.num_person} bodies": whole.shape[3] > wanted.num_person,
        "without any skeleton": not x.any(),
    }
    looks = implausible(x, NTU, wanted.transform, recording.rate) if wanted.skeleton == NTU.name else []
    said = [*filter(notes.get, notes), *(what for what in recording.done if what != STORED), *looks]
    return x, min(frames, num_frame), said


def main():
    parser = Parser(prog="tools/import_data.py", description=__doc__)
    parser.add_argument("source", help="file or folder")
    parser.add_argument("-c", "--config", required=True, help="id in configs/ or YAML file")
    parser.add_argument("--split", help="which of a file's splits, like xsub of xsub_train and xsub_val")
    parser.add_argument("--as_is", action="store_true", help="store view-normalised samples for a configuration without")
    options = parser.parse_args()
    print("\n".join(import_data(options.source, load_config(options.config), split=options.split, as_is=options.as_is)))
