"""EfficientGCN-B0 in eager PyTorch, as one writes it there: einsum for the graph, SiLU, no form of ours.

Layers have the names of the Paddle checkpoints, so that the same weights go in; batch norm's statistics are renamed.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class ConvBN(nn.Sequential):
    def __init__(self, in_channels, out_channels, window=1, stride=1, groups=1):
        conv = nn.Conv2d(in_channels, out_channels, (window, 1), (stride, 1), ((window - 1) // 2, 0), groups=groups)
        super().__init__(conv, nn.BatchNorm2d(out_channels))


class GraphConv(nn.Module):
    """out[w] = sum over hops d and joints v of conv_d(x)[v] * A[d, v, w] * edge[d, v, w]."""

    def __init__(self, in_channels, out_channels, A):
        super().__init__()
        self.gcn = nn.Conv2d(in_channels, out_channels * len(A), 1)
        self.register_buffer("A", torch.tensor(A, dtype=torch.float32))
        self.edge = nn.Parameter(torch.ones(A.shape))

    def forward(self, x):
        N, _, T, V = x.shape
        x = self.gcn(x).view(N, len(self.A), -1, T, V)
        return torch.einsum("nkctv,kvw->nctw", x, self.A * self.edge)


class GraphLayer(nn.Module):
    def __init__(self, in_channels, out_channels, A):
        super().__init__()
        self.conv = GraphConv(in_channels, out_channels, A)
        self.bn = nn.BatchNorm2d(out_channels)
        self.residual = nn.Identity() if in_channels == out_channels else ConvBN(in_channels, out_channels)

    def forward(self, x):
        return F.silu(self.bn(self.conv(x)) + self.residual(x))


class BasicLayer(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (5, 1), padding=(2, 0))
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.silu(self.bn(self.conv(x)) + x)


class SandglassLayer(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.residual = nn.Identity() if stride == 1 else ConvBN(channels, channels, stride=stride)
        self.depth_conv1 = ConvBN(channels, channels, 5, groups=channels)
        self.point_conv1 = ConvBN(channels, channels // 2)
        self.point_conv2 = ConvBN(channels // 2, channels)
        self.depth_conv2 = ConvBN(channels, channels, 5, stride, groups=channels)

    def forward(self, x):
        y = F.silu(self.depth_conv1(x))
        y = F.silu(self.point_conv2(self.point_conv1(y)))
        return self.depth_conv2(y) + self.residual(x)


class STJointAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fcn = ConvBN(channels, channels // 2)
        self.conv_t = nn.Conv2d(channels // 2, channels, 1)
        self.conv_v = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x):
        T, V = x.shape[2:]
        means = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], dim=2)
        frames, joints = F.hardswish(self.fcn(means)).split([T, V], dim=2)
        return self.conv_t(frames).sigmoid() * self.conv_v(joints.transpose(2, 3)).sigmoid()


class AttentionLayer(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.att = STJointAttention(channels)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.silu(self.bn(x * self.att(x)) + x)


class Classifier(nn.Module):
    def __init__(self, channels, num_classes, drop_prob):
        super().__init__()
        self.dropout = nn.Dropout(drop_prob)
        self.fc = nn.Conv3d(channels, num_classes, 1)

    def forward(self, x):
        return self.fc(self.dropout(x.mean((2, 3, 4), keepdim=True))).flatten(1)


class EfficientGCNB0(nn.Module):
    """x (N, 3, 6, T, V, M) -> logits (N, num_classes). `A` (3, V, V)."""

    def __init__(self, A, num_classes=60, drop_prob=0.25):
        super().__init__()
        branch = lambda: {  # noqa: E731
            "init_bn": nn.BatchNorm2d(6),
            "stem_scn": GraphLayer(6, 64, A),
            "stem_tcn": BasicLayer(64),
            "block-0_scn": GraphLayer(64, 48, A),
            "block-0_att": AttentionLayer(48),
            "block-1_scn": GraphLayer(48, 32, A),
            "block-1_att": AttentionLayer(32),
        }
        main = {}
        for i, (before, channels) in enumerate([(96, 64), (64, 128)]):
            main[f"block-{i}_scn"] = GraphLayer(before, channels, A)
            main[f"block-{i}_tcn-0"] = SandglassLayer(channels, 2)
            main[f"block-{i}_att"] = AttentionLayer(channels)
        self.input_branches = nn.ModuleList([_sequence(branch()) for _ in range(3)])
        self.main_stream = _sequence(main)
        self.classifier = Classifier(128, num_classes, drop_prob)

    def forward(self, x):
        N, I, C, T, V, M = x.shape
        x = x.permute(1, 0, 5, 2, 3, 4).reshape(I, N * M, C, T, V)
        x = torch.cat([branch(part) for branch, part in zip(self.input_branches, x, strict=True)], dim=1)
        x = self.main_stream(x)
        return self.classifier(x.view(N, M, *x.shape[1:]).permute(0, 2, 3, 4, 1))

    def load_paddle(self, weights):
        """Take the arrays of a Paddle state dict."""
        names = {"_mean": "running_mean", "_variance": "running_var"}
        state = {}
        for name, value in weights.items():
            front, _, last = name.rpartition(".")
            state[f"{front}.{names.get(last, last)}"] = torch.from_numpy(np.array(value))
        missing, unexpected = self.load_state_dict(state, strict=False)
        if unexpected or not all(name.endswith("num_batches_tracked") for name in missing):
            raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
        return self


def _sequence(layers):
    sequence = nn.Sequential()
    for name, layer in layers.items():
        sequence.add_module(name, layer)
    return sequence
