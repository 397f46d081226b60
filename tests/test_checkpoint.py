"""Checkpoints: matched by structured names, refused in one line where they do not fit, never run."""

import pickle

import numpy as np
import paddle
import pytest

from dataset.graph import NTU, Graph
from training.checkpoint import load_optimizer, load_weights, read_checkpoint, save_checkpoint, weight_arrays
from training.progress import ResumeState
from training.traits import traits
from utils.errors import UserError


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
    from initializer import build_model
    from options.schema import load_config

    model = build_model(load_config("2001"))
    optimizer, _ = make(model)
    state = read_checkpoint(published)
    load_optimizer(optimizer, model, state, published)
    saved = {**optimizer._accumulators_holder, **optimizer.state_dict()}  # held back until the first step by Paddle 2.6
    for name, parameter in model.named_parameters():
        if not parameter.stop_gradient:
            wanted = state["opt"][state["model"][name][0] + "_velocity_0"]
            got = np.asarray(saved[parameter.name + "_velocity_0"])
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
    said = r"it has classes 4, needed 5; --new_head .*; 2 entries differ: .*fc.weight is \(4, 16, 1, 1, 1\), needed \(5, 16, 1, 1, 1\)"
    with pytest.raises(UserError, match=said):
        load_weights(small_network(num_classes=5), read_checkpoint(tmp_path / "c"), "c")
    other = small_network(layer_type="Sep")
    ours, theirs = ({name: tuple(t.shape) for name, t in m.state_dict().items()} for m in (other, model))
    count = len([name for name in ours | theirs if ours.get(name) != theirs.get(name)])
    with pytest.raises(UserError, match=rf"network, it has layer_type SG, needed Sep; {count} entries differ: ([^;]+; ){{2}}and {count - 2} more$"):
        load_weights(other, read_checkpoint(tmp_path / "c"), "c")


def test_the_classifier_can_be_left_out_and_nothing_else_is(small_network, tmp_path):
    model = small_network()
    step(model, make(model)[0], 0)
    save_checkpoint(tmp_path / "c", model, *make(model), epoch=0, best_state={})
    other = small_network(num_classes=7)
    before = other.classifier.fc.weight.numpy().copy()
    left_out = load_weights(other, read_checkpoint(tmp_path / "c"), "c", skip=("classifier.fc",))
    assert left_out == ["classifier.fc.weight", "classifier.fc.bias"]
    np.testing.assert_array_equal(other.classifier.fc.weight.numpy(), before)
    for (name, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert name in left_out or np.array_equal(a.numpy(), b.numpy()), name


@pytest.mark.parametrize("changes, said", [
    ({"att_type": "ca"}, "att_type stja, needed ca"), ({"att_type": "none"}, "att_type stja, needed none"),
    ({"layer_type": "Basic"}, "layer_type SG, needed Basic"), ({"model_type": "EfficientGCN-B4"}, r"channels \[8, 16, 16\], needed \[8, 32, 32\], temporal layers 1, needed 5"),
    ({"stem_channel": 16}, r"channels \[8, 16, 16\], needed \[16, 16, 16\]"), ({"data_shape": (1, 6, 8, 3, 2)}, "input branches 3, needed 1"),
    ({"data_shape": (3, 4, 8, 3, 2)}, "values of a joint 6, needed 4"), ({"graph": NTU, "data_shape": (3, 6, 8, 25, 2)}, "joints 3, needed 25"),
], ids=str)  # fmt: skip
def test_another_kind_of_network_is_told_in_one_sentence_first(small_network, changes, said):
    weights = {name: tensor.numpy() for name, tensor in small_network().state_dict().items()}
    with pytest.raises(UserError, match=rf"^c: does not fit this configuration's network, it has {said}; \d+ entries differ: "):
        load_weights(small_network(**changes), {"model": weights}, "c")


@pytest.mark.parametrize("kind", ["stja", "pa", "ca", "fa", "ja", "none", "Basic", "Bottleneck", "Sep", "SG"])
def test_every_attention_and_layer_is_known_by_its_weights(small_network, kind):
    key = "layer_type" if kind[0].isupper() else "att_type"
    network = small_network(**{key: kind, "graph": NTU, "data_shape": (3, 6, 8, 25, 2)})
    assert traits({name: tuple(tensor.shape) for name, tensor in network.state_dict().items()})[key] == kind


def test_a_checkpoint_whose_adjacency_is_normalised_otherwise_is_loaded_with_it(small_network):
    network = small_network(graph=NTU, data_shape=(3, 6, 8, 25, 2))
    weights = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    for name in weights:
        if name.endswith(".A"):
            weights[name] = NTU.adjacency(3)[:3].astype("float32")
    load_weights(network, {"model": weights}, "c", skip=("classifier.fc",))
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), weights[name], err_msg=name)


