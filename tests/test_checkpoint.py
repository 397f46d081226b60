"""Checkpoints: matched by structured names, refused in one line where they do not fit, never run."""

import pickle

import numpy as np
import paddle
import pytest

from model.checkpoint import load_optimizer, load_weights, read_checkpoint, save_checkpoint, weight_arrays
from utils import UserError


def step(model, optimizer, seed):
    paddle.seed(seed)
    model.train()
    model(paddle.randn([2, 3, 6, 8, 3, 2]))[0].square().sum().backward()
    optimizer.step()
    optimizer.clear_grad()


def make(model, name="Momentum"):
    parameters = [p for p in model.parameters() if not p.stop_gradient]
    schedule = paddle.optimizer.lr.LambdaDecay(0.01, lambda n: 1.0)
    return getattr(paddle.optimizer, name)(schedule, parameters=parameters, weight_decay=1e-4), schedule


@pytest.mark.parametrize("name", ["Momentum", "Adam"])
def test_a_second_model_in_the_process_goes_on_exactly(small_network, tmp_path, name):
    first = small_network()
    optimizer, schedule = make(first, name)
    for seed in range(3):
        step(first, optimizer, seed)
    save_checkpoint(tmp_path / "c", first, optimizer, schedule, epoch=0, best_state={})
    second = small_network()  # Paddle gives its parameters other names
    other, _ = make(second, name)
    state = read_checkpoint(tmp_path / "c")
    load_weights(second, state, "c")
    load_optimizer(other, second, state, "c")
    for model, opt in ((first, optimizer), (second, other)):
        step(model, opt, 9)
    for (key, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=key)


def test_optimizer_state_of_the_published_checkpoint_is_found_for_every_parameter(published):
    from configs.schema import load_config
    from initializer import build_model

    model = build_model(load_config("2001"))
    optimizer, _ = make(model)
    state = read_checkpoint(published)
    load_optimizer(optimizer, model, state, published)
    saved = optimizer.state_dict()
    for name, parameter in model.named_parameters():
        if not parameter.stop_gradient:
            wanted = state["opt"][state["model"][name][0] + "_velocity_0"]
            got = saved[parameter.name + "_velocity_0"].numpy()
            np.testing.assert_array_equal(got, np.asarray(wanted[1] if isinstance(wanted, tuple) else wanted), err_msg=name)


def test_paddle_load_reads_our_checkpoints(small_network, tmp_path):
    model = small_network()
    save_checkpoint(tmp_path / "c", model, *make(model), epoch=3, best_state={"acc_top1": 0.5, "acc_top5": 1.0, "cm": np.eye(4)})
    state = paddle.load(str(tmp_path / "c"))
    assert set(state) >= {"model", "opt", "epoch", "best_state", "scheduler"} and state["epoch"] == 3
    assert set(state["model"]) == set(model.state_dict())


def test_a_checkpoint_of_another_network_says_what_differs(small_network, tmp_path):
    model = small_network()
    save_checkpoint(tmp_path / "c", model, *make(model), epoch=0, best_state={})
    with pytest.raises(UserError, match=r"fc.weight is \(4, 16, 1, 1, 1\), needed \(5, 16, 1, 1, 1\)"):
        load_weights(small_network(num_classes=5), read_checkpoint(tmp_path / "c"), "c")
    with pytest.raises(UserError, match=r"entries differ.*and \d+ more"):
        load_weights(small_network(layer_type="Sep"), read_checkpoint(tmp_path / "c"), "c")


def test_the_classifier_can_be_left_out(small_network, tmp_path):
    model = small_network()
    save_checkpoint(tmp_path / "c", model, *make(model), epoch=0, best_state={})
    other = small_network(num_classes=7)
    load_weights(other, read_checkpoint(tmp_path / "c"), "c", skip=("classifier.fc",))


def test_another_optimizer_is_named(small_network, tmp_path):
    model = small_network()
    optimizer, schedule = make(model, "Adam")
    step(model, optimizer, 0)
    save_checkpoint(tmp_path / "c", model, optimizer, schedule, epoch=0, best_state={})
    with pytest.raises(UserError, match="optimizer is not Momentum"):
        load_optimizer(make(model)[0], model, read_checkpoint(tmp_path / "c"), "c")


def test_weights_that_are_not_finite_are_named_and_not_loaded(small_network):
    model = small_network()
    weights = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    weights["classifier.fc.bias"][0] = np.nan
    with pytest.raises(UserError, match=r"not finite: classifier\.fc\.bias"):
        load_weights(model, {"model": weights}, "c")


@pytest.mark.parametrize("value", [{}, {"model": {}}, {"model": 3}, [1], {"model": {"a": "text"}}, {"model": {"a": [{}]}}], ids=str)
def test_files_without_weights_are_one_clear_line(tmp_path, value):
    (tmp_path / "c").write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match=str(tmp_path / "c")):
        read_checkpoint(tmp_path / "c")


def test_a_bare_state_dict_is_weights(small_network, tmp_path):
    model = small_network()
    paddle.save(model.state_dict(), str(tmp_path / "w"))
    weights = weight_arrays(read_checkpoint(tmp_path / "w"))
    assert set(weights) == set(model.state_dict())
