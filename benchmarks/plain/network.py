"""EfficientGCN-B0 written from the paper, the same lines for eager PyTorch and for Paddle, with no form of ours.

Einsum for the graph, every bias added before batch norm, no dropout. Weights have the names of the Paddle checkpoints.
"""

import numpy as np


class EfficientGCNB0:
    """Array (N, 3, 6, T, V, M) -> logits (N, classes), by `framework`, the module torch or paddle.

    weights: {name: array} of a Paddle state dict. `parameters` are the tensors to train.
    """

    def __init__(self, framework, weights, training=False):
        self.framework, self.F, self.training = framework, framework.nn.functional, training
        self.torch = framework.__name__ == "torch"
        self.weights = {name: self._tensor(value) for name, value in weights.items()}
        buffers = ("._mean", "._variance", ".A")
        self.parameters = [tensor for name, tensor in self.weights.items() if not name.endswith(buffers)]
        for tensor in self.parameters:
            if self.torch:
                tensor.requires_grad_()
            else:
                tensor.stop_gradient = False

    def _tensor(self, value):
        return self.framework.from_numpy(np.asarray(value)) if self.torch else self.framework.to_tensor(value)

    def __call__(self, x):
        N, I, C, T, V, M = x.shape
        x = self._tensor(x).moveaxis((1, 5), (0, 2)).reshape([I, N * M, C, T, V])
        x = self.framework.concat([self._branch(f"input_branches.{i}", x[i]) for i in range(I)], 1)
        for i in range(2):
            name = f"main_stream.block-{i}"
            x = self._attention(f"{name}_att", self._sandglass(f"{name}_tcn-0", self._graph(f"{name}_scn", x)))
        x = x.reshape([N, M, *x.shape[1:]]).mean([1, 3, 4]).reshape([N, -1, 1, 1, 1])
        return self.F.conv3d(x, self.weights["classifier.fc.weight"], self.weights["classifier.fc.bias"]).flatten(1)

    def _branch(self, name, x):
        x = self._graph(f"{name}.stem_scn", self._bn(f"{name}.init_bn", x))
        x = self._swish(self._bn(f"{name}.stem_tcn.bn", self._conv(f"{name}.stem_tcn.conv", x)) + x)
        for i in range(2):
            x = self._attention(f"{name}.block-{i}_att", self._graph(f"{name}.block-{i}_scn", x))
        return x

    def _graph(self, name, x):
        """out[w] = sum over hops k and joints v of conv_k(x)[v] * A[k, v, w] * edge[k, v, w]."""
        N, _, T, V = x.shape
        A = self.weights[f"{name}.conv.A"] * self.weights[f"{name}.conv.edge"]
        hops = self._conv(f"{name}.conv.gcn", x).reshape([N, A.shape[0], -1, T, V])
        y = self.framework.einsum("nkctv,kvw->nctw", hops, A)
        residual = self._conv_bn(f"{name}.residual", x) if f"{name}.residual.0.weight" in self.weights else x
        return self._swish(self._bn(f"{name}.bn", y) + residual)

    def _sandglass(self, name, x):
        y = self._swish(self._conv_bn(f"{name}.depth_conv1", x))
        y = self._swish(self._conv_bn(f"{name}.point_conv2", self._conv_bn(f"{name}.point_conv1", y)))
        return self._conv_bn(f"{name}.depth_conv2", y, stride=2) + self._conv_bn(f"{name}.residual", x, stride=2)

    def _attention(self, name, x):
        T, V = x.shape[2:]
        means = self.framework.concat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).moveaxis(3, 2)], 2)
        frames, joints = self.F.hardswish(self._conv_bn(f"{name}.att.fcn", means)).split([T, V], 2)
        joints = self._conv(f"{name}.att.conv_v", joints.moveaxis(3, 2))
        weights = self.F.sigmoid(self._conv(f"{name}.att.conv_t", frames)) * self.F.sigmoid(joints)
        return self._swish(self._bn(f"{name}.bn", x * weights) + x)

    def _conv_bn(self, name, x, stride=1):
        return self._bn(f"{name}.1", self._conv(f"{name}.0", x, stride))

    def _conv(self, name, x, stride=1):
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        groups = x.shape[1] // weight.shape[1]
        return self.F.conv2d(x, weight, bias, (stride, 1), (weight.shape[2] // 2, 0), 1, groups)

    def _bn(self, name, x):
        mean, variance, weight, bias = (self.weights[f"{name}.{part}"] for part in ("_mean", "_variance", "weight", "bias"))
        return self.F.batch_norm(x, mean, variance, weight, bias, self.training)

    def _swish(self, x):
        return self.F.silu(x) if self.torch else x * self.F.sigmoid(x)
