"""Protects the receptive fields: each against hand, brute force, or what others published."""

import doctest
import json
import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.text import Text
from torch import Tensor, nn
from torchvision import models

from cifarlab import cli, plots
from cifarlab.model import SkipNet
from cifarlab.receptive_field import (
    Box,
    Effective,
    Unsupported,
    _analysis,
    _rules,
    analyze,
    brute_force,
    effective,
)
from cifarlab.receptive_field._features import Feature, Refused
from tests.fields import CASES, Call, Gated, conv, up

# "same" with an even kernel copies its input, says PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

# Up-sampling in which a neighbour of weight zero takes part: NaN times zero is NaN.
ZERO_WEIGHTS = {"bilinear", "bilinear 9 to 3", "align_corners"}


def bounds(mask: np.ndarray) -> tuple[int, ...] | None:
    """First and last row and column with a True, as (top, left, bottom, right)."""
    places = np.argwhere(mask)
    return (*places.min(axis=0), *places.max(axis=0)) if len(places) else None


# ------------------------------------------------------------------------- worked out by hand


@pytest.mark.parametrize("name", CASES)
def test_a_unit_sees_the_box_that_was_worked_out_by_hand(name):
    case = CASES[name]
    field = analyze(case.network(), case.size, channels=1).output
    assert field.box(*case.unit) == case.box
    clipped = case.box if case.clipped == () else case.clipped
    assert field.box(*case.unit, clipped=True) == clipped


@pytest.mark.parametrize("name", CASES)
def test_taps_are_the_pixels_that_brute_force_finds(name):
    network, size, unit, *_ = CASES[name]
    module = network()
    field = analyze(module, size, channels=1).output
    taps = field.taps(*unit)
    assert np.array_equal(taps, brute_force.by_gradient(module, size, unit, channels=1))
    spoiled = brute_force.by_nan(module, size, unit, channels=1)
    assert np.array_equal(taps & spoiled if name in ZERO_WEIGHTS else spoiled, taps)
    assert bounds(taps) == field.box(*unit, clipped=True)


def test_size_stride_and_start_of_a_chain_follow_the_recurrence():
    """7 of stride 2, padded 3; then 3 of stride 2, padded 1: 7 + 2*2, 2*2, -3 - 1*2."""
    layers = nn.Sequential(conv(7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1))
    field = analyze(layers, (32, 48)).output
    assert (field.units, field.size, field.stride, field.start) == (
        (8, 12),
        (11,) * 2,
        (4,) * 2,
        (-5,) * 2,
    )


def test_height_and_width_are_told_apart():
    layers = nn.Sequential(conv((3, 5), stride=(1, 2), dilation=(4, 1), padding=(0, 3)))
    field = analyze(layers, (16, 20)).output
    assert (field.size, field.stride, field.start) == ((9, 5), (1, 2), (0, -3))


def test_one_unit_still_has_a_stride():
    assert analyze(nn.Sequential(conv(stride=4), conv(stride=2)), (12, 12)).output.stride == (8, 8)


def test_what_is_not_constant_over_units_is_none():
    """Nearest: 0, 0, 1, 1 move by 0 or 1.  7 over 3 adaptive: all 3 wide, 2 apart.  5: not."""
    doubled = analyze(nn.Upsample(scale_factor=2), (4, 4)).output
    assert (doubled.size, doubled.stride, doubled.start) == ((1, 1), (None, None), (None, None))
    pooled = analyze(nn.AdaptiveAvgPool2d(3), (7, 5)).output
    assert (pooled.size, pooled.stride, pooled.start) == ((3, None), (2, None), (0, None))
    wrapped = analyze(conv(padding=1, padding_mode="circular"), (6, 6)).output
    assert (wrapped.size, wrapped.stride) == ((None, None), (None, None))


def test_where_all_units_see_everything_the_stride_is_zero():
    field = analyze(nn.Softmax2d(), (6, 6), channels=1).output
    assert field.stride == (1, 1)  # over channels
    field = analyze(Call(lambda x: x.flatten(2).softmax(-1).view_as(x)), (6, 8), channels=1).output
    assert (field.units, field.size, field.stride, field.start) == ((6, 8), (6, 8), (0, 0), (0, 0))


def test_dilations_leave_the_holes_that_were_counted():
    """Share of the box that is touched, per axis 7/13, 1 and 21/25; 3 of 1 + 2d for one layer."""

    def coverage(*dilations: int) -> float:
        layers = [conv(dilation=d, padding=d) for d in dilations]
        return analyze(nn.Sequential(*layers), (81, 81)).output.coverage(40, 40)

    assert coverage(2, 2, 2) == 49 / 169  # 29 %
    assert coverage(1, 2, 3) == 1
    assert coverage(1, 2, 9) == 441 / 625  # 71 %
    assert coverage(2, 3, 3) < 1  # which the hybrid-dilation rule passes
    assert [coverage(d) for d in (2, 3, 4)] == [9 / 25, 9 / 49, 9 / 81]
    yu_and_koltun = [1, 1, 2, 4, 8, 16, 1]
    assert coverage(*yu_and_koltun) == 1
    assert 1 + 2 * sum(yu_and_koltun) == 67


def test_a_union_of_branches_need_not_be_a_rectangle():
    case = CASES["cross"]
    field = analyze(case.network(), case.size, channels=1).output
    assert field.taps(*case.unit).sum() == 9
    assert field.coverage(*case.unit) == 9 / 25


def test_a_unit_without_taps_covers_nothing():
    field = analyze(conv(1, padding=1), (5, 5)).output
    assert field.coverage(0, 0) == 0
    assert not field.taps(0, 0).any()


def test_path_counts_are_binomial_for_two_layers():
    counts = analyze(nn.Sequential(conv(), conv()), (5, 5)).output.path_counts(0, 0)
    assert np.array_equal(counts, np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]))


def test_path_counts_stay_exact_beyond_int64():
    """The middle of 24 layers of 3x3: the central trinomial coefficient of 24, squared."""
    layers = nn.Sequential(*[conv(padding=1) for _ in range(24)])
    middle = analyze(layers, (49, 49)).output.path_counts(24, 24)[24, 24]
    central = sum(math.comb(24, 2 * k) * math.comb(2 * k, k) for k in range(13))
    assert middle == central**2 > 2**63


# ------------------------------------------------------------------------------ random networks


