"""Muon: what is orthogonalised, which weights it moves, and that torch's own step is the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cifarlab import model, muon


@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_singular_values_go_near_one_and_singular_vectors_stay(rows, columns, scale, seed):
    rng = np.random.default_rng(seed)
    count = min(rows, columns)
    left, _ = np.linalg.qr(rng.normal(size=(rows, count)))
    right, _ = np.linalg.qr(rng.normal(size=(columns, count)))
    values = rng.uniform(0.05, 1, count)  # at most 20 of them: each above 0.01 of the norm
    matrix = torch.tensor(scale * left * values @ right.T, dtype=torch.float32)
    turned = left.T @ muon.orthogonalized(matrix).double().numpy() @ right
    found = np.diag(turned)
    assert found.min() > 0.6 and found.max() < 1.3
    np.testing.assert_allclose(turned, np.diag(found), atol=1e-3)
    rest = muon.orthogonalized(matrix).double().numpy() - left @ turned @ right.T
    np.testing.assert_allclose(rest, 0, atol=1e-3)  # no direction that the matrix had not


def test_a_matrix_of_zeros_stays_zero():
    """The first gradient of a layer can be all zeros, behind weights that start so."""
    assert not muon.orthogonalized(torch.zeros(3, 5)).any()


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_its_steps_are_those_of_torch_which_takes_matrices_only(shape, nesterov):
    """Of weights whose rows have the norm 1 already; torch computes in bfloat16."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    start *= shape[0] ** 0.5 / start.norm()
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    group = {"params": [ours], "orthogonal": True}
    optimizer = muon.Muon([group], lr=0.1, momentum=0.6, nesterov=nesterov)
    options = {"lr": 0.1, "momentum": 0.6, "weight_decay": 0.0, "nesterov": nesterov}
    their_optimizer = torch.optim.Muon([theirs], adjust_lr_fn="original", **options)
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        for weights, each in ((ours, optimizer), (theirs, their_optimizer)):
            weights.data.copy_(start)
            weights.grad = gradient.clone()
            each.step()
        assert (ours - theirs).norm() < 0.1 * (ours - start).norm()


def test_the_weights_of_a_convolution_are_rows_of_norm_one_before_the_step():
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3, bias=False)
    gradient = torch.randn_like(layer.weight)
    moved = []
    for size in (1.0, 100.0):  # the size of neither weights nor gradient matters
        weights = nn.Parameter(size * layer.weight.detach())
        weights.grad = size * gradient
        group = {"params": [weights], "orthogonal": True}
        muon.Muon([group], lr=0.0, momentum=0.6).step()
        assert weights.norm().item() == pytest.approx(8**0.5)
        weights.grad = size * gradient
        muon.Muon([group], lr=0.1, momentum=0.6).step()
        moved.append(weights.detach())
    torch.testing.assert_close(*moved)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-20])
@pytest.mark.parametrize("gradient_size", [0.0, 1e-30, 1.0])
def test_weights_of_nothing_or_nearly_nothing_stay_numbers_and_learn(size, gradient_size):
    """Who begins a residual branch at zero, or lets it shrink to that; 1e-30 squared is 0."""
    torch.manual_seed(0)
    layers = [nn.Parameter(size * torch.randn(4, 2, 3, 3)), nn.Parameter(torch.randn(4, 2, 3, 3))]
    optimizer = muon.Muon([{"params": layers, "orthogonal": True}], lr=0.1, momentum=0.6)
    for _ in range(3):
        for weights in layers:
            weights.grad = gradient_size * torch.randn_like(weights)
        optimizer.step()
    assert all(weights.isfinite().all() for weights in layers)
    if gradient_size == 1:
        for weights in layers:
            assert weights.norm().item() == pytest.approx(4**0.5, rel=0.3)


def test_a_network_with_a_convolution_at_zero_trains():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    nn.init.zeros_(network[0].weight)
    group = {"params": muon.matrices(network), "orthogonal": True}
    optimizer = muon.Muon([group], lr=0.1, momentum=0.6)
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.randn(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    assert all(weights.isfinite().all() for weights in network.parameters())
    assert network[0].weight.any()


def test_layers_of_one_shape_step_together_as_each_would_alone():
    torch.manual_seed(0)
    starts, gradients = torch.randn(3, 4, 2, 3, 3), torch.randn(3, 4, 2, 3, 3)
    together = [nn.Parameter(start.clone()) for start in starts]
    alone = [nn.Parameter(start.clone()) for start in starts]
    other = nn.Parameter(torch.randn(5, 2, 1, 1))  # of another shape, in the same group
    options = {"lr": 0.1, "momentum": 0.6, "nesterov": True}
    groups = [[*together, other], *([each] for each in alone)]
    for group in groups:
        for weights, gradient in zip(group, gradients, strict=False):
            weights.grad = gradient.clone() if weights is not other else None
    for weights, gradient in zip(alone, gradients, strict=True):
        weights.grad = gradient.clone()
    for group in groups:
        muon.Muon([{"params": group, "orthogonal": True}], **options).step()
    torch.testing.assert_close(torch.stack(together), torch.stack(alone))
    assert (torch.stack(together) != starts).any()


def test_all_other_weights_move_as_by_sgd():
    torch.manual_seed(0)
    start, gradients = torch.randn(5), torch.randn(3, 5)
    options = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    matrix = nn.Parameter(torch.randn(3, 4))
    group = {"params": [matrix], "orthogonal": True, "momentum": 0.6}
    optimizer = muon.Muon([{"params": [ours]}, group], **options)
    their_optimizer = torch.optim.SGD([theirs], **options)
    for gradient in gradients:
        ours.grad, theirs.grad, matrix.grad = gradient, gradient.clone(), torch.randn(3, 4)
        optimizer.step()
        their_optimizer.step()
    assert torch.equal(ours, theirs)


def test_it_moves_dense_and_pointwise_convolutions_and_not_what_gives_the_scores():
    network = model.create("fast")
    names = {id(weights): name for name, weights in network.named_parameters()}
    shapes = {names[id(each)]: tuple(each.shape) for each in muon.matrices(network)}
    assert "whitening.weight" not in shapes  # frozen
    assert not any(name.startswith("head") for name in shapes)
    assert (112, 1, 3, 3) not in shapes.values()  # depthwise: a matrix for each channel
    assert list(shapes.values()) == [
        (48, 24, 3, 3),
        (48, 48, 3, 3),
        (48, 48, 3, 3),
        (112, 48, 3, 3),
        *[(112, 112, 1, 1)] * 4,
    ]


def test_a_closure_comes_first_so_that_muon_has_its_gradients():
    torch.manual_seed(0)
    ends = []
    start = torch.randn(4, 6, 1, 1)
    inputs = torch.randn(8, 6, 5, 5)
    for as_closure in (True, False):
        weights = nn.Parameter(start.clone())
        optimizer = muon.Muon([{"params": [weights], "orthogonal": True}], lr=0.1, momentum=0.6)

        def loss(weights=weights):
            return nn.functional.conv2d(inputs, weights).square().mean()

        def closure(weights=weights, loss=loss):
            weights.grad = None
            found = loss()
            found.backward()
            return found

        if as_closure:
            assert optimizer.step(closure) == loss(start)
        else:
            closure()
            assert optimizer.step() is None
        ends.append(weights.detach())
    assert torch.equal(*ends)
