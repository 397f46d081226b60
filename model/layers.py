"""Spatial graph layer and temporal layers (EfficientGCN, section 3.3). Tensors are (N*M, C, T, V)."""

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from .activations import ACTIVATIONS, on_cpu


def average(size, dtype="float32"):
    """(size, 1): what is multiplied with it becomes its mean. A product runs on all threads of a CPU, a reduction on one."""
    return paddle.full([size, 1], 1.0 / size, dtype)


def sums(x):
    """Sums (C,) of (N*M, C, T, V): those over the joints in x's type, what becomes of them in float64, or digits are lost."""
    return paddle.matmul(x, paddle.ones([x.shape[3], 1], x.dtype)).astype("float64").sum([0, 2, 3]).astype(x.dtype)


def sum_exactly(y, shift):
    """Have sums() sum the gradient of `shift` (C,), the last thing that a batch norm added to get y (N*M, C, T, V)."""
    if not shift.stop_gradient:
        kept = []
        y.register_hook(lambda dy: kept.append(sums(dy)))
        shift.register_hook(lambda _kernels: kept.pop())


def centre(dx):
    """The gradient (N*M, C, T, V) of what batch norm was given with mean 0, as it has but for rounding."""
    mean = sums(dx) * (dx.shape[1] / dx.size)
    return F.batch_norm(dx, mean, paddle.ones_like(mean), epsilon=0.0)  # dx - mean, in a twentieth of its time


class BatchNorm(nn.BatchNorm2D):
    """Batch norm of (N*M, C, T, V) that may be told the bias of the convolution before, which then need not have added it.

    In training the batch mean cancels that bias: the running mean gets it directly, and `+ 0 * bias` keeps its gradient
    there (zero), so that weight decay and momentum treat it as they would in the plain form.

    Where `exact` is set, sums of gradients on a CPU are exact to float32's last digit. The kernel's are not, and where almost
    all of a sum cancels, as in the bias of the first batch norm, little else is left.
    """

    exact = False
    joints = 0  # how many of the places along T are joints, behind the frames (ST-Joint's squeeze)

    def forward(self, x, conv_bias=None):
        if self.training and (conv_bias is not None or self.sums_exactly()):
            return self.by_batch(x, conv_bias)
        return nn.BatchNorm2D.forward(self, x)  # super() fails in an export of Paddle 2.6

    def by_batch(self, x, conv_bias):
        """x by its own statistics; moves the running ones."""
        mean = self._mean.clone().detach()  # updated in place by batch_norm, so not the layer's own: a second forward may follow
        shift = self.shift(conv_bias) + 0.0  # a hook would stay on the parameter itself
        y = F.batch_norm(x, mean, self._variance, self.weight, shift, True, self._momentum, self._epsilon)
        if self.sums_exactly():
            sum_exactly(y, shift) if x.stop_gradient else x.register_hook(centre)
        with paddle.no_grad():
            paddle.assign(mean if conv_bias is None else mean + (1 - self.kept) * conv_bias, self._mean)
        return y

    def sums_exactly(self):
        """Whether gradients are to be summed exactly."""
        return self.exact and self.training and paddle.is_grad_enabled() and on_cpu()

    @property
    def kept(self):
        """What share of its running statistics a batch leaves: the momentum in float32, as Paddle's own batch norm has it."""
        return float(np.float32(self._momentum))

    def shift(self, conv_bias):
        """What is added after the normalisation, (C,)."""
        return self.bias if conv_bias is None else self.bias + 0.0 * conv_bias


def conv_bn(conv, bn, x):
    """bn(conv(x)), in training without the work for a bias that batch norm cancels: the same values in two thirds of the time."""
    if conv.bias is None or not (isinstance(bn, BatchNorm) and bn.training):
        return bn(conv(x))
    return bn(F.conv2d(x, conv.weight, None, conv._stride, conv._padding, conv._dilation, conv._groups), conv.bias)