class Join(nn.Module):
    """Branches, cropped to the smallest and added, or concatenated and mixed down."""

    def __init__(self, kind: str, *branches: nn.Module) -> None:
        super().__init__()
        self.kind, self.branches = kind, nn.ModuleList(branches)
        self.mix = nn.Conv2d(len(branches), 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        maps = [branch(image) for branch in self.branches]
        height, width = (min(each.shape[d] for each in maps) for d in (2, 3))
        maps = [each[:, :, :height, -width:] for each in maps]  # so that they are shifted, too
        return sum(maps) if self.kind == "add" else self.mix(torch.cat(maps, dim=1))


def pairs(least: int, most: int) -> st.SearchStrategy:
    return st.tuples(st.integers(least, most), st.integers(least, most))


CONVOLUTIONS = st.builds(
    conv,
    kernel=pairs(1, 3),
    stride=pairs(1, 2),
    dilation=pairs(1, 2),
    padding=pairs(0, 2),
    padding_mode=st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]),
)
WINDOWS = CONVOLUTIONS | st.builds(
    nn.MaxPool2d, st.integers(2, 3), pairs(1, 2), st.integers(0, 1), ceil_mode=st.booleans()
)
TRANSPOSED = st.builds(up, pairs(1, 3), stride=pairs(1, 3), padding=st.integers(0, 1))
RESAMPLED = st.one_of(
    TRANSPOSED,
    st.builds(nn.Upsample, size=pairs(1, 9)),
    st.builds(nn.AdaptiveMaxPool2d, pairs(1, 6)),
    st.builds(nn.AvgPool2d, pairs(1, 3), st.integers(1, 2), ceil_mode=st.booleans()),
    st.builds(nn.ZeroPad2d, st.tuples(*[st.integers(-1, 2)] * 4)),
)
OTHERS = st.sampled_from([nn.ReLU(), nn.Identity(), nn.BatchNorm2d(1), nn.Sigmoid(), Gated()])
LAYERS = WINDOWS | RESAMPLED | OTHERS


def networks(layers: st.SearchStrategy) -> st.SearchStrategy:
    """Chains of layers and of joins of such chains."""

    def grow(inner: st.SearchStrategy) -> st.SearchStrategy:
        chains = st.lists(inner, min_size=1, max_size=3).map(lambda parts: nn.Sequential(*parts))
        joins = st.builds(
            Join, st.sampled_from(["add", "cat"]), chains, chains | st.just(nn.Identity())
        )
        return joins | chains

    return st.recursive(layers, grow, max_leaves=6)


