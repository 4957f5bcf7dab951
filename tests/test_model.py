"""The networks are the ones the course speaks of: their layers, their numbers, their reach."""

import itertools
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchinfo
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from cifarlab import model, receptive_field, recipes
from cifarlab.model import (
    KINDS,
    ConvBlock,
    DepthwiseSeparableConv,
    DilatedConv,
    DilatedDepthwiseConv,
    FastNet,
    Residual,
    SkipBlock,
    SkipNet,
    Whitening,
)
from tests.helpers import Tiny

CASES = Path(__file__).parent / "cases"
BLOCKS = [ConvBlock, DepthwiseSeparableConv, DilatedConv, SkipBlock]


# ------------------------------------------------------------------------------- the summary


def in_the_names_of_2023(line):
    """A line of torchinfo's table with the original's class names, runs of spaces made one."""
    for ours, theirs in [
        ("SkipNet", "Net"),
        ("ConvBlock", "Sequential"),
        ("DepthwiseSeparableConv", "Sequential"),
        ("DilatedConv", "Conv2d"),
        ("(Units.GIGABYTES)", "(G)"),  # torchinfo 1.8 prints so from Python 3.11 on
    ]:
        line = re.sub(rf"(?<!\w){re.escape(ours)}(?!\w)", theirs, line)
    return re.sub(r"=+", "=", re.sub(r" +", " ", line)).rstrip()


def test_the_summary_is_the_original_table_line_by_line():
    """163,744 parameters, 21.20 G multiply-adds, memory and shapes: nothing is left out.

    `cases/summary.txt` is what the 2023 notebook printed.
    """
    # On the meta device nothing is computed; the table is the same.
    network = SkipNet().to("meta")
    table = torchinfo.summary(
        network, (128, 3, 32, 32), row_settings=["var_names"], verbose=0, device="meta"
    )
    ours = [in_the_names_of_2023(line) for line in str(table).splitlines()]
    original = (CASES / "summary.txt").read_text(encoding="utf-8").splitlines()
    assert ours == [in_the_names_of_2023(line) for line in original]


def test_the_stored_table_is_the_whole_table():
    """If lines were lost from the case, the test above would compare less."""
    table = (CASES / "summary.txt").read_text(encoding="utf-8")
    assert table.count("\n") == 99
    for total in ("163,744", "21.20", "1.57", "1543.51", "0.65", "1545.74"):
        assert total in table


# ------------------------------------------------------------------------------------ counts


def test_parameters_are_counted_as_by_hand():
    """ConvBlock: 3*3*2*5 weights, 2*5 of batch norm; 1x1: 5*7 weights and 7 biases."""
    network = nn.Sequential(ConvBlock(2, 5), nn.Conv2d(5, 7, 1))
    assert model.count_parameters(network) == 3 * 3 * 2 * 5 + 2 * 5 + 5 * 7 + 7


def test_frozen_parameters_count_and_running_statistics_do_not():
    network = nn.BatchNorm2d(6).requires_grad_(False)
    assert model.count_parameters(network) == 12


def test_the_running_example_is_counted_as_by_hand():
    """Weights of every convolution, then multiply-adds: each weight once per output pixel."""
    weights = 9 * 3 * 16
    normed = 16
    for i, o in [(16, 32), (32, 32), (32, 64), (64, 64)]:
        weights += 9 * i * i + 9 * i + i * o + 9 * o * o + (i * o if i != o else 0)
        normed += i + i + o + o
    network = SkipNet()
    assert model.count_parameters(network) == weights + 2 * normed + 64 * 10 == 163_744
    assert model.count_multiply_adds(network) == weights * 32 * 32 + 64 * 10


