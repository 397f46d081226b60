"""The folder for PP-Human's pipeline is loaded and fed as the pipeline does it (PaddleDetection, pphuman/action_infer.py)."""

import numpy as np
import paddle
import pytest
import yaml

from dataset.features import branch_features
from export.program import export_program
from export.record import preprocessing
from inference.engines import open_engine
from initializer import skeleton_graph
from options.schema import load_config
from utils.errors import UserError

pytest_plugins = ["tests.helpers.own_data"]

SHAPE = (3, 4, 50, 17, 1)


def export(small_network, own, tmp_path, shape=SHAPE, graph="coco17"):
    """(network, its skeleton, the folder) of an export."""
    graph = skeleton_graph(load_config(own(graph=graph)))
    settings = preprocessing(num_frame=shape[2], graph=graph, num_person=shape[-1])
    record = {"source": {}, "preprocessing": settings.model_dump(), "classes": ["falling", "other", "c", "d"]}
    network = small_network(data_shape=shape, graph=graph)
    network.eval()
    export_program(network, tmp_path / "net", data_shape=shape, record=record, open_engine=open_engine, to="pphuman")
    return network, graph, tmp_path / "net.pphuman"


def test_the_pipeline_gets_the_network_s_scores_of_pixels_in_the_person_s_box(small_network, own, tmp_path):
    network, graph, folder = export(small_network, own, tmp_path)
    settings = yaml.safe_load((folder / "infer_cfg.yml").read_text())
    assert settings["arch"] == "STGCN" and settings["use_dynamic_shape"] is False and settings["label_list"] == ["keypoint"]
    assert settings["Preprocess"] == [{"type": "AutoPadding", "window_size": 50}] and settings["min_subgraph_size"] == 3
    assert (folder / "model.pdiparams").is_file()
    config = paddle.inference.Config(str(folder), "model")  # as the pipeline does it with Paddle 3
    config.disable_gpu()
    config.switch_use_feed_fetch_ops(False)
    config.enable_memory_optim()
    if (folder / "model.json").is_file():
        config.enable_new_executor()  # without it Paddle 3.3's memory optimisation fails on any .json program
    predictor = paddle.inference.create_predictor(config)
    track = np.random.default_rng(0).uniform(0, [[[[384]]], [[[512]]]], (2, 50, 17, 1)).astype("float32")
    track[:, 40:] = 0  # AutoPadding
    inputs = {"data_batch_0": np.stack([track])}
    for name in predictor.get_input_names():
        predictor.get_input_handle(name).copy_from_cpu(inputs[name])
    predictor.run()
    scores = predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()[0]
    expected = network(paddle.to_tensor(branch_features(track[None], graph)))[0].numpy()[0]
    np.testing.assert_allclose(scores, expected, atol=1e-3 * abs(expected).max())


@pytest.mark.parametrize(
    "shape, graph", [((3, 6, 50, 17, 1), "coco17"), ((3, 4, 50, 17, 2), "coco17"), ((3, 4, 50, 18, 1), "openpose18"),
                     ((3, 4, 50, 17, 1), "h36m17")]
)  # fmt: skip
def test_another_configuration_is_refused(small_network, own, tmp_path, shape, graph):
    with pytest.raises(UserError, match="needs num_channel 2, graph coco17, num_person 1"):
        export(small_network, own, tmp_path, shape, graph)
    assert not list(tmp_path.glob("net*"))