def runs(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the output; gives the example up if the network cannot run."""
    try:
        with torch.no_grad():
            shape = network.eval()(torch.ones(1, 1, *size)).shape
    except (RuntimeError, ValueError):
        assume(False)
    assume(0 not in shape)
    return tuple(shape[2:])


QUICK = settings(max_examples=200, deadline=None, derandomize=True)


@pytest.mark.slow
@QUICK
@given(networks(LAYERS), pairs(4, 9), st.data())
def test_taps_of_any_network_are_what_brute_force_finds(network, size, data):
    height, width = runs(network, size)
    unit = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    field = analyze(network, size, channels=1).output
    taps = field.taps(*unit)
    assert field.units == (height, width)
    assert np.array_equal(taps, brute_force.by_gradient(network, size, unit, channels=1))
    assert np.array_equal(taps, brute_force.by_nan(network, size, unit, channels=1))
    assert field.box(*unit, clipped=True) == bounds(taps)
    assert np.array_equal(field.path_counts(*unit) > 0, taps)


SHIFT = 72  # a multiple of all strides below, and more than any field


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        CONVOLUTIONS | TRANSPOSED.filter(lambda layer: layer.stride in [(2, 2), (1, 1)]),
        min_size=1,
        max_size=3,
    ),
    pairs(4, 9),
    st.data(),
)
def test_the_unclipped_box_is_what_the_unit_would_see_in_a_larger_image(layers, size, data):
    """Brute force on an image with 72 more pixels on all sides, at the unit that lies as far in."""
    for layer in layers:
        layer.padding_mode = "zeros"
    network, shift = nn.Sequential(*layers), [SHIFT, SHIFT]
    for layer in layers:
        for axis in (0, 1):
            if isinstance(layer, nn.Conv2d):
                assert shift[axis] % layer.stride[axis] == 0
                shift[axis] //= layer.stride[axis]
            else:
                shift[axis] *= layer.stride[axis]
    height, width = runs(network, size)
    y = data.draw(st.integers(0, height - 1))
    x = data.draw(st.integers(0, width - 1))
    larger = (size[0] + 2 * SHIFT, size[1] + 2 * SHIFT)
    inner = (y + shift[0], x + shift[1])
    seen = bounds(brute_force.by_gradient(network, larger, inner, channels=1))
    box = analyze(network, size, channels=1).output.box(y, x)
    assert box == (seen and tuple(pixel - SHIFT for pixel in seen))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(networks(WINDOWS | TRANSPOSED), pairs(4, 8), st.data())
def test_path_counts_are_the_gradients_of_a_network_of_ones(network, size, data):
    height, width = runs(network, size)
    y = data.draw(st.integers(0, height - 1))
    x = data.draw(st.integers(0, width - 1))
    counts = analyze(network, size, channels=1).output.path_counts(y, x)
    for parameter in network.double().parameters():
        nn.init.ones_(parameter)
    image = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    with brute_force.PositiveLinear():  # max pooling adds up
        network(image)[0, 0, y, x].backward()
    assert np.array_equal(counts, image.grad[0, 0].numpy())


SIZES = [(units, {"size": (count, 1)}) for units in range(1, 13) for count in range(1, 30)]
# In exact arithmetic, unit 41 of 82 reads pixel 1 of 2; PyTorch's float32 falls just short of it.
SIZES += [(2, {"size": (82, 1)}), (3, {"size": (123, 1)}), (37, {"size": (111, 1)})]
SIZES += [
    (units, {"scale_factor": (s, 1)}) for units in (5, 9, 31, 33) for s in (0.3, 1.1, 1.3, 2.3)
]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_finds_the_unit_that_pytorch_finds_rounding_included(mode):
    for units, options in SIZES:
        column = torch.arange(units, dtype=torch.float32).view(1, 1, units, 1)
        resize = Call(lambda x, options=options: F.interpolate(x, mode=mode, **options))
        field = analyze(resize, (units, 1), channels=1).output
        found = [field.box(y, 0, clipped=True).top for y in range(field.units[0])]
        assert found == resize(column).flatten().tolist(), (units, options)


# ------------------------------------------------------------------------------ published values


def same_padded(channels: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    """TensorFlow's "SAME" for an even input: with stride 2, all padding comes behind."""
    total = kernel - stride if stride > 1 else kernel - 1
    before = total // 2
    pad = nn.ZeroPad2d((before, total - before, before, total - before))
    return nn.Sequential(pad, nn.Conv2d(channels, channels, kernel, stride, groups=groups))


def mobilenet_v1() -> nn.Sequential:
    """Howard et al. 2017, table 1: a strided convolution, then 13 depthwise ones."""
    strides = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    return nn.Sequential(*[same_padded(3, 3, stride) for stride in strides])


class Bottleneck(nn.Module):
    """A residual unit of TF-slim, in which the 3x3 convolution strides and pads alike."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.residual = nn.Conv2d(1, 1, 3, stride, padding=1)
        self.skip = nn.MaxPool2d(1, stride)

    def forward(self, image: Tensor) -> Tensor:
        return self.residual(image) + self.skip(image)


def slim_resnet(*depths: int) -> nn.Sequential:
    """ResNet v1 of TF-slim: the last unit of each block but the fourth strides."""
    strides = [
        2 if n == depth - 1 and block < 3 else 1
        for block, depth in enumerate(depths)
        for n in range(depth)
    ]
    stem = [conv(7, stride=2, padding=3), nn.MaxPool2d(3, 2, ceil_mode=True)]
    return nn.Sequential(*stem, *[Bottleneck(stride) for stride in strides])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "size", "stride", "padding"),
    [
        (lambda: models.alexnet().features, 195, 32, 66),  # torchvision pads the first by 2
        (lambda: models.vgg16().features, 212, 32, 90),
        (mobilenet_v1, 315, 32, 126),
        (lambda: slim_resnet(3, 4, 6, 3), 483, 32, 239),
        (lambda: slim_resnet(3, 4, 23, 3), 1027, 32, 511),
        (lambda: slim_resnet(3, 8, 36, 3), 1507, 32, 751),
    ],
    ids=["alexnet", "vgg_16", "mobilenet_v1", "resnet_v1_50", "resnet_v1_101", "resnet_v1_152"],
)
def test_published_receptive_fields_are_reproduced(network, size, stride, padding):
    """Source: Araujo, Norris and Sim, Distill 2019, doi:10.23915/distill.00021."""
    field = analyze(network(), (224, 256)).output
    assert (field.size, field.stride, field.start) == ((size,) * 2, (stride,) * 2, (-padding,) * 2)


@pytest.mark.slow
def test_torchvisions_resnet50_strides_earlier_than_the_published_one():
    field = analyze(models.resnet50(), (224, 224))["layer4"]
    assert (field.size, field.stride, field.start) == ((427, 427), (32, 32), (-213, -213))


@pytest.mark.slow
def test_inception_v3_has_its_published_size():
    field = analyze(models.inception_v3(init_weights=False), (299, 299))["Mixed_7c"]
    assert (field.size, field.stride) == ((1311, 1311), (32, 32))


@pytest.mark.slow
def test_dilation_replaces_stride_in_deeplab_but_not_the_field():
    plain = analyze(models.resnet50(), (128, 128))
    dilated = analyze(models.resnet50(replace_stride_with_dilation=[False, True, True]), (128, 128))
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        assert dilated[stage].size == plain[stage].size
    assert dilated["layer4"].stride == (8, 8)


@pytest.mark.slow
def test_only_16_units_of_the_running_example_see_the_whole_image():
    """3, 11, 19, 27, 35 by block; with 17 pixels on either side, units 14 to 17 see 0 to 31."""
    analysis = analyze(SkipNet(), (32, 32))
    blocks = ["conv0", "conv1", "conv2", "conv3", "conv4"]
    assert [analysis[block].size for block in blocks] == [(n, n) for n in (3, 11, 19, 27, 35)]
    assert all(analysis[block].stride == (1, 1) for block in blocks)
    field = analysis["conv4"]
    seeing = [
        (y, x)
        for y in range(32)
        for x in range(32)
        if field.box(y, x, clipped=True) == (0, 0, 31, 31)
    ]
    assert seeing == [(y, x) for y in range(14, 18) for x in range(14, 18)]
    assert field.coverage(16, 16) == 1


# --------------------------------------------------------------------------- names and outputs


class Twice(nn.Module):
    """One convolution, called twice; a branch that does not run; three outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.unused = conv(padding=1), conv()

    def forward(self, image: Tensor) -> dict:
        once = self.conv(image)
        twice = self.conv(once)
        return {"out": twice, "pair": (once, image.shape[2]), "mean": twice.mean()}


def test_several_calls_and_several_outputs_stay_apart():
    analysis = analyze(Twice(), (8, 8))
    assert analysis["conv"].size == (3, 3)
    assert analysis["conv#2"].size == (5, 5)
    output = analysis.output
    assert output["out"].size == (5, 5)
    assert (output["pair"][0].size, output["pair"][1]) == ((3, 3), 8)
    assert output["mean"].box(0, 0, clipped=True) == (0, 0, 7, 7)


def test_any_module_that_ran_is_found_and_others_are_answered_with_close_names():
    network = models.resnet18()
    analysis = analyze(network, (64, 64))
    named = {name for name, _ in network.named_modules()} - {""}
    assert {name.removesuffix("#2") for name in analysis.names} == named
    assert analysis["layer3.1.conv2"].size == (211, 211)
    with pytest.raises(KeyError, match=r"'layer3.1.conv9' ran; .*layer3.1.conv2"):
        analysis["layer3.1.conv9"]
    with pytest.raises(KeyError, match="no module 0 ran; some that did: conv1"):
        analysis[0]
    with pytest.raises(KeyError, match="unused"):
        analyze(Twice(), (8, 8))["unused"]


def test_analyze_leaves_the_module_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    analyze(network, (8, 8))
    assert network.training
    assert network[1].training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network[0]._forward_hooks
    assert network[0].weight.requires_grad


def test_precision_and_context_do_not_matter():
    network = nn.Sequential(conv(padding=1), nn.BatchNorm2d(1))
    with torch.inference_mode():
        assert analyze(network.half(), (8, 8)).output.size == (3, 3)


class Reversed(nn.Module):
    """Lists its second convolution, of 2 channels, before its first, of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.first = nn.Conv2d(2, 1, 3), nn.Conv2d(4, 2, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.second(self.first(image))


def test_the_channels_of_the_image_are_found_or_given():
    assert analyze(Reversed(), (8, 8)).output.size == (5, 5)
    with pytest.raises(ValueError, match=r"pixels of 5 channels. In `first` \(Conv2d\)"):
        analyze(Reversed(), (8, 8), channels=5)


def test_gates_are_seen_or_looked_through():
    field = analyze(Gated(), (9, 9)).output
    assert field.box(4, 4, clipped=True) == (0, 0, 8, 8)
    field = analyze(Gated(), (9, 9), through_gates=True).output
    assert (field.size, field.box(4, 4)) == ((3, 3), (3, 3, 5, 5))
    expanded = Call(lambda x, a: a(x) * x.mean((2, 3), keepdim=True).expand_as(x), conv(padding=1))
    assert analyze(expanded, (9, 9), through_gates=True).output.size == (3, 3)
    grouped = nn.Sequential(conv(padding=1), nn.GroupNorm(1, 1), nn.InstanceNorm2d(1, affine=True))
    assert analyze(grouped, (9, 9), through_gates=True).output.size == (3, 3)
    assert analyze(grouped, (9, 9)).output.stride == (0, 0)


def blurred(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 3, 1, 1)


@pytest.mark.parametrize(
    ("gate", "size"),
    [
        (lambda x: blurred(x) / (1 + x.abs().mean((2, 3), keepdim=True)), (3, 3)),
        (lambda x: torch.addcmul(x, blurred(x), x.mean((2, 3), keepdim=True)), (3, 3)),
        (lambda x: blurred(x) * x.norm(dim=(2, 3), keepdim=True), (3, 3)),
        (lambda x: blurred(x) * x.mean(3, keepdim=True), (3, None)),  # a row's own mean
        (lambda x: blurred(x) - x.mean((2, 3), keepdim=True), (None, None)),  # no factor
    ],
)
def test_only_what_scales_the_whole_map_is_looked_through(gate, size):
    assert analyze(Call(gate), (12, 10), channels=1, through_gates=True).output.size == size


def test_batch_norm_without_running_statistics_sees_the_whole_map():
    network = nn.BatchNorm2d(1, track_running_stats=False)
    assert analyze(network, (6, 6), channels=1).output.box(0, 0) == (0, 0, 5, 5)
    assert analyze(nn.BatchNorm2d(1), (6, 6), channels=1).output.size == (1, 1)


class Repeated(nn.Module):
    """The same operations again and again on maps of one shape, which are then changed in place."""

    def forward(self, image: Tensor) -> Tensor:
        left = F.gelu(F.pad(image, (1, 0))[..., :-1])
        right = F.gelu(F.pad(image, (0, 1))[..., 1:])
        middle = F.hardswish(F.hardswish(image.clone(), inplace=True), inplace=True)
        left.transpose_(2, 3)
        right += middle
        upright = F.gelu(image) + F.gelu(input=image)
        return left.transpose(2, 3) + right + 0 * upright.transpose_(2, 3).transpose(2, 3)


def test_operations_that_repeat_on_one_shape_are_kept_apart():
    field = analyze(Repeated(), (5, 8), channels=1).output
    assert (field.units, field.box(2, 3)) == ((5, 8), (2, 2, 2, 4))
    found = brute_force.by_nan(Repeated(), (5, 8), (2, 3), channels=1)
    assert np.array_equal(field.taps(2, 3), found)


def test_recomputed_scales_are_those_of_the_sizes():
    """5 pixels at scale 1.5 become 7: unit 4 lies at 4.5 * 5/7 - 0.5 = 2.7; by the scale, at 2.5.

    Unit 5 lies at 5.5 * 5/7 - 0.5 = 3.4 or at 3.2; unit 1 at 0.57 or at 0.5; unit 6 at 4.1 or 3.8.
    """
    options = {"scale_factor": 1.5, "mode": "bilinear"}
    for recompute, box in ((True, (4, 4, 5, 5)), (False, (3, 3, 4, 4))):
        resize = Call(
            lambda x, recompute=recompute: F.interpolate(
                x, **options, recompute_scale_factor=recompute
            )
        )
        assert analyze(resize, (5, 5), channels=1).output.box(6, 6) == box


def test_an_axis_may_be_named_as_in_numpy():
    field = analyze(Call(lambda x: x.mean(axis=3, keepdims=True)), (6, 7), channels=1).output
    assert (field.units, field.box(2, 0)) == ((6, 1), (2, 0, 2, 6))


def test_a_sum_is_no_gate():
    pooled = Call(lambda x, a: a(x) + x.mean((2, 3), keepdim=True), conv(padding=1))
    field = analyze(pooled, (9, 9), through_gates=True).output
    assert field.box(4, 4, clipped=True) == (0, 0, 8, 8)


# ---------------------------------------------------------------------------------- refusals


def refuse() -> None:
    raise AssertionError


def unseen(image: Tensor) -> Tensor:
    """Doubles `image`, as an extension would, without telling PyTorch's Python side."""
    with torch._C.DisableTorchFunction():
        return image * 2


def hidden_branch(image: Tensor) -> Tensor:
    """As `unseen`, and without a trace in the gradients either."""
    with torch.no_grad(), torch._C.DisableTorchFunction():
        return image * 2


@torch.no_grad()  # with gradients, PyTorch itself refuses that
def written_out(image: Tensor, conv: nn.Module) -> Tensor:
    result = torch.zeros_like(image)
    torch.mul(conv(image), 2, out=result)
    return image + result


def through_data(image: Tensor, conv: nn.Module) -> Tensor:
    result = torch.zeros(1, 1, 8, 8)
    result.data.add_(conv(image))
    return image + result


def through_a_maps_data(image: Tensor, conv: nn.Module) -> Tensor:
    result = image * 2
    result.data.view(-1).add_(conv(image).view(-1))
    return result


def other_data(image: Tensor, conv: nn.Module) -> Tensor:
    result = torch.zeros(1, 1, 8, 8)
    result.data = conv(image)
    return image + result


def other_imaginary_part(image: Tensor, conv: nn.Module) -> Tensor:
    result = torch.complex(image, image)
    result.imag = conv(image)
    return result.imag


def several_at_once(image: Tensor, conv: nn.Module) -> Tensor:
    scale = torch.ones(1)
    torch._foreach_add_([scale], [conv(image).mean((2, 3))[0]])
    return image * scale


def decided_by_a_mask(image: Tensor, conv: nn.Module) -> Tensor:
    finite = torch.isfinite(image)
    finite &= image > 0
    return image if finite.all() else conv(image)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (written_out, "mul in the network itself writes its result .* out="),
        (through_data, "add_ in the network itself writes through `data`"),
        (through_a_maps_data, "add_ in the network itself writes through `data`"),
        (other_data, "the network itself gives a tensor other `data`"),
        (several_at_once, "_foreach_add_ in the network itself changes several tensors at once"),
        (decided_by_a_mask, "bool in the network itself asks for the values of pixels"),
    ],
)
def test_a_branch_that_goes_a_hidden_way_is_refused_not_lost(function, message):
    with pytest.raises(Unsupported, match=message):
        analyze(Call(function, conv(padding=1)), (8, 8), channels=1)


