"""Small networks, data sets and settings, with which a run takes seconds."""

import pickle
import zlib

import numpy as np

from dataset.graph import Graph

TINY = {
    "gpus": "[]",
    "workers": "0",
    "dataset_args.ntu.num_frame": "8",
    "dataset_args.ntu.train_batch_size": "4",
    "dataset_args.ntu.eval_batch_size": "3",
    "model_args.stem_channel": "8",
    "model_args.block_args": "[[16, 1, 0.5], [16, 2, 1]]",
    "model_args.fusion_stage": "1",
    "scheduler_args.cosine.max_epoch": "3",
    "scheduler_args.cosine.warm_up": "1",
    "no_progress_bar": "true",
}


def fill(model):
    """Give a network weights that follow from their names alone, whatever the library's random numbers."""
    for name, tensor in model.state_dict().items():
        last, noise = name.split(".")[-1], np.random.default_rng(zlib.crc32(name.encode())).normal(size=tensor.shape)
        if last == "joints" or last == "A":
            continue
        if last == "_variance":
            value = 1 + 0.1 * np.abs(noise)
        elif last == "edge" or (last == "weight" and noise.ndim == 1):
            value = 1 + 0.1 * noise
        else:
            value = noise * (np.sqrt(1.5 / np.prod(noise.shape[1:])) if last == "weight" else 0.1)
        tensor.set_value(value.astype("float32"))
    return model


CHAIN = Graph("chain", ((0, 1), (1, 2)), (0, 0, 1), {"one": (0, 1), "two": (2,)}, 0)


def small(num_classes=4, data_shape=(3, 6, 8, 3, 2), graph=CHAIN, **changes):
    """A network on a graph of three joints, in a row unless given, with named weights, T = 8, M = 2."""
    from model.nets import EfficientGCN

    args = {
        "model_type": "EfficientGCN-B0", "stem_channel": 8, "block_args": [[16, 1, 0.5], [16, 2, 1]], "fusion_stage": 1,
        "act_type": "swish", "att_type": "stja", "layer_type": "SG", "drop_prob": 0.0, "kernel_size": [5, 2],
        "scale_args": [1.2, 1.35], "expand_ratio": 2, "reduct_ratio": 2, "bias": True, "edge": True, **changes,
    }  # fmt: skip
    return fill(EfficientGCN(data_shape, num_classes, graph.adjacency(), graph.part_of_joint, **args))


def in_double_precision(model):
    """The network, its numbers now float64."""
    model.to(dtype="float64")
    for layer in model.sublayers():
        if "joints" in layer._buffers:  # indices
            layer.joints = layer.joints.astype("int64")
    return model


def write_split(folder, split, count, *, classes=4, seed=0, frames=300):
    """Write {split}_data.npy and _label.pkl of `count` samples whose motion depends on the class."""
    rng = np.random.default_rng((seed, zlib.crc32(split.encode())))
    labels = [int(i % classes) for i in range(count)]
    time = np.arange(frames) / 10
    data = rng.normal(0, 0.1, (count, 3, frames, 25, 2)).astype("float32")
    for i, label in enumerate(labels):
        data[i, label % 3] += np.sin(time * (1 + label))[:, None, None]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{split}_data.npy", data)
    place = "S002C002P001" if split == "train" else "S001C001P003"  # on its side of every data set's split
    names = [f"{place}R{i + 1:03}A{label + 1:03}.skeleton" for i, label in enumerate(labels)]
    with open(folder / f"{split}_label.pkl", "wb") as file:
        pickle.dump((names, labels, [frames] * count), file, 4)


def prepare_run(folder):
    """Fill a folder with a small data set; returns the command line (list) that trains a small network on it in seconds."""
    for split, count in (("train", 14), ("eval", 7)):
        write_split(folder / "npy" / "original" / "ntu-xsub", split, count)
    options = {**TINY, "dataset_args.ntu.root_folder": str(folder / "npy"), "work_dir": str(folder / "work")}
    return ["-c", "2001", *(f"--{key}={value}" for key, value in options.items())]


def shorten(path, frames=25):
    """Cut the samples of a data file to unlike lengths of less than `frames`, every second one to one body."""
    data = np.load(path)
    for n, sample in enumerate(data):
        sample[:, 3 + 7 * n % (frames - 3) :] = 0
        sample[..., 2 - n % 2 :] = 0
    np.save(path, data)
