"""Damaged files as a user's mistake."""

import zlib

import pytest

from utils.damage import usable
from utils.errors import UserError


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("of two\nlines {}"), "of two lines {}"), (EOFError(), "EOFError"), (zlib.error("cut"), "cut")]
)
def test_what_damage_raises_becomes_one_line_that_names_the_file(error, reason):
    with pytest.raises(UserError) as caught, usable("a\nb.npy", "not usable ({}); make it again"):
        raise error
    assert str(caught.value) == f"a\\nb.npy: not usable ({reason}); make it again"


def test_a_users_mistake_keeps_its_words():
    with pytest.raises(UserError, match=r"^too large$"), usable("a.npy", "not usable ({})"):
        raise UserError("too large")