def test_a_branch_that_goes_through_an_imaginary_part_is_refused_not_lost():
    """About once in a thousand times Python finds no attribute of that name: a refusal, too."""
    ways = "the network itself uses a tensor that was changed unseen|has no attribute 'imag'"
    with pytest.raises(Refused, match=ways):
        analyze(Call(other_imaginary_part, conv(padding=1)), (8, 8), channels=1)


def test_what_the_image_makes_likely_depends_on_the_image():
    drawn = Call(lambda x, a: x + torch.bernoulli(a(x).sigmoid()), conv(padding=1))
    assert analyze(drawn, (8, 8), channels=1).output.size == (3, 3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Call(lambda x: torch.linalg.svdvals(x)), r"linalg_svdvals in the network itself has no"),
        (nn.Sequential(conv(), Call(torch.linalg.inv)), r"linalg_inv in `1` \(Call\) has no rule"),
        (
            Call(lambda x: F.conv2d(x[:, :, :4, :4], x.mean(1, keepdim=True)[:, :, :2, :2])),
            "differ from unit to unit",
        ),
        (Call(lambda x: x.view(torch.int16)), "numbers of another length"),
        (
            Call(lambda x: x if x.sum() > 0 else -x),
            "bool in the network itself asks for the values",
        ),
        (Call(lambda x: x * x.max().item()), "item in the network itself asks for the values"),
        (
            Call(
                lambda x: (
                    y := x + 0,
                    y[:, :, 1:].t_() if False else y.narrow(2, 1, 7).mul_(2),
                    y * 2,
                )[2]
            ),
            "changed unseen",
        ),
        (
            Call(lambda x: (z := torch.zeros(1, 1, 8, 8), z.narrow(2, 0, 8).copy_(x), z)[2]),
            "into a part of a constant",
        ),
        (Call(lambda x: unseen(x) * 2), "changed unseen"),
        (Call(lambda x: x + hidden_branch(x)), "changed unseen"),
        (
            Call(lambda x: x.mT.as_strided((1, 1, 4, 4), (64, 64, 8, 1))),
            r"counts through memory, .* call contiguous\(\)",
        ),
        (
            Call(lambda x: x.scatter_add(2, torch.zeros(1, 1, 8, 8, dtype=torch.int64), x)),
            "scatter_add in the network itself has no rule",
        ),
        (
            Call(lambda x: x.index_put((torch.tensor([0, 0]),), x[0], accumulate=True)),
            "index_put in the network itself adds up",
        ),
        (
            Call(lambda x: x.nonzero()),
            "nonzero in the network itself cannot run without the values",
        ),
        (Call(lambda x: x[x > 0]), "getitem__ in the network itself cannot run without the values"),
    ],
    ids=range(15),
)
def test_what_has_no_exact_rule_is_refused_with_its_name_and_place(network, message):
    with pytest.raises(Unsupported, match=message):
        analyze(network, (8, 8), channels=1)


