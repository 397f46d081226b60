"""EfficientGCN on PaddlePaddle: one command for data, training, evaluation and export."""

import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    from utils.command import run_command

    sys.exit(run_command("main"))

import os
import shlex
import shutil
import time
from pathlib import Path

from options.command_line import closing_block, next_jobs, parse_command_line, same_command
from training.recorder import spoken
from utils.errors import UserError
from utils.files import make_run_folder, replacing
from utils.log import drop_unused_folder, get_logger, set_up_logging
from utils.process import start_paddle
from utils.terminal import watched


def generate_or_check(config):
    """-gd and --check."""
    import generator
    from reader.splits import DATA_SETS

    data, manner = config.data, {"workers": config.workers, "progress": not config.no_progress_bar}
    folders = [getattr(data, key) for key in DATA_SETS[config.dataset].raw_folders]
    if config.check:
        lines, good = generator.check(config.dataset, folders, **manner)
        print("\n".join(lines))
        return 0 if good else 2
    set_up_logging(make_run_folder(Path(config.work_dir) / "temp"), brief=watched() and not config.no_progress_bar)
    generator.generate(config.dataset, folders, data.root_folder, data.transform, skip_bad=config.skip_bad, **manner)
    return 0


def train(config, tuned, command):
    """Train: from the start, from a checkpoint's weights, or from where a run stopped. `command`: this one, without its job."""
    import initializer
    from processor import Trainer
    from training.checkpoint import load_last, load_optimizer, load_weights, read_checkpoint
    from training.progress import ResumeState
    from training.recipe import Data, Output

    if config.new_head and (config.resume or not config.pretrained_path):
        raise UserError("--new_head: is for a fresh run from a checkpoint's other weights; add -pp FILE, leave out -r")
    checkpoint, path, folder, notes = None, config.pretrained_path, None, []
    if config.resume:
        checkpoint, path, folder, notes = load_last(initializer.runs_folder(config), path)
    elif path:
        checkpoint = read_checkpoint(path)
    feeders = [initializer.build_feeder(config, split) for split in ("train", "eval")]
    folder = initializer.start_job(config, tuned, train=True, folder=folder)
    for note in notes:
        get_logger().info(note)

    loaders = [initializer.build_loader(config, feeder, train=feeder is feeders[0]) for feeder in feeders]
    model = initializer.synchronise_batch_norm(config, initializer.build_model(config))
    data = Data(*loaders, class_names=initializer.class_names(config))
    state = ResumeState.of(checkpoint, path) if config.resume else ResumeState()
    if checkpoint:
        left_out = load_weights(model, checkpoint, path, ("classifier.fc",) if config.new_head else (), initializer.why_misfit)
        if left_out:
            get_logger().info(f"--new_head: {', '.join(left_out)} start anew; all else is from {path}")
    recipe = initializer.build_recipe(config, model, data.train)
    if state.has_steps:
        load_optimizer(recipe.optimizer, model, checkpoint, path)
    recorder = initializer.open_run_folder(config, folder, model, path, state)
    resume_with = f"the same command and -r: {command} -r -pp {shlex.quote(str(folder / 'last.pdparams'))}"
    bar = not config.no_progress_bar and watched()
    output = Output(folder, recorder, config.checkpoint_minutes, bar, resume_with)
    trainer = Trainer(initializer.build_runner(model, config.all_frames, config.to_static), data, recipe, output, state)

    initializer.log_setup(config, feeders[0], model)
    place = f"epoch {trainer.epoch + 1}, batch {trainer.progress.step + 1}, learning rate {recipe.optimizer.get_lr():.6g}"
    if trainer.epoch >= recipe.max_epoch:
        place = f"epoch {trainer.epoch} was the last; for more: --scheduler_args.{config.lr_scheduler}.max_epoch N"
    epochs = f"{recipe.max_epoch} epoch{'s' * (recipe.max_epoch > 1)}"
    fresh = f"Training {epochs}{f' from the weights of {path}' if path else ''}; Ctrl-C saves"
    get_logger().info(f"Resuming from {path}: {place}" if config.resume else fresh)
    trainer.train()
    if trainer.rank == 0:
        say_trained(trainer, Path(config.work_dir) / "model.pdparams", command)


def say_trained(trainer, final, command):
    """Copy the last checkpoint to `final`, the fixed name that TIPC needs, and say how good it is and where everything is."""
    folder = trainer.output.folder
    with replacing(final) as temporary:
        shutil.copyfile(folder / "last.pdparams", temporary)
    kept = [path for path in (folder / f"{name}.pdparams" for name in ("best", "last")) if path.exists()]
    get_logger().debug(f"Checkpoints: {', '.join(map(str, [*kept, final]))}")
    files = ", ".join([*(path.name for path in kept), "metrics.jsonl", "log.txt"])
    jobs = next_jobs(command, kept[0], "-e", "-v", "-ex")
    jobs["watch the curves"] = f"tensorboard --logdir {shlex.quote(str(folder))}"
    scored = f"{trainer.best['acc_top1']:.2%} (top-5 {trainer.best['acc_top5']:.2%}), in {spoken(trainer.seconds)}"
    print(closing_block("Trained", {"best top-1": scored, "run": folder, "in it": files}, jobs))


