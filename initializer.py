"""From a configuration to objects: data, network, schedule, optimizer. Nothing is built that the job does not need."""

import random
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import paddle
import yaml
from paddle.distributed import get_rank, get_world_size

from dataset.actions import action_names, read_names
from dataset.graph import NTU, Graph
from dataset.loader import Loader
from dataset.ntu_feeder import EpochBatches, NTUFeeder, split_paths
from export.evaluation import FoldedRunner
from model.nets import EfficientGCN
from options.command_line import JOB
from options.schema import FOLDER, changed_settings, load_config
from options.yaml_file import read_yaml
from reader.plausibility import implausible
from reader.splits import DATA_SETS, check_labels, parse_names
from scheduler.lr_schedulers import FACTORS, evaluates_after
from training.device import choose_device, on_gpu
from training.precision import mixed_precision
from training.recipe import Recipe
from training.recorder import Recorder
from training.runners import Runner, ThreadedRunner
from training.traits import say_misfit
from utils.errors import UserError
from utils.files import make_run_folder, replacing
from utils.log import get_logger, set_up_logging
from utils.process import signals_later, threads, versions
from utils.terminal import watched

DEBUG_SAMPLES = 300
RECIPE_BATCH = 16  # samples a step that the learning rates of the recipe are for


def seed_everything(seed):
    """Seed Python, NumPy and Paddle."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    paddle.seed(seed)


def skeleton_graph(config):
    """The Graph of a configuration's skeleton: what feeder, network and export are made for."""
    skeleton = config.data.graph
    return Graph.from_names(**skeleton.model_dump()) if skeleton else NTU


def class_names(config):
    """Names of the action classes of a configuration's data set, in the order of the labels."""
    if config.dataset in DATA_SETS:
        return action_names(DATA_SETS[config.dataset].num_classes)
    return read_names(config.data.class_names)


def data_shape(config):
    """(I, C, T, V, M) of a sample, without a data set: C is two values for each coordinate."""
    data = config.data
    return len(data.inputs), 2 * data.num_channel, data.num_frame, skeleton_graph(config).num_joints, data.num_person


def build_feeder(config, split):
    """The feeder of 'train' or 'eval'; raises UserError where the data set does not fit the configuration."""
    data = config.data
    paths = split_paths(data.root_folder, data.transform, config.dataset, split)
    if missing := [path for path in paths if not path.is_file()]:
        how = "main.py -c {} -gd" if config.dataset in DATA_SETS else "tools/import_data.py FOLDER -c {}"
        raise UserError(f"{missing[0]}: no such file; make the data set first: python {how.format(config.config)}")
    sizes = {key: getattr(data, key) for key in ("num_frame", "num_channel", "num_person", "inputs")}
    limit = DEBUG_SAMPLES if config.debug else None
    feeder = NTUFeeder(*paths, graph=skeleton_graph(config), num_classes=len(class_names(config)), limit=limit, **sizes)
    if config.dataset in DATA_SETS:
        check_split(feeder.names, paths[1], config.dataset, split)
        if not config.trust_labels:
            check_labels(feeder.names, feeder.labels, paths[1])
    return feeder


def implausible_samples(feeder, transform):
    """Lines on what many samples of a feeder look like instead of people in metres, of some that are spread over all."""
    samples = feeder.data.read(np.linspace(0, len(feeder) - 1, min(len(feeder), 32)).astype(int).tolist())
    found = Counter(note for sample in samples for note in implausible(sample, feeder.graph, transform))
    return [f"{count} of {len(samples)} samples: {note}" for note, count in found.items() if 2 * count > len(samples)]


def check_split(names, path, dataset, split):
    """Raise UserError where recordings that a label file names are not of this split of NTU RGB+D; other names may be any."""
    if wrong := [names[i] for i, sample in parse_names(names) if DATA_SETS[dataset].split(sample) != split]:
        found = f"{len(wrong)} of {len(names)} samples do not belong to the {split} split of {dataset}, as {wrong[0]}"
        raise UserError(f"{path}: {found}; two splits or data sets are mixed up: generate them again (-gd)")


