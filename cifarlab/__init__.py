"""Advanced convolutions and data augmentations, learned on CIFAR-10."""
