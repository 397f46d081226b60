"""tools/video.py: what it says without MediaPipe; in .venv-video clips of a photograph that Matplotlib ships, and bad videos."""

import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from dataset.graph import NTU
from infer import Recognizer
from main import main
from reader.ntu_reader import read_skeleton
from reader.plausibility import implausible
from reader.recordings import read_samples
from tests.helpers.places import PUBLISHED, ROOT, environment

VIDEO_PYTHON = ROOT / ".venv-video" / "bin" / "python"
LEFT_SHOULDER, RIGHT_SHOULDER, HEAD, HIPS = 4, 8, 3, 0
FRAMES, RATE = 12, 15

# Clips without loss: one person who moves to the right, the same in a mirror, two people, nobody, no frame.
MAKE_CLIPS = f"""
import cv2, numpy as np
from matplotlib.cbook import get_sample_data
photo = cv2.resize(cv2.imread(str(get_sample_data("grace_hopper.jpg", asfileobj=False))), (512, 600))
def clip(name, width, places, shown=lambda frame: frame, frames={FRAMES}):
    video = cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*"FFV1"), {RATE}, (width, 720))
    for number in range(frames):
        frame = np.full((720, width, 3), 200, "uint8")
        for x in places:
            frame[100:700, x + 3 * number : x + 3 * number + 512] = photo
        video.write(np.ascontiguousarray(shown(frame)))
    video.release()
clip("one.avi", 720, [60])
clip("mirror.avi", 720, [60], lambda frame: frame[:, ::-1])
clip("two.avi", 1280, [20, 680])
clip("nobody.avi", 720, [])
clip("empty.avi", 720, [], frames=0)
"""
COUNT = """
import cv2, sys
video, frames = cv2.VideoCapture(sys.argv[1]), 0
while (picture := video.read()[1]) is not None: frames += 1
print(frames, int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
"""


def command(*words, python=sys.executable, cwd=None):
    words = [str(word) for word in (python, ROOT / "tools" / "video.py", *words)]
    return subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, check=False, timeout=300)


def test_help_needs_no_mediapipe():
    done = command("--help")
    assert done.returncode == 0 and "--mirrored" in done.stdout and "was not measured" in done.stdout


@pytest.mark.skipif(find_spec("mediapipe") is not None, reason="MediaPipe is installed here")
def test_without_mediapipe_a_line_says_how_to_get_it(tmp_path):
    done = command("clip.mp4", "--output", tmp_path / "a.skeleton")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: the package mediapipe is not installed; make venv-video, .*\n", done.stderr)


@pytest.mark.parametrize("words", [["--people", "5"], ["--preview", "a.avi"], ["--preview", "clip.mp4"], ["--output", "a"]])
def test_an_option_that_can_not_be_is_named(words):
    done = command("clip.mp4", "--output", "a.skeleton", *words)
    assert done.returncode == 2 and re.fullmatch(rf"error: .*{words[0]}.*\n", done.stderr)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with clips."""
    if not VIDEO_PYTHON.is_file():
        pytest.skip("no .venv-video: make venv-video")
    folder = tmp_path_factory.mktemp("clips")
    subprocess.run([VIDEO_PYTHON, "-c", MAKE_CLIPS], cwd=folder, check=True, capture_output=True)
    return folder


def converted(clips, name, *words):
    """(bodies (4, T, 25, 3), what was said) of a clip."""
    done = command(name, "--output", f"{name}.skeleton", *words, python=VIDEO_PYTHON, cwd=clips)
    assert (done.returncode, done.stderr) == (0, "")
    return read_skeleton(clips / f"{name}.skeleton"), done.stdout


@pytest.mark.full
def test_a_clip_becomes_a_recording_that_other_commands_take(clips):
    bodies, said = converted(clips, "one.avi", "--preview", "out.mp4")
    frames = round((FRAMES - 1) / RATE * 30) + 1
    assert said == f"Written: one.avi.skeleton ({frames} frames at 30 a second, 1 of 1 people)\n"
    assert bodies.shape[1] == frames and bodies[0].any((1, 2)).all() and not bodies[1:].any()
    body = bodies[0]
    assert (body[:, RIGHT_SHOULDER, 0] > body[:, LEFT_SHOULDER, 0] + 0.15).all()  # x is to the left of the camera that she faces
    assert (body[:, HEAD, 1] > body[:, HIPS, 1] + 0.4).all()
    assert body[-1, HEAD, 0] < body[0, HEAD, 0]  # to the right in the picture
    (sample,) = read_samples(clips / "one.avi.skeleton")
    assert implausible(sample.coordinates, NTU) == []
    seen = subprocess.run([VIDEO_PYTHON, "-c", COUNT, "out.mp4"], cwd=clips, check=True, capture_output=True, text=True).stdout
    assert seen.split() == [str(FRAMES), "720", "720"]


@pytest.mark.full
def test_a_drawn_person_who_waves_is_named_so(clips):
    """From the film to the answer: by MediaPipe, tools/video.py, and the published weights, where they are."""
    if not PUBLISHED.is_file():
        pytest.skip("no ../shared/pretrained/xsub.pdparams")
    words = [VIDEO_PYTHON, ROOT / "tests" / "helpers" / "films.py", "film"]
    subprocess.run(words, cwd=clips, env=environment(), check=True, capture_output=True)
    converted(clips, "film.avi")
    options = ["--export_to", "onnx", "--save_inference_dir", str(clips)]
    assert main(["-c", "2001", "-ex", "-pp", str(PUBLISHED), *options]) == 0
    (prediction,) = Recognizer(clips / "xsub.onnx").predict(clips / "film.avi.skeleton")
    assert prediction.classes[0] == "hand waving" and prediction.probabilities[0] > 0.5


@pytest.mark.full
def test_a_mirrored_clip_gives_the_same_people(clips):
    as_they_are = converted(clips, "one.avi")[0]
    np.testing.assert_array_equal(converted(clips, "mirror.avi", "--mirrored")[0], as_they_are)
    assert abs(converted(clips, "mirror.avi")[0] - as_they_are).max() > 0.1


@pytest.mark.full
def test_two_people_are_two_bodies_from_the_first_frame_to_the_last(clips):
    bodies, said = converted(clips, "two.avi", "--people", "2")
    assert "2 of 2 people" in said
    apart = bodies[0, :, HEAD, 0] - bodies[1, :, HEAD, 0]
    assert bodies[:2].any((2, 3)).all() and (abs(apart) > 0.2).all() and len(set(np.sign(apart))) == 1
    assert "1 of 3 people" in converted(clips, "one.avi", "--people", "3")[1]


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.mp4", "No such file"), (".", "Is a directory"), ("text.mp4", "is not a video"), ("cut.avi", "is not a video"),
     ("empty.avi", "has no frame"), ("nobody.avi", "nobody is found")],
)  # fmt: skip
def test_a_video_that_gives_nothing_is_one_line(clips, name, reason):
    (clips / "text.mp4").write_text("no video\n" * 100)
    (clips / "cut.avi").write_bytes((clips / "one.avi").read_bytes()[:100])
    done = command(name, "--output", "none.skeleton", "--preview", "none.mp4", python=VIDEO_PYTHON, cwd=clips)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(name)}: .*{reason}.*\n", done.stderr)
    assert not list(clips.glob("*none*"))
