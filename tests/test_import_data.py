"""A folder of arrays or JSON files becomes a data set, or is refused by name."""

import pickle
import shutil
import sys

import numpy as np
import pytest

from dataset.ntu_feeder import SPLITS, load_labels
from evaluation.scores import Scores, softmax
from generator import generate
from main import main
from options.schema import load_config
from reader.ntu_reader import read_skeleton
from tests.helpers.own_data import write_source
from tests.helpers.people import people
from tests.helpers.places import ROOT
from tools import import_data
from utils.command import run_command
from utils.errors import UserError
from utils.pickles import load_pickle

pytest_plugins = ["tests.helpers.own_data"]


def test_arrays_and_json_become_a_data_set(own, tmp_path):
    samples = write_source(tmp_path / "source")
    report = import_data.import_data(tmp_path / "source", load_config(own()))
    assert report[0] == "train: 6 samples of 2 of 3 classes, 3 cut to 8 frames"
    folder = tmp_path / "npy" / "original" / "custom-mine"
    for split in ("train", "eval"):
        data, (names, labels, lengths) = np.load(folder / f"{split}_data.npy"), load_labels(folder / f"{split}_label.pkl")
        assert data.shape == (6, 2, 8, 18, 1) and sorted(names) == [f"{split}{i}" for i in range(6)]
        for row, name, label, length in zip(data, names, labels, lengths, strict=True):
            sample = samples[name]
            assert (label, length) == (int(name[-1]) % 2, min(len(sample), 8))
            np.testing.assert_array_equal(row[:, :length, :, 0], sample[:8].transpose(2, 0, 1).astype("float32"))
            assert (row[:, length:] == 0).all()


def broken_source(folder, how):
    write_source(folder)
    if how == "no eval folder":
        (folder / "eval").rename(folder / "test")
    elif how == "unknown class":
        (folder / "train" / "wave").rename(folder / "train" / "wafe")
    elif how == "a name twice":
        np.save(folder / "train" / "wave" / "train1.npy", np.zeros((3, 18, 2)))
    elif how == "empty split":
        for path in folder.glob("eval/*/*"):
            path.unlink()
    else:
        np.save(folder / "eval" / "wave" / "more joints.npy", np.zeros((3, 19, 2)))


@pytest.mark.parametrize(
    "how, part",
    [
        ("no eval folder", "no sample belongs to the eval split of custom-mine; train: 6 samples of 2 of 3 classes"),
        ("unknown class", "'wafe'"),
        ("a name twice", "train1"),
        ("empty split", "eval"),
        ("more joints", r"more joints\.npy.*V = 18"),
    ],
)
def test_a_source_that_does_not_fit_leaves_the_data_set_as_it_was(own, tmp_path, how, part, monkeypatch, capsys):
    config = own()
    write_source(tmp_path / "good")
    import_data.import_data(tmp_path / "good", load_config(config))
    before = {path: path.read_bytes() for path in (tmp_path / "npy").rglob("*.*") if path.is_file()}
    broken_source(tmp_path / "source", how)
    monkeypatch.setattr(sys, "argv", ["import_data.py", str(tmp_path / "source"), "-c", config])
    assert run_command(import_data.main) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    with pytest.raises(UserError, match=part):
        import_data.import_data(tmp_path / "source", load_config(config))
    assert {path: path.read_bytes() for path in (tmp_path / "npy").rglob("*.*") if path.is_file()} == before and len(before) == 4


def test_class_folders_may_replace_signs_that_no_folder_can_have(own, tmp_path):
    path = own()
    (tmp_path / "classes.txt").write_text("put on/take off\nsit: down\n")
    for split in ("train", "eval"):
        for name in ("put on_take off", "sit_ down"):
            (tmp_path / "source" / split / name).mkdir(parents=True)
            np.save(tmp_path / "source" / split / name / f"{name[:3]}.npy", np.ones((9, 18, 2)))
    import_data.import_data(tmp_path / "source", load_config(path))
    assert load_labels(tmp_path / "npy" / "original" / "custom-mine" / "eval_label.pkl")[:2] == (["put", "sit"], [0, 1])


