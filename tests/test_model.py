"""The network: names, sizes, published outputs, and its layers against plain references written here."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from initializer import build_model
from model.attentions import ATTENTIONS, FrameAttention, JointAttention, SpatioTemporalJointAttention
from model.frames import Frames
from model.layers import TEMPORAL_LAYERS, BatchNorm, ConvBN, SpatialGraphConv, conv_bn
from model.nets import EfficientGCN, scale_blocks
from options.schema import load_config
from tests.helpers.places import GOLDEN
from training.checkpoint import load_weights, read_checkpoint


@pytest.fixture(scope="module")
def network(published):
    model = build_model(load_config("2001"))
    load_weights(model, read_checkpoint(published), published)
    return model


def test_state_dict_has_the_published_names_and_shapes():
    if not (GOLDEN / "state_dict.txt").is_file():
        pytest.skip(f"{GOLDEN}/state_dict.txt is absent")
    rows = [line.split() for line in (GOLDEN / "state_dict.txt").read_text().splitlines()]
    model = build_model(load_config("2001"))
    ours = {
        name: ["x".join(map(str, t.shape)), "fixed" if t.stop_gradient else "trainable"] for name, t in model.state_dict().items()
    }
    assert ours == {name: [shape, kind] for name, shape, kind in rows}


def test_published_weights_give_the_published_logits(network, golden):
    network.eval()
    logits, features = network(paddle.to_tensor(golden("feeder")["features"]))
    expected = golden("model_xsub")
    np.testing.assert_allclose(logits.numpy(), expected["logits"], atol=1e-4 * np.abs(expected["logits"]).max())
    assert list(features.shape) == expected["feature_shape"].tolist()
    np.testing.assert_allclose(features.numpy().mean((2, 3, 4)), expected["feature_mean"], atol=1e-4)


def test_every_stage_gives_the_published_maps(network, golden):
    expected = golden("model_xsub")
    stages = [key.removeprefix("shape/") for key in expected if key.startswith("shape/")]
    maps, layers = {}, dict(network.named_sublayers())

    def keep(name):
        return lambda layer, inputs, output: maps.__setitem__(name, output)

    hooks = [layers[name].register_forward_post_hook(keep(name)) for name in stages if name in layers]
    network.eval()
    network(paddle.to_tensor(golden("feeder")["features"]))
    for hook in hooks:
        hook.remove()
    assert len(maps) == len(stages) >= 25
    for name in stages:
        assert list(maps[name].shape) == expected[f"shape/{name}"].tolist(), name
        wanted = expected[f"channel_mean/{name}"]
        tolerance = 1e-4 * max(1, np.abs(wanted).max())
        np.testing.assert_allclose(maps[name].numpy().mean((2, 3)), wanted, atol=tolerance, err_msg=name)


def test_named_weights_give_the_stored_logits(small_network):
    model = small_network()
    model.eval()
    x = np.sin(np.arange(2 * 3 * 6 * 8 * 3 * 2)).reshape(2, 3, 6, 8, 3, 2).astype("float32")
    logits = model(paddle.to_tensor(x))[0].numpy()
    np.testing.assert_allclose(logits, STORED, atol=1e-4)


STORED = [[0.898998, 0.212061, -0.436994, -1.223554], [0.758087, 0.145662, -0.280017, -1.116304]]  # our own, on Paddle 3.3.1


@pytest.mark.parametrize(
    "changes",
    [
        *({"layer_type": name} for name in TEMPORAL_LAYERS),
        *({"att_type": name} for name in [*ATTENTIONS, "none"]),
        *({"act_type": name} for name in ("relu", "relu6", "hswish")),
        {"edge": False},
        {"bias": False},
        {"fusion_stage": 0},
        {"layer_type": "Sep", "expand_ratio": 0},
        {"model_type": "EfficientGCN-B2"},
    ],
    ids=str,
)
def test_every_variant_runs_forward_and_backward(small_network, changes):
    model = small_network(**changes)
    model.train()
    logits, features = model(paddle.randn([2, 3, 6, 8, 3, 2]))
    assert logits.shape == [2, 4] and features.shape[0] == 2 and features.shape[4] == 2
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        if not parameter.stop_gradient:
            assert parameter.grad is not None and bool(paddle.isfinite(parameter.grad).all()), name
    assert ("main_stream.block-0_scn.conv.edge" in model.state_dict()) == changes.get("edge", True)
    assert any("_att" in name for name in model.state_dict()) == (changes.get("att_type") != "none")


def test_the_family_scales_by_the_digit():
    blocks = [[48, 1, 0.5], [24, 1, 0.5], [64, 2, 1], [128, 2, 1]]
    assert scale_blocks("EfficientGCN-B0", blocks, [1.2, 1.35]) == [(48, 1, 0), (32, 1, 0), (64, 2, 1), (128, 2, 1)]
    assert scale_blocks("EfficientGCN-B4", blocks, [1.2, 1.35]) == [(96, 1, 2), (48, 1, 2), (128, 2, 3), (272, 2, 3)]


@pytest.mark.parametrize("bias", [True, False])
def test_graph_convolution_is_the_sum_over_hops_and_neighbours(bias):
    paddle.seed(0)
    A = np.random.default_rng(0).normal(size=(3, 4, 4))
    layer = SpatialGraphConv(5, 7, A, bias)
    layer.edge.set_value(paddle.rand([3, 4, 4]))
    if bias:
        layer.gcn.bias.set_value(paddle.randn([21]))
    x = paddle.randn([2, 5, 6, 4])
    hops = layer.gcn(x).numpy().reshape(2, 3, 7, 6, 4)
    expected = np.einsum("ndctv,dvw->nctw", hops, A * layer.edge.numpy())
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-5)


def test_convolution_before_batch_norm_trains_as_the_plain_form_does():
    paddle.seed(0)
    ours, plain = ConvBN(3, 4, 3), ConvBN(3, 4, 3)
    ours[0].bias.set_value(paddle.randn([4]))
    plain.set_state_dict(ours.state_dict())
    x = paddle.randn([4, 3, 5, 2])
    for _ in range(2):
        a, b = conv_bn(ours[0], ours[1], x), plain[1](plain[0](x))
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)
        a.pow(3).sum().backward()
        b.pow(3).sum().backward()
    for (name, p), q in zip(ours.named_parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), atol=1e-6, err_msg=name)  # running mean and variance among them
        if not p.stop_gradient:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=2e-3, err_msg=name)
    assert not ours[0].bias.grad.numpy().any()


@pytest.mark.parametrize("is_data", [True, False])
def test_batch_norm_sums_gradients_exactly_where_it_is_asked_to(is_data):
    paddle.seed(0)
    bn, x, dy = BatchNorm(2), paddle.randn([4, 2, 288, 25]), paddle.randn([4, 2, 288, 25])
    bn.exact, x.stop_gradient = True, is_data
    paddle.autograd.backward([bn(x)], [dy])
    last_digit = 1e-8 * np.abs(dy.numpy()).sum((0, 2, 3))
    if is_data:
        assert (np.abs(bn.bias.grad.numpy() - dy.numpy().sum((0, 2, 3), dtype="float64")) < last_digit).all()
    else:  # what goes through the mean cancels the rest
        assert (np.abs(x.grad.numpy().sum((0, 2, 3), dtype="float64")) < last_digit).all()


def test_two_forward_passes_before_one_backward_work(small_network):
    model = small_network()
    model.train()
    x = paddle.randn([2, 3, 6, 8, 3, 2])
    (model(x)[0].sum() + model(x)[0].sum()).backward()


@pytest.mark.parametrize("gpu", [False, True], ids=["means by products", "by reductions"])
def test_st_joint_attention_is_the_outer_product_of_frames_and_joints(monkeypatch, gpu):
    if gpu:  # whose 16 bits would round 1 / V
        for module in ("attentions", "frames"):
            monkeypatch.setattr(f"model.{module}.on_cpu", lambda: False)
            monkeypatch.setattr(f"model.{module}.average", None)
    paddle.seed(0)
    layer = SpatioTemporalJointAttention(8, 2, num_joints=5, frames=Frames(), stride=1)
    layer.eval()
    x = paddle.randn([2, 8, 6, 5])
    pooled = paddle.concat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose([0, 1, 3, 2])], 2)
    squeezed = F.hardswish(layer.fcn[1](layer.fcn[0](pooled)))
    frames, joints = F.sigmoid(layer.conv_t(squeezed[:, :, :6])), F.sigmoid(layer.conv_v(squeezed[:, :, 6:]))
    expected = frames.numpy() * joints.transpose([0, 1, 3, 2]).numpy()
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-6)


def test_joint_and_frame_attention_see_the_largest_values():
    x = paddle.randn([2, 4, 6, 5])
    np.testing.assert_array_equal(JointAttention(5).pool(x).numpy()[..., 0, 0], x.numpy().max((1, 2)))
    layer = FrameAttention()
    seen = []
    layer.conv.register_forward_pre_hook(lambda conv, inputs: seen.append(inputs[0].numpy()))
    layer(x)
    np.testing.assert_array_equal(seen[0][:, 1, :, 0], x.numpy().max((1, 3)))
    np.testing.assert_allclose(seen[0][:, 0, :, 0], x.numpy().mean((1, 3)), atol=1e-6)


def test_initial_weights_have_the_paper_s_spread():
    model = build_model(load_config("2001"))
    fc = model.classifier.fc.weight.numpy()
    assert abs(fc.std() - 0.001) < 1e-4
    depthwise = dict(model.named_sublayers())["main_stream.block-1_tcn-0.depth_conv1.0"]
    assert abs(depthwise.weight.numpy().std() - np.sqrt(2 / (128 * 5))) < 0.01
    assert not depthwise.bias.numpy().any()


def test_an_untrained_network_starts_at_the_loss_of_guessing():
    model = build_model(load_config("2001", [("dataset_args.ntu.num_frame", "16")]))
    loss = F.cross_entropy(model(paddle.randn([2, 3, 6, 16, 25, 2]))[0], paddle.to_tensor([1, 2]))
    assert abs(loss.item() - np.log(60)) < 0.05


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"fusion_stage": 2}, "fusion_stage"),
        ({"kernel_size": [5, 11]}, "hops"),
        ({"reduct_ratio": 64}, "reduct_ratio 64: must be at most 16"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_where_the_network_is_built(small_network, changes, text):
    with pytest.raises(ValueError, match=text):
        small_network(**changes)


def test_the_network_takes_named_settings_only():
    with pytest.raises(TypeError, match="dropout"):
        EfficientGCN((3, 6, 8, 3, 2), 4, np.zeros((3, 3, 3)), np.zeros(3, int), dropout=0.5)
