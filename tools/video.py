"""People in a video as a .skeleton file: joints as MediaPipe's pose model estimates them, how well was not measured.

.venv-video/bin/python tools/video.py clip.mp4 --output clip.skeleton   (make venv-video makes that environment)
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.video"))

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dataset.graph import NTU
from reader.landmarks import FOCAL, RATE, follow, in_camera_space, resample
from reader.ntu_reader import MAX_BODIES, MAX_FRAMES
from reader.ntu_writer import skeleton_text
from utils.errors import UserError
from utils.files import replacing
from utils.terminal import Parser

BODY_ID = "72057592"  # and nine digits more, as neither the sensor's nor the demo's files have
LONGEST = 600  # seconds: the file of four people then is nearly as large as ours may be
NEAREST = 0.05  # metres: of whom a joint seems nearer, or behind the camera, was not found well
COLOURS = (80, 200, 80), (80, 80, 240), (240, 160, 60), (60, 200, 240)  # of people in the preview: blue, green, red
# MediaPipe's networks: their names in a task, in the package, and the mean and deviation of the pixels that they take.
DETECTOR = "pose_detector.tflite", "pose_detection/pose_detection.tflite", 127.5, 127.5
LANDMARKER = "pose_landmarks_detector.tflite", "pose_landmark/pose_landmark_full.tflite", 0, 255


def pose_model(people):
    """find(picture (H, W, 3) BGR, seconds): joints (F, 25, 4) of `in_camera_space`, by the networks in MediaPipe's package."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision
    from mediapipe.tasks.python.metadata.metadata_writers import metadata_writer, model_asset_bundle_utils

    networks = {}
    for name, place, mean, deviation in (DETECTOR, LANDMARKER):
        network = bytearray((Path(mp.__file__).parent / "modules" / place).read_bytes())
        writer = metadata_writer.MetadataWriter.create(network).add_image_input([mean] * 3, [deviation] * 3)
        networks[name] = writer.populate()[0]
    mode = vision.RunningMode.VIDEO if people == 1 else vision.RunningMode.IMAGE  # its own tracking loses one of several
    with tempfile.NamedTemporaryFile(suffix=".task") as file:
        model_asset_bundle_utils.create_model_asset_bundle(networks, file.name)
        options = vision.PoseLandmarkerOptions(BaseOptions(file.name), running_mode=mode, num_poses=people)
        model = vision.PoseLandmarker.create_from_options(options)

    def find(picture, seconds):
        image = mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(picture[..., ::-1]))
        found = model.detect_for_video(image, int(1000 * seconds)) if people == 1 else model.detect(image)
        world, seen = (
            np.array([[(p.x, p.y, p.z, p.visibility) for p in body] for body in bodies]).reshape(-1, 33, 4)
            for bodies in (found.pose_world_landmarks, found.pose_landmarks)
        )
        joints = in_camera_space(world[..., :3], seen[..., :2], seen[..., 3], picture.shape[1::-1])
        return joints[joints[..., 2].min(-1) > NEAREST]

    return find


def watch(path, people, mirrored, preview):
    """(for each person {seconds: joints (25, 4)}, seconds of the last frame); writes the video `preview` where it is given."""
    import cv2

    open(path, "rb").close()  # says what is wrong with it; OpenCV does not
    video, drawn = cv2.VideoCapture(path), cv2.VideoWriter()
    if not video.isOpened():
        raise UserError(f"{path}: is not a video that OpenCV can read")
    rate, count = (video.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
    rate, find = rate if 1 <= rate <= 240 else RATE, pose_model(people)
    tracks, last, seconds = [{} for _ in range(people)], np.full((people, 3), np.nan), -1
    bar = tqdm(total=count if count > 0 else None, unit=" frames", disable=None, leave=False, dynamic_ncols=True)
    while (picture := video.read()[1]) is not None:
        stamp = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        seconds = stamp if stamp > seconds + 0.002 else max(seconds, 0) + 1 / rate  # some have no time stamps
        if seconds > LONGEST:
            raise UserError(f"{path}: lasts longer than {LONGEST // 60} minutes; cut it into parts")
        picture = cv2.flip(picture, 1) if mirrored else picture
        joints, size = find(picture, seconds), picture.shape[1::-1]
        for slot, body in zip(follow(last, joints[:, 20, :3]), joints, strict=True):
            tracks[slot][seconds], last[slot] = body, body[20, :3]
            pixels = np.divide(size, 2) - FOCAL * max(size) * body[:, :2] / body[:, 2:3]
            for bone in NTU.bones:
                cv2.line(picture, *pixels[list(bone)].astype(int).tolist(), COLOURS[slot], max(2, max(size) // 300))
        if preview and not drawn.isOpened():
            drawn.open(str(preview), cv2.VideoWriter_fourcc(*"mp4v"), rate, size)
        drawn.write(cv2.flip(picture, 1) if mirrored else picture)
        bar.update()
    drawn.release()
    bar.close()
    return tracks, seconds


def main():
    parser = Parser(prog="tools/video.py", description=__doc__)
    parser.add_argument("video", help="any that OpenCV reads")
    parser.add_argument("--output", required=True, help=".skeleton file to write")
    parser.add_argument("--people", type=int, default=1, choices=range(1, MAX_BODIES + 1), help="how many at most (default 1)")
    parser.add_argument("--mirrored", action="store_true", help="it shows people as a mirror does, as NTU RGB+D's videos do")
    parser.add_argument("--preview", help=".mp4 file to write: the video with the skeletons drawn")
    options = parser.parse_args()
    for key, path, ending in ("output", options.output, ".skeleton"), ("preview", options.preview, ".mp4"):
        if path and (not path.endswith(ending) or os.path.realpath(path) == os.path.realpath(options.video)):
            raise UserError(f"--{key} {path}: must end in {ending}, and be another file than the video")
    if not find_spec("mediapipe"):
        raise UserError("the package mediapipe is not installed; make venv-video, then .venv-video/bin/python tools/video.py ...")
    sys.stderr = os.fdopen(os.dup(2), "w", 1)  # ours; what MediaPipe and OpenCV log no setting of theirs stops
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with tempfile.TemporaryDirectory() as folder:
        drawn = options.preview and f"{folder}/preview.mp4"
        tracks, end = watch(options.video, options.people, options.mirrored, drawn)
        if not any(tracks):
            raise UserError(f"{options.video}: {'nobody is found in it' if end >= 0 else 'has no frame'}; nothing is written")
        tracks = sorted(filter(None, tracks), key=len, reverse=True)
        bodies = [resample(np.array([*track]), np.array([*track.values()]), end) for track in tracks]
        joints, seen = map(np.stack, zip(*bodies, strict=True))  # M T 25 4, M T
        names = [f"{BODY_ID}{number:09}" for number in range(len(joints))]
        with replacing(*filter(None, (options.output, options.preview))) as files:
            file, *others = files if drawn else [files]
            file.write_text(skeleton_text(joints[..., :3], 1 + (joints[..., 3] > 0.5), seen, names))
            for other in others:
                shutil.copyfile(drawn, other)
    frames = seen.shape[1]
    longer = f"; longer than {MAX_FRAMES}: infer.py reads it with --window" if frames > MAX_FRAMES else ""
    print(f"Written: {options.output} ({frames} frames at {RATE} a second, {len(seen)} of {options.people} people{longer})")
