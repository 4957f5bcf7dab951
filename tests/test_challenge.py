"""Protects the capstone: a fair network is let in, and a refusal names what is wrong with it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cifarlab import challenge, model, recipes


def network(*, width=32, dilations=(8, 4), separable=True, end=None, stem=None):
    """A net for the challenge, with a part of it exchanged."""
    return nn.Sequential(
        stem or model.ConvBlock(3, width),
        *(model.DilatedConv(width, width, dilation=dilation) for dilation in dilations),
        model.DepthwiseSeparableConv(width, width) if separable else model.ConvBlock(width, width),
        *(end or [nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 10, 1), nn.Flatten()]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*recipes.names()} - {"teacher"}))  # that one may be large
def test_the_course_s_own_networks_take_part(name):
    torch.manual_seed(0)
    assert challenge.violations(recipes.get(name).create_network()) == []


def test_a_strided_network_takes_part():
    stem = nn.Conv2d(3, 32, 5, stride=2, padding=2)
    assert challenge.violations(network(stem=stem, dilations=(2, 2, 2))) == []


@pytest.mark.slow
@pytest.mark.parametrize("down", [(0, 1), (1, 0)])
@pytest.mark.parametrize("right", [(0, 1), (1, 0)])
def test_it_is_enough_that_one_of_the_four_units_in_the_middle_sees_the_whole_image(down, right):
    """Fields of 32 pixels: 15 on one side of the unit, 16 on the other, by a 2x2 kernel."""
    stem = nn.Sequential(nn.ZeroPad2d((*right, *down)), nn.Conv2d(3, 32, 2))
    assert challenge.violations(network(stem=stem, dilations=(1, 2, 4, 7))) == []
    assert len(challenge.violations(network(stem=stem, dilations=(1, 2, 4, 6)))) == 1


class Forgetful(nn.Module):
    """Has a depthwise separable convolution, and leaves it out."""

    def __init__(self):
        super().__init__()
        self.used = network(separable=False, dilations=(1, 2, 4, 8))
        self.unused = model.DepthwiseSeparableConv(10, 10)

    def forward(self, images):
        scores = self.used(images)  # (N, 10)
        self.unused(scores[..., None, None])
        return scores


class Undecided(nn.Module):
    """Looks at the values of pixels before it decides where to look."""

    def __init__(self):
        super().__init__()
        self.net = network(dilations=(1, 2, 4, 8))

    def forward(self, images):
        return self.net(images.flip(-1) if images.mean() > 0 else images)


class Hoarding(nn.Module):
    """Has 60,000 numbers more than its parameters, where `keep` puts them; they change nothing."""

    def __init__(self, keep):
        super().__init__()
        self.net = network(width=64, dilations=(1, 2, 4, 8))
        keep(self)

    def forward(self, images):
        more = self.kept if torch.is_tensor(self.kept) else torch.from_numpy(self.kept)
        return self.net(images) + 0 * more.sum()


def in_a_buffer(module):
    module.register_buffer("kept", torch.zeros(60_000))


def in_an_attribute(module):
    module.kept = torch.zeros(200, 300)


def in_an_array(module):
    module.kept = np.zeros(60_000, np.float32)


class Borrowing(nn.Module):
    """Keeps numbers as the running statistics of a norm that it never applies."""

    def __init__(self, count, width):
        super().__init__()
        self.net = network(width=width, dilations=(1, 2, 4, 8))
        self.norm = nn.BatchNorm1d(count, affine=False)

    def forward(self, images):
        return self.net(images) + 0 * self.norm.running_mean.data.sum()


class Storing(nn.Module):
    """Has a norm of zeros give back what it keeps as running statistics, for weights."""

    def __init__(self):
        super().__init__()
        self.net = network(width=64, dilations=(1, 2, 4, 8))
        self.norm = nn.BatchNorm2d(64 * 64 * 9, affine=False)
        self.norm.running_mean.normal_()

    def forward(self, images):
        weights = self.norm(torch.zeros(1, 64 * 64 * 9, 1, 1)).view(64, 64, 3, 3)
        return self.net[1:](F.conv2d(self.net[0](images), weights, padding=1))


FROZEN = torch.ones(64, 64, 5, 5)


class Enclosing(nn.Module):
    """Convolves with a tensor that it neither has as a parameter nor in an attribute."""

    def __init__(self):
        super().__init__()
        self.net = network(width=64, dilations=(1, 2, 4, 8))
        kept = FROZEN.clone()
        self.convolve = lambda maps: F.conv2d(maps, kept, padding=2)

    def forward(self, images):
        return self.net[1:](self.convolve(self.net[0](images)))


class Bare(nn.Module):
    """Has a fully connected layer behind the pooling, as a function that is given its weights."""

    def __init__(self, connect):
        super().__init__()
        self.net = network(dilations=(1, 2, 4, 8))
        self.weight = nn.Parameter(torch.eye(10))
        self.connect = connect

    def forward(self, images):
        return self.connect(self.net(images), self.weight)


class Resizing(nn.Module):
    """Takes any size, for it makes one of them; then it has a weight for each place."""

    def __init__(self, flatten):
        super().__init__()
        self.maps = network(dilations=(1, 2, 4, 8), end=[nn.MaxPool2d(4)])
        self.last = nn.Linear(32 * 8 * 8, 10)
        self.flatten = flatten

    def forward(self, images):
        return self.last(self.flatten(self.maps(F.interpolate(images, size=(32, 32)))))


class Random(Forgetful):
    """Draws, so that every change seems to change its scores."""

    def forward(self, images):
        return super().forward(images) + torch.randn(10)


class Asserting(nn.Module):
    """Raises what PyTorch itself does not."""

    def forward(self, images):
        assert images.shape[-1] == 32, "32 only"


def frozen(module):
    module[0].requires_grad_(False)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "hint"),
    [
        (lambda: network(width=160, dilations=(1, 2, 4, 8)), "too many"),
        (lambda: frozen(network(width=160, dilations=(1, 2, 4, 8))), "too many"),
        (
            lambda: network(
                dilations=(1, 2, 4, 8), end=[nn.MaxPool2d(4), nn.Flatten(), nn.Linear(2048, 10)]
            ),
            "It flattens a map of 8x8 places",
        ),
        (
            lambda: network(
                dilations=(1, 2, 4, 8),
                end=[nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32 * 4 * 4, 10)],
            ),
            "It flattens a map of 4x4 places",
        ),
        (lambda: Resizing(lambda maps: maps.flatten(1)), "It flattens a map of 8x8 places"),
        (
            lambda: Resizing(lambda maps: maps.view(len(maps), -1)),
            "It flattens a map of 8x8 places",
        ),
        (
            lambda: Resizing(lambda maps: maps.flatten(2).reshape(len(maps), 2048)),
            "It flattens a map of 64 places",
        ),
        (
            lambda: network(
                dilations=(1, 2, 4, 8), end=[nn.AvgPool2d(32), nn.Conv2d(32, 11, 1), nn.Flatten()]
            ),
            "does not give (N, 10)",
        ),
        (
            lambda: network(
                dilations=(1, 2, 4, 8), end=[nn.AvgPool2d(32), nn.Conv2d(32, 10, 1), nn.Flatten()]
            ),
            "does not give (N, 10)",
        ),
        (lambda: Hoarding(in_a_buffer), "too many; frozen ones count too, and 60,000 numbers"),
        (lambda: Hoarding(in_an_attribute), "too many; frozen ones count too, and 60,000 numbers"),
        (lambda: Hoarding(in_an_array), "too many; frozen ones count too, and 60,000 numbers"),
        (lambda: Borrowing(9_000, 72), "too many; frozen ones count too, and 9,000 numbers"),
        # More than a tenth of the limit: then those of all norms count.
        (lambda: Borrowing(60_000, 64), "too many; frozen ones count too, and 120,388 numbers"),
        (Storing, "too many; frozen ones count too, and 74,116 numbers"),
        (Enclosing, "too many; frozen ones count too, and 102,400 numbers"),
        (lambda: network(dilations=(1,) * 15), "No dilated convolution"),
        (lambda: network(dilations=(1, 2, 4, 8), separable=False), "No depthwise separable"),
        (Forgetful, "No depthwise separable"),
        (Undecided, "can't be worked out"),
        (Random, "other scores each time"),
        (Asserting, "does not give (N, 10) scores for (N, 3, H, W) images: 32 only"),
        (lambda: network(dilations=(2, 2)), "of the 1,024 pixels"),
        (lambda: network(dilations=(16, 2)), "of the 1,024 pixels"),  # wide enough, with holes
    ],
)
def test_a_refusal_names_the_one_rule_that_is_broken(broken, hint):
    torch.manual_seed(0)
    found = challenge.violations(broken())
    assert len(found) == 1
    assert hint in found[0]


def test_weights_that_are_computed_from_others_are_exchanged_too():
    """Under `weight_norm` and its like, what is read as the weight is made anew at each call."""
    torch.manual_seed(0)
    taken = network(dilations=(1, 2, 4, 8))
    assert challenge.violations(taken) == []
    for layer in taken.modules():
        if isinstance(layer, nn.Conv2d):
            nn.utils.parametrizations.weight_norm(layer)
    assert challenge.violations(taken) == []


def test_weights_that_are_kept_in_a_buffer_are_exchanged_too():
    torch.manual_seed(0)
    frozen = network(dilations=(1, 2, 4, 8))
    for layer in frozen.modules():
        if isinstance(layer, nn.Conv2d):
            weight = layer.weight.detach().clone()
            del layer.weight
            layer.register_buffer("weight", weight)
    assert challenge.violations(frozen) == []


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_a_network_that_cannot_be_copied_is_refused_in_one_line():
    old = network(dilations=(1, 2, 4, 8))
    nn.utils.weight_norm(next(layer for layer in old.modules() if isinstance(layer, nn.Conv2d)))
    old(torch.zeros(1, 3, 32, 32))
    (found,) = challenge.violations(old)
    assert found.startswith("It can't be copied: ") and "\n" not in found


@pytest.mark.slow
def test_the_number_of_parameters_that_are_too_many_is_exact():
    """199,999 pass, 200,000 do not."""

    def padded(count):
        net = model.create("skipnet")
        net.extra = nn.Parameter(torch.zeros(count - model.count_parameters(net)))
        return net

    assert challenge.violations(padded(199_999)) == []
    assert "1 too many" in challenge.violations(padded(200_000))[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: network(
            dilations=(1, 2, 4, 8),
            end=[nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)],
        ),
        lambda: Bare(F.linear),
        lambda: Bare(lambda scores, weight: scores @ weight.t()),
    ],
)
def test_a_fully_connected_layer_behind_the_pooling_takes_part(make):
    """It is the 1x1 convolution of a single place, and takes any size of image as that does."""
    torch.manual_seed(0)
    assert challenge.violations(make()) == []


class Attending(nn.Module):
    """Multiplies the places of a map with one another, which no rule forbids."""

    def __init__(self):
        super().__init__()
        self.net = network(dilations=(1, 2, 4, 8), end=[nn.MaxPool2d(8)])
        self.end = nn.Conv2d(32, 10, 1)

    def forward(self, images):
        places = self.net(images).flatten(2)  # (N, 32, places)
        alike = (places.transpose(1, 2) @ places).softmax(dim=2)
        return self.end((places @ alike)[..., None]).mean(dim=(2, 3))


def test_places_in_a_row_are_no_flattened_map():
    """As attention wants them: no weight of it knows one place from another."""
    torch.manual_seed(0)
    found = challenge.violations(Attending())
    assert not any("flattens" in sentence for sentence in found)


@pytest.mark.slow
def test_the_network_is_left_as_it_was():
    net = model.create("skipnet").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    challenge.violations(net)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Sudden(nn.Module):
    """Takes a larger network for many images than for the two that a referee may ask about."""

    def __init__(self):
        super().__init__()
        self.net = network(width=8, dilations=(1, 2, 4, 8))

    def forward(self, images):
        if len(images) > 2:
            images = F.conv2d(images, torch.ones(3, 3, 5, 5), padding=2)
        return self.net(images)


def test_what_is_watched_is_counted_for_these_images_whoever_does_the_work():
    net = Sudden().eval()
    few, many = (challenge.watched(net, torch.rand(n, 3, 32, 32)) for n in (2, 4))
    assert few.parameters == model.count_parameters(net)
    assert few.multiply_adds == model.count_multiply_adds(net.net)
    assert many.multiply_adds == few.multiply_adds + 3 * 3 * 5 * 5 * 32 * 32
    assert many.scores.shape == (4, 10)


def test_numbers_that_a_function_is_given_are_counted():
    net = Enclosing().eval()
    seen = challenge.watched(net, torch.rand(1, 3, 8, 8))
    assert seen.parameters == model.count_parameters(net) + FROZEN.numel()
    # The layers' own work, and that of the bare function.
    assert seen.multiply_adds == (
        model.count_multiply_adds(net.net, (8, 8)) + FROZEN.numel() * 8 * 8
    )


def test_what_is_no_network_is_refused_by_name():
    with pytest.raises(TypeError, match="network=5; it must be torch.nn"):
        challenge.violations(5)
    with pytest.raises(TypeError, match="network=5; it must be torch.nn"):
        challenge.watched(5, torch.zeros(1, 3, 32, 32))
