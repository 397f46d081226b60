"""The text of docs/reliability.md."""

import json
from collections import Counter

INTRODUCTION = """# Reliability

What happens when files are damaged or hostile, a process is killed, or a disk is full. `make torture` tests all of this with
the real commands, and writes this page from its log; `make test` runs a smaller form. It ends with exit code 1 if anything
is lost. What is promised, and which files may be untrusted: [SECURITY.md](../SECURITY.md).
"""

INPUTS = """## Bad inputs

In each case a command gets one bad file instead of a good one. Refused means: exit code 2, exactly one line on stderr that begins
with `error:`, nothing in the file is run, no file is made, changed or removed, and it takes at most 20 seconds of one core
and 1 GB more memory. Accepted means that the command ran to its end: the value may be changed, such as the seed in a YAML file, or the
file is still read correctly in spite of an odd value. The cases of a row differ in the rule that they break.
"""

FAULTS = """## Faults

Each fault hits the command at a random moment, or with a random limit, drawn from the seed. A fault is survived if all of this holds:

- The command ends by itself, with an exit code that is not 0 and one line that says why (after SIGKILL there is no line).
- No process remains. Earlier output is complete, or replaced by complete new output.
- The next run of the same command leaves no temporary files, and the same files, bit for bit, as without the fault. In training,
  weights, optimizer state, metrics and best checkpoint are those of an undisturbed run.

A fault that comes after the command has finished is not counted. SIGTERM and Ctrl-C are sent once the program handles them, which is
before it imports a package; before that, while Python itself starts, no work is done.

Not promised: after SIGKILL, unfinished pictures and programs may remain in the system's folder for temporary files. An export of several
files renames them one after the other once all are complete. If it is killed between two renames (none of the kills below was),
`infer.py` detects the mixture by the hashes in the record and refuses it. Lack of memory gives one line if Python or Paddle reports it;
if there is too little memory to load Paddle's own libraries, the message is Paddle's.
"""


def table(head, rows):
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [" | ".join(head), " | ".join(["---", *["--:"] * (len(head) - 1)]), *(" | ".join(map(str, row)) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines)


def page(log):
    """The text of docs/reliability.md from the log of a run."""
    head, *records = map(json.loads, log.read_text().splitlines())
    inputs = [record for record in records if "kind" in record]
    faults = [record for record in records if "fault" in record and record["struck"]]
    missed = sum(not record["struck"] for record in records if "fault" in record)
    rows, kinds = [], Counter(record["kind"] for record in inputs)
    for kind, count in kinds.items():
        mine = [record for record in inputs if record["kind"] == kind]
        taken, failed = sum(r["taken"] and not r["problem"] for r in mine), sum(bool(r["problem"]) for r in mine)
        rows.append((kind, count, count - taken - failed, taken, failed))
    rows.append(("**all**", *(sum(row[i] for row in rows) for i in range(1, 5))))
    rules = {(record["kind"].split(",")[0], record["rule"]) for record in inputs}
    struck = Counter((record["command"], record["fault"]) for record in faults)
    lost = Counter((record["command"], record["fault"]) for record in faults if record["problem"])
    late = [record for record in records if record.get("problem") and not ("kind" in record or record.get("struck"))]
    of_faults = [(f"{command}: {fault}", n, n - lost[command, fault]) for (command, fault), n in sorted(struck.items())]
    of_faults.append(("**all**", struck.total(), struck.total() - lost.total()))
    kills = Counter(record["command"] for record in faults if record["fault"].startswith("SIG"))
    failures = [f"- {record}\n" for record in records if record.get("problem")]
    skipped = sorted({record["skipped"] for record in records if "skipped" in record})
    return "\n".join([
        INTRODUCTION,
        f"Last run: seed {head['seed']}, {head['seconds'] // 60} min {head['seconds'] % 60} s on {head['cores']} cores, "
        f"{head['versions']}{' (`--quick`: a twentieth)' * head['quick']}. "
        f"**{len(inputs)} bad inputs, {len(rules)} distinct rules broken, {struck.total()} faults, {len(failures)} failures.**\n",
        INPUTS, table(("file, command", "tried", "refused", "accepted", "failed"), rows),
        FAULTS, table(("command: fault", "struck", "survived"), of_faults),
        f"Kills that struck: {', '.join(f'{command} {n}' for command, n in sorted(kills.items()))}. "
        f"{missed} faults came after the command had done its work; {len(late)} of these went wrong.\n",
        *(f"Not tried: {reason}.\n" for reason in skipped),
        *(["## Failures\n", "".join(failures)] if failures else []),
    ]).rstrip() + "\n"  # fmt: skip
