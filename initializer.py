"""From a configuration to objects: data, network, schedule, optimizer. Nothing is built that the job does not need."""

import os
import random
from contextlib import suppress

import numpy as np
import paddle
from paddle.distributed import get_rank, get_world_size

from dataset.actions import action_names, read_names
from dataset.graph import NTU, Graph
from dataset.loader import Loader
from dataset.ntu_feeder import EpochBatches, NTUFeeder, split_paths
from model import EfficientGCN
from model.layers import SpatialGraphConv
from reader.ntu_reader import SkeletonError, parse_name
from reader.splits import DATA_SETS
from scheduler.lr_schedulers import FACTORS, evaluates_after
from training.runners import InParts, Whole
from utils.errors import UserError
from utils.log import get_logger
from utils.process import threads

DEBUG_SAMPLES = 300
RECIPE_BATCH = 16  # samples a step that the learning rates of the recipe are for


def gpu_count():
    """Number of GPUs that Paddle can use here."""
    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0


def several_gpus(gpus):
    """Whether `gpus` asks for a process each; raises UserError where some are not there. False on a machine without."""
    missing = [gpu for gpu in gpus if gpu >= gpu_count()]
    if missing and gpu_count():
        raise UserError(f"--gpus {missing[0]}: this machine has GPUs 0 to {gpu_count() - 1}")
    return len(gpus) > 1 and gpu_count() > 0


def choose_device(gpus):
    """Make Paddle use the first of `gpus`, the one that its launcher gave this process, or the CPU; returns its name."""
    if not gpus or gpu_count() == 0:
        if gpus:
            processes = "" if len(gpus) == 1 else f", in one process instead of {len(gpus)}"
            get_logger().info(f"No GPU present: running on the CPU{processes if get_world_size() == 1 else ''}")
        os.environ.setdefault("PADDLE_DISTRI_BACKEND", "gloo")
        return paddle.set_device("cpu")
    return paddle.set_device(f"gpu:{gpus[0] if get_world_size() == 1 else paddle.distributed.ParallelEnv().device_id}")


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


def num_classes(config):
    """Number of action classes of a configuration's data set."""
    return len(class_names(config))


def data_shape(config):
    """(I, C, T, V, M) of a sample, without a data set: C is two values for each coordinate."""
    data = config.data
    return len(data.inputs), 2 * data.num_channel, data.num_frame, skeleton_graph(config).num_joints, data.num_person


def build_feeder(config, split):
    """The feeder of 'train' or 'eval'; raises UserError where the data set does not fit the configuration."""
    data = config.data
    paths = split_paths(data.root_folder, data.transform, config.dataset, split)
    feeder = NTUFeeder(
        *paths,
        num_frame=data.num_frame,
        inputs=data.inputs,
        num_channel=data.num_channel,
        num_person=data.num_person,
        graph=skeleton_graph(config),
        num_classes=num_classes(config),
        limit=DEBUG_SAMPLES if config.debug else None,
    )
    if config.dataset in DATA_SETS:
        refuse_strangers(feeder.names, paths[1], config.dataset, split)
    return feeder


def refuse_strangers(names, path, dataset, split):
    """Raise UserError where recordings that a label file names are not of this split of NTU RGB+D; other names may be any."""
    rules, wrong = DATA_SETS[dataset], []
    for name in names:
        with suppress(SkeletonError):
            sample = parse_name(name)
            if not rules.holds(sample) or rules.is_train(sample) != (split == "train"):
                wrong.append(name)
    if wrong:
        raise UserError(
            f"{path}: {len(wrong)} of {len(names)} samples do not belong to the {split} split of {dataset}, as {wrong[0]}; "
            "the files of two splits or data sets are mixed up: generate them again (-gd)"
        )


def build_loader(config, feeder, *, train):
    """A loader of `feeder`'s batches [features, labels, indices] in an order that (seed, epoch) fixes."""
    rank, world = get_rank(), get_world_size()
    size = config.data.train_batch_size if train else config.data.eval_batch_size
    batches = EpochBatches(len(feeder), size, shuffle=train, seed=config.seed, rank=rank, world=world)
    if train and batches.steps < config.accumulate:
        raise UserError(
            f"train_batch_size {size} x accumulate {config.accumulate} on {world} device(s): more than the {len(feeder)} "
            "training samples"
        )
    return Loader(feeder, batches, config.workers)


