"""The log of a run."""

import os

import pytest

from utils.log import get_logger, set_up_logging


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_log_on_a_full_disk_is_given_up_in_one_line(tmp_path, capfd):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    set_up_logging(tmp_path)
    get_logger().info("first")
    get_logger().info("second")
    set_up_logging(quiet=True)
    out, err = capfd.readouterr()
    assert err == "" and [line.split(" ] ")[1] for line in out.splitlines()] == [
        "first",
        f"{tmp_path / 'log.txt'}: can't be written ([Errno 28] No space left on device); going on without it",
        "second",
    ]
