"""Protects fields of small networks of all kinds: each unit against the network, pixel by pixel."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from cifarlab.receptive_field import analyze
from tests import seen
from tests.shape_fuzzer import Fuzz
from tests.small_networks import NETWORKS

SIZE = (12, 10)
# Which place of a window a value goes to, other values decide: one image does not show all.
UNPROVEN = {"max_unpool2d"}
# Weights of 1e-17, from rounding in the network's own grid.
ROUNDED = {"grid_sample, constant grid"}
# Fields that are bounds, and say so.
BOUNDS = {
    "batched matrix with zeros",
    "channels taken apart",
    "einsum with zeros",
    "grouped after cat",
    "kron with zeros",
    "masked attention",
    "one of the channels",
    "padded keys",
    "tensordot with zeros",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - UNPROVEN - ROUNDED))
def test_a_small_network_is_answered_with_what_its_units_see(name):
    torch.manual_seed(0)
    field = analyze(NETWORKS[name], SIZE, channels=1).output
    assert seen.wrong(field, NETWORKS[name], SIZE) == []
    assert field.exact == (name not in BOUNDS)


def test_unpooled_units_may_come_from_their_window():
    field = analyze(NETWORKS["max_unpool2d"], SIZE, channels=1).output
    assert field.units == SIZE
    assert field.box(5, 4) == (4, 4, 5, 5)


def test_a_constant_grid_of_places_reads_what_it_hits():
    field = analyze(NETWORKS["grid_sample, constant grid"], SIZE, channels=1).output
    assert field.box(5, 4) == (5, 4, 5, 4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_random_changes_of_shape_move_units_as_they_move_pixels(seed):
    network, size = Fuzz(seed), (4, 3) if seed % 2 else (3, 4)
    field = analyze(network, size, channels=1).output
    assert seen.wrong(field, network, size) == [], network.steps


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swapped", "depth to space by view", "tokens in four dimensions"])
def test_a_map_has_as_many_units_as_its_tensor_has_places(name):
    network = NETWORKS[name]
    shape = network(torch.ones(1, 1, *SIZE)).shape
    field = analyze(network, SIZE, channels=1).output
    assert field.units == tuple(shape[2:])
    assert field.layout[2:] == ("height", "width")


@pytest.mark.parametrize(
    "hide",
    [
        lambda maps, mask: maps + -mask,
        lambda maps, mask: maps - mask,
        lambda maps, mask: torch.subtract(maps, mask),
        lambda maps, mask: (maps * 1).sub_(mask),
    ],
)
def test_a_mask_that_is_added_or_subtracted_makes_a_field_a_bound(hide):
    """A huge number hides what it is taken from, whichever way it gets there."""

    class Masked(nn.Module):
        def forward(self, maps):  # (N, 1, H, W) -> (N, 1, H)
            mask = torch.zeros(SIZE)
            mask[:, SIZE[1] // 2 :] = 1e38
            return hide(maps, mask).amax(-1)

    assert not analyze(Masked(), SIZE, channels=1).output.exact


def test_a_bound_says_that_it_is_one_and_why():
    field = analyze(NETWORKS["masked attention"], SIZE, channels=1).output
    assert not field.exact
    assert "exact=False" in repr(field)
    assert (
        field.loose
        == "scaled_dot_product_attention in the network itself hides units behind a mask"
    )


def test_the_steps_of_the_fuzzer_are_drawn_anew_for_every_seed():
    steps = {tuple(Fuzz(seed).steps) for seed in range(60)}
    assert len(steps) > 55
    assert random.Random(0).random() != random.Random(1).random()
    assert np.unique([len(each) for each in steps]).size > 4
