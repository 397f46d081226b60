"""From a configuration to objects: data, network, schedule, optimizer. Nothing is built that the job does not need."""

import random

import numpy as np
import paddle

from dataset.graph import NTU
from dataset.ntu_feeder import EpochBatches, NTUFeeder, split_paths
from model import EfficientGCN
from reader.splits import DATASETS
from scheduler.lr_schedulers import FACTORS, evaluates_after
from utils import UserError, get_logger

DEBUG_SAMPLES = 300


def choose_device(gpus):
    """Make Paddle use the first of `gpus` that this process has, or the CPU; returns the device's name."""
    if not gpus:
        return paddle.set_device("cpu")
    count = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if count == 0:
        get_logger().info("No GPU present: running on the CPU")
        return paddle.set_device("cpu")
    local = gpus[0] if paddle.distributed.get_world_size() == 1 else paddle.distributed.ParallelEnv().device_id
    if local >= count:
        raise UserError(f"--gpus {local}: this machine has GPUs 0 to {count - 1}")
    return paddle.set_device(f"gpu:{local}")


def seed_everything(seed):
    """Seed Python, NumPy and Paddle."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    paddle.seed(seed)


def build_feeder(config, split):
    """The feeder of 'train' or 'eval'; raises UserError where the data set does not fit the configuration."""
    data = config.data
    return NTUFeeder(*split_paths(data.root_folder, data.transform, config.dataset, split), num_frame=data.num_frame,
                     inputs=data.inputs, graph=NTU, num_classes=DATASETS[config.dataset].num_classes,
                     limit=DEBUG_SAMPLES if config.debug else None)


def _ignore_signals(_worker):
    """In a loader's worker: Ctrl-C is the main process's to handle, and SIGTERM ends the worker."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def build_loader(config, feeder, *, train):
    """A loader of `feeder`'s batches [features, labels, indices] in an order that (seed, epoch) fixes."""
    rank, world = paddle.distributed.get_rank(), paddle.distributed.get_world_size()
    size = config.data.train_batch_size if train else config.data.eval_batch_size
    batches = EpochBatches(len(feeder), size, shuffle=train, seed=config.seed, rank=rank, world=world)
    if train and batches.steps == 0:
        raise UserError(f"train_batch_size {size} on {world} device(s): more than the {len(feeder)} training samples")
    # the "data set" is the indices themselves: a whole batch of features is computed at once, in the worker
    return paddle.io.DataLoader(list(range(len(feeder))), batch_sampler=batches, collate_fn=feeder.batch, num_workers=config.workers,
                                worker_init_fn=_ignore_signals, use_shared_memory=config.workers > 0)


def data_shape(config):
    """(I, C, T, V, M) of a sample, without a data set."""
    return len(config.data.inputs), 6, config.data.num_frame, NTU.num_joints, 2


def build_model(config):
    """The network of a configuration, seeded; raises UserError where its sizes do not fit."""
    seed_everything(config.seed)
    args = {key: getattr(config.model_args, key) for key in type(config.model_args).model_fields}
    args["block_args"] = [(block.channels, block.stride, block.depth) for block in config.model_args.block_args]
    try:
        return EfficientGCN(data_shape(config), DATASETS[config.dataset].num_classes, NTU.adjacency(), NTU.part_of_joint,
                            model_type=config.model_type, **args)
    except ValueError as error:
        raise UserError(f"config {config.config}: {error}") from error


def build_schedule(config, steps_per_epoch):
    """(learning-rate scheduler, one step a batch; function of an epoch that says whether to evaluate after it)."""
    args = config.schedule.model_dump()
    factor = FACTORS[config.lr_scheduler]
    base = getattr(config.optimizer_args, config.optimizer).learning_rate
    schedule = paddle.optimizer.lr.LambdaDecay(base, lambda step: factor(step, steps_per_epoch, **args))
    return schedule, lambda epoch: evaluates_after(epoch, args["max_epoch"], args.get("step_lr"))


def build_optimizer(config, model, schedule):
    """The configured optimizer over the model's trainable parameters."""
    args = getattr(config.optimizer_args, config.optimizer).model_dump()
    args.pop("learning_rate")
    return getattr(paddle.optimizer, config.optimizer)(
        learning_rate=schedule, parameters=[p for p in model.parameters() if not p.stop_gradient], **args)
