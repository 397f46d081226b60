"""EfficientGCN on PaddlePaddle: one command for data, training, evaluation and export."""

import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from options.command_line import closing_block, next_jobs, parse_command_line, same_command
from utils.errors import UserError
from utils.files import make_run_folder, replacing
from utils.log import drop_unused_folder, get_logger, set_up_logging
from utils.process import run_command, start_paddle, versions
from utils.terminal import watched


def generate_or_check(config):
    """-gd and --check."""
    import generator
    from reader.splits import DATA_SETS

    data = config.data
    folders = [getattr(data, key) for key in DATA_SETS[config.dataset].raw_folders]
    if config.check:
        lines, good = generator.check(config.dataset, folders, workers=config.workers, progress=not config.no_progress_bar)
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


def run_of(checkpoint):
    """The run folder that a checkpoint lies in, or None."""
    folder = Path(checkpoint).parent
    return folder if (folder / "config.yaml").is_file() and (folder / "log.txt").is_file() else None


def load_last(config):
    """(checkpoint, its path, run folder or None, lines to log) to resume: of -pp, else the newest usable one."""
    from training.checkpoint import newest_checkpoint, read_checkpoint

    if not config.pretrained_path:
        state, path, lines = newest_checkpoint(run_folder_name(config))
        return state, path, path.parent, lines
    path = Path(config.pretrained_path)
    return read_checkpoint(path), path, run_of(path), []


