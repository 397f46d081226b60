"""EfficientGCN: input branches fused early, one main stream, a linear classifier.

Song, Zhang, Shan, Wang, "Constructing Stronger and Faster Baselines for Skeleton-based Action Recognition", IEEE TPAMI
2022 (doi 10.1109/TPAMI.2022.3157033). Layer names are those of the published checkpoints and must stay.
"""

from functools import partial

import paddle
from paddle import nn

from .attentions import AttentionLayer
from .frames import Frames
from .initializer import init_weights
from .layers import TEMPORAL_LAYERS, BasicLayer, BatchNorm, SpatialGraphLayer


def scale_blocks(model_type, block_args, scale_args):
    """Block sizes [(channels, stride, depth)] of the family's member that `model_type` ends with (EfficientGCN-Bk).

    Compound scaling (paper, section 3.5): width * scale_args[0]^k in steps of 16, depth * scale_args[1]^k. B0's listed 24
    channels are thus built as 32, its depth 0.5 as no temporal layer.
    """
    k = int(model_type.removeprefix("EfficientGCN-B"))
    width, depth = (scale**k for scale in scale_args)
    return [
        (max(round(channels * width / 16) * 16, 16), stride, round(layers * depth)) for channels, stride, layers in block_args
    ]


class Stream(nn.Sequential):
    """Blocks in a row: spatial graph layer, temporal layers (the first has the stride), attention.

    `stride`: of the frames that come out, in frames of the network's input; at first, of those that go in.
    """

    def __init__(self, stride=1):
        super().__init__()
        self.stride = stride

    def add_blocks(self, channels, blocks, spatial, temporal, attention):
        """Append `blocks` [(channels, stride, depth)] after a layer of `channels`; returns the last block's channels.

        `spatial`, `temporal` and `attention` (or None) make a layer of the sizes that differ between blocks.
        """
        for i, (width, stride, depth) in enumerate(blocks):
            self.add_sublayer(f"block-{i}_scn", spatial(channels, width))
            for j in range(depth):
                self.add_sublayer(f"block-{i}_tcn-{j}", temporal(width, stride=stride if j == 0 else 1))
            self.stride *= stride if depth else 1
            if attention:
                self.add_sublayer(f"block-{i}_att", attention(width, stride=self.stride))
            channels = width
        return channels


class Classifier(nn.Layer):
    """Logits (N, classes) of pooled features (N, C): dropout, 1x1x1 convolution (the published checkpoint's form)."""

    def __init__(self, channels, num_classes, drop_prob):
        super().__init__()
        self.dropout = nn.Dropout(drop_prob)
        self.fc = nn.Conv3D(channels, num_classes, 1)

    def forward(self, pooled):
        return self.fc(self.dropout(pooled).reshape([-1, pooled.shape[1], 1, 1, 1])).flatten(1)


class EfficientGCN(nn.Layer):
    """x (N, I, C, T, V, M) -> logits (N, num_classes), feature map (N, C', T', V, M).

    `A` (hops, V, V) is the normalised adjacency per hop distance, `parts` (V,) each joint's body part, `data_shape` =
    (I, C, T, V, M). Sizes that do not fit raise ValueError here, not in forward.
    """

    def __init__(
        self, data_shape, num_classes, A, parts, *, model_type, stem_channel, block_args, scale_args, fusion_stage, kernel_size,
        act_type, att_type, layer_type, expand_ratio, reduct_ratio, drop_prob, bias, edge,
    ):  # fmt: skip
        super().__init__()
        self.num_branches, channels, _, self.num_joints, self.num_bodies = data_shape
        if A.shape[0] <= kernel_size[1]:
            raise ValueError(f"model_args.kernel_size {kernel_size}: the graph is known up to {A.shape[0] - 1} hops")
        if not 0 <= fusion_stage < len(block_args):
            raise ValueError(f"model_args.fusion_stage {fusion_stage}: must be 0 to {len(block_args) - 1}")
        self.blocks, self.frames = scale_blocks(model_type, block_args, scale_args), Frames()
        narrowest = min(width for width, _, _ in self.blocks)
        if reduct_ratio > narrowest:
            raise ValueError(f"model_args.reduct_ratio {reduct_ratio}: must be at most {narrowest}, the narrowest block's width")
        window, common, seen = kernel_size[0], {"act_type": act_type, "bias": bias}, {"parts": parts, "frames": self.frames}
        ratios = {"expand_ratio": expand_ratio, "reduct_ratio": reduct_ratio}
        spatial = partial(SpatialGraphLayer, A=A[: kernel_size[1] + 1], edge=edge, **common)
        temporal = partial(TEMPORAL_LAYERS[layer_type], window=window, **ratios, **common)
        attention = partial(AttentionLayer, att_type, num_joints=self.num_joints, reduct_ratio=reduct_ratio, **seen, **common)
        make = spatial, temporal, None if att_type == "none" else attention

        self.input_branches = nn.LayerList()
        for _ in range(self.num_branches):
            branch = Stream()
            branch.add_sublayer("init_bn", BatchNorm(channels))
            branch.add_sublayer("stem_scn", spatial(channels, stem_channel))
            for layer in branch.sublayers():
                if isinstance(layer, BatchNorm):
                    layer.exact = True  # the gradient of init_bn's bias is a millionth of what is summed up for it
            branch.add_sublayer("stem_tcn", BasicLayer(stem_channel, window, 1, **common))
            width = branch.add_blocks(stem_channel, self.blocks[:fusion_stage], *make)
            self.input_branches.append(branch)
        self.main_stream = Stream(branch.stride)
        width = self.main_stream.add_blocks(width * self.num_branches, self.blocks[fusion_stage:], *make)
        self.classifier = Classifier(width, num_classes, drop_prob)
        self.frames.follow([branch, self.main_stream])
        init_weights(self)

    def forward(self, x):
        I, C, T, V, M = x.shape[1:]
        x = self.streams(x.transpose([1, 0, 5, 2, 3, 4]).reshape([I, -1, C, T, V]))
        logits = self.classify(self.pool(x).reshape([-1, M, x.shape[1]]))
        return logits, x.reshape([-1, M, *x.shape[1:]]).transpose([0, 2, 3, 4, 1])

    def streams(self, x):
        """(I, N*M, C, T, V) -> feature map (N*M, C', T', V)."""
        return self.main_stream(paddle.concat([branch(x[i]) for i, branch in enumerate(self.input_branches)], axis=1))

    def pool(self, x):
        """Mean over frames and joints, (N*M, C)."""
        return self.frames.mean(x, self.main_stream.stride).mean(axis=[2, 3])

    def classify(self, pooled):
        """(N, M, C) -> logits (N, classes)."""
        return self.classifier(pooled.mean(1))
