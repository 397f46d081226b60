"""The folder that PP-Human's pipeline of PaddleDetection loads as its model of skeleton actions.

Source: PaddleDetection, deploy/pipeline/pphuman/action_infer.py and deploy/python/infer.py. The pipeline feeds the one input,
whose name must be INPUT, with (1, 2, T, 17, 1): joints of COCO in pixels of the person's box, which is stretched to 384 x 512.
"""

from pathlib import Path

from utils.errors import UserError

INPUT = "data_batch_0"


def check(shape, skeleton):
    """Raise UserError where a program of coordinates `shape` (C, T, V, M) of a skeleton is not what the pipeline feeds."""
    C, _, V, M = shape
    if (C, V, M, skeleton) != (2, 17, 1, "coco17"):
        found = f"num_channel {C}, {skeleton} with {V} joints, num_person {M}"
        raise UserError(f"export_to pphuman: needs num_channel 2, graph coco17, num_person 1; the configuration has {found}")


def arrange(file, num_frame):
    """Move a Paddle program and its parameters into a folder NAME.pphuman beside it, with the pipeline's infer_cfg.yml."""
    folder = file.with_suffix(".pphuman")
    folder.mkdir()
    for path in (file, file.with_suffix(".pdiparams")):
        path.rename(folder / f"model{path.suffix}")
    settings = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8").replace("NUM_FRAME", str(num_frame))
    (folder / "infer_cfg.yml").write_text(settings, encoding="utf-8")
