"""Tests: helpers/ is what several of them share, torture/ what `make torture` and `make fuzz` run."""

import pytest

pytest.register_assert_rewrite("tests.helpers", "tests.torture")
