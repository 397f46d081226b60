"""The command line of main.py: every option is a key of the configuration."""

import re
import shlex
from pathlib import Path

from utils import VERSION
from utils.errors import UserError
from utils.terminal import Parser, paint

DESCRIPTION = "EfficientGCN on PaddlePaddle: one command for data, training, evaluation and export."
JOB = ("generate_data", "check", "evaluate", "extract", "visualize", "resume", "pretrained_path", "new_head", "delay_hours")
JOB += ("report", "save_figures", "save_inference_dir")  # keys that say what to do, not with what


def make_parser():
    """The command line; every option is a key of the configuration, left out (None) where it is not given."""
    usage, examples = "python main.py -c ID [JOB] [OPTION ...]", Path(__file__).with_name("examples.txt").read_text("utf-8")
    parser = Parser(prog="main.py", usage=usage, description=DESCRIPTION, epilog=examples, add_help=False)
    add = parser.add_argument_group("data").add_argument
    add("-gd", "--generate_data", action="store_true", help=".skeleton files -> npy data set, then stop")
    add("--check", action="store_true", help="check the raw folders; exit code 2 if anything is wrong")
    add("-d", "--dataset", metavar="NAME", help="ntu-xsub, ntu-xview, ntu-xsub120, ntu-xset120, custom-NAME")
    add("-db", "--debug", action="store_true", help="only 300 samples of each split")
    add = parser.add_argument_group("train (the job if no other is named; -pp F: from the weights of F)").add_argument
    add("-r", "--resume", action="store_true", help="resume the newest run; with -pp F, resume F")
    add("-mt", "--model_type", metavar="NAME", help="EfficientGCN-B0, -B2, -B4, ...")
    add("-o", "--optimizer", metavar="NAME", help="Momentum, Adam")
    add("-ls", "--lr_scheduler", metavar="NAME", help="cosine, step")
    add("-s", "--seed", metavar="N", help="of weights, shuffle and dropout (default 1)")
    add = parser.add_argument_group("evaluate and see (with -pp F)").add_argument
    add("-e", "--evaluate", action="store_true", help="score the whole eval split")
    add("-v", "--visualize", action="store_true", help="score it and write report_F.html: results, and what the model saw")
    add("--report", action="store_true", help="with -e: write the report as well")
    add("--save_figures", metavar="DIR", help="with -v or -e: pictures for papers as well, in this folder")
    add = parser.add_argument_group("export (with -pp F)").add_argument
    add("-ex", "--extract", action="store_true", help="make a program for infer.py")
    add("--save_inference_dir", "--save-inference-dir", metavar="DIR", help="its folder (default: beside F)")
    add = parser.add_argument_group("for every job").add_argument
    add("-c", "--config", metavar="ID", default="2001", help="2001 (default), b0_xsub, ... (docs/model_zoo.md), or a YAML file")
    add("-pp", "--pretrained_path", "--pretrained", metavar="F", help="a checkpoint; best or last: of the newest run of ID")
    add("-g", "--gpus", nargs="*", metavar="N", help="devices (default 0; without GPU the CPU); -g cpu, or -g alone: CPU")
    add("-w", "--work_dir", metavar="DIR", help="run folders are made here (default ./workdir)")
    add("-np", "--no_progress_bar", action="store_true", help="all lines of the log instead of bars and a summary")
    add("-dh", "--delay_hours", metavar="H", help="hours to wait before starting")
    add("--version", action="version", version=f"EfficientGCN-Paddle {VERSION}", help="show this project's version and stop")
    add("-h", "--help", action="help", help="show this and stop")
    return parser


def parse_overrides(tokens):
    """[(dotted key, text)] of `--a.b v`, `--a.b=v` and `--switch`; raises UserError on anything else."""
    overrides, i = [], 0
    while i < len(tokens):
        key, has_value, value = tokens[i].partition("=")
        if not key.startswith("--") or len(key) == 2:
            raise UserError(f"unexpected argument {tokens[i]!r}; see python main.py --help")
        i += 1
        if not has_value:
            follows = i < len(tokens) and (not tokens[i].startswith("-") or tokens[i][1:2].isdigit())
            value = tokens[i] if follows else "true"
            i += follows
        overrides.append((key[2:].replace("-", "_"), value))
    return overrides


def parse_command_line(argv):
    """(config name, overrides) of a command line."""
    parser = make_parser()
    switches = {option for action in parser._actions if action.nargs == 0 for option in action.option_strings}
    explicit = [token for token in argv if "=" in token and token.split("=")[0] in switches]  # --debug=false
    known, rest = parser.parse_known_args([token for token in argv if token not in explicit])
    values = {key: value for key, value in vars(known).items() if value not in (None, False)}
    if "gpus" in values:
        values["gpus"] = "[" + ",".join(re.sub(r"[\[\]]|cpu", " ", ",".join(values["gpus"])).split()) + "]"
    return values.pop("config"), [*values.items(), *parse_overrides([*explicit, *rest])]


def same_command(name, overrides):
    """The command line of a configuration, as parse_command_line gave it, without what to do."""
    pairs = [(key, str(value).lower() if isinstance(value, bool) else value) for key, value in overrides if key not in JOB]
    return shlex.join(["python", "main.py", "-c", name, *(f"--{key}={value}" for key, value in pairs)])


def next_jobs(command, weights, *flags):
    """{what for: command line} of jobs that a checkpoint is ready for, for `closing_block`."""
    names = {"-e": "evaluate", "-v": "see what the network sees", "-ex": "export"}
    return {names[flag]: f"{command} {flag} -pp {shlex.quote(str(weights))}" for flag in flags}


def closing_block(title, places, commands):
    """Text for the end of a job: what came out and where, {what: text or path}, and what to run next, {what for: command}."""
    lines = ["", paint(title, "bold"), *(f"  {what:<14}{path}" for what, path in places.items())]
    for what, command in commands.items():
        lines += [f"  {what}:", f"    {paint(command, 'cyan')}"]
    return "\n".join(lines)
