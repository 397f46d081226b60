"""Where a network looks: activation and attention maps of a sample, and how a viewer sees it."""

import numpy as np
import paddle
import pytest

from dataset.graph import Graph
from evaluation.saliency import SampleSaliency, attention_maps, sample_saliency, viewer_axes


def test_a_viewer_sees_left_and_right_as_the_sensor_did():
    one = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1)
    for up, expected in (("y", [-1, 2, 3]), ("-y", [1, -2, 3]), ("z", [-1, 3, -2])):
        assert viewer_axes(one, up).ravel().tolist() == expected
    assert viewer_axes(one[:2], "-y").ravel().tolist() == [1, -2, 0]


class OneSample:
    """What `sample_saliency` asks of a feeder: features and coordinates of one sample."""

    def __init__(self, graph, shape=(3, 8, 3, 2), num_frame=8):
        self.graph, self.num_frame, self.data = graph, num_frame, self
        self.coordinates = np.random.default_rng(0).normal(size=shape).astype("float32")
        self.coordinates[:, 5:] = 0
        self.coordinates[..., 1] = 0
        self.features = np.random.default_rng(1).normal(size=(3, 6, *shape[1:])).astype("float32")

    def __getitem__(self, index):
        return self.features, 2, "sample"

    def read(self, indices):
        return self.coordinates[None]


CHAIN = Graph("chain", ((0, 1), (1, 2)), (0, 0, 1), {}, 0)


@pytest.mark.parametrize("att_type", ["stja", "pa", "ca", "fa", "ja", "none"])
def test_maps_are_those_of_the_network(small_network, att_type):

    model = small_network(att_type=att_type)
    model.eval()
    feeder = OneSample(CHAIN)
    seen = sample_saliency(model, feeder, 0, list("abcd"), "y")
    logits, features = model(paddle.to_tensor(feeder.features[None]))
    assert seen.motion.shape == (5, 2, 3, 3) and seen.seen[:, 0].all() and not seen.seen[:, 1].any()
    np.testing.assert_allclose(seen.probabilities, paddle.nn.functional.softmax(logits)[0].numpy(), rtol=1e-5)
    activation = next(values for title, values in seen.maps.items() if title.startswith("class activation, predicted"))
    guess = int(logits.argmax())
    weight = model.classifier.fc.weight[guess].reshape([-1]).numpy()
    whole = np.einsum("c,ctvm->tmv", weight, features[0].numpy())
    np.testing.assert_allclose(activation, np.maximum(whole, 0)[: len(activation)], atol=1e-5)
    bias = model.classifier.fc.bias[guess].item()
    np.testing.assert_allclose(whole.mean() + bias, logits[0, guess].item(), rtol=1e-4)  # the map adds up to the logit
    attention = [values for title, values in seen.maps.items() if title.startswith("attention")]
    assert len(attention) == (0 if att_type == "none" else 1)
    for values in attention:
        assert values.shape == (3, 2, 3)  # 5 of 8 frames, at half the rate
    if att_type == "stja":
        layer = dict(model.named_sublayers())["main_stream.block-0_att"]
        kept = []
        hook = layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        model(paddle.to_tensor(feeder.features[None]))
        hook.remove()
        expected = layer.att(kept[0]).numpy().mean(1)  # (M, T', V)
        np.testing.assert_allclose(attention[0], expected.transpose(1, 0, 2)[:3], atol=1e-6)


def test_only_bodies_that_are_there_count_for_colours_and_the_highest_frame():
    seen = np.ones((8, 2, 3), bool)
    seen[:, 1] = False
    values = np.zeros((4, 2, 3))
    values[2, 0], values[1, 1] = 1, 50  # the second is of a body that is not there
    sample = SampleSaliency("sample", 0, np.ones(1), np.zeros((8, 2, 3, 3)), seen, {"class activation": values})
    assert sample.limits(values) == (0, 1, False) and sample.peak == 5
    low, high, even = sample.limits(values * 0.01 + 1)
    assert even and high - low == pytest.approx(0.101) and (low + high) / 2 == pytest.approx(1.005)


def test_hooks_are_gone_afterwards(small_network):
    model = small_network()
    with attention_maps(model) as maps:
        pass

    model(paddle.zeros([1, 3, 6, 8, 3, 2]))
    assert maps == []


def test_the_zero_centre_of_normalised_bodies_is_not_missing(small_network):
    model = small_network()
    model.eval()
    feeder = OneSample(CHAIN)
    feeder.coordinates[:, :, 0, 0] = 0
    assert sample_saliency(model, feeder, 0, list("abcd"), "z").seen[:, 0].all()
    feeder.coordinates[0, 2, 0, 0] = 1  # a centre that is somewhere is missing where it is zero
    assert sample_saliency(model, feeder, 0, list("abcd"), "z").seen[:, 0, 0].tolist() == [False, False, True, False, False]
