"""Mixed precision: what is in 16 bits, what is asked of Paddle, and which GPUs are refused."""

from collections import Counter

import paddle
import paddle.nn.functional as F
import pytest
from paddle.amp import amp_lists
from paddle.base import core
from paddle.base.framework import _dygraph_tracer

from initializer import build_runner
from model.layers import BatchNorm
from tests.helpers.traced import mean, stand_in, trace
from training.precision import SIXTEEN_BITS, mixed_precision
from utils.errors import UserError

SMALL = [("model_args.block_args", "[[48, 1, 0], [64, 2, 1]]"), ("model_args.fusion_stage", 1), ("dataset_args.ntu.inputs", "J")]
HALF = ("conv2d", "depthwise_conv2d", "concat", "matmul", "multiply", "swish", "cast")


def pretend(patch, major=9):
    """Pretend to be on a GPU of this compute capability; returns the list of what is asked of decorate()."""
    asked = []
    patch.setattr(paddle, "get_device", lambda: "gpu:0")
    patch.setattr(paddle.device.cuda, "get_device_capability", lambda: (major, 0))
    patch.setattr(paddle.amp, "decorate", lambda *objects, **options: asked.append((objects, options)))
    return asked


def arguments(monkeypatch, level, dtype="float16"):
    """What mixed_precision gives for auto_cast on a GPU."""
    with monkeypatch.context() as patch:
        pretend(patch)
        return mixed_precision(level, dtype)


@pytest.mark.full
@pytest.mark.parametrize("name, whole, half", [("2001", 6.14e9, 3.11e9), ("2009", 19.3e9, 9.75e9)])
def test_what_is_kept_for_backward_takes_half_the_memory(monkeypatch, name, whole, half):
    assert trace(monkeypatch, None, name=name)[0] == pytest.approx(whole, rel=0.01)
    kept, types = trace(monkeypatch, arguments(monkeypatch, "O1"), name=name)
    assert kept == pytest.approx(half, rel=0.01)
    assert not any(types[kind]["float32"] for kind in HALF)


@pytest.mark.parametrize("level, dtype", [("O1", "float16"), ("O2", "bfloat16")])  # the lists are the same: see below
def test_only_what_takes_the_features_themselves_is_in_float32(monkeypatch, level, dtype):
    kept, types = trace(monkeypatch, arguments(monkeypatch, level, dtype), *SMALL, half=level == "O2")
    assert kept == pytest.approx(0.989e9, rel=0.01)  # kept for backward; 1.953e9 in float32
    assert not any(types[kind]["float32"] for kind in HALF) and types["conv2d"]["bfloat16"]
    assert types["leaky_relu"]["float32"] == 1  # the first batch norm


@pytest.mark.parametrize(
    "option",
    [
        *("att_type=ja", "att_type=fa", "layer_type=Sep"),
        *(pytest.param(option, marks=pytest.mark.full) for option in ("att_type=pa", "att_type=ca", "layer_type=Basic")),
    ],
)
def test_no_layer_forces_what_follows_it_into_float32(monkeypatch, option):
    options = [tuple(f"model_args.{option}".split("=")), ("model_args.expand_ratio", 2)]
    _, types = trace(monkeypatch, arguments(monkeypatch, "O1"), *SMALL, *options)
    assert types["conv2d"]["bfloat16"] and not any(types[kind]["float32"] for kind in HALF)


def test_a_network_as_one_program_has_the_same_types(monkeypatch, small_network):
    monkeypatch.setattr(BatchNorm, "forward", stand_in)
    monkeypatch.setattr(F, "adaptive_max_pool2d", mean)
    white, black = (lists()["bfloat16"]["O1"] for lists in (amp_lists.white_list, amp_lists.black_list))
    tracer, model = _dygraph_tracer(), small_network()
    build_runner(model, to_static=True)
    tracer._set_amp_op_list(white | set(SIXTEEN_BITS), black - set(SIXTEEN_BITS))  # auto_cast does all this, on a GPU
    tracer._amp_level, tracer._amp_dtype = core.AmpLevel.O1, "bfloat16"
    try:
        program = model.forward.__wrapped__.get_concrete_program(paddle.zeros([2, 3, 6, 8, 3, 2]))[0].main_program
    finally:
        tracer._amp_level, tracer._amp_dtype = core.AmpLevel.O0, "float32"
        tracer._set_amp_op_list(set(), set())
    operations = [(operation.name().rpartition(".")[2], operation) for operation in program.global_block().ops]
    types = Counter(str(operation.results()[0].dtype) for kind, operation in operations if kind in ("conv2d", "depthwise_conv2d", "matmul", "swish"))
    assert len(types) == 1 and "bfloat16" in str(types).lower()


@pytest.mark.parametrize("level", ["O1", "O2"])
def test_float16_and_bfloat16_have_the_same_lists_in_paddle_and_batch_norm_is_on_none(monkeypatch, level):
    white, black = (lists()["float16"][level] ^ lists()["bfloat16"][level] for lists in (amp_lists.white_list, amp_lists.black_list))
    assert all(name.startswith(("fake_quantize", "fused")) for name in white) and not black
    assert "custom_black_list" not in arguments(monkeypatch, level)
    assert "batch_norm" not in amp_lists.black_list()["float16"][level] | set(SIXTEEN_BITS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_o2_alone_makes_parameters_of_16_bits_with_master_weights_in_the_optimizer(monkeypatch, dtype):
    asked = pretend(monkeypatch)
    assert mixed_precision("O1", dtype, "model", "optimizer")["dtype"] == dtype and not asked
    assert mixed_precision("O2", dtype)["level"] == "O2" and not asked  # an evaluation
    mixed_precision("O2", dtype, "model", "optimizer")
    ((objects, options),) = asked
    assert objects == ("model", "optimizer") and options["master_weight"] and options["save_dtype"] == "float32"
    assert options["dtype"] == dtype


@pytest.mark.parametrize("major, dtype, hint", [(7, "bfloat16", "--amp_dtype float16"), (6, "float16", "leave --amp out")])
def test_a_gpu_without_the_type_is_refused_in_one_line(monkeypatch, major, dtype, hint):
    pretend(monkeypatch, major)
    with pytest.raises(UserError, match=rf"--amp_dtype {dtype}: this GPU \(compute capability {major}\.0\) does not support it; .*{hint}"):
        mixed_precision("O1", dtype)
