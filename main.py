"""EfficientGCN on PaddlePaddle: one command for data, training, evaluation and export."""

import argparse
import sys
import time
from pathlib import Path

from utils import (
    Recorder,
    UserError,
    get_logger,
    make_run_folder,
    replacing,
    run_command,
    set_up_logging,
    start_paddle,
    versions,
)

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
        description=__doc__,
        epilog=EXAMPLES,
        allow_abbrev=False,
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    jobs = parser.add_argument_group("what to do (without one of these: train)")
    jobs.add_argument("-gd", "--generate_data", action="store_true", help=".skeleton files -> npy data set")
    jobs.add_argument(
        "--check", action="store_true", help="what is in the raw folders; exit code 2 if anything is wrong"
    )
    jobs.add_argument(
        "-e", "--evaluate", action="store_true", help="score the checkpoint of -pp on the whole eval split"
    )
    jobs.add_argument("-ex", "--extract", action="store_true", help="export the checkpoint of -pp to a static graph")
    jobs.add_argument("-v", "--visualize", action="store_true", help="draw what the model saw and did")
    jobs.add_argument("-r", "--resume", action="store_true", help="go on with the newest run; with -pp F, with F")
    common = parser.add_argument_group("with what")
    common.add_argument(
        "-c", "--config", metavar="ID", default="2001", help="configs/ID.yaml, or a YAML file (default 2001)"
    )
    common.add_argument("-pp", "--pretrained_path", "--pretrained", metavar="F", help="checkpoint")
    common.add_argument("-g", "--gpus", nargs="*", metavar="N", help="devices (default 0); none given, or []: CPU")
    common.add_argument("-w", "--work_dir", metavar="DIR", help="run folders are made here (default ./workdir)")
    common.add_argument(
        "--save_inference_dir", "--save-inference-dir", metavar="DIR", help="-ex: folder of the exported program"
    )
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


def generate_or_check(config):
    """-gd and --check."""
    import generator
    from reader.splits import DATA_SETS

    data = config.data
    folders = [getattr(data, key) for key in DATA_SETS[config.dataset].raw_folders]
    if config.check:
        lines, good = generator.check(
            config.dataset, folders, workers=config.workers, progress=not config.no_progress_bar
        )
        print("\n".join(lines))
        return 0 if good else 2
    set_up_logging(make_run_folder(Path(config.work_dir) / "temp"))
    generator.generate(
        config.dataset,
        folders,
        data.root_folder,
        transform=data.transform,
        workers=config.workers,
        progress=not config.no_progress_bar,
        skip_bad=config.skip_bad,
    )
    return 0


def run_folder_name(config):
    """Folder of all runs of a configuration."""
    return Path(config.work_dir) / f"{config.config}_{config.model_type}_{config.dataset}"


def load_last(config):
    """(checkpoint, its path, run folder or None) to resume: of -pp, else the newest usable one of this configuration."""
    from model.checkpoint import read_checkpoint

    if config.pretrained_path:
        path = Path(config.pretrained_path)
        in_run = (path.parent / "config.yaml").is_file() and (path.parent / "log.txt").is_file()
        return read_checkpoint(path), path, path.parent if in_run else None
    parent = run_folder_name(config)
    for folder in sorted(parent.glob("*"), reverse=True):
        for path in (folder / "last.pdparams", folder / "previous.pdparams"):
            try:
                if path.is_file():
                    return read_checkpoint(path), path, folder
            except UserError as error:
                print(f"{error}; trying the one before it", file=sys.stderr)
    raise UserError(f"{parent}: no run with a usable checkpoint to resume; start one without -r, or give one with -pp")