@pytest.mark.parametrize(
    ("network", "size", "message"),
    [
        (conv(), (0, 8), r"size=0; it must be from 1 to 10,000"),
        (conv(), (8, -1), r"size=-1; it must be from 1 to 10,000"),
        (
            nn.Sequential(conv(), conv(5)),
            (6, 6),
            r"on 6 x 6 pixels of 1 channels. In `1` \(Conv2d\): Calc",
        ),
        (nn.Sequential(nn.MaxPool2d(4)), (3, 3), r"In `0` \(MaxPool2d\): .*too small"),
        (Call(lambda x: x[:, :, 8:]), (8, 8), "getitem leaves nothing"),
        (Call(lambda x: torch.zeros(3)), (8, 8), "shows no map of the image"),
        (
            nn.Bilinear(2, 2, 2),
            (8, 8),
            "missing 1 .* needs a module around it that takes the image",
        ),
        (Call(lambda x: {}["k"]), (8, 8), "KeyError: 'k'. It is the network that refuses"),
        (Call(lambda x: refuse()), (8, 8), "AssertionError, without a word. It is the network"),
    ],
    ids=range(9),
)
def test_what_cannot_run_is_refused_with_numbers(network, size, message):
    with pytest.raises(ValueError, match=message):
        analyze(network, size)


@pytest.mark.slow
def test_a_vision_transformer_is_followed_token_by_token():
    """The class token sees nothing before the first attention; after it, all see all."""
    analysis = analyze(models.vit_b_32(), (224, 224))
    before = analysis["encoder.dropout"]
    assert before.units == (50, 1)
    assert before.box(0, 0, clipped=True) is None
    assert before.box(9, 0, clipped=True) == (32, 32, 63, 63)  # patch 8: the second of row two
    after = analysis["encoder.layers.encoder_layer_0"]
    assert all(after.box(unit, 0, clipped=True) == (0, 0, 223, 223) for unit in (0, 9, 49))


@pytest.mark.slow
def test_windows_of_swin_see_themselves_until_patches_merge():
    """A window of 7 patches of 4 pixels: 28; a shifted one lies over four; pairs of patches: 8."""
    analysis = analyze(models.swin_t(), (224, 224))
    first = analysis["features.1.0"]
    assert (first.units, first.layout) == ((56, 56), ("1", "height", "width", "96"))
    assert first.box(0, 0, clipped=True) == (0, 0, 27, 27)
    assert first.box(8, 13, clipped=True) == (28, 28, 55, 55)
    assert analysis["features.1.1"].box(8, 13, clipped=True) == (0, 28, 55, 83)


def test_a_refusal_keeps_the_maps_before_it():
    network = nn.Sequential(conv(padding=1), conv(padding=1), Call(torch.linalg.inv), conv())
    with pytest.raises(Unsupported) as caught:
        analyze(network, (8, 8))
    analysis = caught.value.analysis
    assert analysis["1"].size == (5, 5)
    assert [row.layer for row in analysis.table()] == ["0", "1"]
    assert analysis.last_map.size == (5, 5)
    assert "linalg_inv in `2`" in analysis.missing
    with pytest.raises(KeyError, match="linalg_inv"):
        analysis.output  # noqa: B018
    assert analyze(network[:2], (8, 8)).missing is None