def build_model(config):
    """The network of a configuration, seeded; raises UserError where its sizes do not fit."""
    seed_everything(config.seed)
    graph = skeleton_graph(config)
    args = {key: getattr(config.model_args, key) for key in type(config.model_args).model_fields}
    args["block_args"] = [(block.channels, block.stride, block.depth) for block in config.model_args.block_args]
    try:
        return EfficientGCN(
            data_shape(config), num_classes(config), graph.adjacency(), graph.part_of_joint, model_type=config.model_type, **args
        )
    except ValueError as error:
        raise UserError(f"config {config.config}: {error}") from error


def build_run(model):
    """What runs the network on batches: on a CPU in parts, on all threads that it may use."""
    return Whole(model) if "gpu" in paddle.get_device() else InParts(model, threads())


def build_schedule(config, steps_per_epoch):
    """(learning-rate scheduler, one step a batch; function of an epoch that says whether to evaluate after it)."""
    args = config.schedule.model_dump()
    factor = FACTORS[config.lr_scheduler]
    base = getattr(config.optimizer_args, config.optimizer).learning_rate
    if config.scale_lr:
        together = config.data.train_batch_size * get_world_size() * config.accumulate
        base *= together / RECIPE_BATCH
        get_logger().info(f"--scale_lr: learning rate {base:g} for {together} samples a step")
    schedule = paddle.optimizer.lr.LambdaDecay(base, lambda step: factor(step, steps_per_epoch, **args))
    return schedule, lambda epoch: evaluates_after(epoch, args["max_epoch"], args.get("step_lr"))


def build_optimizer(config, model, schedule):
    """The configured optimizer over the model's trainable parameters."""
    args = getattr(config.optimizer_args, config.optimizer).model_dump()
    args.pop("learning_rate")
    if config.clip_norm:
        args["grad_clip"] = paddle.nn.ClipGradByGlobalNorm(config.clip_norm)
    return getattr(paddle.optimizer, config.optimizer)(
        learning_rate=schedule, parameters=[p for p in model.parameters() if not p.stop_gradient], **args
    )


def synchronise_batch_norm(config, model):
    """The model with batch norm over all GPUs, where the configuration asks for it (not verified: needs several GPUs)."""
    if not config.sync_bn:
        return model
    if "gpu" not in paddle.get_device():
        raise UserError("--sync_bn true: Paddle synchronises batch norm on GPUs only; leave it out here")
    return paddle.nn.SyncBatchNorm.convert_sync_batchnorm(model)


def mixed_precision(config, model, optimizer):
    """Arguments of paddle.amp.auto_cast (None: mixed precision is off), with model and optimizer made ready for them.

    Batch norm computes in float32, as do the features, which the feeder makes. O2 keeps parameters in 16 bits beside float32
    master weights in the optimizer. On a CPU Paddle has no mixed precision: this is said, and float32 is used.
    """
    if config.amp is None:
        return None
    on_gpu = "gpu" in paddle.get_device()
    if not on_gpu:
        get_logger().info(f"--amp {config.amp}: no GPU, so this run computes in float32")
    elif config.amp == "O2":  # the graph's fixed adjacency and its edge weights stay in float32
        paddle.amp.decorate(
            model,
            optimizer,
            level="O2",
            dtype=config.amp_dtype,
            master_weight=True,
            save_dtype="float32",
            excluded_layers=[SpatialGraphConv],
        )
    return {
        "enable": on_gpu,
        "level": config.amp,
        "dtype": config.amp_dtype,
        "custom_black_list": ["batch_norm", "sync_batch_norm", "sync_batch_norm_"],
    }


def log_setup(config, feeder, model):
    """Log what a run is made of, in the lines that readers of these logs expect."""
    log, data = get_logger().info, config.data
    log(
        f"Dataset: {config.dataset}, {len(feeder)} samples"
        if not config.debug
        else f"Dataset: {config.dataset}, debug: {len(feeder)} samples"
    )
    log(f"Batch size: train-{data.train_batch_size}, eval-{data.eval_batch_size}")
    log(f"Data shape (branch, channel, frame, joint, person): {list(feeder.sample_shape)}")
    log(f"Number of action classes: {num_classes(config)}")
    log(f"Model: {config.model_type} {config.plain()['model_args']}, built (channels, stride, depth): {model.blocks}")
    log(f"LR_Scheduler: {config.lr_scheduler} {config.schedule.model_dump()}")
    log(f"Optimizer: {config.optimizer} {getattr(config.optimizer_args, config.optimizer).model_dump()}")
    log("Loss function: cross entropy")
    log("Successful!")