def write_text(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def log_start(config, folder, device, tuned):
    log = get_logger().info
    log(f"Versions: {versions()}")
    log(f"Device: {device}; set for speed: {tuned}")
    log(f"Saving folder path: {folder}")
    log(f"Saving model name: {config.config}_{config.model_type}_{config.dataset}")


def prepare(config, tuned, *, train, folder=None):
    """Device and run folder of a job; returns the folder."""
    import paddle

    from initializer import choose_device

    if paddle.distributed.ParallelEnv().world_size > 1:
        paddle.distributed.init_parallel_env()
    rank = paddle.distributed.get_rank()
    if folder is None:
        parent = run_folder_name(config) if train else Path(config.work_dir) / "temp"
        folder = make_run_folder(parent) if rank == 0 else parent
    set_up_logging(folder if rank == 0 else None, quiet=rank > 0)
    device = choose_device(config.gpus)
    log_start(config, folder, device, tuned)
    return folder


def train(config, tuned):
    """Train, from the start or from where a run stopped."""
    import shutil

    import paddle
    import yaml

    import initializer
    from model.checkpoint import load_optimizer, load_weights, read_checkpoint
    from processor import Trainer

    state, path, folder = load_last(config) if config.resume else (None, config.pretrained_path, None)
    if path and state is None:
        state = read_checkpoint(path)
    train_feeder, eval_feeder = (initializer.build_feeder(config, split) for split in ("train", "eval"))
    folder = prepare(config, tuned, train=True, folder=folder)
    train_loader = initializer.build_loader(config, train_feeder, train=True)
    eval_loader = initializer.build_loader(config, eval_feeder, train=False)
    model = initializer.synchronise_batch_norm(config, initializer.build_model(config))
    schedule, evaluates_after = initializer.build_schedule(config, train_loader.batches.steps // config.accumulate)
    optimizer = initializer.build_optimizer(config, model, schedule)
    if state:
        load_weights(model, state, path, skip=("classifier.fc",) if config.new_head else ())
    recorder = Recorder()
    if paddle.distributed.get_rank() == 0:
        recorder = Recorder(folder, (state.get("progress") or {}).get("metrics", 0) if config.resume else 0)
        write_text(folder / "config.yaml", yaml.safe_dump(config.plain(), sort_keys=False))
        write_text(folder / "model.txt", f"{model}\nblocks (channels, stride, depth) as built: {model.blocks}\n")
    trainer = Trainer(
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        train_loader=train_loader,
        train_feeder=train_feeder,
        eval_loader=eval_loader,
        eval_feeder=eval_feeder,
        folder=folder,
        recorder=recorder,
        max_epoch=config.schedule.max_epoch,
        evaluates_after=evaluates_after,
        seed=config.seed,
        accumulate=config.accumulate,
        amp=initializer.amp_arguments(config),
        checkpoint_minutes=config.checkpoint_minutes,
        skip_nonfinite=config.skip_nonfinite,
        bar=not config.no_progress_bar and sys.stdout.isatty(),
    )
    if config.resume:
        load_optimizer(optimizer, model, state, path)
        trainer.resume(state)
    initializer.log_setup(config, train_feeder, model)
    if config.resume:
        get_logger().info(
            f"Resuming from {path}: epoch {trainer.epoch + 1}, batch {trainer.progress['step'] + 1}, "
            f"learning rate {optimizer.get_lr():.6g}"
        )
    trainer.train()
    if trainer.rank == 0:
        with replacing(Path(config.work_dir) / "model.pdparams") as temporary:
            shutil.copyfile(folder / "last.pdparams", temporary)
        get_logger().info(
            f"Checkpoints: {folder / 'best.pdparams'}, {folder / 'last.pdparams'}, {config.work_dir}/model.pdparams"
        )
    return 0


def evaluate(config, tuned):
    """Score the checkpoint of -pp on every sample of the eval split."""
    import initializer
    import processor
    from model.checkpoint import load_weights, read_checkpoint

    state = read_checkpoint(config.pretrained_path)
    feeder = initializer.build_feeder(config, "eval")
    folder = prepare(config, tuned, train=False)
    model = initializer.build_model(config)
    load_weights(model, state, config.pretrained_path)
    initializer.log_setup(config, feeder, model)
    get_logger().info(f"Evaluating {config.pretrained_path} ...")
    loader = initializer.build_loader(config, feeder, train=False)
    scores, seconds = processor.evaluate(model, loader, feeder, bar=not config.no_progress_bar and sys.stdout.isatty())
    processor.log_scores(scores, seconds)
    scores.save(folder / "scores.npz")
    get_logger().info(f"Scores of every sample: {folder / 'scores.npz'}")
    return 0


def extract(config, tuned):
    """Export the checkpoint of -pp: beside it, or to save_inference_dir, under its name."""
    import initializer
    from model.checkpoint import load_weights, read_checkpoint
    from model.export import export_program
    from tools.program import export_record, open_engine

    path = Path(config.pretrained_path)
    state = read_checkpoint(path)
    prepare(config, tuned, train=False)
    model = initializer.build_model(config)
    load_weights(model, state, path)
    lines = export_program(
        model,
        Path(config.save_inference_dir or path.parent) / path.stem,
        data_shape=initializer.data_shape(config),
        record=export_record(config, path, initializer.num_classes(config)),
        open_engine=open_engine,
        to=config.export_to,
        softmax=config.export_softmax,
        one_body=config.export_one_body,
    )
    for line in lines:
        get_logger().info(line)
    return 0


def main(argv=None):
    name, overrides = parse_command_line(sys.argv[1:] if argv is None else argv)
    from configs.schema import load_config

    config = load_config(name, overrides)
    if config.delay_hours:
        print(f"Starting in {config.delay_hours} hours")
        time.sleep(config.delay_hours * 3600)
    if config.generate_data or config.check:
        return generate_or_check(config)
    tuned = start_paddle()
    for wanted, job in ((config.evaluate, evaluate), (config.extract, extract)):
        if wanted:
            return job(config, tuned)
    return train(config, tuned)


if __name__ == "__main__":
    sys.exit(run_command(main))
