"""EfficientGCN-B0 ported to Paddle line by line: einsum for the graph, x * sigmoid(x), every bias added before batch norm.

What one gets by translating the paper's PyTorch code and stopping there. State names are those of the checkpoints.
"""

import paddle
import paddle.nn.functional as F
from paddle import nn


def swish(x):
    return x * F.sigmoid(x)


class ConvBN(nn.Sequential):
    def __init__(self, in_channels, out_channels, window=1, stride=1, groups=1):
        conv = nn.Conv2D(in_channels, out_channels, (window, 1), (stride, 1), ((window - 1) // 2, 0), groups=groups)
        super().__init__(conv, nn.BatchNorm2D(out_channels))


class GraphConv(nn.Layer):
    """out[w] = sum over hops d and joints v of conv_d(x)[v] * A[d, v, w] * edge[d, v, w]."""

    def __init__(self, in_channels, out_channels, A):
        super().__init__()
        self.gcn = nn.Conv2D(in_channels, out_channels * len(A), 1)
        self.register_buffer("A", paddle.to_tensor(A, dtype="float32"))
        self.edge = self.create_parameter(A.shape, default_initializer=nn.initializer.Constant(1.0))

    def forward(self, x):
        N, _, T, V = x.shape
        x = self.gcn(x).reshape([N, self.A.shape[0], -1, T, V])
        return paddle.einsum("nkctv,kvw->nctw", x, self.A * self.edge)


class GraphLayer(nn.Layer):
    def __init__(self, in_channels, out_channels, A):
        super().__init__()
        self.conv = GraphConv(in_channels, out_channels, A)
        self.bn = nn.BatchNorm2D(out_channels)
        self.residual = nn.Identity() if in_channels == out_channels else ConvBN(in_channels, out_channels)

    def forward(self, x):
        return swish(self.bn(self.conv(x)) + self.residual(x))


class BasicLayer(nn.Layer):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2D(channels, channels, (5, 1), padding=(2, 0))
        self.bn = nn.BatchNorm2D(channels)

    def forward(self, x):
        return swish(self.bn(self.conv(x)) + x)


class SandglassLayer(nn.Layer):
    def __init__(self, channels, stride):
        super().__init__()
        self.residual = nn.Identity() if stride == 1 else ConvBN(channels, channels, stride=stride)
        self.depth_conv1 = ConvBN(channels, channels, 5, groups=channels)
        self.point_conv1 = ConvBN(channels, channels // 2)
        self.point_conv2 = ConvBN(channels // 2, channels)
        self.depth_conv2 = ConvBN(channels, channels, 5, stride, groups=channels)

    def forward(self, x):
        y = swish(self.depth_conv1(x))
        y = swish(self.point_conv2(self.point_conv1(y)))
        return self.depth_conv2(y) + self.residual(x)


class STJointAttention(nn.Layer):
    def __init__(self, channels):
        super().__init__()
        self.fcn = ConvBN(channels, channels // 2)
        self.conv_t = nn.Conv2D(channels // 2, channels, 1)
        self.conv_v = nn.Conv2D(channels // 2, channels, 1)

    def forward(self, x):
        T, V = x.shape[2:]
        means = paddle.concat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose([0, 1, 3, 2])], axis=2)
        frames, joints = F.hardswish(self.fcn(means)).split([T, V], axis=2)
        return F.sigmoid(self.conv_t(frames)) * F.sigmoid(self.conv_v(joints.transpose([0, 1, 3, 2])))


class AttentionLayer(nn.Layer):
    def __init__(self, channels):
        super().__init__()
        self.att = STJointAttention(channels)
        self.bn = nn.BatchNorm2D(channels)

    def forward(self, x):
        return swish(self.bn(x * self.att(x)) + x)


class Classifier(nn.Layer):
    def __init__(self, channels, num_classes, drop_prob):
        super().__init__()
        self.dropout = nn.Dropout(drop_prob)
        self.fc = nn.Conv3D(channels, num_classes, 1)

    def forward(self, x):
        return self.fc(self.dropout(x.mean([2, 3, 4], keepdim=True))).flatten(1)


class EfficientGCNB0(nn.Layer):
    """x (N, 3, 6, T, V, M) -> logits (N, num_classes). `A` (3, V, V)."""

    def __init__(self, A, num_classes=60, drop_prob=0.25):
        super().__init__()
        self.input_branches = nn.LayerList()
        for _ in range(3):
            branch = {
                "init_bn": nn.BatchNorm2D(6),
                "stem_scn": GraphLayer(6, 64, A),
                "stem_tcn": BasicLayer(64),
                "block-0_scn": GraphLayer(64, 48, A),
                "block-0_att": AttentionLayer(48),
                "block-1_scn": GraphLayer(48, 32, A),
                "block-1_att": AttentionLayer(32),
            }
            self.input_branches.append(nn.Sequential(*branch.items()))
        main = {}
        for i, (before, channels) in enumerate([(96, 64), (64, 128)]):
            main[f"block-{i}_scn"] = GraphLayer(before, channels, A)
            main[f"block-{i}_tcn-0"] = SandglassLayer(channels, 2)
            main[f"block-{i}_att"] = AttentionLayer(channels)
        self.main_stream = nn.Sequential(*main.items())
        self.classifier = Classifier(128, num_classes, drop_prob)

    def forward(self, x):
        N, I, C, T, V, M = x.shape
        x = x.transpose([1, 0, 5, 2, 3, 4]).reshape([I, N * M, C, T, V])
        x = paddle.concat([branch(x[i]) for i, branch in enumerate(self.input_branches)], axis=1)
        x = self.main_stream(x)
        return self.classifier(x.reshape([N, M, *x.shape[1:]]).transpose([0, 2, 3, 4, 1]))

    def load_paddle(self, weights):
        """Take the arrays of a Paddle state dict."""
        missing, unexpected = self.set_state_dict(dict(weights))
        if missing or unexpected:
            raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
        return self