# ---------------------------------------------------------------- data sets of others

CASES, GOLDEN = ROOT.parent / "shared" / "cases", ROOT.parent / "shared" / "golden" / "skeletons"
PRETRAINED = ROOT.parent / "shared" / "pretrained"
shared = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Root of the data sets that -gd makes of the recordings of which the cases are made."""
    root = tmp_path_factory.mktemp("generated")
    for dataset, transform in (("ntu-xsub", False), ("ntu-xview", True)):
        generate(dataset, [GOLDEN], root, transform, workers=1, progress=False)
    return root


def ntu(config, root):
    return load_config(config, [("dataset_args.ntu.root_folder", str(root))])


def both(root, dataset="original/ntu-xsub"):
    """[(data, labels)] of the splits of a data set."""
    return [
        (np.load(root / dataset / f"{s}_data.npy"), load_labels(root / dataset / f"{s}_label.pkl")) for s in SPLITS
    ]


@shared
@pytest.mark.parametrize(
    "config, dataset, within", [("2001", "original/ntu-xsub", 2e-3), ("2002", "transformed/ntu-xview", 2e-2)]
)
def test_a_pickle_of_pyskl_gives_what_gd_gives(generated, tmp_path, config, dataset, within):
    report = import_data.import_data(CASES / "ntu60_3d.pkl", ntu(config, tmp_path))
    assert "freed of noisy bodies and empty frames already" in report[0] and ("view-normalised now" in report[0]) == (
        config == "2002"
    )
    for (data, labels), (right, wanted) in zip(both(tmp_path, dataset), both(generated, dataset), strict=True):
        assert labels[:2] == wanted[:2]
        assert abs(data - right).max() < within  # float16 of up to 4 m


@shared
@pytest.mark.full
def test_an_evaluation_of_an_imported_pickle_has_the_loss_of_gd_s_data(generated, tmp_path):
    if not (PRETRAINED / "xsub.pdparams").is_file():
        pytest.skip(f"{PRETRAINED} is absent")
    import_data.import_data(CASES / "ntu60_3d.pkl", ntu("2001", tmp_path))
    losses = []
    for root in (tmp_path, generated):
        options = {"dataset_args.ntu.root_folder": root, "work_dir": root / "work", "pretrained_path": PRETRAINED / "xsub.pdparams"}
        assert main(["-c", "2001", "-e", "-np", *(f"--{key}={value}" for key, value in options.items())]) == 0
        (file,) = (root / "work" / "temp").glob("*/scores.npz")
        scores = Scores.load(file)
        rows = softmax(scores.logits)[np.arange(len(scores.labels)), scores.labels]
        losses.append(-np.log(rows).mean())
    assert len(rows) == 4 and abs(losses[0] - losses[1]) < 0.01


@shared
def test_npz_files_of_ctr_gcn_are_imported_and_what_was_done_to_them_is_said(generated, tmp_path):
    report = import_data.import_data(CASES / "NTU60_CS.npz", ntu("2001", tmp_path))
    assert "moved to the first frame's spine already" in report[0]
    for (data, labels), (right, wanted) in zip(both(tmp_path), both(generated), strict=True):
        assert labels[1] == wanted[1] and labels[0][0].endswith("_000000")
        np.testing.assert_allclose(np.diff(data[:, :, :8, 0, 0]), np.diff(right[:, :, :8, 0, 0]), atol=1e-5)  # but for its place
    assert "view-normalised now" in import_data.import_data(CASES / "NTU60_CS.npz", ntu("2002", tmp_path))[0]


@pytest.fixture
def stgcn(tmp_path):
    """The folder of cases in ST-GCN's form."""
    folder = tmp_path / "stgcn"
    folder.mkdir()
    for name in ("train_data_joint.npy", "val_data_joint.npy", "train_label.pkl", "val_label.pkl"):
        shutil.copy(CASES / name, folder)
        (folder / name).chmod(0o644)
    return folder


