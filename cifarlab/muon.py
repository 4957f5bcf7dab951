"""Muon: steps that move a layer equally far in all the directions that its momentum has.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon. Lesson: Train under 200,000 parameters.
"""

import torch
from torch import Tensor, nn


def matrices(network: nn.Module) -> list[nn.Parameter]:
    """The weights that Muon suits: those of dense and pointwise convolutions that learn.

    Not those of the last one, which gives the scores: their scale matters.
    """
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return [
        layer.weight
        for layer in convolutions[:-1]
        if layer.groups == 1 and layer.weight.requires_grad
    ]


def orthogonalized(matrix: Tensor) -> Tensor:
    """The singular vectors of `matrix` (rows, columns), with all singular values near 1.

    Five rounds of x -> 3.4445 x - 4.775 x^3 + 2.0315 x^5 on the singular values, by products of
    matrices alone: values from 0.01 to 1 times the norm of the matrix end between 0.6 and 1.3.
    """
    rows, columns = matrix.shape
    wide = matrix if rows <= columns else matrix.T
    wide = wide / (wide.norm() + 1e-7)  # so that no singular value is above 1
    for _ in range(5):
        squares = wide @ wide.T
        wide = 3.4445 * wide + (2.0315 * squares @ squares - 4.775 * squares) @ wide
    return wide if rows <= columns else wide.T


class Muon(torch.optim.SGD):
    """SGD that takes Muon's steps in those groups of weights that have `orthogonal=True`.

    Weights (out, ...) of such a group are read as a matrix of `out` rows, and scaled before every
    step so that a row has the norm 1 in the mean (of squares). Scaling changes nothing where a
    batch norm follows, and so a learning rate of 0.1 moves such a row by about a tenth of itself.
    The group's weight decay is not used.
    """

    @torch.no_grad()
    def step(self, closure=None) -> Tensor | None:
        """Take one step with the gradients that are there."""
        for group in self.param_groups:
            if group.get("orthogonal"):
                for weights in group["params"]:
                    if weights.grad is not None:
                        self._turn(weights, group)
                        weights.grad = None  # SGD's own step leaves it alone
        return super().step(closure)

    def _turn(self, weights: Tensor, group: dict) -> None:
        gradient = weights.grad
        state = self.state[weights]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weights)
        momentum = state["momentum_buffer"]
        momentum.mul_(group["momentum"]).add_(gradient)
        if group["nesterov"]:
            momentum = gradient + group["momentum"] * momentum
        step = orthogonalized(momentum.flatten(start_dim=1))
        rows, columns = step.shape
        step *= max(1, rows / columns) ** 0.5  # a step of norm sqrt(rows), however tall the matrix
        weights.mul_(rows**0.5 / weights.norm())
        weights.sub_(group["lr"] * step.view_as(weights))
