"""Costs of networks, counted by hand and as published, and the page of the model zoo."""

import pytest

from initializer import build_model, data_shape
from options.schema import load_config
from tests.helpers.places import ROOT
from tests.helpers.tables import PUBLISHED, count, page


def test_costs_of_a_small_network_are_those_counted_by_hand(small_network):
    model = small_network(att_type="none", block_args=[[16, 1, 0], [16, 2, 1]], layer_type="Basic", data_shape=(1, 6, 8, 3, 2))
    cost = count(model, (1, 6, 8, 3, 2))
    place, hops = 2 * 8 * 3, 3  # bodies x frames x joints
    stem = place * (hops * 6 * 8 + 6 * 8 + 5 * 8 * 8)  # graph layer, its residual, temporal layer
    widen, keep = place * (hops * 8 * 16 + 8 * 16), place * hops * 16 * 16
    strided = place // 2 * (5 * 16 * 16 + 16 * 16)
    assert cost["convolutions"] == stem + widen + keep + strided + 16 * 4
    assert cost["graph products"] == place * hops * 3 * (8 + 16 + 16)
    conv_outputs = place * (hops * 8 + 8 + 8 + hops * 16 + 16 + hops * 16) + place // 2 * 2 * 16 + 4
    norm_outputs = place * (6 + 8 + 8 + 8 + 16 + 16 + 16) + place // 2 * 2 * 16
    assert cost["rest"] == conv_outputs + 2 * norm_outputs + place // 2 * 16  # biases, batch norm, pooling


@pytest.mark.parametrize(
    "name, number",
    [
        ("B0 SG", 2001),
        *(
            pytest.param(name, number, marks=pytest.mark.full)
            for name, number in (("B2 SG", 2005), ("B4 SG", 2009), ("B0 Sep", 2013), ("B2 Sep", 2017), ("B4 Sep", 2021))
        ),
    ],
)
def test_published_flops_follow_from_their_counting_rule(name, number):
    config = load_config(str(number))
    cost = count(build_model(config), data_shape(config))
    assert round((cost["convolutions"] + cost["rest"]) / 1e9, 2) == PUBLISHED[name]


@pytest.mark.full
def test_the_model_zoo_page_is_what_its_command_writes():
    assert (ROOT / "docs" / "model_zoo.md").read_text() == page("model_zoo")
