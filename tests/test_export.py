"""Protects the network that runs in a page: the same answers as PyTorch's, or a clear refusal."""

import json

import pytest
import torch
from PIL import Image, ImageChops, ImageStat
from torch import nn

from cifarlab import data, figures, model, records, runs
from cifarlab.model import ConvBlock, DilatedConv
from cifarlab_course import cli as course
from cifarlab_course.artefacts import export, samples
from tests.helpers import unsettled

# PyTorch says that "same" with an even kernel copies its input.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def head() -> list[nn.Module]:
    """From 8 channels to 10 scores."""
    return [nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 10, 1), nn.Flatten()]


def net(*layers: nn.Module) -> nn.Module:
    """`layers` that make 8 channels of 3, and a head; its numbers are those of no fresh network."""
    return unsettled(nn.Sequential(*layers, *head()))


class Twice(nn.Module):
    """A convolution whose output both a batch norm and a skip read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.head = nn.Sequential(*head())

    def forward(self, images):
        maps = self.conv(images)
        return self.head(torch.relu(self.norm(maps) + maps))


NETWORKS = {
    "skipnet": lambda: unsettled(model.create("skipnet", dropout=0.1)),
    "fast": lambda: unsettled(model.create("fast")),
    "fast, dilated late": lambda: unsettled(
        model.create("fast", late=("dilated separable", "separable"))
    ),
    "a norm first": lambda: net(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3)),
    "a norm behind a ReLU": lambda: net(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8)),
    "a norm without numbers": lambda: net(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False)),
    "a norm behind the pooling": lambda: unsettled(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8), *head()[1:])
    ),
    "two norms": lambda: net(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.BatchNorm2d(8)),
    "read twice": lambda: unsettled(Twice()),
    "dilated": lambda: net(DilatedConv(3, 8, dilation=3, padding_mode="reflect")),
    "groups": lambda: net(nn.Conv2d(3, 9, 3), nn.Conv2d(9, 6, 3, groups=3), nn.Conv2d(6, 8, 1)),
    "even, padded to the same size": lambda: net(nn.Conv2d(3, 8, (2, 4), padding="same")),
    "oblong": lambda: net(
        nn.Conv2d(3, 8, (1, 5), (3, 2), padding=(0, 4), dilation=(1, 2), padding_mode="circular")
    ),
    "no padding": lambda: net(nn.Conv2d(3, 8, 3, stride=2, padding="valid")),
    "a block": lambda: net(ConvBlock(3, 8, dropout=0.5, padding_mode="replicate")),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    return NETWORKS[request.param]()


@pytest.mark.slow
def test_steps_and_maps_give_the_probabilities_of_the_network(network):
    export.compare(network, export.steps(network), torch.randn(8, 3, 32, 32))


def test_a_batch_norm_behind_a_convolution_is_no_step_of_its_own():
    kinds = [step.kind for step in export.steps(model.create("skipnet"))]
    assert kinds.count("convolution") == sum(
        isinstance(part, nn.Conv2d) for part in model.create("skipnet").modules()
    )


class Doubled(nn.Module):
    """A product, which is none of the steps."""

    def forward(self, images):
        return images * 2


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (nn.Sequential(nn.MaxPool2d(2), *head()), "the layer '0', MaxPool2d.*is none that a page"),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), *head()), "the layer '1', GELU"),
        (nn.Sequential(nn.Conv2d(3, 8, 1), *head(), nn.Linear(10, 10)), "the layer '4', Linear"),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(2)), "'1', AdaptiveAvgPool2d"),
        (
            nn.Sequential(nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(1), nn.ReLU()),
            "the layer '2', ReLU",
        ),
        (nn.Sequential(nn.Conv2d(3, 10, 1), nn.Flatten()), "the layer '1', Flatten"),
        (nn.Sequential(nn.Conv2d(3, 8, 1)), "Sequential does not pool"),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), "the layer '0', BatchNorm"),
        (nn.Sequential(Doubled(), *head()), "the step 'mul' of 'mul'"),
        (model.SkipNet, "type can't be traced"),
    ],
)
def test_what_a_page_cannot_run_is_named_with_what_it_can(network, named):
    with pytest.raises(ValueError, match=rf"{named}.*A page runs Conv2d, BatchNorm2d, ReLU"):
        export.steps(network)


def test_steps_that_compute_something_else_are_refused():
    network = unsettled(model.create("skipnet"))
    found = export.steps(network)
    found[-1].bias += torch.arange(10) / 1000
    with pytest.raises(ValueError, match="SkipNet computes something else than its layers"):
        export.compare(network, found, torch.randn(2, 3, 32, 32))


def test_a_weight_that_is_no_number_is_refused():
    network = net(nn.Conv2d(3, 8, 3))
    nn.init.constant_(network[0].weight, float("inf"))
    with pytest.raises(ValueError, match="no finite number"):
        export.written(export.steps(network))


def test_a_weight_is_rounded_by_half_a_127th_of_the_largest_of_its_output_at_most():
    conv = nn.Conv2d(5, 4, 3)
    with torch.no_grad():
        conv.weight *= torch.tensor([1e-3, 1, 1e3, 0])[:, None, None, None]
    step = export.convolution(conv, [0])
    small = step.rounded()
    assert torch.equal(small.weight, small.weight.round()) and small.weight.abs().max() == 127
    most = step.weight.abs().amax(dim=(1, 2, 3))
    error = (small.weight * small.scale[:, None, None, None] - step.weight).abs()
    assert (error.amax(dim=(1, 2, 3)) <= most / 127 * 0.501).all()
    assert error[:3].max() > 0


# ------------------------------------------------------------------------------ what is shipped


@pytest.fixture(scope="module", params=figures.LIVE)
def shipped(request):
    return figures.exported([request.param])[0]


def test_the_network_of_the_page_is_that_of_its_record(shipped):
    """To make it anew: `course export` and the record's name."""
    name = shipped["about"]["record"]
    assert shipped["about"] == export.about(records.load(name))
    assert export.written(export.steps(records.load_network(name))) == {"steps": shipped["steps"]}


