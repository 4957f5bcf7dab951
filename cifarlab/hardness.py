"""Which images an epoch learns from: all of them, or those that the network still finds hard.

Lesson: Train under 200,000 parameters.
"""

import numpy as np
import torch
from torch import Tensor, nn

from cifarlab.recipes import Recipe


class Losses(nn.Module):
    """What each of `count` images cost when the network last learned from it; at first, infinite.

    A module, so that a checkpoint holds it like the network.

    Source: Loshchilov and Hutter 2015, "Online Batch Selection for Faster Training of Neural
    Networks", arXiv:1511.06343. Whole epochs with all images at the end: Qin et al. 2024,
    "InfoBatch", section 3, arXiv:2303.04947.
    """

    last: Tensor  # (count,)

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("last", torch.full((count,), torch.inf))

    def hardest(self, count: int) -> np.ndarray:
        """The places of the `count` images of largest loss, in rising order: (count,) int64."""
        return np.sort(self.last.argsort(descending=True, stable=True)[:count].numpy())


def epoch_sizes(recipe: Recipe, count: int) -> list[int]:
    """How many of `count` images each epoch learns from.

    The first meets all, for no loss is known before; so does the last, so that the network, its
    batch norms above all, ends on pictures as they come.
    """
    hard = count - int(recipe.easy_left_out * count)
    return [count if epoch in (1, recipe.epochs) else hard for epoch in range(1, recipe.epochs + 1)]
