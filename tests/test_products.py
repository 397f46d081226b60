"""Convolutions as matrix products (export/products.py) against sums written out here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from export.products import TILE, BandProducts, ProductGCN, TapProducts
from export.program import write_program
from inference.engines import open_engine
from tests.helpers.lengths import features


def summed(x, weight, stride):
    """What a convolution over the last axis gives, padded by half a window: x (N, C, V, T), weight (C', C, window)."""
    half = weight.shape[2] // 2
    x = np.pad(x.astype("float64"), [(0, 0), (0, 0), (0, 0), (half, half)])
    starts = range(0, x.shape[3] - weight.shape[2] + 1, stride)
    windows = np.stack([x[..., start : start + weight.shape[2]] for start in starts], axis=3)
    return np.einsum("ncvtk,ock->novt", windows, weight)


def numbers(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)


@pytest.mark.parametrize(("frames", "tiles"), [*((frames, 0) for frames in (1, 8, 11, 12, 31, 48)), (31, 1), (48, 1), (48, 2)])
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (1, 2), (5, 1), (5, 2), (3, 3), (9, 1), (11, 12)])
def test_products_give_the_convolution_s_sums(frames, window, stride, tiles):
    fewer = frames - tiles * (TILE // stride * stride)  # so many tiles are left out
    x, full, depthwise = numbers(2, 4, 3, fewer).astype("float32"), numbers(6, 4, window), numbers(4, window)
    found = TapProducts(full, stride, frames)(paddle.to_tensor(x)).numpy()
    np.testing.assert_allclose(found, summed(x, full, stride), atol=2e-5)
    found = BandProducts(depthwise, stride, frames)(paddle.to_tensor(x)).numpy()
    np.testing.assert_allclose(found, summed(x, depthwise[:, None] * np.eye(4)[..., None], stride), atol=2e-5)


@pytest.mark.parametrize(
    ("shape", "stride", "groups", "kind"),
    [
        ((6, 4, 5), 1, 1, "TapProducts"),
        ((6, 4, 1), 2, 1, "TapProducts"),
        ((4, 1, 5), 2, 4, "BandProducts"),
        ((4, 1, 17), 1, 4, "Conv2D"),  # its window is longer than a tile
        ((6, 4, 5), 17, 1, "Conv2D"),
    ],
)
def test_every_convolution_gets_the_form_that_can_hold_it(small_network, shape, stride, groups, kind):
    form = ProductGCN(small_network(), (3, 6, 20, 3, 2))
    form.stride = 1  # the layer that is made sees all frames
    made = form.make_conv(numbers(*shape), stride, groups)
    assert type(made).__name__ == kind
    x = numbers(2, 4, 3, 20).astype("float32")
    weight = numbers(*shape) if groups == 1 else numbers(*shape) * np.eye(4)[..., None]
    np.testing.assert_allclose(made(paddle.to_tensor(x)).numpy(), summed(x, weight, stride), atol=3e-5)


@pytest.mark.parametrize("changes", [{}, {"layer_type": "Sep", "att_type": "ca", "act_type": "hswish"}], ids=["SG", "Sep"])
def test_the_programs_are_made_of_operations_that_paddle2onnx_knows(tmp_path, small_network, changes):
    network, x = small_network(data_shape=(3, 6, 60, 3, 2), **changes), features([[20, 9], [3, 0]], 60)
    file, _ = write_program(network, "paddle", tmp_path / "net", x.shape[1:])
    command = [Path(sys.executable).with_name("paddle2onnx"), "--optimize_tool=None", f"--model_dir={tmp_path}"]
    command += [f"--model_filename={file.name}", "--params_filename=net.pdiparams"]
    subprocess.run([*command, f"--save_file={tmp_path}/net.onnx", "--opset_version=17"], check=True, capture_output=True)
    network.eval()
    logits = network(paddle.to_tensor(x))[0].numpy()
    np.testing.assert_allclose(open_engine(tmp_path / "net.onnx", "onnxruntime")(x), logits, atol=1e-4 * np.abs(logits).max())