def evaluate(config, tuned, command):
    """-e, -v: score the checkpoint of -pp on every sample of the eval split, and show what it saw."""
    import paddle

    import initializer
    import processor
    from evaluation.report import check_report
    from training.checkpoint import load_weights, read_checkpoint
    from training.precision import mixed_precision

    checkpoint = read_checkpoint(config.pretrained_path)
    feeder = initializer.build_feeder(config, "eval")
    reported = config.visualize or config.report or config.save_figures
    if reported:
        check_report(feeder.names, config.report_args.names, config.save_figures)
    folder = initializer.start_job(config, tuned, train=False)
    model = initializer.build_model(config)
    load_weights(model, checkpoint, config.pretrained_path, why=initializer.why_misfit)
    initializer.log_setup(config, feeder, model)
    for note in initializer.implausible_samples(feeder, config.data.transform):
        get_logger().info(f"note: {note}")
    get_logger().info(f"Evaluating {config.pretrained_path} ...")
    loader = initializer.build_loader(config, feeder, train=False)
    bar = not config.no_progress_bar and watched()
    amp = mixed_precision(config.amp, config.amp_dtype)
    runner = initializer.build_runner(model, config.all_frames, config.to_static)
    scores, seconds = processor.evaluate(runner, loader, amp=amp, bar=bar)
    result = processor.log_scores(scores, seconds, paddle.distributed.get_world_size())
    if paddle.distributed.get_rank() == 0:
        scores.save(folder / "scores.npz")
        get_logger().debug(f"Scores of every sample: {folder / 'scores.npz'}")
        scored = f"{result['acc_top1']:.2%} of {len(scores.labels)} (top-5 {result['acc_top5']:.2%})"
        places, jobs = {"top-1": scored, "log": folder / "log.txt", "scores": folder / "scores.npz"}, ["-v", "-ex"]
        if reported:
            places |= report(config, model, feeder, scores, folder)
            jobs = ["-ex"]
        print(closing_block("Evaluated", places, next_jobs(command, config.pretrained_path, *jobs)))


def report(config, model, feeder, scores, folder):
    """-v: write the report, and the pictures where they are asked for; returns {what: path}."""
    import initializer
    from evaluation.report import write_report
    from training.checkpoint import run_of

    settings, up = config.report_args, config.report_args.up
    if up == "auto":
        up = "z" if config.data.transform else "-y" if config.data.num_channel == 2 else "y"
    about = {"network": config.model_type, "data set": config.dataset, "checkpoint": config.pretrained_path}
    places = {"run": run_of(config.pretrained_path), "folder": folder, "figures": config.save_figures}
    classes, chosen = initializer.class_names(config), (settings.samples, settings.names)
    return write_report(model, feeder, scores, classes, about=about, chosen=chosen, up=up, **places)


def extract(config, tuned, command):
    """-ex: export the checkpoint of -pp: beside it, or to save_inference_dir, under its name."""
    import paddle

    import initializer
    from export.program import export_program
    from export.record import export_record
    from inference.engines import open_engine
    from training.checkpoint import load_weights, read_checkpoint, weights_file
    from training.device import on_gpu

    path = weights_file(config.pretrained_path)
    if paddle.__version__ >= "3" and not paddle.get_flags("FLAGS_enable_pir_api")["FLAGS_enable_pir_api"]:
        raise UserError("FLAGS_enable_pir_api=0: Paddle 3 can't export without its PIR; unset this variable")
    checkpoint = read_checkpoint(path)
    initializer.start_job(config, tuned, train=False)
    device = config.export_device or ("gpu" if on_gpu() else "cpu")
    paddle.set_device("cpu")  # for the network that programs are compared with: a GPU's products may be of TF32
    model = initializer.build_model(config)
    load_weights(model, checkpoint, path, why=initializer.why_misfit)
    prefix = Path(config.save_inference_dir or path.parent) / path.stem
    record = export_record(config, path, initializer.skeleton_graph(config), initializer.class_names(config))
    made = {"data_shape": initializer.data_shape(config), "record": record, "open_engine": open_engine}
    form = {"to": config.export_to, "softmax": config.export_softmax, "one_body": config.export_one_body}
    form |= {"coordinates": config.export_coordinates, "device": device}
    form |= {"runtime": config.web_runtime, "camera": config.web_camera}
    for line in export_program(model, prefix, **made, **form):
        get_logger().info(line)
    recording = "FILE.npy" if config.data.graph else "FILE.skeleton"
    recognise = f"python infer.py --model_file {shlex.quote(str(prefix))} --data_file {recording}"
    jobs = {} if config.export_to in ("triton", "pphuman", "web") else {"recognise a recording": recognise}
    places = {"page": f"{prefix}.html"} if config.export_to == "web" else {"program": f"{prefix}.*"}
    print(closing_block("Exported", places, jobs))


def launch(config, argv):
    """-g 0 1: become Paddle's launcher, with a process for each GPU; returns where one process is enough."""
    from training.device import launcher_options

    if options := launcher_options(config.gpus):
        options += ["--log_dir", f"{config.work_dir}/launch", __file__]
        os.execv(sys.executable, [sys.executable, "-m", "paddle.distributed.launch", *options, *argv])  # noqa: S606


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    name, overrides = parse_command_line(argv)
    from options.schema import load_config

    config = load_config(name, overrides)
    launched = "PADDLE_TRAINERS_NUM" in os.environ  # by Paddle's launcher
    if config.delay_hours and not launched:
        print(f"Starting in {config.delay_hours} hours")
        time.sleep(config.delay_hours * 3600)
    try:
        if config.generate_data or config.check:
            return generate_or_check(config)
        tuned = start_paddle()
        if not (config.extract or launched):
            launch(config, argv)
        if config.pretrained_path in ("best", "last"):
            import initializer

            config = initializer.with_newest_checkpoint(config)
        job = extract if config.extract else evaluate if config.evaluate or config.visualize else train
        return job(config, tuned, same_command(name, overrides)) or 0
    except UserError:
        drop_unused_folder()
        raise
