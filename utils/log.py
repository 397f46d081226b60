"""The project's one logger: lines to the terminal and to a run folder's log.txt."""

import contextlib
import logging
import os
import shutil
import sys
from pathlib import Path


def get_logger():
    """The project's one logger; set up by `set_up_logging`, silent before that."""
    return logging.getLogger("efficientgcn")


class _FileHandler(logging.FileHandler):
    """A log that can't be written (a full disk) is given up in one line; what is worth more may still find room."""

    def handleError(self, record):  # noqa: N802
        get_logger().removeHandler(self)
        get_logger().info(f"{self.baseFilename}: can't be written ({sys.exc_info()[1]}); going on without it")


def set_up_logging(folder=None, quiet=False, brief=False):
    """Log lines like `[ 2022-06-06 06:25:40,001 ] text` to stdout (`brief`: without times, debug) and to a folder's log.txt."""
    logger = get_logger()
    logger.setLevel(logging.ERROR if quiet else logging.DEBUG)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    handlers = [logging.StreamHandler(sys.stdout)]
    if folder is not None:
        handlers.append(_FileHandler(Path(folder) / "log.txt", encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("[ %(asctime)s ] %(message)s"))
        logger.addHandler(handler)
    if brief:
        handlers[0].setLevel(logging.INFO)
        handlers[0].setFormatter(logging.Formatter())
    return logger


def drop_unused_folder():
    """End the log, and remove its folder where it holds nothing else: a job that could not begin leaves none."""
    for handler in list(get_logger().handlers):
        if isinstance(handler, _FileHandler):
            get_logger().removeHandler(handler)
            handler.close()
            folder = Path(handler.baseFilename).parent
            if os.listdir(folder) == ["log.txt"]:
                shutil.rmtree(folder)
                with contextlib.suppress(OSError):  # other runs are there
                    folder.parent.rmdir()