def test_a_checkpoint_without_its_adjacency_says_that_hops_are_the_way_out(small_network):
    weights = {name: tensor.numpy() for name, tensor in small_network().state_dict().items() if not name.endswith(".A")}
    with pytest.raises(UserError, match=r"c: holds no A, .* --hops 10 .* --hops 3"):
        load_weights(small_network(), {"model": weights}, "c")


@pytest.mark.parametrize("att_type, part", [("stja", r"conv\.A is of another skeleton graph"), ("pa", "joints is of another")])
def test_a_checkpoint_of_another_skeleton_says_so(small_network, att_type, part):
    model = small_network(att_type=att_type)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    load_weights(model, {"model": weights}, "c")
    graph = Graph("star", ((0, 2), (1, 2)), (2, 2, 2), {"one": (0,), "two": (1, 2)}, 2)
    with pytest.raises(UserError, match=part):
        load_weights(small_network(graph=graph, att_type=att_type), {"model": weights}, "c")


@pytest.mark.skipif(paddle.__version__ < "3", reason="makes this state in a step only, which a CPU has not in 16 bits")
def test_master_weights_of_16_bit_parameters_find_their_parameters_again(tmp_path):
    def sixteen_bits():  # as --amp O2 on a GPU; a CPU has no step in 16 bits, but makes the optimizer's state
        layer = paddle.nn.Linear(3, 4)
        layer.to(dtype="float16")
        schedule = paddle.optimizer.lr.LambdaDecay(0.1, lambda n: 1.0)
        return layer, paddle.optimizer.Momentum(schedule, parameters=layer.parameters(), multi_precision=True), schedule

    def make_state(layer, optimizer):
        optimizer._create_accumulators(paddle.base.framework.default_main_program().global_block(), layer.parameters())
        state = optimizer.state_dict()
        key = f"{layer.weight.name}_fp32_master_0_velocity_0"
        return state[key], state["master_weights"][layer.weight.name]

    first, optimizer, schedule = sixteen_bits()
    velocity, master = make_state(first, optimizer)
    velocity.set_value(np.arange(12, dtype="float32").reshape(3, 4))
    master.set_value(master.numpy() + 1e-6)  # what 16 bits can't hold
    save_checkpoint(tmp_path / "c", first, optimizer, schedule, epoch=0, best_state=None)
    second, other, _ = sixteen_bits()
    load_optimizer(other, second, read_checkpoint(tmp_path / "c"), "c")
    for before, after in zip((velocity, master), make_state(second, other), strict=True):
        np.testing.assert_array_equal(after.numpy(), before.numpy())


@pytest.mark.skipif(paddle.__version__ < "3", reason="makes this state in a step only, which a CPU has not in 16 bits")
@pytest.mark.parametrize("half", [True, False], ids=["from O2", "to O2"])
def test_a_run_goes_on_with_or_without_16_bit_parameters_from_the_float32_weights(tmp_path, half):
    def make(half):
        layer = paddle.nn.Linear(3, 4)
        if half:
            layer.to(dtype="float16")
        schedule = paddle.optimizer.lr.LambdaDecay(0.1, lambda n: 1.0)
        return layer, paddle.optimizer.Momentum(schedule, parameters=layer.parameters(), multi_precision=half), schedule

    def state(layer, optimizer):
        optimizer._create_accumulators(paddle.base.framework.default_main_program().global_block(), layer.parameters())
        found = optimizer.state_dict()
        weight, master = layer.weight, found.get("master_weights", {}).get(layer.weight.name)
        name = weight.name if master is None else f"{weight.name}_fp32_master_0"
        return found[f"{name}_velocity_0"], weight if master is None else master

    first, optimizer, schedule = make(half)
    velocity, weight = state(first, optimizer)
    velocity.set_value(np.arange(12, dtype="float32").reshape(3, 4))
    weight.set_value(weight.numpy() + 1e-6)  # what 16 bits can't hold
    save_checkpoint(tmp_path / "c", first, optimizer, schedule, epoch=0, best_state=None)
    second, other, _ = make(not half)
    load_weights(second, read_checkpoint(tmp_path / "c"), "c")
    load_optimizer(other, second, read_checkpoint(tmp_path / "c"), "c")
    for before, after in zip((velocity, weight), state(second, other), strict=True):
        np.testing.assert_array_equal(after.numpy(), before.numpy())