def test_blind_virtual_units_do_not_part_boxes_that_could_be_one():
    """Tokens put back into a map have none beyond its edge; each residual block saw more boxes."""

    def shuffled(x: Tensor, *blocks: nn.Module) -> Tensor:
        x = x.flatten(2)[:, :, None].transpose(2, 3)[..., [0]].view_as(x)
        for block in blocks:
            x = x + block(F.interpolate(block(F.adaptive_avg_pool2d(x, 3)), x.shape[2:]))
        return x

    analysis = analyze(Call(shuffled, *[conv(padding=1) for _ in range(4)]), (12, 10), channels=1)
    assert max(map(len, analysis.nominal.values())) <= 2
    assert analysis.output.box(5, 5, clipped=True) == (0, 0, 11, 9)


def test_a_rule_for_another_shape_is_refused(monkeypatch):
    monkeypatch.setitem(_rules.RULES, "tanh", lambda op, x: Feature(x.grid, x.dimensions[1:]))
    with pytest.raises(Unsupported, match=r"tanh in .* gives \(1, 1, 8, 8\); its rule is for"):
        analyze(Call(torch.tanh), (8, 8), channels=1)


def test_random_numbers_made_like_the_image_see_nothing():
    noisy = Call(lambda x, a: a(x + torch.randn_like(x)), conv(padding=1))
    assert analyze(noisy, (8, 8)).output.size == (3, 3)


def test_unclipped_fields_behind_a_norm_are_no_smaller_than_the_local_ones():
    small, large = conv(padding=1), conv(31, padding=15)
    for between in (nn.GroupNorm(1, 1), nn.Softmax(-1), nn.LayerNorm(8)):
        field = analyze(nn.Sequential(small, between, large), (8, 8)).output
        assert min(size or 33 for size in field.size) >= 33, between


@pytest.mark.slow
def test_graph_modules_exported_programs_and_compiled_networks_are_analysed():
    network = nn.Sequential(conv(), nn.ReLU(), conv(padding=1)).eval()
    exported = torch.export.export(network, (torch.ones(1, 1, 8, 8),)).module()
    compiled = torch.compile(network, backend="eager")
    for other in (torch.fx.symbolic_trace(network), exported, compiled):
        field = analyze(other, (8, 8), channels=1).output
        assert (field.units, field.size) == ((6, 6), (5, 5))


def test_an_analysis_is_a_mapping_of_names_and_can_be_pickled():
    analysis = analyze(models.resnet18(), (64, 64))
    assert "layer1" in analysis
    assert "layer9" not in analysis
    assert list(analysis) == analysis.names
    again = pickle.loads(pickle.dumps(analysis))
    assert repr(again["layer3"]) == repr(analysis["layer3"])
    assert str(again.table()) == str(analysis.table())


def test_the_centre_is_the_unit_in_the_middle():
    assert analyze(conv(), (9, 12)).output.centre == (3, 5)


def test_other_errors_than_the_channels_are_told_of_the_first_guess():
    with pytest.raises(ValueError, match="2 x 2 pixels of 4 channels"):
        analyze(Reversed().first, (2, 2))


@pytest.mark.parametrize("unit", [(-1, 0), (0, 6), (6, 0)])
def test_units_outside_the_map_are_refused(unit):
    field = analyze(conv(), (8, 8)).output
    for method in (field.box, field.taps, field.coverage, field.path_counts):
        with pytest.raises(ValueError, match=r"[yx]=-?\d+; it must be from 0 to 5"):
            method(*unit)


# ------------------------------------------------------------------------- table and command


def test_the_table_lists_what_moves_the_field():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(4),
        nn.MaxPool2d((2, 1)),
        nn.Upsample(scale_factor=(2, 1)),
    )
    table = analyze(network, (8, 8)).table()
    assert [row.layer for row in table] == ["0", "2", "3"]
    assert table[1] == ("2", (4, 8), (2, 1), (2, 1), (1, 1), (4, 3), (2, 1), (-1, -1))
    lines = str(table).splitlines()
    assert lines[0].split() == "layer units kernel stride dilation size jump start".split()
    assert lines[2].split() == ["2", "4x8", "2x1", "2x1", "1", "4x3", "2x1", "-1"]
    assert lines[3].split() == ["3", "8", "4x3", "-x1", "-x-1"]
    assert len({line.index("4x3") for line in lines[2:]}) == 1
    page = table._repr_html_()
    assert page.count("<tr>") == 4
    assert "<td>2x1</td>" in page


def test_the_table_names_what_is_no_layer_after_its_module_and_operation():
    def layers(network: nn.Module) -> list[str]:
        return [row.layer for row in analyze(network, (8, 8)).table()]

    assert layers(conv()) == ["Conv2d"]
    assert layers(nn.Sequential(nn.ReLU(), conv(), nn.ReLU())) == ["1"]
    skip = Call(lambda x, a: x + a(x), conv(padding=1))
    assert layers(nn.Sequential(skip)) == ["0.layers.0", "0: add"]
    assert layers(skip) == ["layers.0", "add"]
    assert layers(Twice()) == ["conv", "conv#2", "mean"]


def test_an_analysis_in_a_notebook_says_the_same_every_time():
    assert repr(analyze(SkipNet(), (32, 32))) == "Analysis(size=(32, 32), 84 modules)"


@pytest.mark.slow
def test_the_command_prints_the_table_one_layer_or_json(capsys):
    assert cli.main(["receptive-field", "torchvision.models:resnet18", "--input", "64"]) == 0
    assert "layer4.1.conv2" in capsys.readouterr().out
    arguments = ["receptive-field", "skipnet", "--input", "32x48", "--layer", "conv4", "--json"]
    assert cli.main(arguments) == 0
    (facts,) = json.loads(capsys.readouterr().out)["layers"]
    assert facts["layer"] == "conv4"
    assert facts["sees"] == {"top": 0, "left": 7, "bottom": 31, "right": 41}
    assert (facts["units"], facts["size"], facts["start"]) == ([32, 48], [35, 35], [-17, -17])


