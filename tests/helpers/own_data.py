"""A data set of one's own: its configuration and a folder of samples."""

import json

import numpy as np
import pytest
import yaml

CLASSES = ["wave", "sit down", "fall"]


@pytest.fixture
def own(tmp_path):
    """own(**changes) -> path of a configuration of a data set of 18 joints, one body, x and y, three classes."""

    def write(**changes):
        (tmp_path / "classes.txt").write_text("# mine\n" + "\n".join(CLASSES) + "\n")
        args = {
            "train_batch_size": 4,
            "eval_batch_size": 3,
            "num_frame": 8,
            "root_folder": str(tmp_path / "npy"),
            "graph": "openpose18",
            "num_channel": 2,
            "num_person": 1,
            "class_names": str(tmp_path / "classes.txt"),
        } | changes
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump({"dataset": "custom-mine", "dataset_args": {"custom": args}}))
        return str(path)

    return write


def write_source(folder, count=6, frames=(6, 10), joints=18, channels=2):
    """A folder of samples, every second one JSON; returns {name: coordinates (T, V, C)}."""
    rng, samples = np.random.default_rng(0), {}
    for split in ("train", "eval"):
        for i in range(count):
            place = folder / split / CLASSES[i % 2]  # nobody falls
            place.mkdir(parents=True, exist_ok=True)
            sample = rng.normal(size=(frames[i % 2], joints, channels)).round(3)
            name = f"{split}{i}"
            samples[name] = sample
            if i % 2:
                np.save(place / f"{name}.npy", sample)
            else:
                (place / f"{name}.json").write_text(json.dumps(sample[:, None].tolist()))
    return samples