def test_weights_are_put_into_a_network_of_16_bits_that_saves_float32():
    from paddle.amp.auto_cast import StateDictHook  # what paddle.amp.decorate does on a GPU

    layer = paddle.nn.Linear(3, 4)
    layer.to(dtype="float16")
    layer.register_state_dict_hook(StateDictHook("float32"))
    load_weights(layer, {"model": {"weight": np.full((3, 4), 0.5), "bias": np.full(4, 2.0)}}, "c")
    assert layer.weight.dtype == paddle.float16 and layer.weight.numpy().mean() == 0.5 and layer.bias.numpy().mean() == 2


def test_another_optimizer_is_named(small_network, tmp_path):
    model = small_network()
    optimizer, schedule = make(model, "Adam")
    step(model, optimizer, 0)
    save_checkpoint(tmp_path / "c", model, optimizer, schedule, epoch=0, best_state={})
    count = sum(not p.stop_gradient for p in model.parameters())
    said = rf"Adam's, not Momentum's: .*-o\) differs in {count} parameters: ([\w.-]+ has none; ){{10}}and {count - 10} more"
    with pytest.raises(UserError, match=said):
        load_optimizer(make(model)[0], model, read_checkpoint(tmp_path / "c"), "c")


def test_weights_that_are_not_finite_are_named_and_not_loaded(small_network):
    model = small_network()
    weights = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    weights["classifier.fc.bias"][0] = np.nan
    with pytest.raises(UserError, match=r"classifier\.fc\.bias is not finite"):
        load_weights(model, {"model": weights}, "c")


@pytest.mark.parametrize(
    "value", [{}, {"model": {}}, {"model": 3}, [1], {"model": {"a": "text"}}, {"model": {"a": [{}]}}], ids=str
)
def test_files_without_weights_are_one_clear_line(tmp_path, value):
    (tmp_path / "c").write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match=str(tmp_path / "c")):
        read_checkpoint(tmp_path / "c")


def test_a_bare_state_dict_is_weights(small_network, tmp_path):
    model = small_network()
    paddle.save(model.state_dict(), str(tmp_path / "w"))
    weights = weight_arrays(read_checkpoint(tmp_path / "w"))
    assert set(weights) == set(model.state_dict())


GOOD = {
    "epoch": 1,
    "best_state": {"acc_top1": 0.5, "acc_top5": 1.0, "cm": np.zeros((4, 4), int)},
    "scaler": {"scale": np.ones(1)},
    "progress": {"step": 3, "metrics": 10, "world": 1, "seconds": 2.5, "epoch": [0.0] * 5, "window": [1.0] * 5},
}
ODD = [None, True, "1", -2, 1.5, float("nan"), float("inf"), 2**70, [], [1], {}, {"a": [{}]}, np.array(["x"]), (1, 2), b"1",
       np.zeros((3, 3)), [[1], [1, 2]]]  # fmt: skip
BEST, PROGRESS = ("acc_top1",), ("step", "metrics", "seconds", "window", "world")


@pytest.mark.parametrize("key", [*GOOD, *(f"best_state.{key}" for key in BEST), *(f"progress.{key}" for key in PROGRESS)])
def test_odd_values_in_a_checkpoint_are_one_clear_line(key):
    assert ResumeState.of(GOOD, "c").epoch == 1
    allowed = {"best_state": [None], "progress": [None], "scaler": [None, {}], "progress.seconds": [1.5], "best_state.acc_top1": [1.5]}.get(key, [])
    for odd in ODD:
        outer, _, inner = key.partition(".")
        state = {**GOOD, outer: {**GOOD[outer], inner: odd} if inner else odd}
        if any(odd is value or (type(odd) is type(value) and odd == value) for value in allowed):
            ResumeState.of(state, "c")
            continue
        with pytest.raises(UserError, match=f"c: {outer}"):
            ResumeState.of(state, "c")


@pytest.mark.parametrize("key", ["model", "opt"])
def test_odd_tensors_in_a_checkpoint_are_one_clear_line(small_network, key):
    model = small_network()
    optimizer = paddle.optimizer.Momentum(0.1, parameters=model.parameters())
    model(paddle.randn([2, 3, 6, 8, 3, 2]))[0].sum().backward()
    optimizer.step()
    weights = {name: (tensor.name, tensor.numpy()) for name, tensor in model.state_dict().items()}
    state = {"model": weights, "opt": {name: t.numpy() for name, t in optimizer.state_dict().items()}}
    load_optimizer(optimizer, model, state, "c")
    for name in (next(iter(state[key])), "unheard of"):
        for odd in ODD:
            broken = {**state, key: {**state[key], name: odd}}
            if key == "opt" and name == "unheard of":
                continue  # what no parameter needs is not looked at
            with pytest.raises(UserError, match="c: "):
                load_weights(model, broken, "c")
                load_optimizer(optimizer, model, broken, "c")
    for odd in ODD:
        with pytest.raises(UserError, match="c: "):
            load_optimizer(optimizer, model, {**state, "opt": odd}, "c")
