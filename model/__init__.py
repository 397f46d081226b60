from .nets import EfficientGCN

__all__ = ["EfficientGCN"]
