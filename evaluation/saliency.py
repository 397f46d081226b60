"""What a network looked at in a sample: its attention, and the joints and frames that spoke for a class."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import paddle

from model.attentions import AttentionLayer

from .scores import softmax

EVEN = 0.1  # of its largest value: a map that varies less is nearly even


@dataclass
class SampleSaliency:
    """A sample as the network saw it.

    motion: (T, M, V, 3) metres, x to the viewer's right, y up, z away from the viewer; seen: (T, M, V) bool, T up to the last
    frame that holds anything; probabilities: (classes,); maps: {title: (T', M, V)}, T' frames for all that the
    network takes, up to those of the last frame.
    """

    name: str
    label: int
    probabilities: np.ndarray
    motion: np.ndarray
    seen: np.ndarray
    maps: dict

    def bodies(self, frames):
        """(T', M) bool: which bodies are there in the `frames` T' of a map."""
        return self.seen.any(2)[np.arange(frames) * len(self.seen) // frames]

    def limits(self, values):
        """(least, largest value for colours, whether a map is nearly even); they are a tenth of the largest apart, or more."""
        there = values[self.bodies(len(values))]
        low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 0.0)
        apart = max(high - low, EVEN * abs(high)) or 1.0
        return (low + high - apart) / 2, (low + high + apart) / 2, high - low < apart

    @property
    def peak(self):
        """The frame of the highest class activation of the predicted class."""
        values = next(iter(self.maps.values()))
        best = (values.sum(2) * self.bodies(len(values))).sum(1).argmax()
        return int((best + 0.5) * len(self.seen) / len(values))


@contextmanager
def attention_maps(model):
    """Yield a list that each forward pass adds to: the map of each block after fusion, (N*M, T', V), its mean over channels."""
    maps = []

    def keep(_, inputs, output):
        *_, frames, joints = inputs[0].shape
        mean = output.numpy().mean(1)
        maps.append(np.broadcast_to(mean, (len(mean), frames, joints)))

    attentions = [layer for layer in model.main_stream.sublayers() if isinstance(layer, AttentionLayer)]
    hooks = [layer.att.register_forward_post_hook(keep) for layer in attentions]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def viewer_axes(coordinates, up):
    """(T, M, V, 3) of coordinates (C, T, V, M): x right, y up, z away from who looks at a person's front; 2D lies in z = 0.

    `up`: y (a sensor's axes: x to its left, z away from it), -y (images: x right, y down), z (after view normalisation).
    """
    x, y, z = [*coordinates[:3], *np.zeros((3, *coordinates.shape[1:]))][:3]
    axes = {"y": (-x, y, z), "-y": (x, -y, z), "z": (-x, z, -y)}[up]
    return np.stack(axes, axis=-1).transpose(0, 2, 1, 3)


def sample_saliency(model, feeder, index, names, up):
    """The SampleSaliency of a feeder's sample by a network in eval mode; `names` of the classes are for the titles of its maps.

    Class activation is the product of feature map and classifier weights, as in class activation maps (Zhou et al.,
    CVPR 2016): the logit is its mean over joints, frames and bodies, plus a bias. Only what speaks for the class is kept.
    """
    features, label, name = feeder[index]
    with paddle.no_grad(), attention_maps(model) as attention:
        logits, feature_map = (value.astype("float32").numpy()[0] for value in model(paddle.to_tensor(features[None])))
    weights = model.classifier.fc.weight.astype("float32").numpy().reshape(len(logits), -1)
    maps, guess = {}, int(logits.argmax())
    for what, number in [("predicted", guess), ("true", label)][: 1 + (label != guess)]:
        activation = np.maximum(np.tensordot(weights[number], feature_map, 1), 0)  # (T', V, M)
        maps[f"class activation, {what} class: {names[number]}"] = activation.transpose(0, 2, 1)
    for number, values in enumerate(attention, start=1):
        maps[f"attention, block {number} of {len(attention)} after fusion"] = values.transpose(1, 0, 2)
    coordinates = feeder.data.read([index])[0, :, : feeder.num_frame]
    seen = coordinates.any(0).transpose(0, 2, 1)  # (T, M, V)
    centre = seen[..., feeder.graph.centre]
    centre |= seen.any(2) & ~centre.any(0)  # the centre of view-normalised bodies is zero, yet not missing
    length = max(1, 1 + np.flatnonzero(seen.any((1, 2))).max(initial=0))
    motion = viewer_axes(coordinates, up)
    cut = {title: values[: -(-length * len(values) // feeder.num_frame)] for title, values in maps.items()}
    return SampleSaliency(name, label, softmax(logits), motion[:length], seen[:length], cut)
