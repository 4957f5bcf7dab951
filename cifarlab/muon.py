"""Muon: steps that move a layer equally far in all the directions that its momentum has.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon. Lesson: Train under 200,000 parameters.
"""

import torch
from torch import Tensor, nn


def matrices(network: nn.Module) -> list[Tensor]:
    """The weights that Muon suits: those of dense and pointwise convolutions that learn.

    Not those of the last one, which gives the scores: their scale matters.
    """
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return [
        layer.weight
        for layer in convolutions[:-1]
        if layer.groups == 1 and layer.weight.requires_grad
    ]


def orthogonalized(matrices: Tensor) -> Tensor:
    """The singular vectors of each of `matrices` (..., rows, columns), all singular values near 1.

    Five rounds of x -> 3.4445 x - 4.775 x^3 + 2.0315 x^5 on the singular values, by products of
    matrices alone: values from 0.01 to 1 times the norm of a matrix end between 0.6 and 1.3.
    """
    rows, columns = matrices.shape[-2:]
    wide = matrices if rows <= columns else matrices.mT
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # no singular value above 1
    for _ in range(5):
        squares = wide @ wide.mT
        wide = 3.4445 * wide + (2.0315 * squares @ squares - 4.775 * squares) @ wide
    return wide if rows <= columns else wide.mT


class Muon(torch.optim.SGD):
    """SGD that takes Muon's steps in those groups of weights that have `orthogonal=True`.

    Weights (out, ...) of such a group are read as a matrix of `out` rows, and scaled before every
    step so that a row has the norm 1 in the mean (of squares). Scaling changes nothing where a
    batch norm follows, and so a learning rate of 0.1 moves such a row by about a tenth of itself.
    The group's weight decay is not used. (`torch.optim.Muon` takes matrices only, no weights of
    convolutions, and does not scale.)
    """

    @torch.no_grad()
    def step(self, closure=None):  # without types, as in torch's own optimizers
        """Take one step with the gradients that are there, or that `closure` computes first."""
        loss = closure and torch.enable_grad()(closure)()
        for group in self.param_groups:
            if group.get("orthogonal"):
                learning = [weights for weights in group["params"] if weights.grad is not None]
                for shape in {weights.shape for weights in learning}:
                    self._turn([weights for weights in learning if weights.shape == shape], group)
        super().step()
        return loss

    def _turn(self, layers: list[Tensor], group: dict) -> None:
        """Step with weights of one shape: together, for small products cost more in calls."""
        momenta = torch.stack([self._momentum(weights, group) for weights in layers])
        steps = orthogonalized(momenta.flatten(start_dim=2))
        rows, columns = steps.shape[1:]
        steps *= max(1, rows / columns) ** 0.5  # of norm sqrt(rows), however tall the matrix
        for weights, step in zip(layers, steps, strict=True):
            weights.mul_(rows**0.5 / weights.norm().clamp(min=1e-7))  # they may start at zero
            weights.sub_(group["lr"] * step.view_as(weights))

    def _momentum(self, weights: Tensor, group: dict) -> Tensor:
        """What moves the weights; takes their gradient, so that SGD's own step leaves them."""
        gradient, weights.grad = weights.grad, None
        state = self.state[weights]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weights)
        momentum = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        return gradient + group["momentum"] * momentum if group["nesterov"] else momentum
