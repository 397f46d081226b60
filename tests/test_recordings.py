"""Every form of a single recording gives the coordinates that its file holds, or says what it is."""

import json
import pickle

import numpy as np
import pytest

from reader.ntu_reader import read_sample
from reader.recordings import Wanted, read_samples
from tests.helpers.places import ROOT
from utils.errors import UserError

CASES, GOLDEN = ROOT.parent / "shared" / "cases", ROOT.parent / "shared" / "golden" / "skeletons"
shared = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there")
COCO, BODY25 = Wanted("coco17", 17, 3, 1), Wanted("openpose25", 25, 3, 1)
RNG = np.random.default_rng(0)


def one(source, wanted=Wanted(), **options):  # noqa: B008
    (sample,) = read_samples(source, wanted=wanted, **options)
    return sample.coordinates


def written(tmp_path, content, name="clip.json"):
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return tmp_path / name


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
def test_arrays_are_told_apart_by_their_axes(tmp_path, dtype):
    raw = (9 * RNG.normal(size=(30, 1, 17, 3))).astype(dtype)
    wanted = raw.transpose(3, 0, 2, 1).astype("float32")
    for array in (raw, raw[:, 0], raw.transpose(3, 0, 2, 1), raw.transpose(3, 0, 2, 1)[None]):
        np.save(tmp_path / "a.npy", array)
        np.testing.assert_array_equal(one(tmp_path / "a.npy", COCO), wanted)
        np.testing.assert_array_equal(one(array, COCO), wanted)
    assert len(list(read_samples([raw, tmp_path / "a.npy", raw[:, 0]], wanted=COCO))) == 3


def test_channels_after_those_wanted_and_bodies_that_move_less_are_left_out():
    raw = RNG.normal(size=(30, 3, 17, 3)) * np.array([1, 3, 2])[:, None, None]
    np.testing.assert_allclose(one(raw, Wanted("coco17", 17, 2, 1)), raw[:, 1:2, :, :2].transpose(3, 0, 2, 1), rtol=1e-6)
    assert one(raw[:, :1], Wanted("coco17", 17, 3, 2))[..., 1].any() == np.False_


def test_raw_arrays_are_view_normalised_as_skeleton_files_are_and_stored_ones_are_not():
    raw = RNG.normal(size=(20, 2, 25, 3)).astype("float32")
    view = Wanted(transform=True)
    assert abs(one(raw, view)[:, :, 1, 0]).max() < 1e-6
    np.testing.assert_array_equal(one(raw.transpose(3, 0, 2, 1), view), raw.transpose(3, 0, 2, 1))


def test_own_json_takes_bodies_that_come_and_go(tmp_path):
    body, other = RNG.normal(size=(2, 17, 2)).round(3).tolist()
    x = one(written(tmp_path, [[], [body], [body, other]]), Wanted("coco17", 17, 2, 2))
    assert not x[:, 0].any() and not x[:, 1, :, 1].any()
    np.testing.assert_allclose(x[:, 2], np.transpose([body, other], (2, 1, 0)), rtol=1e-6)


def test_a_tracked_body_keeps_its_place_and_a_later_one_takes_it(tmp_path):
    points = RNG.normal(size=(3, 18, 3)).round(3).tolist()
    seen = [[(7, 0)], [(7, 0), (3, 1)], [(3, 1)], [(9, 2), (3, 1)]]
    content = {str(t): {"body_list": [{"id": key, "keypoint": points[i]} for key, i in frame]} for t, frame in enumerate(seen)}
    x = one(written(tmp_path, content), Wanted("openpose18", 18, 3, 2))
    places = [
        [None if not x[:, t, :, m].any() else int(x[0, t, 0, m] == np.float32(points[2][0][0])) for m in (0, 1)] for t in range(4)
    ]
    assert places == [[0, None], [0, 0], [None, 0], [1, 0]]


def test_zed_joints_that_are_not_seen_are_zero(tmp_path):
    text = json.dumps({"1": {"body_list": [{"id": 0, "keypoint": [[1.0, 2.0, 3.0]] * 17 + [[float("nan")] * 3]}]}})
    x = one(written(tmp_path, text), Wanted("openpose18", 18, 3, 1))
    assert x[:, 0, 0, 0].tolist() == [1, 2, 3] and not x[:, 0, 17].any()


