"""main.py, to which few files are worth worker processes."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])
import generator  # noqa: E402
from utils.command import run_command  # noqa: E402

if __name__ == "__main__":  # not in the workers, which import this file too
    generator.FILES_A_WORKER = generator.BATCH
    sys.exit(run_command("main"))
