"""main.py, to which few files are worth worker processes. Its workers import this file, so it imports little."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])


def main():
    import generator
    from main import main

    generator.FILES_A_WORKER = generator.BATCH
    return main()


if __name__ == "__main__":
    from utils.command import run_command

    sys.exit(run_command(main))