def test_landmarks_of_mediapipe_are_an_array():
    landmarks = RNG.normal(size=(6, 33, 5))  # x, y, z, visibility, presence
    np.testing.assert_allclose(
        one(landmarks, Wanted("mediapipe33", 33, 3, 1))[..., 0], landmarks[..., :3].transpose(2, 0, 1), rtol=1e-6
    )


@pytest.mark.parametrize(
    "head, row", [
        (",".join(f"{axis}{i}" for i in range(33) for axis in "xyzv"), None),
        ("frame," + ",".join(f"joint {i}_{axis}" for i in range(33) for axis in ("x", "y", "z", "visibility")), 0),
    ],
)  # fmt: skip
def test_mediapipe_csv_with_a_row_a_frame(tmp_path, head, row):
    values = RNG.normal(size=(5, 33, 4)).round(3)
    rows = [",".join(map(str, ([] if row is None else [t]) + list(frame.ravel()))) for t, frame in enumerate(values)]
    x = one(written(tmp_path, "\n".join([head, *rows]), "clip.csv"), Wanted("mediapipe33", 33, 3, 1))
    np.testing.assert_allclose(x[..., 0], values[..., :3].transpose(2, 0, 1), rtol=1e-6)


def test_mediapipe_csv_with_a_row_a_landmark(tmp_path):
    values = RNG.normal(size=(5, 33, 3)).round(3)
    rows = [f"{t},{i},{','.join(map(str, values[t, i]))}" for t in range(5) for i in range(33)]
    x = one(written(tmp_path, "\n".join(["frame,landmark,x,y,z", *rows]), "clip.csv"), Wanted("mediapipe33", 33, 3, 1))
    np.testing.assert_allclose(x[..., 0], values.transpose(2, 0, 1), rtol=1e-6)


def test_a_pickle_gives_all_its_recordings(tmp_path):
    keypoint, score = (
        RNG.normal(size=(3, 7, 17, 2)).astype("float16"),
        np.array([0.1, 0.9, 0.5])[:, None, None] * np.ones((3, 7, 17)),
    )
    items = [None, {"frame_dir": "a", "label": 1, "keypoint": keypoint, "keypoint_score": score.astype("float16")}]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(items))
    x = one(tmp_path / "a.pkl", COCO)
    np.testing.assert_array_equal(x[:2, :, :, 0], keypoint[1].transpose(2, 0, 1).astype("float32"))  # the highest scores


def test_a_bad_recording_in_a_file_of_many_does_not_end_the_file(tmp_path):
    samples = RNG.normal(size=(4, 3, 9, 17, 1)).astype("float32")
    samples[1, 0, 2, 5] = np.nan
    np.save(tmp_path / "a.npy", samples)
    items = [{"frame_dir": name, "keypoint": sample.transpose(3, 1, 2, 0)} for name, sample in zip("abcd", samples, strict=True)]
    items[2] = {"frame_dir": "c", "keypoint": "lost"}
    items.append({"frame_dir": "e", "keypoint": samples[0].transpose(3, 1, 2, 0)[..., :2], "keypoint_score": [1, [2]]})
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(items))
    for file, good, bad in (("a.npy", ["0", "2", "3"], ["1"]), ("a.pkl", ["a", "d"], ["b", "c", "e"])):
        failed = []
        assert [sample.name for sample in read_samples(tmp_path / file, wanted=COCO, failed=failed)] == good
        assert [name for name, _ in failed] == bad and "frame 2: holds values that are not finite" in failed[0][1]
        with pytest.raises(UserError, match="not finite"):
            list(read_samples(tmp_path / file, wanted=COCO))


def test_a_bad_file_in_a_list_or_a_folder_below_does_not_end_it(tmp_path):
    (tmp_path / "below").mkdir()
    good, bad = RNG.normal(size=(9, 17, 3)), tmp_path / "below" / "a.npy"
    bad.write_bytes(b"no array")
    np.save(tmp_path / "below" / "b.npy", good)
    failed = []
    found = [sample.name for sample in read_samples([good, tmp_path / "none.csv", tmp_path / "below"], wanted=COCO, failed=failed)]
    assert found == ["0", "b.npy"] and [name for name, _ in failed] == ["none.csv", "a.npy"]