def run(capsys, *arguments: str) -> str:
    """What the command prints, if it succeeds."""
    assert cli.main(["receptive-field", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_the_command_closes_with_the_last_map_and_names_what_looks_past_gates(capsys):
    lines = run(capsys, "skipnet").splitlines()
    assert lines[0].split()[:2] == ["layer", "units"]
    assert lines[-1].startswith("last map: Field(units=(32, 32), size=(35, 35)")
    assert lines[-1].endswith("its middle unit, (16, 16), sees the whole image")
    gated = run(capsys, "torchvision.models:mobilenet_v3_small", "--input", "64")
    assert "--through-gates" in gated.splitlines()[-1]


@pytest.mark.slow
def test_the_command_takes_patterns_depths_and_other_formats(capsys):
    resnet = ("torchvision.models:resnet18", "--input", "64")
    lines = run(capsys, *resnet, "--layer", "layer?").splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"layer{n}" for n in (1, 2, 3, 4)]
    assert run(capsys, *resnet, "--depth", "1").count("\n") < 8
    assert run(capsys, *resnet, "--format", "csv").startswith("layer,units_y,units_x,kernel_y")
    assert run(capsys, *resnet, "--format", "markdown").startswith("| layer | units |")
    document = json.loads(run(capsys, *resnet, "--json"))
    assert document["layers"][0]["layer"] == "conv1"
    assert document["last_map"]["units"] == [2, 2]
    assert document["missing"] is None


def test_each_line_of_the_csv_has_a_column_for_each_name():
    """A window along one axis has one number for kernel and stride, and takes two columns."""

    class AlongWidth(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool1d(2)

        def forward(self, images):  # (N, 3, H, W) -> (N, H, W / 2)
            return self.pool(images.mean(1))

    head, *lines = analyze(AlongWidth(), (8, 8)).table().csv().splitlines()
    assert lines and {line.count(",") for line in lines} == {head.count(",")}
    row = dict(zip(head.split(","), lines[-1].split(","), strict=True))
    assert (row["kernel_x"], row["stride_x"]) == ("2", "2")


@pytest.mark.slow
def test_the_command_draws_the_growth_of_the_field(capsys, tmp_path):
    picture = tmp_path / "growth.svg"
    run(capsys, "skipnet", "--plot", str(picture))
    drawn = picture.read_text()
    assert "<svg" in drawn
    assert "field (pixels)" in drawn


def test_the_command_takes_arguments_and_networks_that_are_there(capsys, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def make(kernel, *, padding=0): return nn.Conv2d(1, 1, kernel, padding=padding)\n"
        "network = nn.Conv2d(2, 1, 3)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert "size=(5, 5)" in run(capsys, "mine.py:make", "--with", "5", "--with", "padding=2")
    assert "size=(3, 3)" in run(capsys, "mine:network", "--channels", "2")


def test_the_command_prints_the_rows_before_a_refusal(capsys, tmp_path, monkeypatch):
    (tmp_path / "ends.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Inverse(nn.Module):\n"
        "    def forward(self, x): return torch.linalg.inv(x)\n"
        "network = nn.Sequential(nn.Conv2d(1, 1, 3), Inverse())\n"
    )
    monkeypatch.chdir(tmp_path)
    assert cli.main(["receptive-field", "ends:network"]) == 2
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()][:2] == ["layer", "0"]
    assert err.startswith("cifarlab: the table ends before linalg_inv in `1` (Inverse) has no rule")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere:resnet18"],
        ["torchvision.models:resnet_18"],
        ["resnet18"],
        ["skipnet", "--input", "0"],
        ["skipnet", "--input", "wide"],
        ["skipnet", "--layer", "conv9"],
        ["skipnet", "--layer", "conv4", "--layer", "conv9"],
        ["skipnet", "--plot", "growth.tiff"],
        ["skipnet", "--depth", "0"],
    ],
)
def test_the_command_refuses_in_one_line_and_prints_nothing_else(arguments, capsys):
    assert cli.main(["receptive-field", *arguments]) == 2
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert out == ""


# --------------------------------------------------------------------------- effective fields


def uniform(layers: int) -> nn.Sequential:
    network = nn.Sequential(*[conv(bias=False) for _ in range(layers)])
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1 / 9)
    return network


def test_the_effective_field_of_uniform_weights_is_the_gaussian_that_theory_predicts():
    """Each 3x3 layer adds a variance of (9 - 1) / 12; ten: 2.581989.  Source: Luo et al. 2016."""
    field = effective(uniform(10), torch.ones(2, 1, 21, 21), (0, 0))
    assert field.sigma == pytest.approx((2.581989, 2.581989), abs=1e-6)
    assert field.centre == pytest.approx((10, 10))
    assert field.share.sum() == pytest.approx(1)
    assert field.within == pytest.approx(0.865, abs=0.02)  # 1 - exp(-2) for a true Gaussian


def test_the_effective_field_lies_in_the_theoretical_one():
    torch.manual_seed(0)
    network = nn.Sequential(conv(padding=2, dilation=2), nn.ReLU(), conv(stride=2, padding=1))
    field = effective(network, torch.randn(64, 1, 12, 16), (2, 5))
    taps = analyze(network, (12, 16)).output.taps(2, 5)
    assert np.array_equal(field.share > 0, taps)


def test_the_effective_field_survives_where_float32_underflows():
    network = nn.Sequential(*[conv(padding=1, bias=False) for _ in range(40)])
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1e-3)
    image = torch.ones(1, 1, 9, 9, requires_grad=True)
    network(image)[0, 0, 4, 4].backward()
    assert image.grad.max() == 0  # float32
    assert effective(network, image, (4, 4)).sigma[0] > 1


def test_the_effective_field_of_a_layer_is_taken_before_the_next_one_overwrites_it():
    network = nn.Sequential(conv(bias=False), nn.ReLU(inplace=True))
    nn.init.constant_(network[0].weight, -1.0)  # so that nothing passes the ReLU
    assert effective(network, torch.ones(1, 1, 3, 3), (0, 0), layer="0").share.max() == 1 / 9
    with pytest.raises(ValueError, match="no pixel reaches it"):
        effective(network, torch.ones(1, 1, 3, 3), (0, 0))


def test_the_effective_field_is_that_of_evaluation_and_leaves_the_module_alone():
    network = nn.Sequential(uniform(2), nn.BatchNorm2d(1), nn.Dropout(p=1.0))  # drops all
    assert effective(network, torch.ones(2, 1, 5, 5), (0, 0)).share[2, 2] == pytest.approx(1 / 9)
    assert network.training
    assert network[0][0].weight.dtype == torch.float32
    assert network[0][0].weight.requires_grad
    assert network[1].num_batches_tracked == 0


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("unit", [0, 1, 3, 6, 11, 31])
def test_a_single_row_or_column_has_an_effective_field_without_width(axis, unit):
    """Exactly: the shares of its pixels, rounded, add up to a little more or less than 1."""
    for seed in range(40):
        torch.manual_seed(seed)
        across = conv((1, 3) if axis == 0 else (3, 1), bias=False)
        size, place = [3, 32], [0, unit]
        if axis == 0:
            size, place = [32, 3], [unit, 0]
        field = effective(across, torch.ones(1, 1, *size), tuple(place))
        assert field.sigma[axis] == 0
        assert field.centre[axis] == unit


