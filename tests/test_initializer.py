"""Feeders of data that may not be what it seems: labels that contradict the names, coordinates that are no metres."""

import pickle

import numpy as np
import pytest

from dataset.ntu_feeder import load_labels
from initializer import build_feeder, implausible_samples
from options.command_line import parse_command_line
from options.schema import load_config
from reader.splits import check_labels
from tests.helpers.people import people
from tests.helpers.places import SHARED
from utils.errors import UserError


def test_labels_that_contradict_the_names_stop_unless_they_are_trusted(tiny_run):
    folder, argv = tiny_run
    path = folder / "npy" / "original" / "ntu-xsub" / "eval_label.pkl"
    names, labels, lengths = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps((names, [*labels[:5], 40, 50], lengths)))
    said = r"eval_label\.pkl: 2 of 7 labels contradict the names, the first: \S+A002\.skeleton has label 40, which is A041; .*--trust_labels"
    with pytest.raises(UserError, match=said):
        build_feeder(load_config("2001", parse_command_line(argv)[1]), "eval")
    assert len(build_feeder(load_config("2001", [*parse_command_line(argv)[1], ("trust_labels", True)]), "eval")) == 7


def test_labels_of_the_case_that_contradict_names_are_counted_and_the_first_is_named():
    path = SHARED / "cases" / "label_contradicts_name.pkl"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    names, labels, _ = load_labels(path)
    wrong = [name for name, label in zip(names, labels, strict=True) if int(name[17:20]) != label + 1]
    with pytest.raises(UserError, match=f"{len(wrong)} of {len(names)} labels contradict the names, the first: {wrong[0]} has label"):
        check_labels(names, labels, path)


@pytest.mark.parametrize("change, notes", [(1, []), (1000, ["7 of 7 samples: larger than any person: looks like millimetres"])])
def test_a_data_set_that_can_t_be_of_people_in_metres_is_noted(tiny_run, change, notes):
    folder, argv = tiny_run
    path = folder / "npy" / "original" / "ntu-xsub" / "eval_data.npy"
    data = np.zeros(np.load(path).shape, "float32")
    data[:, :, :60] = np.stack([people(50, seed) for seed in range(7)]) * change
    np.save(path, data)
    feeder = build_feeder(load_config("2001", parse_command_line(argv)[1]), "eval")
    assert [note.partition(";")[0] for note in implausible_samples(feeder, transform=False)] == notes