class ConvBN(nn.Sequential):
    """Convolution (children 0) and batch norm (1) over the time axis: kernel (window, 1), padding in time only."""

    def __init__(self, in_channels, out_channels, window=1, stride=1, groups=1, bias=True):
        sizes = in_channels, out_channels, (window, 1), (stride, 1), (window // 2, 0)
        super().__init__(nn.Conv2D(*sizes, groups=groups, bias_attr=bias), BatchNorm(out_channels))

    def forward(self, x):
        return conv_bn(self[0], self[1], x)


class SpatialGraphConv(nn.Layer):
    """Graph convolution: out[w] = sum over hops d and joints v of conv_d(x)[v] * A[d, v, w] * edge[d, v, w].

    Computed as one convolution of the neighbourhoods sum_v x[v] A[d, v, w] edge[d, v, w], which is equal and moves a third of
    the data. The bias of conv_d counts once for each neighbour: it is the weight of one more channel, the columns' sums.
    """

    def __init__(self, in_channels, out_channels, A, bias=True, edge=True):
        super().__init__()
        self.num_hops = A.shape[0]
        self.gcn = nn.Conv2D(in_channels, out_channels * self.num_hops, 1, bias_attr=bias)
        self.register_buffer("A", paddle.to_tensor(A, dtype="float32"))
        self.edge = self.create_parameter(A.shape, default_initializer=nn.initializer.Constant(1.0)) if edge else None

    def forward(self, x):
        K, C = self.num_hops, x.shape[1]
        A = self.A if self.edge is None else self.A * self.edge
        weight = self.gcn.weight.reshape([K, -1, C])  # output channels are ordered hop first
        near = [paddle.matmul(x, A[d]) for d in range(K)]  # K times (N*M, C, T, V)
        weights = [weight[d] for d in range(K)]
        if self.gcn.bias is not None:
            ones = paddle.ones_like(x[:, :1]) * A.sum(1).reshape([1, K, 1, -1])
            near.append(ones.astype(near[0].dtype))  # in mixed precision the rest has 16 bits
            weights.append(self.gcn.bias.reshape([K, -1]).t())
        return F.conv2d(paddle.concat(near, 1), paddle.concat(weights, 1).unsqueeze([2, 3]))


class SpatialGraphLayer(nn.Layer):
    """act(BN(graph convolution) + residual)."""

    def __init__(self, in_channels, out_channels, A, act_type, bias=True, edge=True):
        super().__init__()
        self.conv = SpatialGraphConv(in_channels, out_channels, A, bias, edge)
        self.bn = BatchNorm(out_channels)
        self.residual = nn.Identity() if in_channels == out_channels else ConvBN(in_channels, out_channels, bias=bias)
        self.act = ACTIVATIONS[act_type]()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)) + self.residual(x))


class TemporalLayer(nn.Layer):
    """What the temporal layers share: the residual, identity or strided 1x1 convolution."""

    def __init__(self, channels, stride, act_type, bias):
        super().__init__()
        self.residual = nn.Identity() if stride == 1 else ConvBN(channels, channels, stride=stride, bias=bias)
        self.act = ACTIVATIONS[act_type]()


class BasicLayer(TemporalLayer):
    """act(BN(conv) + residual)."""

    def __init__(self, channels, window, stride, act_type, bias=True, **_ratios):
        super().__init__(channels, stride, act_type, bias)
        self.conv = nn.Conv2D(channels, channels, (window, 1), (stride, 1), (window // 2, 0), bias_attr=bias)
        self.bn = BatchNorm(channels)

    def forward(self, x):
        return self.act(conv_bn(self.conv, self.bn, x) + self.residual(x))


class BottleneckLayer(TemporalLayer):
    """1x1 down to C // reduct_ratio, convolution over time, 1x1 up, + residual, act."""

    def __init__(self, channels, window, stride, act_type, bias=True, *, expand_ratio, reduct_ratio):
        super().__init__(channels, stride, act_type, bias)
        inner = channels // reduct_ratio
        self.reduct_conv = ConvBN(channels, inner, bias=bias)
        self.conv = ConvBN(inner, inner, window, stride, bias=bias)
        self.expand_conv = ConvBN(inner, channels, bias=bias)

    def forward(self, x):
        y = self.act(self.reduct_conv(x))
        y = self.act(self.conv(y))
        return self.act(self.expand_conv(y) + self.residual(x))


class SepLayer(TemporalLayer):
    """Inverted bottleneck: 1x1 up (where expand_ratio > 0), depthwise over time, pointwise, + residual, no act."""

    def __init__(self, channels, window, stride, act_type, bias=True, *, expand_ratio, reduct_ratio):
        super().__init__(channels, stride, act_type, bias)
        inner = channels * expand_ratio or channels
        self.expand_conv = ConvBN(channels, inner, bias=bias) if expand_ratio > 0 else None
        self.depth_conv = ConvBN(inner, inner, window, stride, groups=inner, bias=bias)
        self.point_conv = ConvBN(inner, channels, bias=bias)

    def forward(self, x):
        y = x if self.expand_conv is None else self.act(self.expand_conv(x))
        return self.point_conv(self.act(self.depth_conv(y))) + self.residual(x)


class SGLayer(TemporalLayer):
    """Sandglass: depthwise, pointwise down to C // reduct_ratio, pointwise up, strided depthwise, + residual, no act."""

    def __init__(self, channels, window, stride, act_type, bias=True, *, expand_ratio, reduct_ratio):
        super().__init__(channels, stride, act_type, bias)
        inner = channels // reduct_ratio
        self.depth_conv1 = ConvBN(channels, channels, window, groups=channels, bias=bias)
        self.point_conv1 = ConvBN(channels, inner, bias=bias)
        self.point_conv2 = ConvBN(inner, channels, bias=bias)
        self.depth_conv2 = ConvBN(channels, channels, window, stride, groups=channels, bias=bias)

    def forward(self, x):
        y = self.act(self.depth_conv1(x))
        y = self.act(self.point_conv2(self.point_conv1(y)))
        return self.depth_conv2(y) + self.residual(x)


TEMPORAL_LAYERS = {"Basic": BasicLayer, "Bottleneck": BottleneckLayer, "Sep": SepLayer, "SG": SGLayer}