def test_the_fast_network_is_counted_as_by_hand():
    """Whitening, two stages behind a stride each, the head; the maps are 31, 16 and 8 wide."""
    whitening, early, late = 12 * 24, 9 * 24 * 48, 9 * 48 * 112
    pair, separable = 2 * 9 * 48 * 48, 4 * (9 * 112 + 112 * 112)
    norms = 2 * (3 * 48 + 5 * 112)
    head = 112 * 10
    network = FastNet()
    weights = whitening + early + pair + late + separable + head
    assert model.count_parameters(network) == weights + norms == 157_248
    multiply_adds = 31**2 * whitening + 16**2 * (early + pair) + 8**2 * (late + separable) + head
    assert model.count_multiply_adds(network) == multiply_adds


def test_the_network_of_accurate_is_counted_as_by_hand():
    """Whitening, a stage at full size, one behind a separable stride, the head."""
    whitening, entry, pairs = 12 * 24, 9 * 24 * 64, 6 * (9 * 64 + 64 * 64)
    down, deep = (9 * 64, 64 * 128), 8 * (9 * 128 + 128 * 128)
    norms, head = 2 * (7 * 64 + 9 * 128), 128 * 10
    network = recipes.get("accurate").create_network()
    weights = whitening + entry + pairs + sum(down) + deep + head
    assert model.count_parameters(network) == weights + norms == 195_680
    assert (
        model.count_multiply_adds(network)
        == 31**2 * (whitening + entry + pairs) + 16**2 * (sum(down) + deep) + head
    )


def test_multiply_adds_see_stride_groups_and_image_size():
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False),  # 6 x 4 x 5 pixels
        nn.Conv2d(6, 6, 5, padding=2, groups=3, bias=False),  # two channels in for each out
    )
    expected = 4 * 5 * (9 * 3 * 6) + 4 * 5 * (25 * 2 * 6)
    assert model.count_multiply_adds(network, size=(8, 10)) == expected


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_network_as_it_was(training):
    """Batch norm in train mode would learn from the empty image that counting shows it."""
    network = Tiny().train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    model.count_multiply_adds(network)
    assert network.training is training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


# ------------------------------------------------------------------------------ the networks


@pytest.mark.parametrize("name", model.names())
def test_every_network_has_fewer_than_200_000_parameters(name):
    assert model.count_parameters(model.create(name)) < 200_000


@pytest.mark.parametrize("name", model.names())
def test_every_network_is_fully_convolutional(name):
    """No map is flattened, so any size of image gives ten numbers."""
    network = model.create(name).eval()
    assert not [part for part in network.modules() if isinstance(part, nn.Linear)]
    for size in [(32, 32), (17, 40)]:
        with torch.no_grad():
            assert network(torch.zeros(2, 3, *size)).shape == (2, 10)


@pytest.mark.parametrize("name", model.names())
def test_every_network_has_dilated_and_depthwise_convolutions(name):
    convolutions = [m for m in model.create(name).modules() if isinstance(m, nn.Conv2d)]
    assert any(max(conv.dilation) > 1 for conv in convolutions)
    assert any(conv.groups == conv.in_channels > 1 for conv in convolutions)


def test_the_running_example_gives_log_probabilities():
    """They sum to one; the loss would still fall if they did not, only slower."""
    with torch.no_grad():
        outputs = SkipNet().eval()(torch.randn(3, 3, 16, 16))
    torch.testing.assert_close(outputs.exp().sum(dim=1), torch.ones(3))


def test_equal_seeds_give_equal_networks_and_other_seeds_others():
    def first_weights(seed):
        torch.manual_seed(seed)
        return next(model.create("skipnet").parameters())

    assert torch.equal(first_weights(0), first_weights(0))
    assert not torch.equal(first_weights(0), first_weights(1))


def test_options_reach_the_network():
    network = model.create("skipnet", classes=7, dropout=0.3, padding_mode="circular").eval()
    dropouts = {m.p for m in network.modules() if isinstance(m, nn.Dropout2d)}
    wide = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 7)
    assert dropouts == {0.3}
    assert {conv.padding_mode for conv in wide} == {"circular"}