def build_loader(config, feeder, *, train):
    """A loader of `feeder`'s batches [features, labels, indices] in an order that (seed, epoch) fixes."""
    rank, world = get_rank(), get_world_size()
    size = config.data.train_batch_size if train else config.data.eval_batch_size
    batches = EpochBatches(len(feeder), size, shuffle=train, seed=config.seed, rank=rank, world=world)
    if train and batches.steps < config.accumulate:
        step = f"train_batch_size {size} x accumulate {config.accumulate} on {world} device(s)"
        raise UserError(f"{step}: more than the {len(feeder)} training samples")
    return Loader(feeder, batches, config.workers)


def build_model(config):
    """The network of a configuration, seeded; raises UserError where its sizes do not fit."""
    seed_everything(config.seed)
    graph = skeleton_graph(config)
    try:
        sizes = data_shape(config), len(class_names(config)), graph.adjacency(), graph.part_of_joint
        return EfficientGCN(*sizes, model_type=config.model_type, **dict(config.model_args))
    except ValueError as error:
        raise UserError(f"config {config.config}: {error}") from error


def why_misfit(theirs, ours):
    """`say_misfit` of weights {name: shape}, and the configurations that these would fit: `it fits -c 2013, 2014`."""

    def plain(shapes):  # without fixed tables and axes of length 1, which a linear layer lacks
        return {name: [n for n in shape if n > 1] for name, shape in shapes.items() if not name.endswith((".A", ".joints"))}

    built, fits, wanted = {}, [], plain(theirs)
    for name in sorted(path.stem for pattern in ("20??", "20??_?") for path in FOLDER.glob(f"{pattern}.yaml")):
        config = load_config(name)
        network = str((config.model_type, config.model_args, config.data.inputs, len(class_names(config))))
        if network not in built:
            built[network] = plain({key: tensor.shape for key, tensor in build_model(config).state_dict().items()})
        fits += [name] * (built[network] == wanted)
    return "; ".join(filter(None, (say_misfit(theirs, ours), f"it fits -c {', '.join(fits)}" if fits else "")))


def build_runner(model, all_frames=False, to_static=False):
    """What runs the network on batches: on a CPU in groups, on all threads that it may use; or as one program, of all frames."""
    if to_static:
        model.forward = signals_later()(paddle.jit.to_static(model.forward, full_graph=True))  # as in export/program.py
        return Runner(model, all_frames=True)
    return Runner(model, all_frames) if on_gpu() else ThreadedRunner(model, threads(), all_frames, FoldedRunner)


def build_recipe(config, model, train_loader):
    """The Recipe of a configuration: optimizer, schedule and precision, for the batches of a loader."""
    args, factor = config.schedule.model_dump(), FACTORS[config.lr_scheduler]
    rate = getattr(config.optimizer_args, config.optimizer).learning_rate
    if config.scale_lr:
        together = config.data.train_batch_size * get_world_size() * config.accumulate
        rate *= together / RECIPE_BATCH
        get_logger().info(f"--scale_lr: learning rate {rate:g} for {together} samples a step")
    steps = train_loader.batches.steps // config.accumulate
    schedule = paddle.optimizer.lr.LambdaDecay(rate, lambda step: factor(step, steps, **args))
    optimizer = build_optimizer(config, model, schedule)
    amp = mixed_precision(config.amp, config.amp_dtype, model, optimizer)
    evaluates = partial(evaluates_after, max_epoch=args["max_epoch"], step_lr=args.get("step_lr"))
    return Recipe(optimizer, schedule, args["max_epoch"], evaluates, config.seed, config.accumulate, amp, config.skip_nonfinite)


def build_optimizer(config, model, schedule):
    """The configured optimizer over the model's trainable parameters."""
    args = getattr(config.optimizer_args, config.optimizer).model_dump()
    args.pop("learning_rate")
    if config.clip_norm:
        args["grad_clip"] = paddle.nn.ClipGradByGlobalNorm(config.clip_norm)
    parameters = [p for p in model.parameters() if not p.stop_gradient]
    return getattr(paddle.optimizer, config.optimizer)(learning_rate=schedule, parameters=parameters, **args)


def synchronise_batch_norm(config, model):
    """The model with batch norm over all GPUs, where the configuration asks for it (not verified: needs several GPUs)."""
    if not config.sync_bn:
        return model
    if not on_gpu():
        raise UserError("--sync_bn true: Paddle synchronises batch norm on GPUs only; leave it out here")
    return paddle.nn.SyncBatchNorm.convert_sync_batchnorm(model)


