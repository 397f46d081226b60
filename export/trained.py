"""The form for Paddle Inference on a GPU: the network as it is trained, whose many channels a GPU computes at once."""

from model.frames import weighted_mean

from .folded import FoldedGCN


class TrainedGCN(FoldedGCN):
    """See FoldedGCN; nothing is folded here, Paddle Inference does that itself. Tensors are (N*M, C, T, V)."""

    def _fold(self, stream):
        self.stride = stream.stride
        return stream

    def arrange(self, x):
        """(N, C, T, V, M) -> (N*M, C, T, V)."""
        C, _, V = x.shape[1:4]
        return x.transpose([0, 4, 1, 2, 3]).reshape([-1, 1, C, 0, V]).squeeze(1)

    def pool(self, x, weights):
        """(N*M, C, T, V) -> means over bodies, joints and, by `weights`, frames (N, C)."""
        return weighted_mean(x, weights).mean(axis=[2, 3]).reshape([-1, self.num_bodies, x.shape[1]]).mean(1)