def test_the_running_example_pads_with_copies_of_the_border_and_drops_nothing():
    """So did the run of 2023; the summary shows neither."""
    network = SkipNet()
    wide = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert {conv.padding_mode for conv in wide} == {"replicate"}
    assert {m.p for m in network.modules() if isinstance(m, nn.Dropout2d)} == {0.0}


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'resnet'.*skipnet"):
        model.create("resnet")


@pytest.mark.parametrize("dropout", [-0.1, 1.1])
def test_a_chance_outside_0_to_1_is_refused(dropout):
    with pytest.raises(ValueError, match="from 0 to 1"):
        ConvBlock(3, 3, dropout=dropout)


# -------------------------------------------------------------------------------- the blocks


@given(
    block=st.sampled_from(BLOCKS),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    padding_mode=st.sampled_from(["zeros", "replicate"]),
)
@settings(max_examples=30, deadline=None)
def test_every_block_keeps_height_and_width(block, channels, size, padding_mode):
    built = block(*channels, padding_mode=padding_mode).eval()
    with torch.no_grad():
        outputs = built(torch.randn(2, channels[0], *size))
    assert outputs.shape == (2, channels[1], *size)


def seen_pixels(layer, pixel=(8, 8), size=17):
    """Which pixels of an image spoil the output at `pixel`, if each in turn is no number?"""
    layer = layer.eval()
    seen = set()
    for row in range(size):
        for column in range(size):
            image = torch.zeros(1, 1, size, size)
            image[0, 0, row, column] = math.nan
            with torch.no_grad():
                if layer(image)[0, :, pixel[0], pixel[1]].isnan().any():
                    seen.add((row, column))
    return seen


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_the_taps_of_a_dilated_convolution_lie_that_many_pixels_apart(dilation):
    steps = (-dilation, 0, dilation)
    expected = {(8 + down, 8 + right) for down in steps for right in steps}
    assert seen_pixels(DilatedConv(1, 1, dilation=dilation)) == expected


def test_a_dilated_convolution_has_the_weights_of_any_other():
    counts = {model.count_parameters(DilatedConv(4, 5, dilation=d)) for d in (1, 2, 5)}
    assert counts == {9 * 4 * 5}


def test_the_depthwise_step_keeps_channels_apart_and_the_pointwise_step_mixes_them():
    """One channel is no number: it stays alone until the 1x1 convolution, then spoils all."""
    block = DepthwiseSeparableConv(5, 7).eval()
    images = torch.randn(2, 5, 9, 9)
    images[:, 3] = math.nan
    with torch.no_grad():
        # The depthwise convolution, batch norm, dropout and ReLU.
        depthwise = nn.Sequential(*list(block)[:4])(images)
        pointwise = block(images)
    spoiled = depthwise.isnan().flatten(2).any(2)  # (N, 5)
    assert spoiled.tolist() == [[False, False, False, True, False]] * 2
    assert depthwise.shape[1] == 5
    assert pointwise.isnan().all()


def test_the_pointwise_step_sees_one_pixel():
    block = DepthwiseSeparableConv(1, 4)
    assert seen_pixels(block[4], size=17) == {(8, 8)}