@shared
@pytest.mark.parametrize("labels", ["pickle of two lists", "NumPy"])
def test_folders_of_st_gcn_are_imported(generated, stgcn, tmp_path, labels):
    if labels == "NumPy":
        for split in ("train", "val"):
            np.save(stgcn / f"{split}_label.npy", load_labels(stgcn / f"{split}_label.pkl")[1])
            (stgcn / f"{split}_label.pkl").unlink()
    import_data.import_data(stgcn, ntu("2001", tmp_path))
    for (data, found), (right, wanted) in zip(both(tmp_path), both(generated), strict=True):
        np.testing.assert_allclose(data, right, atol=1e-6)
        assert found[1:] == wanted[1:] and (labels == "NumPy" or found[0] == wanted[0])


@shared
def test_samples_of_2s_agcn_are_refused_without_view_normalisation_unless_asked_for(generated, stgcn, tmp_path):
    for split, (right, _) in zip(("train", "val"), both(generated, "transformed/ntu-xview"), strict=True):
        count = len(np.load(stgcn / f"{split}_data_joint.npy"))
        np.save(stgcn / f"{split}_data_joint.npy", np.resize(right, (count, *right.shape[1:])))
    with pytest.raises(UserError, match=r"view-normalised and padded by repeating already.*2002.*--as_is"):
        import_data.import_data(stgcn, ntu("2001", tmp_path))
    assert not (tmp_path / "original" / "ntu-xsub").exists()
    report = import_data.import_data(stgcn, ntu("2001", tmp_path), as_is=True)
    np.testing.assert_array_equal(both(tmp_path)[1][0], np.load(stgcn / "val_data_joint.npy"))
    assert "padded by repeating already" in report[0]


@shared
@pytest.mark.parametrize("num_channel", [2, 3])
def test_a_2d_pickle_is_imported_for_a_configuration_of_coco17(own, tmp_path, num_channel):
    path = own(graph="coco17", num_channel=num_channel, num_person=2, num_frame=64)
    (tmp_path / "classes.txt").write_text("\n".join(f"class {i}" for i in range(60)))
    import_data.import_data(CASES / "ntu60_hrnet.pkl", load_config(path))
    first = load_pickle(CASES / "ntu60_hrnet.pkl")["annotations"][0]
    data, (names, labels, lengths) = both(tmp_path / "npy", "original/custom-mine")[0]
    assert data.shape == (11, num_channel, 64, 17, 2) and names[0] == first["frame_dir"] and labels[0] == first["label"]
    np.testing.assert_array_equal(data[0, :2, : lengths[0]], first["keypoint"].transpose(3, 1, 2, 0).astype("float32"))
    if num_channel == 3:
        np.testing.assert_array_equal(data[0, 2, : lengths[0]], first["keypoint_score"].transpose(1, 2, 0).astype("float32"))


def annotation(name, label=0, frames=5):
    return {"frame_dir": name, "label": label, "total_frames": frames, "keypoint": np.ones((1, frames, 25, 3), "float16")}


def pickled(path, annotations, **split):
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}))
    return path


TRAIN, EVAL = "S001C001P001R001A001", "S001C001P003R001A001"


def test_samples_of_a_pickle_are_in_the_order_of_their_names_as_gd_s_are(tmp_path):
    items = [annotation(name) for name in (EVAL, "S003C001P001R001A001", TRAIN, "S002C001P001R001A001")]
    import_data.import_data(pickled(tmp_path / "a.pkl", items), ntu("2001", tmp_path))
    names = [f"{name}.skeleton" for name in (TRAIN, "S002C001P001R001A001", "S003C001P001R001A001")]
    assert both(tmp_path)[0][1][0] == names