def test_a_unit_that_no_pixel_reaches_has_no_effective_field():
    """Neither torch's own error nor a field: a bias of places, and what was detached."""

    class Places(nn.Module):
        def __init__(self):
            super().__init__()
            self.places = nn.Identity()

        def forward(self, images):
            return self.places(images.detach() * 2) + images

    with pytest.raises(ValueError, match="does not depend on the images; no pixel reaches it"):
        effective(Places(), torch.ones(1, 3, 4, 4), (1, 1), layer="places")


def test_effective_refuses_units_that_do_not_exist():
    with pytest.raises(ValueError, match=r"no unit \(9, 0\) in an output of shape \(1, 1, 6, 6\)"):
        effective(conv(), torch.ones(1, 1, 8, 8), (9, 0))
    with pytest.raises(ValueError, match="name a `layer`"):
        effective(SkipNet(), torch.ones(1, 3, 32, 32), (0, 0))


# ------------------------------------------------------------------------------ brute force


def test_a_layer_that_never_runs_has_no_field():
    network = SkipNet()
    network.unused = nn.Conv2d(3, 3, 3)
    for field_of in (
        lambda: effective(network, torch.ones(1, 3, 32, 32), (0, 0), layer="unused"),
        lambda: brute_force.by_gradient(network, (32, 32), (0, 0), layer="unused"),
    ):
        with pytest.raises(ValueError, match="layer='unused' does not run"):
            field_of()


def test_a_layer_that_gives_no_map_has_no_unit():
    class Two(nn.Module):
        def forward(self, images):
            return images, images

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.two = Two()

        def forward(self, images):
            return self.two(images)[0]

    with pytest.raises(ValueError, match=r"no unit \(0, 0\) in an output of shape \(\)"):
        effective(Network(), torch.ones(1, 1, 3, 3), (0, 0), layer="two")


def test_brute_force_takes_a_parameter_that_is_a_single_number():
    class Scaled(nn.Conv2d):
        def __init__(self):
            super().__init__(1, 1, 3, bias=False)
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, images):
            return super().forward(images) * self.scale

    assert bounds(brute_force.by_gradient(Scaled(), (5, 5), (1, 1), channels=1)) == (1, 1, 3, 3)


def test_brute_force_certifies_the_right_box_and_only_that():
    network, size, unit = nn.Sequential(conv(padding=1), nn.ReLU()), (7, 7), (3, 0)
    assert brute_force.certify(network, size, unit, (2, 0, 4, 1), channels=1) == []
    for wrong in [(2, 0, 4, 2), (2, 0, 4, 0), (1, 0, 4, 1), (3, 0, 4, 1), (2, 0, 3, 1)]:
        assert brute_force.certify(network, size, unit, wrong, channels=1)
    blind = conv(1, padding=1)
    assert brute_force.certify(blind, size, (0, 0), None, channels=1) == []
    assert brute_force.certify(blind, size, (1, 1), None, channels=1)


def test_brute_force_sees_through_a_layer_that_overwrites_its_input():
    network = nn.Sequential(conv(), nn.ReLU(inplace=True), conv())
    found = brute_force.by_gradient(network, (8, 8), (0, 0), layer="0", channels=1)
    assert bounds(found) == (0, 0, 2, 2)


def test_brute_force_refuses_units_that_do_not_exist():
    with pytest.raises(ValueError, match=r"no unit \(6, 0\)"):
        brute_force.by_gradient(conv(), (8, 8), (6, 0), channels=1)


# ------------------------------------------------------------------------------------- plots


def words(plot) -> str:
    """All text of a figure."""
    return " ".join(text.get_text() for text in plot.findobj(Text))


def corners(plot) -> list[tuple]:
    """Where the outlined rectangles of a figure begin, and how large they are."""
    outlines = [
        patch for patch in plot.findobj(Rectangle) if patch.get_label() in ("box", "theoretical")
    ]
    return [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in outlines]


IMAGE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


def test_a_box_is_drawn_around_its_pixels_and_beyond_the_image():
    plot = plots.field_boxes(IMAGE, {"box": Box(-2, 1, 3, 9)}, "not CIFAR-10")
    assert corners(plot)[0] == (0.5, -2.5, 9, 6)
    low, high = plot.axes[0].get_ylim()[::-1]
    assert low < -2.5
    assert high > 7.5
    assert "not CIFAR-10" in words(plot)


def test_taps_keep_their_colours_and_the_rest_turns_grey():
    mask = np.zeros((8, 8), bool)
    mask[2, 5] = True
    plot = plots.field_taps(IMAGE, {"all": ~mask | mask, "one": mask}, "not CIFAR-10")
    everything, one = (axes.images[0].get_array() for axes in plot.axes)
    assert np.array_equal(everything, IMAGE)
    assert np.array_equal(one[2, 5], IMAGE[2, 5])
    assert one[~mask].min() > 200
    assert {"all", "one", "not CIFAR-10"} <= {text.get_text() for text in plot.findobj(Text)}


def test_the_effective_field_is_drawn_with_two_sigma_and_the_theoretical_box():
    share = np.zeros((8, 8))
    share[3, 4] = 1
    found = Effective(share, centre=(3.0, 4.0), sigma=(1.0, 0.5), within=0.9)
    plot = plots.field_effective(IMAGE, found, Box(1, 2, 5, 6), "not CIFAR-10")
    ellipses = plot.findobj(Ellipse)
    assert {(each.center, each.width, each.height) for each in ellipses} == {((4, 3), 2, 4)}
    assert corners(plot)[0] == (1.5, 0.5, 5, 5)
    assert "90% within two sigma" in words(plot)


def test_growth_shows_the_sizes_of_the_table_and_skips_those_that_vary():
    table = analyze(nn.Sequential(conv(), nn.AdaptiveAvgPool2d(2), conv(2)), (7, 7)).table()
    assert [row.size[0] for row in table] == [3, 5, 7]
    varying = [table[0], table[1]._replace(size=(None, 5)), table[2]]
    line = plots.field_growth({"net": varying}, image=7).axes[0].lines[0]
    assert line.get_xydata().tolist() == [[1, 3], [3, 7]]


def test_examples_in_the_docstrings_run():
    assert doctest.testmod(_analysis).failed == 0
    assert doctest.testmod(_analysis).attempted > 0


@pytest.mark.parametrize("of_something_else", [nn.Conv1d(3, 4, 3), nn.Conv3d(3, 4, 3)])
def test_a_network_of_signals_or_volumes_is_refused_in_words(of_something_else):
    """README says: of most networks; these take no images."""
    network = nn.Sequential(of_something_else)
    name = type(of_something_else).__name__
    message = rf"cannot be analysed on 16 x 16 pixels of 3 channels\. In `0` \({name}\)"
    with pytest.raises(ValueError, match=message):
        analyze(network, (16, 16))