def test_a_skip_block_adds_what_came_in():
    """With the last batch norm at zero the long way gives nothing, and the input remains."""
    block = SkipBlock(4, 4).eval()
    nn.init.zeros_(block.norm3.weight)
    images = torch.randn(2, 4, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(block(images), images.relu())


@pytest.mark.parametrize("kinds", list(itertools.product(KINDS, KINDS)))
def test_a_residual_block_adds_what_came_in_and_holds_what_its_kinds_cost(kinds):
    """A dilated convolution has the weights of an ordinary one, a separable one far fewer."""
    block = Residual(6, kinds).eval()
    dense, separable = 9 * 6 * 6, 9 * 6 + 6 * 6
    weights = {
        "dense": dense,
        "dilated": dense,
        "separable": separable,
        "dilated separable": separable,
        "separable 5x5": 25 * 6 + 6 * 6,
    }
    expected = sum(weights[kind] for kind in kinds)
    assert model.count_parameters(block) == expected + 2 * (6 + 6)  # and two batch norms
    nn.init.zeros_(block.convs[-1].weight)
    images = torch.randn(2, 6, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(block(images), images.relu())


@pytest.mark.parametrize(
    ("kind", "field"), [(k, 5 if "dilated" in k or "5x5" in k else 3) for k in KINDS]
)
def test_a_kind_of_convolution_sees_as_far_as_its_dilation_or_size_says(kind, field):
    layers = model.convolution(kind, 2).eval()
    table = receptive_field.analyze(layers, (9, 9), channels=2).table()
    assert max(row.size for row in table) == (field, field)


def test_an_unknown_kind_of_convolution_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="kind='grouped'.*dilated separable"):
        FastNet(early=("dense", "grouped"))
    with pytest.raises(ValueError, match="grouped"):
        FastNet(entries=("dense", "grouped"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strides": (0, 2)}, "strides"),
        ({"strides": (2,)}, "strides"),
        ({"strides": 2}, "strides"),
        ({"entries": ("dense",)}, "entries"),
        ({"entries": "dense"}, "entries"),
        ({"entries": 2}, "entries"),
    ],
)
def test_two_stages_want_two_strides_and_two_first_convolutions(options, said):
    with pytest.raises((TypeError, ValueError), match=f"{said}="):
        FastNet(**options)


@pytest.mark.parametrize("kinds", [("dense",) * 3, "dense", 2])
def test_a_residual_block_without_its_second_convolution_is_refused(kinds):
    with pytest.raises(ValueError, match=r"kinds=.*even number"):
        FastNet(late=kinds)


def test_a_dilated_depthwise_convolution_trains_as_it_is_used():
    """Its training form is another computation of the same numbers, gradients included."""
    layer = DilatedDepthwiseConv(5).double()
    images = torch.randn(2, 5, 8, 8, dtype=torch.float64)
    found = []
    for training in (True, False):
        layer.train(training).zero_grad()
        outputs = layer(images)
        (outputs * torch.arange(64).view(8, 8)).sum().backward()
        found.append((outputs.detach(), layer.weight.grad.clone()))
    torch.testing.assert_close(found[0], found[1])


def test_whitened_maps_are_of_equal_strength_and_unrelated_and_come_with_both_signs():
    torch.manual_seed(0)
    layer = Whitening()
    images = torch.randn(20, 3, 9, 9).cumsum(dim=3)  # neighbours are alike, as in photographs
    layer.learn(images)
    maps = layer(images).movedim(1, 3).reshape(-1, 24)
    related = maps[:, :12].T @ maps[:, :12] / len(maps)
    torch.testing.assert_close(related, torch.eye(12), atol=2e-2, rtol=0)
    torch.testing.assert_close(maps[:, 12:], -maps[:, :12])


def test_whitening_of_one_colour_stays_finite_and_is_never_trained():
    """Of a grey image all components but one are zero; dividing by them would end the run."""
    layer = Whitening()
    layer.learn(torch.ones(2, 3, 4, 4))
    assert layer.weight.isfinite().all() and not layer.weight.requires_grad


def test_a_skip_block_has_a_1x1_convolution_only_where_channels_change():
    assert SkipBlock(4, 4).downsampler is None
    assert SkipBlock(4, 6).downsampler.kernel_size == (1, 1)


@pytest.mark.parametrize("block", BLOCKS)
def test_no_convolution_before_a_batch_norm_has_a_bias(block):
    """Batch norm would subtract it again: numbers spent on nothing."""
    convolutions = [m for m in block(3, 4).modules() if isinstance(m, nn.Conv2d)]
    assert convolutions and all(conv.bias is None for conv in convolutions)


@pytest.mark.parametrize("block", [ConvBlock, DepthwiseSeparableConv, SkipBlock])
def test_dropout_silences_whole_channels_and_only_in_training(block):
    """At 0.5, 2,400 of 4,800 channels are expected to be silent, give or take 35.

    Fewer than one seed in 10^12 strays by 250. ReLU silences none of them here by itself, since
    the last batch norm adds 10 to all.
    """
    torch.manual_seed(0)
    built = block(48, 48, dropout=0.5)
    norms = [m for m in built.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.constant_(norm.bias, 10.0)
    images = torch.rand(100, 48, 4, 4)
    if block is SkipBlock:
        images *= 0  # else the skip would sound in the silent channels
    with torch.no_grad():
        trained = built.train()(images)
        used = built.eval()(images)
    silent = (trained == 0).flatten(2)  # (N, C, pixels)
    assert torch.equal(silent.any(2), silent.all(2)), "a part of a channel was dropped"
    assert 2_150 < silent.all(2).sum() < 2_650
    assert (used > 0).all()


def test_padding_with_copies_keeps_a_plain_image_plain():
    """With zeros around it, the border of a uniform image looks different to a convolution."""
    images = torch.ones(1, 1, 8, 8)
    for mode, plain in [("replicate", True), ("zeros", False)]:
        conv = ConvBlock(1, 1, padding_mode=mode)[0]
        nn.init.ones_(conv.weight)
        with torch.no_grad():
            outputs = conv(images)
        assert (outputs == outputs[0, 0, 4, 4]).all().item() is plain


@pytest.mark.slow
@given(
    sizes=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 4),
    steps=st.integers(0, 2),
    channels=st.sampled_from([(2, 3, 1), (4, 4, 4), (4, 6, 2)]),  # in, out, groups
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_the_polyphase_form_gives_a_dilated_convolution_and_its_gradients(
    sizes, kernel, dilation, steps, channels, seed
):
    """Sizes that the dilation does not divide, and kernels that are not square, included."""
    padding = steps * dilation
    assume(all(s + 2 * padding > dilation * (k - 1) for s, k in zip(sizes, kernel, strict=True)))
    taken, given_out, groups = channels
    torch.manual_seed(seed)
    images = torch.randn(2, taken, *sizes, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(given_out, taken // groups, *kernel, dtype=torch.float64).requires_grad_()
    numbers = {"dilation": dilation, "padding": padding, "groups": groups}
    expected = F.conv2d(images, weight, **numbers)
    found = model.polyphase_conv2d(images, weight, **numbers)
    torch.testing.assert_close(found, expected)
    pull = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, (images, weight), pull),
        torch.autograd.grad(expected, (images, weight), pull),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_polyphase_form_says_what_to_do_about_a_padding_that_its_phases_cannot_have():
    images, weight = torch.randn(1, 1, 9, 9), torch.randn(1, 1, 3, 3)
    with pytest.raises(ValueError, match=r"padding 3 .* dilation 2.*pad"):
        model.polyphase_conv2d(images, weight, dilation=2, padding=3)
    remedied = model.polyphase_conv2d(F.pad(images, (3, 3, 3, 3)), weight, dilation=2)
    expected = F.conv2d(images, weight, dilation=2, padding=3)
    torch.testing.assert_close(remedied, expected)


def test_counting_leaves_every_part_in_its_mode_and_needs_no_parameters():
    """What is frozen in evaluation mode must not learn statistics afterwards."""
    network = SkipNet().train()
    network.conv1.eval()
    modes = [part.training for part in network.modules()]
    model.count_multiply_adds(network)
    assert [part.training for part in network.modules()] == modes
    assert model.count_multiply_adds(nn.ReLU()) == 0


@pytest.mark.parametrize("kinds", [["dense"], ["dense", "dense", "dilated"], "dense"])
def test_a_residual_block_of_other_than_two_kinds_is_refused(kinds):
    with pytest.raises(ValueError, match="give two, of: dense, dilated"):
        Residual(6, kinds)


@pytest.mark.parametrize("dilation", [0, -1, 1.5])
def test_the_polyphase_form_refuses_what_is_no_dilation(dilation):
    with pytest.raises((TypeError, ValueError), match=f"dilation={dilation}"):
        model.polyphase_conv2d(
            torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3), dilation=dilation, padding=0
        )
