"""Networks of three joints in a row as exported programs, and what they must give."""

import paddle

from export.program import export_program
from export.record import preprocessing
from inference.engines import open_engine
from tests.helpers.small import CHAIN, small


def record(num_frame=8, graph=CHAIN, classes=("sit", "stand", "walk", "run"), inputs="JVB"):
    """What an export of a network records of it."""
    settings = preprocessing(inputs, num_frame, graph=graph).model_dump()
    return {"source": {"checkpoint": "best.pdparams", "sha256": "0" * 64}, "preprocessing": settings, "classes": list(classes)}


RECORD, LEAST_RECORD = record(), record(inputs="J")
SMALL, LEAST, REAL = (3, 6, 8, 3, 2), (1, 6, 8, 3, 2), (3, 6, 288, 25, 2)


def least():
    """A network of one branch and one block, for what has nothing to do with layers: its export takes a quarter of the time."""
    return small(data_shape=LEAST, block_args=[[16, 1, 0]], fusion_stage=0, att_type="none")


def export(model, prefix, shape=SMALL, record=RECORD, engine=open_engine, **options):
    return export_program(model, prefix, data_shape=shape, record=record, open_engine=engine, **options)


def export_least(model, prefix, record=LEAST_RECORD, **options):
    return export(model, prefix, LEAST, record, **options)


def live_logits(model, x):
    """Logits of features (N, I, C, T, V, M) by the network itself."""
    model.eval()
    with paddle.no_grad():
        return model(paddle.to_tensor(x))[0].numpy()
