"""Advanced convolutions and data augmentations, learned on CIFAR-10."""

__version__ = "1.0.0"
