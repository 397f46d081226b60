"""Films of a drawn person, and the video's picture of docs/anywhere.md, by the Python that has OpenCV:

PYTHONPATH=. .venv-video/bin/python tests/helpers/films.py film             # film.avi without loss, film.mjpeg for Chromium's pretended camera
PYTHONPATH=. .venv-video/bin/python tests/helpers/films.py film_drawn.mp4   # of the preview by tools/video.py: docs/anywhere_video.webp
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from dataset.demo_motion import draw_body, perform, turn
from reader.landmarks import FOCAL, RATE

SIZE, FRAMES, WAVING, AWAY = (640, 480), 90, 23, (0, -0.88, 2)
FINE = 3  # times as many pixels while it is drawn
SKIN, SHIRT, TROUSERS, SHOES, HAIR, WALL, FLOOR, SHADOW, LIPS, WHITE, EYE = (
    (140, 175, 225), (60, 110, 190), (110, 70, 50), (40, 40, 45), (35, 45, 70), (215, 212, 210), (150, 165, 178), (115, 128, 140), (90, 90, 180), (250, 250, 250), (50, 40, 30)
)  # fmt: skip
# Limbs, the hindmost first: joints as NTU counts them, radii in metres at both, colour.
LIMBS = [(a, b, *radii, colour) for left in ((13, 14, 15, 16), (17, 18, 19, 20)) for a, b, *radii, colour in (
    (*left[2:], 0.045, 0.045, SHOES), (*left[1:3], 0.06, 0.045, TROUSERS), (*left[:2], 0.085, 0.065, TROUSERS)
)]  # fmt: skip
LIMBS += [
    (13, 17, 0.09, 0.09, TROUSERS),
    (5, 13, 0.06, 0.07, SHIRT),
    (9, 17, 0.06, 0.07, SHIRT),
    (5, 9, 0.06, 0.06, SHIRT),
    (2, 2, 0.14, 0.14, SHIRT),
    (2, 1, 0.12, 0.12, SHIRT),
    (21, 3, 0.05, 0.05, SKIN),
]
LIMBS += [(a, b, *radii, colour) for s, e, w, h, tip, thumb in ((5, 6, 7, 8, 22, 23), (9, 10, 11, 12, 24, 25)) for a, b, *radii, colour in (
    (e, w, 0.042, 0.03, SKIN), (s, e, 0.058, 0.046, SHIRT), (w, h, 0.03, 0.035, SKIN), (h, tip, 0.033, 0.018, SKIN), (w, thumb, 0.02, 0.013, SKIN)
)]  # fmt: skip
# The head, about its middle: x, y down and half axes in metres, first degree of the ellipse, colour.
HEAD = [
    (0, -0.02, 0.09, 0.126, 0, HAIR),
    (-0.082, 0.01, 0.016, 0.028, 0, SKIN),
    (0.082, 0.01, 0.016, 0.028, 0, SKIN),
    (0, 0.015, 0.078, 0.107, 0, SKIN),
    (0, -0.075, 0.078, 0.044, 180, HAIR),
]
HEAD += [
    (side * 0.034, y, *axes, 0, colour)
    for side in (-1, 1)
    for y, *axes, colour in ((-0.012, 0.017, 0.01, WHITE), (-0.012, 0.009, 0.009, EYE), (-0.034, 0.02, 0.004, HAIR))
]
HEAD += [(0.003, 0.02, 0.007, 0.018, 0, (110, 145, 195)), (0, 0.065, 0.028, 0.008, 0, LIPS)]


def waving():
    """Joints (T, 25, 3) in camera space of one who waves a hand."""
    rng = np.random.default_rng(3)
    body = draw_body(rng, False)
    return turn(perform(WAVING, FRAMES, body, body, rng)[0], 0.15) + AWAY


def drawn(joints):
    """The picture (H, W, 3), blue first, of joints (25, 3) as Kinect's camera sees them, not mirrored."""
    width, height = np.multiply(SIZE, FINE)
    focal = FOCAL * max(width, height)
    pixels = np.divide((width, height), 2) - focal * joints[:, :2] / joints[:, 2:]
    scale = focal / joints[0, 2]  # pixels a metre
    picture = np.full((height, width, 3), WALL, "uint8")
    picture[int(height / 2 + focal * 0.35) :] = FLOOR

    def ellipse(middle, axes, colour, first=0):
        cv2.ellipse(
            picture,
            np.int32(middle).tolist(),
            np.int32(np.multiply(axes, scale)).tolist(),
            0,
            first,
            360,
            colour,
            -1,
            cv2.LINE_AA,
        )

    ellipse(pixels[[15, 19]].mean(0), (0.35, 0.06), SHADOW)
    for a, b, at_a, at_b, colour in LIMBS:
        if (a, b) == (5, 9):  # the chest, before the arms
            cv2.fillConvexPoly(picture, np.int32(pixels[[4, 8, 16, 12]]), SHIRT, cv2.LINE_AA)
        p, q = pixels[a - 1], pixels[b - 1]
        across = scale * np.array([p[1] - q[1], q[0] - p[0]]) / max(np.linalg.norm(q - p), 1)
        for part, light in ((1, 0.8), (0.8, 0.92), (0.5, 1.04)):  # round, as light falls from the front
            shade = np.minimum(np.multiply(colour, light), 255).tolist()
            outline = [p + across * at_a * part, q + across * at_b * part, q - across * at_b * part, p - across * at_a * part]
            cv2.fillConvexPoly(picture, np.int32(outline), shade, cv2.LINE_AA)
            ellipse(p, (at_a * part,) * 2, shade)
            ellipse(q, (at_b * part,) * 2, shade)
    for x, y, *axes, first, colour in HEAD:
        ellipse(pixels[3] + np.multiply((x, y), scale), axes, colour, first)
    return cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA)


def make_film(name):
    """A video of one who waves, and for a camera, whose model may be slow, one who holds the hand at the head."""
    video = cv2.VideoWriter(f"{name}.avi", cv2.VideoWriter_fourcc(*"FFV1"), RATE, SIZE)
    pictures = [drawn(joints) for joints in waving()]
    for picture in pictures:
        video.write(picture)
    video.release()
    held = [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes() for picture in pictures[41:50]]
    Path(f"{name}.mjpeg").write_bytes(b"".join(picture * 8 for picture in held + held[::-1]))


def take_picture(preview, picture):
    """Three moments of a preview beside each other."""
    video, frames = cv2.VideoCapture(preview), []
    while (frame := video.read()[1]) is not None:
        frames.append(frame[60:440, 160:480])
    cv2.imwrite(str(picture), cv2.hconcat(frames[20:75:25]), [cv2.IMWRITE_WEBP_QUALITY, 80])


if __name__ == "__main__":
    if sys.argv[1].endswith(".mp4"):
        take_picture(sys.argv[1], Path(__file__).parents[2] / "docs" / "anywhere_video.webp")
    else:
        make_film(sys.argv[1])