def log_setup(config, feeder, model):
    """Log what a run is made of, in the lines that readers of these logs expect, and in one line for everybody."""
    log, data, classes = get_logger().debug, config.data, len(class_names(config))
    size = sum(p.size for p in model.parameters() if not p.stop_gradient)
    samples = f"{len(feeder)} sample{'s' * (len(feeder) > 1)}"
    get_logger().info(f"{config.model_type}, {size:,} parameters; {config.dataset}, {samples}, {classes} classes")
    log(f"Dataset: {config.dataset}, {'debug: ' if config.debug else ''}{len(feeder)} samples")
    log(f"Batch size: train-{data.train_batch_size}, eval-{data.eval_batch_size}")
    log(f"Data shape (branch, channel, frame, joint, person): {list(data_shape(config))}")
    log(f"Number of action classes: {classes}")
    log(f"Model: {config.model_type} {config.plain()['model_args']}, built (channels, stride, depth): {model.blocks}")
    log(f"LR_Scheduler: {config.lr_scheduler} {config.schedule.model_dump()}")
    log(f"Optimizer: {config.optimizer} {getattr(config.optimizer_args, config.optimizer).model_dump()}")
    log("Loss function: cross entropy")
    log("Successful!")


# ---------------------------------------------------------------- jobs and their folders


def runs_folder(config):
    """Folder of all runs of a configuration."""
    return Path(config.work_dir) / f"{config.config}_{config.model_type}_{config.dataset}"


def with_newest_checkpoint(config):
    """The configuration with the path that `-pp best` or `-pp last` means; raises UserError where the newest run has none."""
    runs, name = runs_folder(config), f"{config.pretrained_path}.pdparams"
    folders = sorted({path.parent for path in runs.glob("*/*.pdparams")})
    if not folders or not (folders[-1] / name).is_file():
        why = f"{folders[-1]} has none yet; -pp last is there" if folders else f"no run in {runs}; train, or give a file"
        raise UserError(f"-pp {config.pretrained_path}: {why}")
    return config.model_copy(update={"pretrained_path": str(folders[-1] / name)})


def start_job(config, tuned, *, train, folder=None):
    """Device, processes and folder of a job, and the first lines of its log; returns the folder."""
    first = get_rank() == 0
    if folder is None:
        parent = runs_folder(config) if train else Path(config.work_dir) / "temp"
        folder = make_run_folder(parent) if first else parent  # other ranks write nothing
    log = set_up_logging(folder if first else None, quiet=not first, brief=watched() and not config.no_progress_bar)
    device = choose_device(config.gpus)
    if paddle.distributed.ParallelEnv().world_size > 1:
        paddle.distributed.init_parallel_env()
    log.debug(f"Versions: {versions()}")
    world = get_world_size()
    say = log.info if on_gpu() or world > 1 else log.debug  # the CPU was asked for, or there is no GPU, which was said
    say(f"Device: {device}{f', {world} processes' if world > 1 else ''}")
    log.debug(f"Set for speed: {tuned}")
    log.info(f"Saving folder path: {folder}")
    log.debug(f"Saving model name: {runs_folder(config).name}")
    return folder


def open_run_folder(config, folder, model, path, state):
    """Write what a run folder says of the run (rank 0); returns its Recorder, which goes on where the ResumeState stands.

    `path`: the checkpoint that it starts from, if any.
    """
    if get_rank() > 0:
        return Recorder()
    if path == folder / "previous.pdparams" and not config.pretrained_path:
        path.replace(folder / "last.pdparams")  # for the damaged one, so that saving moves the good one back here
    settings = {key: value for key, value in config.plain().items() if key not in JOB}  # `-c RUN/config.yaml` may do any job
    if config.resume and (folder / "config.yaml").exists():
        old = {key: value for key, value in read_yaml(folder / "config.yaml").items() if key not in JOB}
        for line in changed_settings(old, settings):
            get_logger().info(f"Changed since the run began: {line}")
    recorder = Recorder(folder, state.progress.metrics if state.progress else 0)
    texts = {
        "config.yaml": yaml.safe_dump(settings, sort_keys=False),
        "model.txt": f"{model}\nblocks (channels, stride, depth) as built: {model.blocks}\n",
    }
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return recorder
