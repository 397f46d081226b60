"""The skeleton graph: joints, bones and the adjacency, against golden values and those of a chain worked out by hand."""

import numpy as np

from dataset.graph import NTU, Graph


def test_ntu_adjacency_and_parents_are_the_published_ones(golden):
    expected = golden("graph_ntu")
    np.testing.assert_allclose(NTU.adjacency(), expected["A"], atol=1e-6)
    assert list(NTU.parents) == expected["connect_joint"].tolist()


def test_ntu_hops_count_bones():
    distance = NTU.hop_distance()
    assert [int((distance == d).sum()) for d in range(3)] == [25, 48, 54]
    assert distance[3, 19] == 8  # neck, spine shoulder, spine mid, spine base, hip, knee, ankle, foot
    assert distance[22 - 1, 16 - 1] == 11  # hand tip to foot: beyond the 10 hops that count as near
    assert NTU.adjacency()[:, 21, 15].sum() == 0


def test_columns_of_the_adjacency_add_up_to_one():
    np.testing.assert_allclose(NTU.adjacency().sum((0, 1)), 1)


def test_adjacency_of_a_chain_by_hand():
    third = 1 / 3
    expected = [np.eye(3) * third, [[0, third, 0], [third, 0, third], [0, third, 0]], [[0, 0, third], [0, 0, 0], [third, 0, 0]]]
    np.testing.assert_allclose(Graph("chain", ((0, 1), (1, 2)), (0, 0, 1), {}, 1).adjacency(2), expected)


def test_every_joint_has_one_part():
    assert sorted(j for joints in NTU.parts.values() for j in joints) == list(range(25))
    assert NTU.part_of_joint[7] == 0 and NTU.part_of_joint[0] == 4
