"""Names of the NTU RGB+D actions."""

from pathlib import Path


def action_names(count):
    """Names of the first `count` actions, A001 first; `class N` beyond the 120 that NTU RGB+D 120 has."""
    lines = Path(__file__).with_name("ntu_actions.txt").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")][:count]
    return names + [f"class {number + 1}" for number in range(len(names), count)]
