"""EfficientGCN: input branches fused early, one main stream, a linear classifier.

Song, Zhang, Shan, Wang, "Constructing Stronger and Faster Baselines for Skeleton-based Action Recognition", IEEE TPAMI
2022 (doi 10.1109/TPAMI.2022.3157033). Layer names are those of the published checkpoints and must stay.
"""

import re

import paddle
from paddle import nn

from .activations import ACTIVATIONS
from .attentions import ATTENTIONS, AttentionLayer
from .frames import Frames
from .initializer import init_weights
from .layers import TEMPORAL_LAYERS, BasicLayer, BatchNorm, SpatialGraphLayer


def scale_blocks(model_type, block_args, scale_args):
    """Block sizes [(channels, stride, depth)] of the family's member that `model_type` ends with (EfficientGCN-Bk).

    Compound scaling (paper, section 3.5): width * scale_args[0]^k in steps of 16, depth * scale_args[1]^k. B0's listed 24
    channels are thus built as 32, its depth 0.5 as no temporal layer. Raises ValueError on another name.
    """
    match = re.fullmatch(r"EfficientGCN-B(\d)", model_type)
    if not match:
        raise ValueError(f"model_type {model_type!r}: must be EfficientGCN-B0 to EfficientGCN-B9")
    width, depth = (scale ** int(match[1]) for scale in scale_args)
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

    def add_blocks(self, channels, blocks, make):
        """Append `blocks` [(channels, stride, depth)] after a layer of `channels`; returns the last block's channels."""
        for i, (width, stride, depth) in enumerate(blocks):
            self.add_sublayer(f"block-{i}_scn", make.spatial(channels, width))
            for j in range(depth):
                self.add_sublayer(f"block-{i}_tcn-{j}", make.temporal(width, stride if j == 0 else 1))
            self.stride *= stride if depth else 1
            if make.att_type != "none":
                self.add_sublayer(f"block-{i}_att", make.attention(width, self.stride))
            channels = width
        return channels


class LayerFactory:
    """Makes layers of one kind of network: what all blocks have in common is said once."""

    def __init__(self, A, parts, kernel_size, layer_type, att_type, act_type, expand_ratio, reduct_ratio, bias, edge):
        self.A, self.parts, self.window = A[: kernel_size[1] + 1], parts, kernel_size[0]
        self.layer_type, self.att_type, self.act_type = layer_type, att_type, act_type
        self.expand_ratio, self.reduct_ratio, self.bias, self.edge = expand_ratio, reduct_ratio, bias, edge
        self.frames = Frames()

    def spatial(self, in_channels, out_channels):
        return SpatialGraphLayer(in_channels, out_channels, self.A, self.act_type, self.bias, self.edge)

    def temporal(self, channels, stride):
        return TEMPORAL_LAYERS[self.layer_type](
            channels,
            self.window,
            stride,
            self.act_type,
            self.bias,
            expand_ratio=self.expand_ratio,
            reduct_ratio=self.reduct_ratio,
        )

    def stem_temporal(self, channels):
        return BasicLayer(channels, self.window, 1, self.act_type, self.bias)

    def attention(self, channels, stride):
        return AttentionLayer(
            channels,
            self.att_type,
            self.act_type,
            reduct_ratio=self.reduct_ratio,
            bias=self.bias,
            parts=self.parts,
            num_joints=self.A.shape[1],
            frames=self.frames,
            stride=stride,
        )


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
        self,
        data_shape,
        num_classes,
        A,
        parts,
        *,
        model_type,
        stem_channel,
        block_args,
        fusion_stage,
        act_type,
        att_type,
        layer_type,
        drop_prob,
        kernel_size,
        scale_args,
        expand_ratio,
        reduct_ratio,
        bias,
        edge,
    ):
        super().__init__()
        self.num_branches, channels, _, self.num_joints, self.num_bodies = data_shape
        for value, known, key in (
            (act_type, ACTIVATIONS, "act_type"),
            (layer_type, TEMPORAL_LAYERS, "layer_type"),
            (att_type, [*ATTENTIONS, "none"], "att_type"),
        ):
            if value not in known:
                raise ValueError(f"model_args.{key} {value!r}: must be one of {', '.join(known)}")
        if A.shape[0] <= kernel_size[1]:
            raise ValueError(f"model_args.kernel_size {kernel_size}: the graph is known up to {A.shape[0] - 1} hops")
        if not 0 <= fusion_stage < len(block_args):
            raise ValueError(f"model_args.fusion_stage {fusion_stage}: must be 0 to {len(block_args) - 1}")
        make = LayerFactory(A, parts, kernel_size, layer_type, att_type, act_type, expand_ratio, reduct_ratio, bias, edge)
        self.blocks = scale_blocks(model_type, block_args, scale_args)

        self.input_branches = nn.LayerList()
        for _ in range(self.num_branches):
            branch = Stream()
            branch.add_sublayer("init_bn", BatchNorm(channels))
            branch.add_sublayer("stem_scn", make.spatial(channels, stem_channel))
            for layer in branch.sublayers():
                if isinstance(layer, BatchNorm):
                    layer.exact = True  # the gradient of init_bn's bias is a millionth of what is summed up for it
            branch.add_sublayer("stem_tcn", make.stem_temporal(stem_channel))
            width = branch.add_blocks(stem_channel, self.blocks[:fusion_stage], make)
            self.input_branches.append(branch)
        self.main_stream = Stream(branch.stride)
        width = self.main_stream.add_blocks(width * self.num_branches, self.blocks[fusion_stage:], make)
        self.classifier = Classifier(width, num_classes, drop_prob)
        self.frames = make.frames
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
