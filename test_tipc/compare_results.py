"""Whether predictions agree with stored ones, as every TIPC chain ends: probabilities within atol + rtol * stored.

    python test_tipc/compare_results.py --gt_file "test_tipc/results/EfficientGCNB0/python_*.jsonl" \
        --log_file "log/EfficientGCNB0/whole_infer/python_infer_*.log" --atol 1e-3 --rtol 1e-3

Both are patterns. A log's predictions lie beside it under the same name with .jsonl, as infer.py --output wrote them; a log
is compared with the stored file that has the same precision (fp32, fp16) in its name.
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("test_tipc.compare_results"))

import glob
import json
import re
from pathlib import Path

from utils.errors import UserError
from utils.terminal import Parser

PRECISION = re.compile(r"fp32|fp16")


def read_predictions(path):
    """{sample name: {label: probability}} of a .jsonl file of infer.py, in its order; raises UserError if it is none."""
    path = Path(path).with_suffix(".jsonl")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        return {r["name"]: dict(zip(r["labels"], map(float, r["probabilities"]), strict=True)) for r in records}
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); it is written by infer.py --output") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not predictions of infer.py --output ({error})") from error


def differences(stored, got, atol, rtol):
    """Lines that say what differs. A class missing among the best of `got` counts with the least probability there."""
    lines = [f"{name}: only in one of the files" for name in stored.keys() ^ got.keys()]
    for name in stored.keys() & got.keys():
        least = min(got[name].values())
        for label, probability in stored[name].items():
            other = got[name].get(label, least)
            if not abs(other - probability) <= atol + rtol * probability:
                lines.append(f"{name}: class {label} has {other:.6f}, stored is {probability:.6f}")
    return sorted(lines)


def files_by_precision(pattern):
    """{precision: path} of the stored files; raises UserError where there is none, or two of one precision."""
    found = {}
    for path in sorted(glob.glob(pattern)):
        for precision in PRECISION.findall(Path(path).name):
            if precision in found:
                raise UserError(f"--gt_file {pattern}: {found[precision]} and {path} are both of {precision}; name one")
            found[precision] = path
    if not found:
        raise UserError(f"--gt_file {pattern}: no file with fp32 or fp16 in its name")
    return found


def main():
    parser = Parser(prog="test_tipc/compare_results.py", description=__doc__.splitlines()[0])
    parser.add_argument("--gt_file", required=True, help="pattern of the stored .jsonl files")
    parser.add_argument("--log_file", required=True, help="pattern of logs, or of the .jsonl files beside them")
    parser.add_argument("--atol", type=float, default=1e-3)
    parser.add_argument("--rtol", type=float, default=1e-3)
    options = parser.parse_args()
    stored = files_by_precision(options.gt_file)
    logs = sorted(glob.glob(options.log_file))
    if not logs:
        raise UserError(f"--log_file {options.log_file}: no such file")
    bad = 0
    for log in logs:
        precision = PRECISION.search(Path(log).name)
        expected = stored.get(precision[0] if precision else "fp32")
        if expected is None:
            print(f"{log}: skipped, for nothing is stored for {precision[0]}")
            continue
        lines = differences(read_predictions(expected), read_predictions(log), options.atol, options.rtol)
        if lines:
            bad += 1
            print("\n".join(lines[:10]))
            print(f"The results of {log} and the results of {expected} are inconsistent! ({len(lines)} differences)")
        else:
            print(f"Assert allclose passed! The results of {log} and {expected} are consistent!")
    return 1 if bad else 0