def test_what_is_left_out_is_counted(tmp_path):
    items = [annotation(TRAIN), annotation(EVAL), None, annotation("S018C001P001R001A001"), annotation("mine"), None]
    report = import_data.import_data(pickled(tmp_path / "a.pkl", items), ntu("2001", tmp_path))
    assert report[2] == "Left out: 2 without coordinates, 1 of other setups, 1 in no split"


def test_labels_that_contradict_names_stop_an_import(tmp_path):
    source = pickled(tmp_path / "a.pkl", [annotation(TRAIN, 4), annotation(EVAL)])
    with pytest.raises(UserError, match=rf"{TRAIN}: label 4 contradicts the name, which says 0"):
        import_data.import_data(source, ntu("2001", tmp_path))


def test_several_splits_must_be_chosen_from(own, tmp_path):
    config = load_config(own(graph=None, num_channel=3))
    splits = {"train1": ["a"], "test1": ["b"], "train2": ["b"], "test2": ["a"]}
    source = pickled(tmp_path / "a.pkl", [annotation("a", 1), annotation("b", 2)], **splits)
    with pytest.raises(UserError, match="several splits: 1, 2; choose one with --split"):
        import_data.import_data(source, config)
    import_data.import_data(source, config, split="2")
    assert [labels[:2] for _, labels in both(tmp_path / "npy", "original/custom-mine")] == [(["b"], [2]), (["a"], [1])]


@shared
def test_a_folder_of_txt2npy_s_dicts_is_imported(generated, tmp_path):
    source, (name, data) = tmp_path / "dicts", ("S001C001P001R001A001.skeleton", both(generated)[0][0])
    source.mkdir()
    shutil.copy(CASES / f"{name}.npy", source)
    shutil.copy(CASES / f"{name}.npy", source / f"{EVAL}.skeleton.npy")
    import_data.import_data(source, ntu("2001", tmp_path))
    found, labels = both(tmp_path)[0]
    assert labels[0] == [name] and labels[2] == [38] and found.shape == (1, *data.shape[1:])


@shared
def test_of_six_bodies_the_two_that_move_most_are_imported(tmp_path):
    for name in (TRAIN, EVAL):
        (tmp_path / "raw").mkdir(exist_ok=True)
        shutil.copy(CASES / "six_bodies.skeleton", tmp_path / "raw" / f"{name}.skeleton")
    report = import_data.import_data(tmp_path / "raw", ntu("2001", tmp_path))
    assert "1 with more than 2 bodies" in report[0]
    six = read_skeleton(CASES / "six_bodies.skeleton", None, 6)
    moving = six[np.argsort([-body[body.any(axis=(1, 2))].std(axis=(0, 1)).sum() for body in six])]
    data, (_, _, (length,)) = both(tmp_path)[0]
    assert len(six) == 6
    np.testing.assert_array_equal(data[0, :, :length], moving[:2, :length].transpose(3, 1, 2, 0))


@pytest.mark.parametrize("unit, note", [(1, None), (1000, "looks like millimetres"), (100, "looks like centimetres")])
def test_an_import_says_what_can_not_be_people_in_metres(tmp_path, unit, note):
    person = people()[..., :1].transpose(3, 1, 2, 0) * unit
    items = [annotation(name) | {"keypoint": person.astype("float16")} for name in (TRAIN, EVAL)]
    report = import_data.import_data(pickled(tmp_path / "a.pkl", items), ntu("2001", tmp_path))
    assert (f"1 larger than any person: {note}" in report[0]) if note else "person" not in "".join(report)


def test_files_of_another_kind_are_told_from_their_first_bytes(tmp_path):
    (tmp_path / "clip.pkl").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UserError, match=r"clip\.pkl: not usable \(an HDF5 file; convert it"):
        import_data.import_data(tmp_path / "clip.pkl", ntu("2001", tmp_path))