def test_the_page_knows_how_often_its_network_is_right(shipped):
    """Bin by bin it adds up to the accuracy of the record, whose weights are rounded here."""
    counts, accuracy = shipped["calibration"]["counts"], shipped["calibration"]["accuracy"]
    right = sum(count * (share or 0) for count, share in zip(counts, accuracy, strict=True))
    assert sum(counts) == 10_000
    assert 100 * right / sum(counts) == pytest.approx(shipped["about"]["accuracy"], abs=0.15)


def test_the_samples_are_what_the_command_makes_of_the_test_images(cifar10):
    """Another WebP library may write a little differently."""
    _, test = cifar10
    assert [test.classes[label] for label in test.labels[list(samples.CHOSEN)]] == [*test.classes]
    made = samples.sheet(test.images[list(samples.CHOSEN)])
    with Image.open(samples.OUT) as stored:
        assert stored.size == made.size
        difference = ImageChops.difference(stored.convert("RGB"), made)
    assert max(ImageStat.Stat(difference).mean) < 4


# -------------------------------------------------------------------------------- the command


def run(*arguments) -> int:
    return course.main(["export", *map(str, arguments)])


@pytest.fixture
def few_images(monkeypatch, cifar10):
    """The first 60 test images alone: no exam of 10,000."""
    train, test = cifar10
    few = test.take(range(60))
    monkeypatch.setattr(data, "load", lambda: (train, few))
    monkeypatch.setattr(runs, "held_out_of", lambda record: few)
    return few


def test_the_command_writes_what_the_figure_takes(few_images, shipped, tmp_path):
    name = shipped["about"]["record"]
    assert run(name, "--out", tmp_path / "own.json") == 0
    own = json.loads((tmp_path / "own.json").read_text())
    assert own["steps"] == shipped["steps"]
    counts, accuracy = own["calibration"]["counts"], own["calibration"]["accuracy"]
    right = sum(count * (share or 0) for count, share in zip(counts, accuracy, strict=True))
    network, record = records.load_network(name), records.load(name)
    steps = [step.rounded() for step in export.steps(network)]
    images = export.images_of(record, few_images)
    guesses = export.class_maps(steps, images).mean(dim=(2, 3)).argmax(dim=1)
    assert sum(counts) == 60
    assert right == pytest.approx((guesses.numpy() == few_images.labels).sum())


def test_the_command_writes_a_page_that_asks_for_nothing(few_images, shipped, tmp_path, browser):
    """Opened from its file, the network cut, it answers."""
    path = tmp_path / "own.html"
    assert run(shipped["about"]["record"], "--out", path) == 0
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        page.get_by_role("status").get_by_text("Among the ten it says").wait_for()


def test_a_page_says_on_top_and_in_the_browser_s_tab_whose_predictions_it_shows(shipped):
    """And in which language, in which alphabet, and that it fits a small screen."""
    about = {**shipped["about"], "record": "mine-seed7"}
    text = export.page({**shipped, "about": about})
    head, _, body = text.partition("<h1>")
    assert body.startswith("Live predictions: mine-seed7</h1>")
    assert "<title>Live predictions: mine-seed7</title>" in head
    assert head.startswith('<!doctype html>\n<html lang="en">\n<meta charset="utf-8">')
    assert 'name="viewport" content="width=device-width' in head


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "no record 'nowhere'"),
        (["baseline-seed0", "--out", "own.txt"], "own.txt ends neither in .json nor in .html"),
    ],
)
def test_the_command_says_what_is_wrong_and_writes_nothing(
    arguments, words, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