def write_text(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def prepare(config, tuned, *, train, folder=None):
    """Device, processes and run folder of a job, and the first lines of its log; returns the folder."""
    import paddle

    from initializer import choose_device

    first = paddle.distributed.get_rank() == 0
    if folder is None:
        parent = run_folder_name(config) if train else Path(config.work_dir) / "temp"
        folder = make_run_folder(parent) if first else parent  # other ranks write nothing
    log = set_up_logging(folder if first else None, quiet=not first).info
    device = choose_device(config.gpus)
    if paddle.distributed.ParallelEnv().world_size > 1:
        paddle.distributed.init_parallel_env()
    log(f"Versions: {versions()}")
    world = paddle.distributed.get_world_size()
    log(f"Device: {device}{f', {world} processes' if world > 1 else ''}; set for speed: {tuned}")
    log(f"Saving folder path: {folder}")
    log(f"Saving model name: {config.config}_{config.model_type}_{config.dataset}")
    return folder


def open_folder(config, folder, model, path, progress):
    """Write what a run folder says of the run (rank 0); returns its Recorder, which goes on where `progress` stands."""
    import paddle
    import yaml

    from options.changes import changed_settings
    from options.yaml_file import read_yaml
    from training.recorder import Recorder

    if paddle.distributed.get_rank() > 0:
        return Recorder()
    if path == folder / "previous.pdparams" and not config.pretrained_path:
        path.replace(folder / "last.pdparams")  # for the damaged one, so that saving moves the good one back here
    if config.resume and (folder / "config.yaml").exists():
        for line in changed_settings(read_yaml(folder / "config.yaml"), config.plain()):
            get_logger().info(f"Changed since the run began: {line}")
    recorder = Recorder(folder, (progress or {}).get("metrics", 0))
    write_text(folder / "config.yaml", yaml.safe_dump(config.plain(), sort_keys=False))
    write_text(folder / "model.txt", f"{model}\nblocks (channels, stride, depth) as built: {model.blocks}\n")
    return recorder


def train(config, tuned, again):
    """Train, from the start or from where a run stopped. `again`: the command line, without what to do."""
    import initializer
    from processor import SUMS, Trainer
    from training.checkpoint import load_optimizer, load_weights, read_checkpoint, training_state

    if config.new_head and (config.resume or not config.pretrained_path):
        raise UserError("--new_head: is for a fresh run from a checkpoint's other weights; add -pp FILE, leave out -r")
    state, path, folder, lines = load_last(config) if config.resume else (None, config.pretrained_path, None, [])
    if path and state is None:
        state = read_checkpoint(path)
    feeders = [initializer.build_feeder(config, split) for split in ("train", "eval")]
    folder = prepare(config, tuned, train=True, folder=folder)
    for line in lines:
        get_logger().info(line)
    train_loader, eval_loader = (initializer.build_loader(config, f, train=f is feeders[0]) for f in feeders)
    model = initializer.synchronise_batch_norm(config, initializer.build_model(config))
    schedule, evaluates_after = initializer.build_schedule(config, train_loader.batches.steps // config.accumulate)
    optimizer = initializer.build_optimizer(config, model, schedule)
    classes = initializer.class_names(config)
    begun = training_state(state, path, len(classes), SUMS) if config.resume else (-1, None, None, None)
    if state:
        left_out = load_weights(model, state, path, skip=("classifier.fc",) if config.new_head else ())
        if left_out:
            get_logger().info(f"--new_head: {', '.join(left_out)} start anew; all else is from {path}")
    amp = initializer.mixed_precision(config, model, optimizer)
    epoch, _, progress, _ = begun
    if epoch >= 0 or (progress and progress["step"]):
        load_optimizer(optimizer, model, state, path)
    trainer = Trainer(
        run=initializer.build_run(model),
        optimizer=optimizer,
        schedule=schedule,
        train_loader=train_loader,
        eval_loader=eval_loader,
        folder=folder,
        recorder=open_folder(config, folder, model, path, progress),
        max_epoch=config.schedule.max_epoch,
        evaluates_after=evaluates_after,
        class_names=classes,
        seed=config.seed,
        accumulate=config.accumulate,
        amp=amp,
        checkpoint_minutes=config.checkpoint_minutes,
        skip_nonfinite=config.skip_nonfinite,
        bar=not config.no_progress_bar and watched(),
        go_on=f"the same command and -r: {again} -r -pp {shlex.quote(str(folder / 'last.pdparams'))}",
    )
    trainer.resume(*begun)
    initializer.log_setup(config, feeders[0], model)
    if config.resume:
        get_logger().info(
            f"Resuming from {path}: epoch {trainer.epoch + 1}, batch {trainer.progress['step'] + 1}, "
            f"learning rate {optimizer.get_lr():.6g}"
        )
    trainer.train()
    if trainer.rank == 0:
        final = Path(config.work_dir) / "model.pdparams"
        with replacing(final) as temporary:
            shutil.copyfile(folder / "last.pdparams", temporary)
        kept = [path for path in (folder / f"{name}.pdparams" for name in ("best", "last")) if path.exists()]
        get_logger().info(f"Checkpoints: {', '.join(map(str, [*kept, final]))}")
        files = ", ".join([*(path.name for path in kept), "metrics.jsonl", "log.txt"])
        jobs = next_jobs(again, kept[0], "-e", "-v", "-ex")
        jobs["watch the curves"] = f"tensorboard --logdir {shlex.quote(str(folder))}"
        print(closing_block("Trained", {"run": folder, "in it": files, "copy of last": final}, jobs))
    return 0


def evaluate(config, tuned, again):
    """-e, -v: score the checkpoint of -pp on every sample of the eval split, and show what it saw."""
    import paddle

    import initializer
    import processor
    from training.checkpoint import load_weights, read_checkpoint

    state = read_checkpoint(config.pretrained_path)
    feeder = initializer.build_feeder(config, "eval")
    folder = prepare(config, tuned, train=False)
    model = initializer.build_model(config)
    load_weights(model, state, config.pretrained_path)
    initializer.log_setup(config, feeder, model)
    get_logger().info(f"Evaluating {config.pretrained_path} ...")
    loader = initializer.build_loader(config, feeder, train=False)
    scores, seconds = processor.evaluate(initializer.build_run(model), loader, bar=not config.no_progress_bar and watched())
    processor.log_scores(scores, seconds, paddle.distributed.get_world_size())
    if paddle.distributed.get_rank() == 0:
        scores.save(folder / "scores.npz")
        get_logger().info(f"Scores of every sample: {folder / 'scores.npz'}")
        places = {"log": folder / "log.txt", "scores": folder / "scores.npz"}
        jobs = ["-v", "-ex"]
        if config.visualize or config.report or config.save_figures:
            from evaluation.report import show

            places |= show(config, model, feeder, scores, run_of(config.pretrained_path), folder)
            jobs = ["-ex"]
        print(closing_block("Evaluated", places, next_jobs(again, config.pretrained_path, *jobs)))
    return 0


def extract(config, tuned, again):
    """-ex: export the checkpoint of -pp: beside it, or to save_inference_dir, under its name."""
    import initializer
    from export.program import export_program
    from export.record import export_record
    from inference.engines import open_engine
    from training.checkpoint import load_weights, read_checkpoint

    path = Path(config.pretrained_path)
    state = read_checkpoint(path)
    prepare(config, tuned, train=False)
    model = initializer.build_model(config)
    load_weights(model, state, path)
    prefix = Path(config.save_inference_dir or path.parent) / path.stem
    lines = export_program(
        model,
        prefix,
        data_shape=initializer.data_shape(config),
        record=export_record(config, path, initializer.skeleton_graph(config), initializer.class_names(config)),
        open_engine=open_engine,
        to=config.export_to,
        softmax=config.export_softmax,
        one_body=config.export_one_body,
    )
    for line in lines:
        get_logger().info(line)
    recording = "FILE.npy" if config.data.graph else "FILE.skeleton"
    command = f"python infer.py --model_file {shlex.quote(str(prefix))} --data_file {recording}"
    jobs = {} if config.export_to == "triton" else {"recognise a recording": command}
    print(closing_block("Exported", {"program": f"{prefix}.*"}, jobs))
    return 0


def launched():
    """Whether this is one of several processes that Paddle's launcher started."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1")) > 1


def launch(config, argv):
    """-g 0 1: become Paddle's launcher, with a process for each GPU; returns where one process is enough."""
    from initializer import several_gpus

    if several_gpus(config.gpus):
        options = ["--gpus", ",".join(map(str, config.gpus)), "--log_dir", f"{config.work_dir}/launch", __file__]
        os.execv(sys.executable, [sys.executable, "-m", "paddle.distributed.launch", *options, *argv])  # noqa: S606


def main(argv=None):
    name, overrides = parse_command_line(sys.argv[1:] if argv is None else argv)
    from options.schema import load_config

    config = load_config(name, overrides)
    if config.delay_hours and not launched():
        print(f"Starting in {config.delay_hours} hours")
        time.sleep(config.delay_hours * 3600)
    try:
        if config.generate_data or config.check:
            return generate_or_check(config)
        tuned = start_paddle()
        if not (config.extract or launched()):
            launch(config, sys.argv[1:] if argv is None else argv)
        job = extract if config.extract else evaluate if config.evaluate or config.visualize else train
        return job(config, tuned, same_command(name, overrides))
    except UserError:
        drop_unused_folder()
        raise


if __name__ == "__main__":
    sys.exit(run_command(main))