def test_folders_of_classes_are_read_as_they_are_imported(tmp_path):
    for split, action, name in (("train", "wave", "a"), ("train", "sit", "b"), ("eval", "wave", "c")):
        (tmp_path / split / action).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / split / action / f"{name}.npy", RNG.normal(size=(9, 17, 3)))
    assert [sample.name for sample in read_samples(tmp_path, wanted=COCO)] == ["b", "a", "c"]


@pytest.mark.parametrize(
    "wanted, content", [
        (Wanted("azure32", 32, 3, 1), {"frames": [{"timestamp_usec": 66667 * t, "bodies": [
            {"body_id": 1, "joint_positions": [[1.0, 2.0, 3.0]] * 32}]} for t in range(4)]}),
        (Wanted("openpose18", 18, 3, 1), {str(t): {"timestamp": 66666667 * t, "body_list": [
            {"id": 1, "keypoint": [[1.0, 2.0, 3.0]] * 18}]} for t in range(4)}),
    ],
)  # fmt: skip
def test_a_sensor_s_frame_rate_is_known_where_its_file_has_times(tmp_path, wanted, content):
    (sample,) = read_samples(written(tmp_path, content), wanted=wanted)
    assert round(sample.rate, 3) == 15


@pytest.mark.parametrize("name, text", [("a.json", "[[[[1, 2], [3, 4]]]]"), ("a.csv", "x0,y0,x1,y1\n1,2,3,4\n")])
def test_texts_may_begin_with_a_byte_order_mark(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert one(tmp_path / name, Wanted("pair", 2, 2, 1))[..., 0].tolist() == [[[1, 3]], [[2, 4]]]


@shared
def test_a_dict_of_txt2npy_is_the_recording_that_it_was_made_of():
    name = "S001C001P001R001A001.skeleton"
    right, frames = read_sample(GOLDEN / name)
    x = one(CASES / f"{name}.npy")  # of its first body
    assert x[..., 0].any() and min(abs(x[..., 0] - right[:, :frames, :, body]).max() for body in (0, 1)) < 1e-6


@shared
def test_a_folder_of_openpose_is_one_recording():
    files = sorted((CASES / "openpose").iterdir())
    x = one(CASES / "openpose", BODY25)
    for frame, file in enumerate(files):
        people = json.loads(file.read_text())["people"]
        flat = people[0]["pose_keypoints_2d"] if people else [0] * 75
        np.testing.assert_allclose(x[:, frame, :, 0], np.reshape(flat, (25, 3)).T, rtol=1e-6)
    with pytest.raises(UserError, match="openpose25; needed is ntu; a configuration with graph: openpose25 takes it"):
        one(CASES / "openpose")


@shared
def test_azure_kinect_is_taken_as_it_is_and_as_ntu_s_joints_in_metres_with_y_up():
    content = json.loads((CASES / "azure.json").read_text())
    raw = np.array([frame["bodies"][0]["joint_positions"] for frame in content["frames"]]).transpose(2, 0, 1)  # C T V
    metres = raw * np.array([-1, -1, 1])[:, None, None] / 1000  # both have a right-handed space: y up turns x to the left too
    np.testing.assert_allclose(one(CASES / "azure.json", Wanted("azure32", 32, 3, 1))[..., 0], metres, rtol=1e-5)
    order = [0, 1, 3, 26, 5, 6, 7, 8, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 2, 9, 10, 16, 17]
    x = one(CASES / "azure.json")
    assert any(np.allclose(x[..., body], metres[:, :, order], rtol=1e-5) for body in (0, 1))


@shared
def test_kinetics_has_the_joints_of_openpose():
    person = json.loads((CASES / "kinetics_sample.json").read_text())["data"][0]["skeleton"][0]
    x = one(CASES / "kinetics_sample.json", Wanted("openpose18", 18, 3, 2))
    np.testing.assert_allclose(x[2, 0, :, 0], person["score"], rtol=1e-6)
    np.testing.assert_allclose(x[0, 0, :, 0], np.array(person["pose"][::2]) * (np.array(person["score"]) != 0), rtol=1e-6)


def test_frames_of_kinetics_are_where_their_numbers_say(tmp_path):
    rows = [{"frame_index": t, "skeleton": [{"pose": [t / 10] * 36, "score": [0.5] * 18}]} for t in (4, 1, 2)]  # 3 is missing
    x = one(written(tmp_path, {"data": rows, "label": "x"}), Wanted("openpose18", 18, 2, 1))
    np.testing.assert_allclose(x[0, :, 0, 0], [0.1, 0.2, 0, 0.4], rtol=1e-6)
    with pytest.raises(UserError, match=f"{10**15 + 1} frames"):
        one(written(tmp_path, {"data": [*rows, {**rows[0], "frame_index": 10**15 + 1}]}), Wanted("openpose18", 18, 2, 1))


@shared
@pytest.mark.parametrize("name", ["nan_color", "inf_color", "ind_color", "nan_orientation", "six_bodies"])
def test_what_nobody_uses_may_be_damaged_and_six_bodies_may_be_seen(name):
    assert one(CASES / f"{name}.skeleton").shape[2:] == (25, 2)


@shared
def test_coordinates_must_be_finite():
    with pytest.raises(UserError, match="is not a number"):
        one(CASES / "nan_xyz.skeleton")


@shared
@pytest.mark.parametrize("name, wanted", [("coco17_TM17x3.npy", Wanted("coco17", 17, 3, 2)), ("array_CTVM.npy", COCO)])
def test_arrays_of_pose_estimators(name, wanted):
    array = np.load(CASES / name)
    array = array if name == "array_CTVM.npy" else array.transpose(3, 0, 2, 1)
    last = np.flatnonzero(array.any(axis=(0, 2, 3))).max()
    np.testing.assert_array_equal(one(CASES / name, wanted), array[:, : last + 1])


@pytest.mark.parametrize(
    "data, words", [
        (b"\0\0\0\x20ftypisom", "an MP4 video; tools/video.py makes a recording of it"), (b"RIFF\0\0\0\0AVI ", "an AVI video"), (b"\x1aE\xdf\xa3", "Matroska"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"), (b"PK\x03\x04", "a zip archive"), (b"\x1f\x8b\x08", "gzip"),
        (b"MATLAB 5.0 MAT-file", "a MATLAB file"), (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"<!DOCTYPE html>", "an HTML"), (b"\x80\x04K\x01.", "a pickle; name it .pkl"), (b"hello", "no recording of a form"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["clip.skeleton", "clip.bin", "clip.npy"])
def test_files_of_unknown_kind_are_told_by_their_first_bytes(tmp_path, data, words, name):
    (tmp_path / name).write_bytes(data)
    if data == b"hello" and name != "clip.bin":
        words = "not a number" if name == "clip.skeleton" else "magic string"
    with pytest.raises(UserError, match=words) as error:
        one(tmp_path / name)
    assert "number of frames is" not in str(error.value)


def test_a_folder_whose_recordings_lie_one_folder_down_says_so(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.skeleton").touch()
    with pytest.raises(UserError, match=r"holds no \.skeleton file.*there are some in .*below"):
        one(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[", "3", "{}", "[]", "[3]", "\xff", "[[[[1, 2], [3]]]]", "[[[[1, NaN], [3, 4]]]]", "[[[[1, 1e400], [3, 4]]]]",
                '[[[["x", 2], [3, 4]]]]', "[[[[1" + "0" * 400 + ", 2], [3, 4]]]]", '{"people": 3}', '{"data": [{"skeleton": [1]}]}',
                '{"frames": [{"bodies": [{"joint_positions": 1}]}]}', '{"1": {"body_list": [3]}}', '[{"keypoints": [1], "image_id": 1}]',
                "[" * 100000, "x0,y0\n" + "1" * 200000, '[[1, [[1, 1, 1, 1]], [[[[1, 2, 3]]]]]]'],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.json", "a.csv"])
def test_texts_that_can_not_be_used_are_named_in_one_line(tmp_path, content, name):
    path = written(tmp_path, content, name)
    with pytest.raises(UserError, match=r"a\.(json|csv): ") as error:
        one(path, Wanted("pair", 2, 2, 1))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
