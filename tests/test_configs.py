"""The 24 configurations of the paper and what they build: sizes, and the published code's outputs."""

import importlib.util
import re

import numpy as np
import paddle
import pytest

from initializer import build_model, data_shape
from options.schema import NAMES, load_config
from tests.helpers.places import GOLDEN, ROOT
from tests.helpers.tables import parameters

DATA_SETS = ["ntu-xsub", "ntu-xview", "ntu-xsub120", "ntu-xset120"]
SIZES = {  # trainable parameters for 60 classes, edge weights (11 layers of 1,875) included
    ("SG", 0): 306201,
    ("SG", 2): 534465,
    ("SG", 4): 1119945,
    ("Sep", 0): 345333,
    ("Sep", 2): 814401,
    ("Sep", 4): 2055585,
}
WIDTHS = {0: 128, 2: 192, 4: 272}  # channels before the classifier
NUMBERS = range(2001, 2025)


def row(number):
    """(layer type, digit, data set) of a configuration, by the numbering of the paper's code."""
    place = number - 2001
    return ("SG", "Sep")[place // 12], (0, 2, 4)[place % 12 // 4], DATA_SETS[place % 4]


def test_configurations_have_names_beside_their_numbers():
    for number in NUMBERS:
        layer, digit, dataset = row(number)
        name = f"b{digit}{'_sep' * (layer == 'Sep')}_{dataset.removeprefix('ntu-')}"
        assert NAMES[name] == str(number)
    assert len(NAMES) == 24 and load_config("b0_xview") == load_config("2002")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_configuration_differs_from_2001_as_its_number_says(number):
    layer, digit, dataset = row(number)
    expected = load_config("2001").plain()
    expected |= {"config": str(number), "dataset": dataset, "model_type": f"EfficientGCN-B{digit}"}
    expected["dataset_args"]["ntu"]["transform"] = dataset == "ntu-xview"
    if layer == "Sep":
        expected["model_args"] |= {"layer_type": "Sep", "expand_ratio": 2, "reduct_ratio": 4}
    assert load_config(str(number)).plain() == expected


@pytest.mark.parametrize("number", NUMBERS)
def test_a_configuration_builds_with_the_right_sizes(number):
    layer, digit, dataset = row(number)
    trained, without_edges = parameters(build_model(load_config(str(number))))
    more_classes = 60 * (WIDTHS[digit] + 1) if dataset.endswith("120") else 0
    assert trained == SIZES[layer, digit] + more_classes
    assert trained - without_edges == 11 * 1875


@pytest.mark.parametrize("number", NUMBERS)
def test_a_configuration_names_its_paper_row_and_its_command(number):
    _, digit, dataset = row(number)
    title, command, *_ = (ROOT / "configs" / f"{number}.yaml").read_text().splitlines()
    where = {"ntu-xsub": "60, x-sub", "ntu-xview": "60, x-view", "ntu-xsub120": "120, x-sub", "ntu-xset120": "120, x-set"}
    assert f"EfficientGCN-B{digit}" in title and f"NTU RGB+D {where[dataset]} (" in title
    assert ("Sep" in title) == (number > 2012) and "top-1" in title
    assert command == f"# python main.py -c {number}"


@pytest.mark.parametrize("branch", "JVB")
@pytest.mark.parametrize("base", ["2001", "2002"])
def test_single_branch_configurations_differ_in_the_inputs_alone(base, branch):
    expected = load_config(base).plain() | {"config": f"{base}_{branch}"}
    expected["dataset_args"]["ntu"]["inputs"] = branch
    config = load_config(f"{base}_{branch}")
    assert config.plain() == expected
    assert data_shape(config) == (1, 6, 288, 25, 2)
    assert len(build_model(config).input_branches) == 1


# ---------------------------------------------------------------- outputs of the published code

MEMBERS = [
    *(f"B{digit}_{layer}_stja" for layer in ("SG", "Sep") for digit in (0, 2, 4)),
    *(f"B0_{layer}_stja" for layer in ("Basic", "Bottleneck")),
    *(f"B0_SG_{attention}" for attention in ("pa", "ca", "fa", "ja")),
    *(f"B0_SG_stja_{change}" for change in ("relu", "relu6", "hswish", "fusion0", "120")),
]
QUICK = ("B0_Sep_stja", "B0_SG_pa", "B0_SG_stja_fusion0")


def member(name):
    """The network of a name like B0_SG_stja_relu."""
    digit, layer, attention, *more = name.split("_")
    args = {"layer_type": layer, "att_type": attention}
    if layer in ("Sep", "Bottleneck"):
        args |= {"expand_ratio": 2 if layer == "Sep" else 0, "reduct_ratio": 4}
    args |= {"fusion_stage": 0} if more == ["fusion0"] else {"act_type": more[0]} if more and more != ["120"] else {}
    changes = [(f"model_args.{key}", value if isinstance(value, int) else f"'{value}'") for key, value in args.items()]
    dataset = "ntu-xsub120" if more == ["120"] else "ntu-xsub"
    return build_model(load_config("2001", [("model_type", f"EfficientGCN-{digit}"), ("dataset", dataset), *changes]))


@pytest.fixture(scope="module")
def listed():
    """{member: (trainable parameters, entries, {name: shape} or {} where the golden list has the counts alone)}."""
    path = GOLDEN / "family_names.txt"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    found = {}
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            name, trainable, entries = re.fullmatch(r"# (\w+) trainable (\d+) entries (\d+)", line).groups()
            found[name] = int(trainable), int(entries), {}
        else:
            entry, shape = line.split()
            found[name][2][entry] = [int(size) for size in shape.split("x")]
    assert sorted(found) == sorted(MEMBERS)
    return found


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_has_the_published_names_and_shapes(name, listed):
    trainable, entries, shapes = listed[name]
    model = member(name)
    ours = {entry: list(tensor.shape) for entry, tensor in model.state_dict().items()}
    assert (parameters(model)[0], len(ours)) == (trainable, entries)
    assert not shapes or ours == shapes


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in MEMBERS])
def test_a_member_gives_the_published_codes_logits(name, golden):
    expected, features = golden("family")[name], golden("feeder")["features"]
    spec = importlib.util.spec_from_file_location("fill", GOLDEN / "fill.py")
    golden_fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(golden_fill)
    model = member(name)
    state = model.state_dict()
    for entry, value in golden_fill.fill({entry: tuple(tensor.shape) for entry, tensor in state.items()}).items():
        state[entry].set_value(value)
    model.eval()
    with paddle.no_grad():
        logits = model(paddle.to_tensor(features))[0].numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
