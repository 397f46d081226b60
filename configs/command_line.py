"""The command line of main.py: every option is a key of the configuration."""

import argparse

from utils import UserError

DESCRIPTION = "EfficientGCN on PaddlePaddle: one command for data, training, evaluation and export."
EXAMPLES = """examples:
  python main.py -c 2001 -gd                      make the npy data set of NTU RGB+D 60, x-sub
  python main.py -c 2001                          train
  python main.py -c 2001 -r                       go on with the newest run
  python main.py -c 2001 -e -pp best.pdparams     evaluate
  python main.py -c 2001 -ex -pp best.pdparams    export
  python main.py -c 2001 --scheduler_args.cosine.max_epoch 30 -o Adam
Any key of configs/defaults.yaml can be given as --SECTION.KEY VALUE."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"{message}; see python main.py --help")


def make_parser():
    """The command line; every option is a key of the configuration, left out (None) where it is not given."""
    parser = Parser(
        prog="main.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        allow_abbrev=False,
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    jobs = parser.add_argument_group("what to do (without one of these: train)")
    jobs.add_argument("-gd", "--generate_data", action="store_true", help=".skeleton files -> npy data set")
    jobs.add_argument("--check", action="store_true", help="what is in the raw folders; exit code 2 if anything is wrong")
    jobs.add_argument("-e", "--evaluate", action="store_true", help="score the checkpoint of -pp on the whole eval split")
    jobs.add_argument("-ex", "--extract", action="store_true", help="export the checkpoint of -pp to a static graph")
    jobs.add_argument("-v", "--visualize", action="store_true", help="draw what the model saw and did")
    jobs.add_argument("-r", "--resume", action="store_true", help="go on with the newest run; with -pp F, with F")
    common = parser.add_argument_group("with what")
    common.add_argument("-c", "--config", metavar="ID", default="2001", help="configs/ID.yaml, or a YAML file (default 2001)")
    common.add_argument("-pp", "--pretrained_path", "--pretrained", metavar="F", help="checkpoint")
    common.add_argument("-g", "--gpus", nargs="*", metavar="N", help="devices (default 0); none given, or []: CPU")
    common.add_argument("-w", "--work_dir", metavar="DIR", help="run folders are made here (default ./workdir)")
    common.add_argument("--save_inference_dir", "--save-inference-dir", metavar="DIR", help="-ex: folder of the exported program")
    common.add_argument("-s", "--seed", metavar="N", help="of weights, shuffle and dropout (default 1)")
    common.add_argument("-d", "--dataset", metavar="NAME", help="ntu-xsub, ntu-xview, ntu-xsub120, ntu-xset120")
    common.add_argument("-mt", "--model_type", metavar="NAME", help="EfficientGCN-B0, -B2, -B4, ...")
    common.add_argument("-o", "--optimizer", metavar="NAME", help="Momentum, Adam")
    common.add_argument("-ls", "--lr_scheduler", metavar="NAME", help="cosine, step")
    common.add_argument("-np", "--no_progress_bar", action="store_true", help="lines instead of bars")
    common.add_argument("-db", "--debug", action="store_true", help="only 300 samples of each split")
    common.add_argument("-dh", "--delay_hours", metavar="H", help="wait before starting")
    common.add_argument("-h", "--help", action="help", help="show this and stop")
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
        values["gpus"] = "[" + ",".join(",".join(values["gpus"]).replace("[", " ").replace("]", " ").split()) + "]"
    return values.pop("config"), [*values.items(), *parse_overrides([*explicit, *rest])]
