"""Protects the figures: what Python hands to the page, and their arithmetic against the package's.

The arithmetic is JavaScript, so a browser computes it; without one these tests are skipped.
"""

import base64
import dataclasses
import doctest
import html
import io
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect
from scipy import ndimage
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from cifarlab import challenge, data, diagnostics, engine, figures, live, model, recipes, records
from cifarlab.receptive_field import Field, _taps, analyze
from cifarlab.schema import Epoch, Score
from cifarlab_course.artefacts import export, temperatures
from tests import picture_files
from tests.helpers import tiny_record

ROOT = Path(__file__).parents[1]

# "same" with an even kernel copies its input, says PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

QUESTION = "? Who?\n+ I | Yes: I.\n- You | No: I.\n"


def parameters(figure: figures.Figure) -> dict:
    """What the script will read, as a browser reads an attribute."""
    return json.loads(html.unescape(re.search(r'parameters="(.*?)"', figure._repr_html_())[1]))


def test_a_figure_is_the_same_text_each_time_and_names_no_other_host():
    first, second = (figures.quiz("receptive-fields")._repr_html_() for _ in range(2))
    assert first == second
    bare = first.replace("http://www.w3.org/2000/svg", "")  # a name, which nobody asks for
    assert not re.search(r"https?://|\bimport\b|src=", bare)


def test_parameters_survive_quotes_tags_and_other_alphabets():
    given = {"text": '"it\'s" </script><b>&amp; é · ü'}
    assert parameters(figures.Figure("quiz", given)) == given


@pytest.mark.parametrize("path", sorted(figures.FOLDER.glob("*.js")), ids=lambda path: path.stem)
def test_no_script_ends_early_in_a_page(path):
    assert "</script" not in path.read_text(encoding="utf-8")


def test_what_several_figures_need_stands_in_one_script():
    """Of two copies only one would be mended."""
    kept: dict[str, str] = {}
    for path in sorted(figures.FOLDER.glob("*.js")):
        for made in re.findall(r"^const \w+ =.*?;\n", path.read_text("utf-8"), re.M | re.S):
            assert kept.setdefault(made, path.name) == path.name, made


def test_a_measured_time_says_whose_time_it_is_but_not_another_unit():
    """The numbers above the note are milliseconds."""
    for each in figures.recorded.times().values():
        assert re.search(r"processor time, median of \d+ rounds$", each["machine"])
        assert "seconds" not in each["machine"]


def test_the_examples_in_docstrings_are_true():
    assert doctest.testmod(figures).failed == 0


def test_a_figure_starts_with_what_it_is_given():
    assert parameters(figures.show("convolution-stepper", kernel=5)) == {"kernel": 5}


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("quiz", {}, "no figure 'quiz'; there are: augmentation-gallery, convolution-stepper,"),
        ("stepper", {}, "no figure 'stepper'; there are: augmentation-gallery, convolution"),
        ("convolution-stepper", {"karnel": 3}, "no parameter 'karnel'; it has: size, kernel,"),
        ("convolution-stepper", {"kernel": 6}, "kernel of convolution-stepper is 6; .* 1 to 5"),
        ("convolution-stepper", {"kernel": 2.5}, "is 2.5; it takes whole numbers"),
        (
            "run-browser",
            {"runs": ["dogs"]},
            r"\['dogs'\]; it is a list of one or more of: .*2023",
        ),
        ("run-browser", {"runs": []}, r"runs is \[\]; it is a list of one or more of"),
        ("live-predictions", {"networks": ["slow"]}, r"is \['slow'\]; .*: accurate, fast, base"),
        ("live-predictions", {"networks": []}, r"is \[\]; it is one or more of: accurate"),
        (
            "run-browser",
            {"runs": ["original-2023"], "first": "baseline-seed0"},
            "first of run-browser is 'baseline-seed0'; it is one of: original-2023",
        ),
        ("run-browser", {"first": "dogs"}, "first of run-browser is 'dogs'; .* original-2023"),
        ("receptive-field-explorer", {"preset": "vgg"}, "is 'vgg'; it is one of: skipnet, vgg16"),
        ("receptive-field-explorer", {"picture": np.zeros((4, 4, 3))}, r"\(4, 4, 3\) of float64"),
        (
            "receptive-field-explorer",
            {"picture": np.zeros((4, 5, 3), np.uint8)},
            r"\(4, 5, 3\) of uint8; pass a square one",
        ),
        (
            "receptive-field-explorer",
            {"layers": nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1))},
            "'1' is none. Pass the layers before it",
        ),
        ("receptive-field-explorer", {"layers": nn.Conv2d(3, 8, (3, 5))}, "'Conv2d' is none"),
        ("receptive-field-explorer", {"layers": model.SkipBlock(3, 3)}, "'add' is none"),
        # Padded on one side more than on the other, or with a unit more than fits in.
        (
            "receptive-field-explorer",
            {"layers": nn.Conv2d(3, 8, 4, padding="same")},
            "'Conv2d' is none",
        ),
        (
            "receptive-field-explorer",
            {"layers": nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True))},
            "'1' is none",
        ),
        (
            "receptive-field-explorer",
            {"layers": nn.MaxPool2d(3, stride=2, ceil_mode=True)},
            "'MaxPool2d' is none",
        ),
        # Of the border, other paddings than zeros make more pixels, and more paths to each.
        (
            "receptive-field-explorer",
            {"layers": nn.Conv2d(3, 8, 3, padding=1, padding_mode="replicate")},
            "explorer pads with zeros, and Conv2d by 'replicate'. Pass it with padding_mode='z",
        ),
        ("receptive-field-explorer", {"layers": nn.ReLU()}, "ReLU has none of them"),
        ("receptive-field-explorer", {"layers": "abc"}, "layers is 'abc'; pass a network"),
        ("receptive-field-explorer", {"source": 5}, "source is 5; pass text"),
        ("run-browser", {"runs": 5}, "runs is 5; it is a list of one or more of: accurate-seed0,"),
        (
            "run-browser",
            {"runs": "baseline-seed0", "first": "fast-seed0"},
            "runs is 'baseline-seed0'; it is a list of one or more of: accurate-seed0",
        ),
        ("run-browser", {"runs": [["baseline-seed0"]]}, "it is a list of one or more of"),
        (
            "run-browser",
            {"first": "fast-seed0", "runs": ["baseline-seed0"]},
            "first of run-browser is 'fast-seed0'; it is one of: baseline-seed0",
        ),
        ("convolution-stepper", {"kernel": np.zeros(3)}, "kernel of .* takes whole numbers from 1"),
        ("designer", {"preset": "vgg16"}, "is 'vgg16'; it is one of: draft, leap, early"),
        ("keep-or-refuse", {}, "cards holds 0; pass one or more, each with keep, label, pic"),
        ("keep-or-refuse", {"cards": [{"label": "cat"}]}, "cards holds 1; .* each with keep"),
    ],
)
def test_what_a_figure_cannot_show_is_refused_with_what_it_can(name, given, message):
    with pytest.raises(ValueError, match=message):
        figures.show(name, **given)


def test_a_picture_is_handed_on_in_sixteen_steps_per_colour():
    picture = np.array([[[0, 15, 16], [255, 128, 127]], [[1, 2, 3], [240, 239, 17]]], np.uint8)
    shown = figures.show("receptive-field-explorer", picture=picture)
    assert parameters(shown) == {"picture": ["001f87", "000fe1"]}


@pytest.fixture
def show(browser):
    """show(figure): a page with nothing in it but the figure."""
    pages = []

    def open_page(figure: figures.Figure):
        pages.append(browser.new_page())
        pages[-1].set_content(figure._repr_html_())
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


def attributes(found, *names: str) -> list[list[str]]:
    """Of all elements that a locator finds, the values of these attributes."""
    return found.evaluate_all(
        "(all, names) => all.map((each) => names.map((name) => each.getAttribute(name)))", names
    )


def numbers(found, *names: str) -> list[list[float]]:
    """The same as numbers."""
    return [[float(value) for value in row] for row in attributes(found, *names)]


def points(text: str) -> list[list[float]]:
    """The corners of a polygon or the bends of a line: [[x, y], ...]."""
    return np.array(text.replace(",", " ").split(), float).reshape(-1, 2).tolist()


def filled(bars) -> list[float]:
    """How much of each bar is filled, from 0 to 1, as it appears on the screen."""
    width = "(each) => each.getBoundingClientRect().width"
    return bars.evaluate_all(
        f"(all) => all.map((each) => ({width})(each.firstElementChild) / ({width})(each))"
    )


# -------------------------------------------------------------------------------- arithmetic


@pytest.fixture(scope="module")
def compute(browser):
    """compute(figure, expression, cases): the expression's value for each `x` of the cases."""
    pages = {}

    def run(name: str, expression: str, cases: list) -> list:
        if name not in pages:
            pages[name] = browser.new_page()
            for script in figures.scripts(name):
                pages[name].add_script_tag(content=script.read_text(encoding="utf-8"))
        return pages[name].evaluate(f"(cases) => cases.map((x) => {expression})", cases)

    return run


def draw(limits: dict[str, tuple[int, int]], count: int = 300) -> list[dict[str, int]]:
    """Cases drawn evenly within the limits, both included; the same each time."""
    chance = random.Random(0)
    return [{name: chance.randint(*both) for name, both in limits.items()} for _ in range(count)]


SLIDING = [
    path.stem
    for path in sorted(figures.FOLDER.glob("*.js"))
    if figures.parameters(path) and re.search(r'sliders\(|type: "range"', path.read_text("utf-8"))
]


@pytest.mark.parametrize("name", SLIDING)
def test_a_voice_waits_until_a_slider_rests(browser, name):
    page = browser.new_page()
    page.clock.install(time=0)
    page.set_content(figures.show(name)._repr_html_())
    page.clock.pause_at(60_000)
    slider, spoken = page.get_by_role("slider").first, page.get_by_role("status")
    expect(spoken).to_be_empty()  # what a figure begins with is not cried into the room
    for key in ["ArrowLeft", "ArrowRight"] * 2 + ["ArrowLeft"]:
        slider.press(key)
        page.clock.run_for(300)
        expect(spoken).to_be_empty()
    page.clock.run_for(200)
    expect(spoken).not_to_be_empty()
    page.close()


WINDOW = {"kernel": (1, 5), "stride": (1, 4), "padding": (0, 4), "dilation": (1, 4)}
CHANNELS = {"in_channels": (1, 8), "out_channels": (1, 8), "groups": (1, 8)}


def layer(case: dict[str, int], **channels: int) -> nn.Conv2d:
    """A convolution of this geometry, without bias and without numbers."""
    channels = channels or {name: case[name] for name in CHANNELS}
    window = {name: case[name] for name in ("stride", "padding", "dilation")}
    return nn.Conv2d(**channels, kernel_size=case["kernel"], **window, bias=False, device="meta")


ONE = {"in_channels": 1, "out_channels": 1}


def test_a_layer_is_refused_exactly_if_pytorch_refuses_it_and_the_advice_helps(compute):
    cases = draw({"size": (1, 10), **WINDOW})
    faults = compute("convolution-stepper", "fault(x.size, x)", cases)
    sizes = compute("convolution-stepper", "outputSize(x.size, x)", cases)
    assert 30 < sum(fault is not None for fault in faults) < 270
    for case, fault, size in zip(cases, faults, sizes, strict=True):
        image = torch.empty(1, 1, case["size"], case["size"], device="meta")
        if fault is None:
            assert layer(case, **ONE)(image).shape[2:] == (size, size), case
            continue
        with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
            layer(case, **ONE)(image)
        more = int(re.search(r"Pad by (\d+) or more", fault)[1])
        dilated = case["dilation"] > 1  # else it cannot be less
        assert fault.endswith("or dilate less." if dilated else "or take a smaller kernel.")
        layer(case | {"padding": more}, **ONE)(image)
        # Where the padding ends before that, another way is named.
        short, enough = compute(
            "convolution-stepper", "fault(x[0].size, x[0], x[1])", [(case, more - 1), (case, more)]
        )
        less = "Dilate less, or take a smaller kernel." if dilated else "Take a smaller kernel."
        assert enough == fault and short.endswith(f". {less}")
        with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
            layer(case | {"padding": more - 1}, **ONE)(image)


def test_a_pooling_is_padded_only_as_far_as_pytorch_pads_it(compute):
    cases = [{"kind": "pooling", **case} for case in draw(WINDOW)]
    faults = compute("receptive-field-explorer", "fault(17, x)", cases)
    assert 30 < sum(fault is not None for fault in faults) < 270
    for case, fault in zip(cases, faults, strict=True):
        window = {name: case[name] for name in ("stride", "padding", "dilation")}
        pool = nn.MaxPool2d(case["kernel"], **window)
        if fault is None:
            pool(torch.zeros(1, 1, 17, 17))
            continue
        with pytest.raises(RuntimeError, match="half of"):
            pool(torch.zeros(1, 1, 17, 17))
        pool.padding = int(re.search(r"Pad by (\d+) or less", fault)[1])
        pool(torch.zeros(1, 1, 17, 17))


def test_outputs_read_the_inputs_that_the_package_says_and_inputs_know_their_readers(compute):
    cases = draw({"size": (3, 10), **WINDOW, "output": (0, 9)})
    looks = compute("convolution-stepper", "taps(x.output, x)", cases)
    readers = compute(
        "convolution-stepper",
        "Array.from({ length: x.size }, (_, input) => readers(input, x.size, x))",
        cases,
    )
    sizes = compute("convolution-stepper", "outputSize(x.size, x)", cases)
    for case, seen, by_input, size in zip(cases, looks, readers, sizes, strict=True):
        step = _taps.window(**{name: case[name] for name in WINDOW})
        assert seen == step.look(np.array([case["output"]]), case["size"], real=False)[0].tolist()
        outputs = step.look(np.arange(max(size, 0)), case["size"], real=True)
        for pixel, found in enumerate(by_input):
            assert found == np.flatnonzero((outputs == pixel).any(axis=1)).tolist(), case


def test_groups_decide_weights_and_channels_as_in_pytorch(compute):
    drawn = draw({**WINDOW, **CHANNELS, "before": (1, 8)})
    found = compute("convolution-stepper", "groupsNear(x, x.before)", drawn)
    sound = [case | {"groups": groups} for case, groups in zip(drawn, found, strict=True)]
    assert sum(case != other for case, other in zip(drawn, sound, strict=True)) > 100
    for case, groups in zip(drawn, found, strict=True):
        # What is passed over on the way is what PyTorch refuses.
        for each in range(case["groups"], groups, 1 if groups > case["groups"] else -1):
            with pytest.raises(ValueError, match="must be divisible by groups"):
                layer(case | {"groups": each})
        upwards = case["groups"] > case["before"]
        assert upwards or groups <= case["groups"]
    weights = compute("convolution-stepper", "countParameters(x)", sound)
    read = compute(
        "convolution-stepper",
        "Array.from({ length: x.out_channels }, (_, channel) => channelsRead(channel, x))",
        sound,
    )
    for case, count, channels in zip(sound, weights, read, strict=True):
        conv = layer(case)
        assert count == conv.weight.numel()
        conv = conv.to_empty(device="cpu")
        nn.init.ones_(conv.weight)
        for channel in range(case["in_channels"]):
            spoiled = torch.zeros(1, case["in_channels"], 17, 17)
            spoiled[:, channel] = torch.nan
            reading = conv(spoiled).isnan().any(dim=(0, 2, 3))
            assert [channel in found for found in channels] == reading.tolist(), case


def test_three_blocks_cost_what_such_modules_cost(compute):
    limits = {"kernel": (1, 7), "dilation": (1, 4), "size": (1, 64)}
    cases = draw({**limits, "in_channels": (1, 256), "out_channels": (1, 256)})
    for case, costs in zip(
        cases, compute("dense-dilated-separable", "costs(x)", cases), strict=True
    ):
        kernel, inside, outside = case["kernel"], case["in_channels"], case["out_channels"]

        def conv(*channels: int, **more: int) -> nn.Conv2d:
            return nn.Conv2d(*channels, padding="same", bias=False, device="meta", **more)

        blocks = {
            "dense": conv(inside, outside, kernel),
            "dilated": conv(inside, outside, kernel, dilation=case["dilation"]),
            "separable": nn.Sequential(
                conv(inside, inside, kernel, groups=inside), conv(inside, outside, 1)
            ),
        }
        image = torch.empty(1, inside, case["size"], case["size"], device="meta")
        for name, block in blocks.items():
            with FlopCounterMode(display=False) as counter:
                block(image)
            assert costs[name] == {
                "parameters": model.count_parameters(block),
                "multiplyAdds": counter.get_total_flops() // 2,
                "field": analyze(block, (32, 32)).output.size[0],
            }


def test_times_are_shown_only_for_the_very_shape_that_was_measured(compute):
    times = figures.recorded.times()
    near = {"kernel": (2, 4), "dilation": (1, 4), "size": (31, 33)}
    widths = [16, 32, 64, 65, 128]
    cases = [
        {**case, "in_channels": each, "out_channels": other}
        for case in draw(near, count=36)
        for each in widths
        for other in widths
    ]
    found = compute("dense-dilated-separable", f"measuredAt(x, {json.dumps(times)})", cases)
    plain, blocks = records.benchmark("dilation"), records.benchmark("separable")
    assert plain["images"][2:] == [32, 32]
    seen = {"dense": 0, "dilated": 0, "separable": 0}
    for case, rows in zip(cases, found, strict=True):
        shape = (case["kernel"], case["size"]) == (3, 32)
        shape = shape and case["in_channels"] == case["out_channels"]
        expected = {"dense": None, "dilated": None, "separable": None}
        for row in plain["rows"] if shape and case["in_channels"] == plain["images"][1] else ():
            if row["layer"] == "dense" and row["form"] != "polyphase":
                values = {"forward": row["forward_ms"], "step": row["step_ms"]}
                values["dilation"] = row["dilation"]
                if row["dilation"] == 1:
                    expected["dense"] = values
                if row["dilation"] == case["dilation"]:
                    expected["dilated"] = values
        for row in blocks["dense_over_separable"] if shape else ():
            if row["channels"] == case["in_channels"]:
                expected["separable"] = row
        assert rows == expected, case
        for name, row in rows.items():
            seen[name] += row is not None
    assert min(seen.values()) > 0


def test_a_bar_is_as_long_as_its_share_of_the_most_weights(show):
    """9 * 32 * 64 = 18,432 dense and dilated, 9 * 32 + 32 * 64 = 2,336 separable."""
    page = show(figures.show("dense-dilated-separable"))
    assert filled(page.locator(".bar")) == pytest.approx([1, 1, 2336 / 18432], abs=0.01)


def test_kernels_cut_to_a_rank_are_drawn_with_what_the_rank_keeps(show):
    """Of 64 channels, rank 2 takes 2 * (9 * 64 + 64 * 64) of 9 * 64 * 64 weights: 25.3 %."""
    page = show(figures.show("rank-slider", rank=2))
    measured = records.benchmark("rank")
    order = measured["orders"]["depthwise first"]
    trained, cut = measured["kernels"][8], measured["kernels"][1]
    most = max(abs(tap) for kernel in trained for tap in kernel)
    for name, kernels in (("As trained", trained), ("Cut to rank 2", cut)):
        taps = page.get_by_role("img", name=name).locator(".above, .below")
        (signs, strengths) = zip(*attributes(taps, "class", "fill-opacity"), strict=True)
        flat = [tap for kernel in kernels for tap in kernel]
        assert [sign == "below" for sign in signs] == [tap < 0 for tap in flat]
        expected = [min(abs(tap) / most, 1) for tap in flat]
        assert [float(each) for each in strengths] == pytest.approx(expected, abs=1e-3)
    shares = [
        2 * (9 * 64 + 64**2) / (9 * 64**2),
        order["squares_kept"][1],
        order["accuracy"][1] / 100,
    ]
    assert filled(page.locator(".bar")) == pytest.approx(shares, abs=0.01)
    assert (
        page.locator("dd").all_inner_texts()[2].startswith(f"{order['accuracy'][1]:.1f} % of 1,000")
    )
    page.get_by_role("slider", name="rank").fill("9")
    assert filled(page.locator(".bar"))[1:] == pytest.approx(
        [1, order["accuracy"][8] / 100], abs=0.01
    )


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 2), (2, 4)])
def test_the_taps_of_a_block_are_drawn_the_dilation_apart(show, kernel, dilation):
    page = show(figures.show("dense-dilated-separable", kernel=kernel, dilation=dilation))
    places = range(0, kernel * dilation, dilation)
    drawn = numbers(page.get_by_label("dilated", exact=True).locator(".tap"), "y", "x")
    assert drawn == [[y, x] for y in places for x in places]


def labelled(cells) -> set[tuple[int, ...]]:
    """The places of cells, (row, column), by their names: "Input −1, 2"."""
    names = [name.replace("−", "-") for (name,) in attributes(cells, "aria-label")]
    return {tuple(map(int, re.findall(r"-?\d+", name))) for name in names}


def test_the_stepper_lights_the_taps_of_an_output_and_marks_the_padding(show):
    """From 2 * 0 - 1 on and from 2 * 1 - 1 on, every second one."""
    geometry = {"kernel": 3, "stride": 2, "padding": 1, "dilation": 2}
    page = show(figures.show("convolution-stepper", size=6, **geometry))
    page.get_by_role("gridcell", name="Output 0, 1").focus()
    inputs = page.get_by_role("grid", name="Input")
    assert labelled(page.locator(".picked")) == {(0, 1)}
    assert labelled(inputs.locator(".read")) == {(y, x) for y in (-1, 1, 3) for x in (1, 3, 5)}
    padding = labelled(inputs.locator(".padding"))
    assert padding == {(y, x) for y in range(-1, 7) for x in range(-1, 7) if {y, x} & {-1, 6}}


def test_the_stepper_computes_what_pytorch_computes(compute):
    cases = [
        case
        for case in draw({"size": (3, 10), **WINDOW, "motif": (0, 5), "weights": (0, 4)})
        if case["size"] + 2 * case["padding"] > case["dilation"] * (case["kernel"] - 1)
    ]
    assert len(cases) > 100
    drawn = "square(x.size, Object.values(MOTIFS)[x.motif])"
    kernel = "square(x.kernel, Object.values(WEIGHTS)[x.weights])"
    found = compute(
        "convolution-stepper", f"[{drawn}, {kernel}, outputs({drawn}, {kernel}, x)]", cases
    )
    for case, (pixels, weights, sums) in zip(cases, found, strict=True):
        numbers = {number for row in pixels for number in row}
        assert numbers <= set(range(10)) and len(numbers) > 1, case
        window = {name: case[name] for name in ("stride", "padding", "dilation")}
        one = (torch.tensor(each, dtype=torch.float)[None, None] for each in (pixels, weights))
        assert nn.functional.conv2d(*one, **window)[0, 0].tolist() == sums, case


def test_the_stepper_s_first_kernel_of_three_is_sobel_s(compute):
    kernels = 'square(3, WEIGHTS["left to right"])', 'square(3, WEIGHTS["top to bottom"])'
    ((across, down),) = compute("convolution-stepper", f"[{', '.join(kernels)}]", [{}])
    assert across == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert np.array_equal(down, np.transpose(across))


def test_the_stepper_shows_pixels_products_and_their_sum_and_takes_other_weights(show):
    """Of an edge from 1 to 8 at column 4 of 7, the middle row of a picture padded by one."""
    page = show(figures.show("convolution-stepper", padding=1, motif="edge"))
    page.get_by_role("gridcell", name="Output 3, 3").focus()
    assert page.locator(".weights label").all_inner_texts()[2].split() == ["8", "×", "=", "8"]
    expect(page.locator(".sum")).to_have_text("Sum: 28")  # (8 - 1) (1 + 2 + 1)
    expect(page.get_by_role("gridcell", name="Output 3, 3")).to_have_text("28")
    expect(page.get_by_role("gridcell", name="Output 3, 1")).to_have_text("0")
    page.get_by_role("gridcell", name="Input 0, 0").focus()  # the last output keeps its products
    page.get_by_label("Weight 1, 2").fill("5")
    expect(page.locator(".sum")).to_have_text("Sum: 52")  # 3 times 8 more
    expect(page.get_by_role("combobox", name="Weights")).to_have_value("your own")
    page.get_by_role("gridcell", name="Input 3, 4").focus()
    page.keyboard.press("0")
    expect(page.get_by_role("gridcell", name="Output 3, 3")).to_have_text("12")  # 5 times 8 less
    expect(page.get_by_label("Picture")).to_have_value("your own")
    page.get_by_role("combobox", name="Weights").select_option("copy")
    expect(page.get_by_role("gridcell", name="Output 3, 4")).to_have_text("0")
    page.get_by_label("Picture").select_option("seven")
    expect(page.get_by_role("gridcell", name="Output 1, 1")).to_have_text("9")


def test_a_number_can_be_read_on_every_grey(compute):
    """4.5 to 1, as the rules for accessible pages ask; the formula of the contrast is theirs."""
    for style in compute("convolution-stepper", "shade(x, 0, 255)", [*range(256)]):
        grey, ink = re.fullmatch(r"background: rgb\((\d+) .*\); color: #(\w+)", style).groups()
        share = int(grey) / 255
        light = share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        contrast = {"fff": 1.05 / (light + 0.05), "000": (light + 0.05) / 0.05}[ink]
        assert contrast >= 4.5, (grey, ink)


@pytest.mark.parametrize("key", ["Alt", "Control", "Meta"])
def test_the_stepper_leaves_digits_with_another_key_to_the_browser(show, key):
    """Control and 5 choose a tab."""
    page = show(figures.show("convolution-stepper"))
    cell = page.get_by_role("gridcell", name="Input 0, 0")
    before = cell.inner_text()
    assert before != "5"
    cell.press(f"{key}+5")
    expect(cell).to_have_text(before)
    cell.press("5")
    expect(cell).to_have_text("5")


def test_a_wire_leads_from_each_channel_to_those_that_read_it(show):
    """Of 4 channels in 2 groups, the first two lead to the first three of 6, the others beyond."""
    channels = {"in_channels": 4, "out_channels": 6, "groups": 2}
    page = show(figures.show("convolution-stepper", **channels))
    (wires,) = attributes(page.locator(".wiring path"), "d")
    ends = np.array(re.findall(r"M12 ([\d.]+)L148 ([\d.]+)", wires[0]), float)
    dots = numbers(page.locator(".wiring circle"), "cx", "cy")
    left, right = ([y for x, y in dots if x == side] for side in (12, 148))
    assert left == sorted(left) and right == sorted(right)
    drawn = {(left.index(start), right.index(end)) for start, end in ends}
    assert drawn == {(i, o) for o in range(6) for i in range(4) if i // 2 == o // 3}


class Sum(nn.Module):
    """The map before it and the one that came into the last `around` layers, added."""

    def __init__(self, around: int) -> None:
        super().__init__()
        self.around = around

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return maps[-1] + maps[-1 - self.around]


class Stack(nn.ModuleList):
    """The explorer's layers as a network."""

    def __init__(self, layers: list[dict]) -> None:
        super().__init__(self.make(**each) for each in layers)

    def make(self, kind: str, **numbers: int) -> nn.Module:
        if kind == "skip":
            return Sum(**numbers)
        if kind == "convolution":
            return layer(numbers, **ONE)
        return nn.MaxPool2d(numbers.pop("kernel"), **numbers)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = [image]
        for each in self:
            maps.append(each(maps if isinstance(each, Sum) else maps[-1]))
        return maps[-1]


def stacks(skips: bool, count: int = 300) -> list[list[dict]]:
    """Stacks of one to six layers, most of which can be made; the same each time."""
    chance = random.Random(1)
    kinds = ["convolution"] * 3 + ["pooling"] + ["skip"] * 2 * skips
    made = []
    for _ in range(count):
        made.append([])
        for _ in range(chance.randint(1, 6)):
            each = {"kind": chance.choice(kinds)}
            if each["kind"] == "skip":
                each["around"] = chance.randint(1, 2)
            else:
                kernel, dilation = chance.choice([1, 2, 3, 3, 3, 3, 5]), chance.choice([1, 1, 2, 3])
                padding = dilation * (kernel - 1) // 2 + chance.choice([0] * 6 + [1])
                if each["kind"] == "pooling":
                    padding = min(padding, kernel // 2)  # it takes no more
                each |= {"kernel": kernel, "stride": chance.choice([1] * 5 + [2])}
                each |= {"padding": padding, "dilation": dilation}
            made[-1].append(each)
    return made


def same(found: dict[str, int], field: Field) -> bool:
    """Does the explorer say of a map what the package says?"""
    expected = (field.units, field.size, field.stride, field.start)
    return [(found[name],) * 2 for name in ("units", "size", "jump", "start")] == [*expected]


def test_the_explorer_follows_layers_and_skips_as_the_package_does(compute):
    cases = [
        {"layers": layers, "pixels": 16 + number % 9, "unit": [number % 5, number % 3]}
        for number, layers in enumerate(stacks(skips=True, count=500))
    ]
    follow = compute("receptive-field-explorer", "follow(x.layers, x.pixels)", cases)
    sound = [
        (case, maps)
        for case, maps in zip(cases, follow, strict=True)
        if not isinstance(maps[-1], str) and maps[-1]["units"] > 4
    ]
    assert len(sound) > 100
    assert sum(each["kind"] == "skip" for case, _ in sound for each in case["layers"]) > 40
    only = [case for case, _ in sound]
    counts = compute("receptive-field-explorer", "pathCounts(x.layers, x.pixels, x.unit)", only)
    summaries = compute("receptive-field-explorer", "summary(x)", counts)
    for (case, maps), paths, summary in zip(sound, counts, summaries, strict=True):
        analysis = analyze(Stack(case["layers"]), (case["pixels"],) * 2)
        for number, found in enumerate(maps[1:]):
            assert same(found, analysis[str(number)]), case
        expected = analysis.output.path_counts(*case["unit"])
        assert np.array_equal(paths, expected), case
        seen = expected[expected > 0] if expected.any() else np.zeros(1)
        assert summary["pixels"] == np.count_nonzero(expected)
        assert [summary["fewest"], summary["most"]] == [seen.min(), seen.max()]
        coverage = summary["pixels"] / max(summary["box"], 1)
        assert coverage == pytest.approx(analysis.output.coverage(*case["unit"]))


def test_a_unit_that_sees_only_padding_has_no_pixels_to_count(compute):
    layers = [{"kind": "convolution", "kernel": 1, "stride": 1, "dilation": 1, "padding": 2}]
    case = {"layers": layers, "pixels": 8, "unit": [0, 0]}
    summary = "summary(pathCounts(x.layers, x.pixels, x.unit))"
    found = compute("receptive-field-explorer", summary, [case])
    assert found == [{"pixels": 0, "box": 0, "fewest": 0, "most": 0}]


def test_a_unit_that_sees_only_padding_leaves_the_picture_faint(browser):
    picture = np.zeros((8, 8, 3), np.uint8)
    padded = nn.Conv2d(3, 3, 1, padding=2)
    shown = figures.show("receptive-field-explorer", picture=picture, layers=padded)
    page = browser.new_page()
    page.set_content(shown._repr_html_())
    page.get_by_label("Show", exact=True).select_option("paths")
    page.get_by_role("slider", name="row").press("Home")
    pixels = page.locator(".pixel").evaluate_all(
        "(all) => all.map((each) => each.getAttribute('fill-opacity'))"
    )
    assert pixels == ["0.2"] * 64


def test_the_explorer_draws_pixels_paths_and_box_where_the_package_has_them(show):
    """Of a picture all of whose pixels differ, by a network that leaves holes."""
    network = nn.Sequential(
        nn.Conv2d(3, 1, 3, stride=2, padding=1),
        nn.MaxPool2d(2),
        nn.Conv2d(1, 1, 3, dilation=2, padding=2),
    )
    picture = np.arange(16**2, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    picture[..., 1], picture[..., 2] = picture[..., 0].T, 240
    page = show(figures.show("receptive-field-explorer", picture=picture, layers=network))
    field, unit = analyze(network, (16, 16)).output, (1, 2)
    for axis, index in zip(("row", "column"), unit, strict=True):
        page.get_by_role("slider", name=axis, exact=True).fill(str(index))
    paths = field.path_counts(*unit)
    for shares, view in ((paths > 0, "pixels"), (paths / paths.max(), "paths")):
        page.get_by_label("Show", exact=True).select_option(view)
        drawn = numbers(page.locator(".pixel"), "y", "x", "fill-opacity")
        for y, x, opacity in drawn:
            assert opacity == pytest.approx(0.2 + 0.8 * shares[int(y), int(x)]), (view, y, x)
        assert len({(y, x) for y, x, _ in drawn}) == 16**2
    fills = page.locator(".pixel").evaluate_all("(all) => all.map((each) => each.style.fill)")
    rounded = (picture >> 4) * 17  # 16 steps of each colour
    assert fills == [f"rgb({r}, {g}, {b})" for r, g, b in rounded.reshape(-1, 3)]
    (outline,) = numbers(page.locator(".box"), "y", "x", "height", "width")
    box = field.box(*unit)
    height, width = box.bottom - box.top + 1, box.right - box.left + 1
    assert outline == [box.top - 0.25, box.left - 0.25, height + 0.5, width + 0.5]


def test_the_layer_that_was_chosen_is_shown_again_when_a_fault_before_it_is_mended(browser):
    page = browser.new_page()
    page.set_content(figures.show("receptive-field-explorer", preset="vgg16")._repr_html_())
    status = page.locator(".said")
    for name, value, shown in [
        ("padding of layer 3", "1", "layer 18"),
        ("padding of layer 3", "32", "layer 2"),
        ("padding of layer 3", "1", "layer 18"),
        # Without a first layer there is the picture, and still a message.
        ("kernel of layer 1", "11", "layer 17"),
        ("dilation of layer 1", "16", "the picture"),
        ("dilation of layer 1", "1", "layer 17"),
    ]:
        number = page.get_by_label(name, exact=True)
        number.fill(value)
        number.press("Enter")
        assert f"of {shown} looks" in status.inner_text()
        message = "Layer 1: Kernel 11 with dilation 16 reaches 161 pixels"
        assert (message in status.inner_text()) == (shown == "the picture")


def test_the_explorer_s_longest_name_fits_a_small_screen(show):
    page = show(figures.show("receptive-field-explorer"))
    page.set_viewport_size({"width": 320, "height": 640})
    expect(page.locator("cifarlab-receptive-field-explorer")).to_have_attribute("ready", "")
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_a_skip_that_cannot_be_added_is_refused(compute):
    halve = {"kind": "pooling", "kernel": 2, "stride": 2, "dilation": 1, "padding": 0}
    spread = {"kind": "convolution", "kernel": 1, "stride": 2, "dilation": 1, "padding": 4}
    around = [{"kind": "skip", "around": number} for number in (1, 2)]
    cases = [[halve, around[0]], [halve, around[1]], [spread, around[0]]]
    found = compute("receptive-field-explorer", "follow(x, 8).at(-1)", cases)
    assert "8 and 4 units per axis, 1 and 2 pixels apart" in found[0]
    assert "around 2 needs as many layers before it" in found[1]
    assert "8 and 8 units per axis, 1 and 2 pixels apart" in found[2]


def test_the_presets_are_the_networks_that_they_are_named_after(compute):
    with torch.device("meta"):
        skipnet = model.SkipNet(padding_mode="zeros")
        networks = {"skipnet": skipnet, "vgg16": models.vgg16().features}
    fields = {
        "skipnet": analyze(networks["skipnet"], (40, 40))["conv4"],
        "vgg16": analyze(networks["vgg16"], (40, 40)).output,
    }
    layers = "PRESETS[x].layers"
    last = compute("receptive-field-explorer", f"follow({layers}, 40).at(-1)", list(fields))
    for name, found in zip(fields, last, strict=True):
        assert same(found, fields[name])
        for unit in ([min(20, found["units"] - 1)] * 2, [0, 0]):
            counts = f"pathCounts({layers}, 40, {unit})"
            paths = compute("receptive-field-explorer", counts, [name])
            assert np.array_equal(paths[0], fields[name].path_counts(*unit))
    ((known, among, name),) = compute(
        "receptive-field-explorer",
        "[Object.keys(PRESETS), x.preset.among, PRESETS.skipnet.name]",
        [figures.parameters(figures.FOLDER / "receptive-field-explorer.js")],
    )
    assert known == among
    assert name.endswith("network, padded with zeros")  # by itself it pads by repetition


def test_a_chain_comes_back_from_the_network_as_it_was(compute):
    cases = stacks(skips=False, count=60)
    follow = compute("receptive-field-explorer", "typeof follow(x, 64).at(-1)", cases)
    for layers, kind in zip(cases, follow, strict=True):
        if kind == "object":
            network = nn.Sequential(*Stack(layers), nn.ReLU())
            assert figures.chain(network) == layers


def test_a_pooling_stays_one_when_it_is_alone_or_runs_twice():
    pool = nn.MaxPool2d(2)
    assert [each["kind"] for each in figures.chain(pool)] == ["pooling"]
    assert [each["kind"] for each in figures.chain(nn.Sequential(pool, pool))] == ["pooling"] * 2


class Pooled(nn.Module):
    """Pools by a function, and a layer called "pool" convolves by one."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.Identity()
        self.weight = nn.Parameter(torch.zeros(8, 3, 3, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(F.conv2d(self.pool(images), self.weight), 2)


def test_a_pooling_that_a_forward_calls_is_a_pooling_and_a_convolution_one():
    kinds = [
        [each["kind"] for each in figures.chain(net)] for net in (Pooled(), nn.Sequential(Pooled()))
    ]
    assert kinds == [["convolution", "pooling"]] * 2


def test_a_click_chooses_the_unit_whose_field_has_its_centre_nearest(compute):
    cases = draw(
        {"pixel": (0, 31), "units": (1, 9), "size": (1, 40), "jump": (1, 4), "start": (-9, 9)}
    )
    for case, unit in zip(
        cases, compute("receptive-field-explorer", "nearestUnit(x.pixel, x)", cases), strict=True
    ):
        middle = case["start"] + (case["size"] - 1) / 2 - case["pixel"]
        distances = [abs(middle + case["jump"] * each) for each in range(case["units"])]
        assert distances[unit] == min(distances), case


# ------------------------------------------------------------------------------- the gallery


def test_a_unit_sees_and_a_hole_hides_as_many_pixels_as_in_the_network(compute):
    with torch.device("meta"):
        fields = analyze(model.create("skipnet"), (32, 32))
    sizes = figures.content(figures.FOLDER / "augmentation-gallery.json")["fields"]
    assert sizes == {layer: fields[layer].size[1] for layer in sizes}
    cases = draw({"y": (0, 31), "x": (0, 31), "left": (0, 31), "top": (0, 31), "side": (0, 32)})
    for number, case in enumerate(cases):
        case["layer"] = [*sizes][number % len(sizes)]
        right, bottom = (min(case[corner] + case["side"], 32) for corner in ("left", "top"))
        case["hole"] = [case["left"], case["top"], right, bottom]
    cases[0]["hole"] = None
    sized = [{**case, "size": sizes[case["layer"]]} for case in cases]
    counts = compute("augmentation-gallery", "covered([x.y, x.x], x.size, 32, x.hole)", sized)
    assert sum(found["hidden"] > 0 for found in counts) > 100
    for case, found in zip(cases, counts, strict=True):
        seen = fields[case["layer"]].taps(case["y"], case["x"])
        left, top, right, bottom = case["hole"] or (0, 0, 0, 0)
        hidden = seen[top:bottom, left:right].sum()
        assert found == {"seen": seen.sum(), "hidden": hidden}, case


def test_a_place_is_pulled_back_through_every_matrix_of_the_gallery(compute):
    matrices = [
        each["matrix"]
        for each in figures.content(figures.FOLDER / "augmentation-gallery.json")["draws"]
    ]
    places = [[0, 0], [31, 7.5], [-4, 40]]
    cases = [{"matrix": matrix, "place": place} for matrix in matrices for place in places]
    for case, (x, y) in zip(
        cases, compute("augmentation-gallery", "pullBack(x.place, x.matrix)", cases), strict=True
    ):
        assert np.array(case["matrix"]) @ [x, y, 1] == pytest.approx(case["place"])


@pytest.mark.parametrize("transform", ["rotate", "shear", "all"])
def test_the_outline_of_a_field_is_its_box_and_before_the_draw_where_that_came_from(
    show, transform
):
    held = figures.content(figures.FOLDER / "augmentation-gallery.json")
    draw = next(each for each in held["draws"] if each["transform"] == transform)
    page = show(figures.show("augmentation-gallery", transform=transform, layer="conv0"))
    for axis, index in (("row", 12), ("column", 20)):
        page.get_by_role("slider", name=axis, exact=True).fill(str(index))
    with torch.device("meta"):
        box = analyze(model.create("skipnet"), (32, 32))["conv0"].box(12, 20)
    sides = (box.left, box.right + 1), (box.top, box.bottom + 1)
    for side in ("under", "field"):
        before, after = (
            points(attributes(page.locator(f".{half} .{side}"), "points")[0][0])
            for half in ("before", "after")
        )
        assert {tuple(corner) for corner in after} == {(x, y) for x in sides[0] for y in sides[1]}
        for source, corner in zip(before, after, strict=True):
            moved = np.array(draw["matrix"]) @ [source[0] - 0.5, source[1] - 0.5, 1] + 0.5
            assert moved == pytest.approx(corner)


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        ({}, []),
        ({"flip": True}, ["mirrored"]),
        ({"scale": -0.5}, ["scaled to 50 %"]),
        ({"rotate": 2.5}, ["rotated by 2.5° counter-clockwise"]),
        ({"rotate": -90}, ["rotated by 90° clockwise"]),
        ({"shear": [1.5, -2]}, ["sheared by 1.5° along the rows and −2° along the columns"]),
        ({"translate": [1, -2]}, ["moved 1 pixel to the right and 2 pixels up"]),
        ({"translate": [0, 3]}, ["moved 3 pixels down"]),
        ({"crop": [-4, 0]}, ["cropped by a window 4 pixels to the left"]),
        ({"hole": [13, 2, 29, 18]}, ["columns 13 to 28 and rows 2 to 17 cut out"]),
        (
            {"hole": [0, 0, 8, 8], "flip": True},
            ["mirrored", "columns 0 to 7 and rows 0 to 7 cut out"],
        ),
    ],
)
def test_what_was_drawn_is_said_in_words(compute, drawn, words):
    assert compute("augmentation-gallery", "described(x)", [drawn]) == [words]


def test_the_gallery_can_be_started_with_each_transform_and_layer_that_it_holds(compute):
    held = figures.content(figures.FOLDER / "augmentation-gallery.json")
    limits = figures.parameters(figures.FOLDER / "augmentation-gallery.js")
    known = compute("augmentation-gallery", "Object.keys(TRANSFORMS)", [0])[0]
    transforms = [*dict.fromkeys(each["transform"] for each in held["draws"])]
    assert transforms == known == limits["transform"]["among"]
    assert ["none", *held["fields"]] == limits["layer"]["among"]


# --------------------------------------------------------------------------- the run browser


def test_the_browser_has_every_record_and_draws_its_history(compute):
    held = figures.recorded.runs()
    names = [run["name"] for run in held]
    assert names == figures.recorded.names() == [*records.names(), "original-2023"]
    measures = figures.parameters(figures.FOLDER / "run-browser.js")["measure"]["among"]
    cases = [{"run": run, "measure": measure} for run in held for measure in measures]
    curves = dict(
        zip(
            ((case["run"]["name"], case["measure"]) for case in cases),
            compute("run-browser", "curve(x.run, x.measure)", cases),
            strict=True,
        )
    )
    for name in records.names():
        history = records.load(name).history
        for measure in measures:
            expected = [(epoch.number, value(epoch, measure)) for epoch in history]
            expected = [pair for pair in expected if pair[1] is not None]
            assert curves[name, measure] == pytest.approx(np.array(expected), rel=1e-4)
    logged = {
        "train_accuracy": [train for train, _ in records.original()],
        "held_out_accuracy": [test for _, test in records.original()],
    }
    for measure in measures:
        expected = [[place, each] for place, each in enumerate(logged.get(measure, []), start=1)]
        assert curves["original-2023", measure] == expected


def test_a_run_that_was_carried_to_another_machine_tells_each_of_its_sessions():
    """In their order, and each thing once: commit, versions, processor, threads, precision."""
    second = tiny_record(10.0, 20.0, 30.0, commit="d" * 40, processor="B", threads=4)
    first = dataclasses.replace(
        second.sessions[0], commit="c" * 40, processor="A", versions={"torch": "2.11.0"}, epochs=1
    )
    carried = dataclasses.replace(second, earlier_sessions=[first, first])
    setting = figures.recorded.run(carried)["setting"]
    assert setting["commit"] == f"{'c' * 40}; then {'d' * 40}"
    assert setting["processor"] == "A; then B"
    assert setting["versions"] == "torch 2.11.0; then python 3.11.7, torch 2.14.1"
    assert setting["threads"] == "4" and setting["precision"] == "fp32"


def test_the_browser_holds_only_the_runs_that_it_is_given(browser):
    """So that a lesson's stored output stays what it is when another run is published."""
    shown = figures.show("run-browser", runs=["original-2023"], measure="held_out_accuracy")
    assert [run["name"] for run in parameters(shown)["runs"]] == ["original-2023"]
    page = browser.new_page()
    page.set_content(shown._repr_html_())
    said = page.locator(".said")
    assert "epoch 30 of 30. original-2023, test images: 87.04 %" in said.text_content()


def run_of(name: str, **history: list) -> dict:
    """A run for the browser, of as many epochs as `history` has values."""
    epochs = [*range(1, len(next(iter(history.values()))) + 1)]
    history = {"epochs": epochs, **history}
    setting = {"scored on": "test", "seed": 3}
    return {"name": name, "group": name, "recipe": {}, "setting": setting, "history": history}


TWO_RUNS = {
    "runs": [
        run_of("low", held_out_accuracy=[10.0, 35.5, 30.25], train_loss=[2.5, 1.25, 0.5]),
        run_of("high", held_out_accuracy=[60.0, None, 87.04, 80.0], train_loss=[1.0, 0.5, 0.25, 2]),
    ],
    "first": "low",
    "second": "high",
}


@pytest.mark.parametrize("measure", ["held_out_accuracy", "train_loss"])
def test_a_dot_stands_at_the_height_of_its_value_and_above_its_epoch(show, measure):
    """Read as a reader does it: by the numbers beside the axes, the highest of them on top."""
    page = show(figures.Figure("run-browser", {**TWO_RUNS, "measure": measure}))
    axes = {}
    for anchor in ("end", "middle"):
        texts = page.locator(f".chart text[text-anchor={anchor}]")
        marks = zip(texts.all_text_contents(), numbers(texts, "x", "y"), strict=True)
        axes[anchor] = [(float(text), *place) for text, place in marks if text != "epoch"]
    levels, _, heights = zip(*axes["end"], strict=True)
    epochs, places, _ = zip(*axes["middle"], strict=True)
    assert list(levels) == sorted(levels) and list(heights) == sorted(heights, reverse=True)
    assert epochs == (1, 2, 3, 4) and list(places) == sorted(places)
    lines = page.locator(".chart .grid")
    assert [y + 5 for y, _ in numbers(lines, "y1", "y2")] == pytest.approx(list(heights))
    for side, run in zip(("first", "second"), TWO_RUNS["runs"], strict=True):
        dots = numbers(page.locator(f".chart .{side} circle"), "cx", "cy")
        values = [v for v in enumerate(run["history"][measure], start=1) if v[1] is not None]
        expected = [
            (np.interp(epoch, epochs, places), np.interp(value, levels, heights) - 5)
            for epoch, value in values
        ]
        assert np.array(dots) == pytest.approx(np.array(expected))
        (curve,) = attributes(page.locator(f".chart .{side} .curve"), "points")
        assert points(curve[0]) == dots
        assert page.locator(f".chart .{side} .name").text_content() == run["name"]


def test_a_run_that_is_over_has_ended_and_one_that_was_not_evaluated_has_no_value(show):
    page = show(figures.Figure("run-browser", {**TWO_RUNS, "measure": "held_out_accuracy"}))
    said, slider = page.locator(".said"), page.get_by_role("slider", name="epoch")
    slider.press("End")
    expect(said).to_contain_text("low, test images: ended before; high, test images: 80.00 %.")
    slider.press("Home")
    slider.press("ArrowRight")
    expect(said).to_contain_text("high, test images: no value.")


def test_the_line_stands_at_the_epoch_that_is_read_and_the_table_has_all_values(show):
    page = show(figures.Figure("run-browser", {**TWO_RUNS, "measure": "held_out_accuracy"}))
    page.get_by_role("slider", name="epoch").press("Home")
    dots = numbers(page.locator(".chart .first circle"), "cx")
    assert numbers(page.locator(".chart .cursor"), "x1", "x2") == [dots[0] * 2]
    page.get_by_text("The curves as a table").click()
    rows = page.get_by_role("region", name="Values by epoch").locator("tr")
    cells = rows.evaluate_all("(all) => all.map((row) => [...row.cells].map((c) => c.innerText))")
    assert cells == [
        ["epoch", "low", "high"],
        ["1", "10.00", "60.00"],
        ["2", "35.50", "\N{EN DASH}"],
        ["3", "30.25", "87.04"],
        ["4", "\N{EN DASH}", "80.00"],
    ]


def test_the_browser_says_of_a_run_what_its_record_says():
    """10,020 seconds are 167 minutes."""
    history = [
        Epoch(1, 0.1, Score(2.0, 40.0), None, 60.0, 1.0, 2.0),
        Epoch(2, 0.05, Score(1.75, 50.0), Score(1.5, 71.254321), 60.0, 1.0, 2.0),
    ]
    seconds = {"training": 10_020.0, "evaluation": 90.0}
    record = tiny_record(seed=3, history=history, seconds=seconds, load=1.2345)
    assert figures.recorded.run(record) == {
        "name": "tiny-seed3",
        "group": "tiny",
        "recipe": {"network": "tiny", "epochs": 0},
        "setting": {
            "seed": 3,
            "commit": "c" * 40,
            "data": "CIFAR-10: 50000 images, scored on 10000",
            "scored on": "test",
            "epochs run": 2,
            "parameters": 960,
            "multiply-adds": 1234,
            "processor": "a processor",
            "threads": "2",
            "precision": "fp32",
            "memory format": "NCHW",
            "versions": "python 3.11.7, torch 2.14.1",
            "minutes of training": 167.0,
            "load": 1.2,
        },
        "history": {
            "epochs": [1, 2],
            "learning_rate": [0.1, 0.05],
            "train_loss": [2.0, 1.75],
            "train_accuracy": [40.0, 50.0],
            "held_out_loss": [None, 1.5],
            "held_out_accuracy": [None, 71.254],
        },
    }


def value(epoch, measure: str) -> float | None:
    """Of one epoch; None where it was not measured."""
    if measure == "learning_rate":
        return epoch.learning_rate
    part, _, kind = measure.rpartition("_")
    return getattr(getattr(epoch, part), kind, None)


def test_an_epoch_that_was_not_evaluated_has_no_point(compute):
    scored = Score(1.5, 40.0)
    epochs = [
        Epoch(1, 0.1, scored, None, 60.0, 1.0, None),
        Epoch(2, 0.05, scored, scored, 60.0, 1.0, None),
    ]
    run = {"history": figures.recorded.history(epochs)}
    held_out = compute("run-browser", "curve(x, 'held_out_loss')", [run])
    assert held_out == [[[2, 1.5]]]
    assert compute("run-browser", "curve(x, 'train_accuracy')", [run]) == [[[1, 40], [2, 40]]]


def test_a_scale_holds_all_values_on_few_round_numbers(compute):
    chance = random.Random(2)
    cases = [
        {"least": least, "most": least + chance.choice([0, 10 ** chance.uniform(-6, 3)])}
        for least in (chance.choice([0, chance.uniform(-5, 100)]) for _ in range(300))
    ]
    for case, found in zip(
        cases, compute("run-browser", "ticks(x.least, x.most)", cases), strict=True
    ):
        slack = 1e-6 * max(abs(case["most"]), 1)
        assert found[0] <= case["least"] + slack
        assert found[-1] >= case["most"] - slack
        assert 2 <= len(found) <= 7
        steps = np.diff(found)
        assert steps == pytest.approx(np.full(len(steps), steps[0]), rel=1e-3)
        digit = f"{steps[0]:.3e}"[0]
        assert digit in "125", found


def test_settings_are_compared_by_value_and_only_where_both_are_known(compute):
    first = {"batch": 128, "mean": [0.5, 0.4], "decay": None, "only": 1}
    second = {"batch": 64, "mean": [0.5, 0.4], "decay": None, "other": 2}
    found = compute("run-browser", "compare(x[0], x[1])", [[first, second]])[0]
    assert {line["name"]: line["differs"] for line in found} == {
        "batch": True,
        "mean": False,
        "decay": False,
        "only": None,
        "other": None,
    }


def test_a_setting_is_a_text_whatever_its_kind(compute):
    cases = [None, True, 64, 12345, 0.25, "cos", [0.5, 1], {"width": 8, "bias": False}, {}]
    words = ["none", "yes", "64", "12,345", "0.25", "cos", "0.5, 1", "width 8, bias no", "none"]
    assert compute("run-browser", "worded(x)", cases) == words


def test_runs_are_read_without_pytorch():
    """The book is built where there is none."""
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from cifarlab import figures\n"
        "print(len(figures.show('run-browser').parameters['runs']))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout == f"{len(figures.recorded.names())}\n", found.stderr


# --------------------------------------------------------------------------- live predictions


@pytest.fixture(scope="module")
def photographs(cifar10):
    """100 test images of CIFAR-10 (100, 32, 32, 3)."""
    _, test = cifar10
    return test.images[:100]


WAYS = {"kernel": "predictor(n)", "network.js": "(...picture) => predict(n, ...picture)"}


def answers_in_a_page(compute, written, images, way):
    """Maps of classes (N, classes, h, w) and probabilities (N, classes), by one of the WAYS."""
    height, width = images.shape[1:3]
    case = {"network": written, "images": images.reshape(len(images), -1).tolist()}
    ask = f"((n) => {WAYS[way]})(read(x.network))"
    expression = f"""((ask) => x.images.map((each) => {{
        const {{ maps, probabilities }} = ask(each, {height}, {width});
        return [[maps.height, maps.width, maps.channels], [...maps.data], probabilities];
    }}))({ask})"""
    (found,) = compute("live-predictions", expression, [case])
    maps = [torch.tensor(data).reshape(shape).permute(2, 0, 1) for shape, data, _ in found]
    return torch.stack(maps), torch.tensor([shares for *_, shares in found])


def as_written(network, recipe):
    """A network as a page takes it, and its steps as they are in there: rounded."""
    steps = export.steps(network)
    written = {**export.written(steps), "mean": recipe.mean, "std": recipe.std}
    return written, [step.rounded() for step in steps]


@torch.no_grad()
def maps_of(steps, recipe, images):
    """What PyTorch makes of the steps, in double precision."""
    plain = data.pipeline(mean=recipe.mean, std=recipe.std)
    batch = torch.stack([plain(image=each)["image"] for each in images])
    return export.class_maps(steps, batch.double())


def apart(found, expected):
    """The largest difference, as a share of the largest number."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def test_a_browser_of_today_runs_the_kernel(compute):
    """Else the tests of its answers would compare network.js with itself."""
    assert compute("live-predictions", "compiled() !== null", [0]) == [True]


@torch.no_grad()
def probabilities(network, recipe, images):
    """What PyTorch makes of them."""
    plain = data.pipeline(mean=recipe.mean, std=recipe.std)
    return network(torch.stack([plain(image=each)["image"] for each in images])).softmax(dim=1)


@pytest.mark.parametrize("name", figures.LIVE)
@pytest.mark.parametrize("way", WAYS)
def test_a_shipped_network_gives_the_answers_of_pytorch_on_100_photographs(
    compute, photographs, name, way
):
    images = photographs if way == "kernel" or name == "fast" else photographs[::10]
    written, (record,) = figures.exported([name]), [records.load(f"{name}-seed0")]
    network = records.load_network(record.name)
    maps, shares = answers_in_a_page(compute, written[0], images, way)
    _, steps = as_written(network, record.recipe)
    expected = maps_of(steps, record.recipe, images)
    assert apart(maps, expected) < 4e-6
    torch.testing.assert_close(
        shares.double(), expected.mean(dim=(2, 3)).softmax(dim=1), rtol=0, atol=2e-5
    )
    in_full = probabilities(network, record.recipe, images)
    assert (shares.argmax(dim=1) == in_full.argmax(dim=1)).float().mean() >= 0.97
    assert (shares - in_full).abs().max(dim=1).values.mean() < 0.02  # weights have 8 bits here


def outspoken(network, recipe, images):
    """`network` as if it had learned: batch norms know the images, and scores differ by 2 or so."""
    plain = data.pipeline(mean=recipe.mean, std=recipe.std)
    batch = torch.stack([plain(image=each)["image"] for each in images])
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0  # the statistics of the last batch alone
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.3)
    with torch.no_grad():
        network.train()(batch)
        head = [part for part in network.modules() if isinstance(part, nn.Conv2d)][-1]
        scores = diagnostics.class_activation_maps(network, batch).mean(dim=(2, 3))
        head.weight *= 2 / scores.std(dim=0)[:, None, None, None]
        head.bias = nn.Parameter(-2 * scores.mean(dim=0) / scores.std(dim=0))
    return network.eval()


@pytest.mark.parametrize("name", model.names())
@pytest.mark.parametrize("way", WAYS)
def test_any_network_of_the_package_gives_the_answers_of_pytorch(compute, photographs, name, way):
    torch.manual_seed(0)
    recipe, images = recipes.get("baseline"), photographs[:: 5 if way == "kernel" else 20]
    network = outspoken(model.create(name), recipe, photographs)
    written, steps = as_written(network, recipe)
    expected = maps_of(steps, recipe, images)
    shares = expected.mean(dim=(2, 3)).softmax(dim=1)
    assert len(shares.argmax(dim=1).unique()) > 2  # they are told apart
    maps, found = answers_in_a_page(compute, written, images, way)
    assert apart(maps, expected) < 1e-5
    torch.testing.assert_close(found.double(), shares, rtol=0, atol=1e-4)


def random_step(chance, maps):
    """A step of any kind that reads some of `maps`, most often the last; None if it cannot."""
    source = chance.choice([len(maps) - 1] * 3 + [*range(len(maps))])
    _, channels, *sizes = maps[source].shape
    kind = chance.choice(["convolution"] * 4 + ["depthwise"] * 2 + ["relu"] * 3 + ["add"] * 3)
    if kind == "relu":
        return export.Step("relu", [source])
    if kind == "add":
        alike = [number for number, each in enumerate(maps) if each.shape == maps[source].shape]
        pair = [source, chance.choice(alike)]
        return export.Step("add", chance.sample(pair, 2))
    groups = channels if kind == "depthwise" else chance.choice([1, 1, 2, 3])
    share = chance.choice([1, 1, 2] if kind == "depthwise" else [1, 3, 7, 8, 9, 16])
    window = [(chance.randint(1, 3), chance.randint(1, 2)) for _ in sizes]
    fits = all(d * (k - 1) < size for (k, d), size in zip(window, sizes, strict=True))
    if channels % groups or groups * share > 64 or not fits:
        return None
    kernel, dilation = zip(*window, strict=True)
    same = chance.random() < 0.5
    stride = 1 if same else (chance.randint(1, 2), chance.randint(1, 2))
    mode = chance.choice(model.PADDING_MODES)
    conv = nn.Conv2d(
        channels, groups * share, kernel, stride, "same" if same else 0, dilation, groups,
        padding_mode=mode,
    )  # fmt: skip
    return export.convolution(conv, [source])


def random_steps(chance, height, width):
    """A network of up to twelve of them, for pictures of this size."""
    maps, steps = [torch.zeros(1, 3, height, width).double()], []
    for _ in range(chance.randint(3, 12)):
        if step := random_step(chance, maps):
            steps.append(step)
            maps.append(step.run(maps))
    return steps


def test_random_networks_give_what_pytorch_gives_whichever_way(compute):
    """Sums of two maps or of one with itself, maps that are read twice, groups, odd sizes."""
    chance, kinds = random.Random(0), set()
    torch.manual_seed(0)
    recipe = recipes.get("baseline")
    for number in range(60):
        height, width = chance.randint(7, 13), chance.randint(7, 13)
        steps = random_steps(chance, height, width)
        kinds |= {step.kind for step in steps}
        images = torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8).numpy()
        written = {**export.written(steps), "mean": recipe.mean, "std": recipe.std}
        expected = maps_of([step.rounded() for step in steps], recipe, images)
        for way in WAYS:
            maps, _ = answers_in_a_page(compute, written, images, way)
            assert maps.shape == expected.shape, (number, way)
            assert apart(maps, expected) < 1e-5, (number, way, written)
    assert kinds == {"convolution", "relu", "add"}


def test_pictures_of_changing_size_are_each_laid_out_anew(compute):
    torch.manual_seed(0)
    recipe, images = recipes.get("baseline"), torch.randint(0, 256, (9, 9, 3)).tolist()
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    written, _ = as_written(network, recipe)
    case = {"network": written, "image": torch.tensor(images).flatten().tolist()}
    expression = """((ask) => [[9, 9], [4, 6], [9, 9]].map(([high, wide]) =>
        ask(x.image.slice(0, 3 * high * wide), high, wide).probabilities)
    )(predictor(read(x.network)))"""
    ((first, other, again),) = compute("live-predictions", expression, [case])
    assert first == again != other


def test_without_webassembly_a_network_answers_all_the_same(compute):
    torch.manual_seed(0)
    recipe = recipes.get("baseline")
    written, _ = as_written(model.create("fast").eval(), recipe)
    case = {"network": written, "image": [*range(192)] * 16}
    expression = """((there) => {
        const both = [predictor(read(x.network))(x.image, 32, 32).probabilities];
        WebAssembly.validate = () => false;
        both.push(compiled(), predictor(read(x.network))(x.image, 32, 32).probabilities);
        WebAssembly.validate = there;
        return both;
    })(WebAssembly.validate)"""
    ((with_it, none, without),) = compute("live-predictions", expression, [case])
    assert none is None
    assert without == pytest.approx(with_it, abs=1e-5)


def test_a_convolution_of_any_geometry_gives_what_pytorch_gives(compute):
    limits = {**WINDOW, "padding": (0, 3), "height": (4, 9), "width": (4, 9)}
    modes, random_numbers = model.PADDING_MODES, random.Random(2)
    cases, expected = [], []
    torch.manual_seed(0)
    for case in draw(limits, count=400):
        groups, mode = random_numbers.choice([1, 2, 3, 6]), random_numbers.choice(modes)
        channels = {"in_channels": 6, "out_channels": 6 * random_numbers.choice([1, 2])}
        if case["dilation"] * (case["kernel"] - 1) >= min(case["height"], case["width"]):
            continue
        window = {name: case[name] for name in ("stride", "padding", "dilation")}
        if case["stride"] == 1 and random_numbers.random() < 0.5:
            window["padding"] = "same"  # of an even kernel, one more behind than before
        conv = nn.Conv2d(
            **channels, kernel_size=case["kernel"], groups=groups, padding_mode=mode, **window
        )
        maps = torch.randn(1, 6, case["height"], case["width"])
        step = export.convolution(conv, [0])
        expected.append(step.rounded().run([maps])[0].permute(1, 2, 0))
        step = export.written([step])["steps"][0]
        size = {"height": case["height"], "width": case["width"], "channels": 6}
        cases.append({"step": step, **size, "data": maps[0].permute(1, 2, 0).flatten().tolist()})
    assert len(cases) > 200
    made = "convolve(x, read({ steps: [x.step] }).steps[0])"
    expression = f"((made) => [made.height, made.width, ...made.data])({made})"
    for found, given, case in zip(
        compute("live-predictions", expression, cases), expected, cases, strict=True
    ):
        assert found[:2] == [*given.shape[:2]], case["step"]
        torch.testing.assert_close(torch.tensor(found[2:]), given.flatten(), atol=1e-4, rtol=1e-4)


def files(photographs):
    """Picture files by what is special about them, in the memory only."""
    chance = np.random.default_rng(0)

    def content(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    photograph = Image.fromarray(photographs[7]).resize((411, 300), Image.Resampling.BICUBIC)
    rotated = Image.Exif()
    rotated[0x0112] = 6  # the camera was held upright
    yield "of CIFAR-10", content(Image.fromarray(photographs[0]))
    yield "wide", content(photograph)
    yield "tall", content(photograph.rotate(90, expand=True))
    yield "large", content(photograph.resize((1201, 800)))
    yield "tiny", content(photograph.resize((20, 11)))
    yield "JPEG, turned", content(photograph, "JPEG", exif=rotated)
    yield "WebP", content(photograph, "WEBP")
    yield "transparent", content(Image.fromarray(chance.integers(0, 256, (80, 80, 4), np.uint8)))
    yield "grey", content(photograph.convert("L"))


@pytest.fixture
def seen_in_page(browser):
    """seen_in_page(file): what `picture.js` leaves of a picture file, (32, 32, 3)."""
    page = browser.new_page()
    page.add_script_tag(content=(figures.FOLDER / "picture.js").read_text(encoding="utf-8"))

    def see(file: bytes) -> np.ndarray:
        shrink = "async (x) => [...(await readPicture(await (await fetch(x)).blob())).pixels]"
        address = f"data:;base64,{base64.b64encode(file).decode()}"
        return np.array(page.evaluate(shrink, address)).reshape(32, 32, 3)

    yield see
    page.close()


def steps_apart(seen_in_page, file):
    """The largest difference of page and package; 1 in 255 comes of rounding."""
    return np.abs(seen_in_page(file) - live.as_seen(file).astype(int)).max()


def test_a_page_shrinks_pictures_as_the_package_does(seen_in_page, photographs):
    """But for one step in 255: Pillow and a browser round transparency and JPEG differently."""
    for what, file in files(photographs):
        assert steps_apart(seen_in_page, file) <= 1, what


def test_a_page_shrinks_every_size_as_the_package_does(seen_in_page):
    """Noise, which shows every difference; Pillow takes rows or columns first, by the shape."""
    chance = np.random.default_rng(0)
    sides = [1, 2, 5, 29, 30, 31, 32, 33, 34, 63, 64, 65, 100, 301]
    sizes = {(31, 33), (33, 31), (30, 33), (29, 31), (640, 427), (500, 1), (1, 500), (3, 2000)}
    sizes |= {(sides[n], sides[(n * k + k) % len(sides)]) for n in range(14) for k in (1, 3, 5)}
    for width, height in sorted(sizes):
        noise = chance.integers(0, 256, (height, width, 3), dtype=np.uint8)
        file = picture_files.content(Image.fromarray(noise))
        assert steps_apart(seen_in_page, file) <= 1, (width, height)


def test_a_page_passes_over_notes_as_the_package_does(seen_in_page):
    """EXIF in which only the orientation is sound, EXIF without one, and all other notes."""
    exif = picture_files.ODD_EXIF | picture_files.NO_ORIENTATION
    odd = {f"JPEG, {what}": picture_files.jpeg((1, b"Exif\0\0" + exif[what])) for what in exif}
    odd |= {f"PNG, {what}": picture_files.png((b"eXIf", exif[what])) for what in exif}
    for what, file in (odd | picture_files.ODD_NOTES).items():
        assert steps_apart(seen_in_page, file) <= 1, what


def test_only_the_package_turns_a_webp_and_the_page_says_so(seen_in_page):
    """Should this fail because the browser turns it as well, the sentence can go."""
    file = picture_files.webp(picture_files.exif(picture_files.ORIENTATION))
    unturned = live.as_seen(picture_files.webp(b""))
    upright = np.rot90(np.asarray(picture_files.lopsided()), -1)
    assert np.array_equal(live.as_seen(file), live.as_seen(upright.copy()))
    assert np.abs(seen_in_page(file) - unturned.astype(int)).max() <= 1
    assert "orientation of a WebP" in (ROOT / "book" / "live.md").read_text(encoding="utf-8")


@pytest.fixture
def red_or_dark(show):
    """The demo of a network whose class "red" is the mean red of a picture, and "dark" the rest.

    Its two samples are red in the upper three quarters and black below, and the other way round.
    """
    head = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0, 0], [-1, 0, 0]])[:, :, None, None])
        head.bias.zero_()
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), head, nn.Flatten())
    about = {"record": "red", "network": "red", "parameters": 8, "multiply_adds": 6, "epochs": 1}
    about |= {"planned": 1, "scored_on": "test", "accuracy": 50.0}
    held = {"about": about, "classes": ["red", "dark"], "mean": [0.5] * 3, "std": [0.5] * 3}
    held |= {"calibration": {"counts": [0] * 10, "accuracy": [None] * 10}}
    sheet = np.zeros((32, 64, 3), np.uint8)
    sheet[:24, :32, 0] = sheet[8:, 32:, 0] = 255
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    samples = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    network = {**held, **export.written(export.steps(network))}
    page = show(figures.show("live-predictions", networks=[network], samples=samples))
    page.get_by_role("button", name="sample: red").click()
    return page


def painted(canvas) -> np.ndarray:
    """The pixels of a canvas (H, W, 4), the last number their opacity."""
    height, width, pixels = canvas.evaluate(
        """(each) => {
            const { width, height } = each;
            const { data } = each.getContext("2d").getImageData(0, 0, width, height);
            return [height, width, [...data]];
        }"""
    )
    return np.array(pixels).reshape(height, width, 4)


def test_a_class_map_is_amber_where_it_speaks_for_the_class_and_blue_where_against(red_or_dark):
    page = red_or_dark
    heat = page.locator("canvas[aria-label^='class-activation map']")
    assert page.get_by_text("What speaks for red (amber) and against it (blue)").is_visible()
    for name, amber, blue in (
        ("red", slice(0, 24), slice(24, 32)),
        ("dark", slice(24, 32), slice(0, 24)),
    ):
        page.get_by_role("radio", name=name).check()
        red, green, blueness, opacity = np.moveaxis(painted(heat), 2, 0)
        assert (red[amber] > green[amber]).all() and (green[amber] > blueness[amber]).all()
        assert (red[blue] < green[blue]).all() and (green[blue] < blueness[blue]).all()
        assert opacity.min() > 200  # both speak as strongly as any place


def test_under_the_map_lies_the_picture_that_the_network_sees(red_or_dark):
    expected = np.zeros((32, 32, 4), np.uint8)
    expected[..., 3], expected[:24, :, 0] = 255, 255
    looked = red_or_dark.locator("canvas[aria-label^='the picture as']")
    assert np.array_equal(painted(looked), expected)
    heat = red_or_dark.locator("canvas[aria-label^='class-activation map']")
    assert looked.bounding_box() == heat.bounding_box()
    grey = "(each) => getComputedStyle(each).filter"
    assert looked.evaluate(grey) == "grayscale(1)"
    red_or_dark.get_by_role("checkbox", name="Map over the picture").uncheck()
    assert looked.evaluate(grey) == "none" and not heat.is_visible()


def test_a_bar_is_as_long_as_its_class_is_probable(red_or_dark):
    """Three quarters at 1 and one at -1 have the mean 0.5: scores of 0.5 and -0.5."""
    red = 1 / (1 + np.exp(-1))
    assert filled(red_or_dark.locator(".bar")) == pytest.approx([red, 1 - red], abs=0.01)
    assert red_or_dark.locator("fieldset b").all_inner_texts() == ["73.1\u00a0%", "26.9\u00a0%"]
    assert red_or_dark.locator(".guess").inner_text().startswith("red")


def test_the_sentence_on_confidence_reads_the_right_bin(compute):
    calibration = {"counts": [0] * 8 + [200, 1000], "accuracy": [None] * 8 + [0.75, 0.5]}
    cases = [{"calibration": calibration, "share": share} for share in (1, 0.95, 0.9, 0.85, 0.2, 0)]
    found = compute("live-predictions", 'experience(x.calibration, x.share, "test")', cases)
    found = [sentence.replace("\u00a0%", " %") for sentence in found]
    assert "1,000 test images on which it was 90 to 100 % sure, it was right on 50 %" in found[0]
    assert found[0] == found[1]
    assert "200 test images on which it was 80 to 90 % sure, it was right on 75 %" in found[2]
    assert found[2] == found[3]
    assert found[4] == "On no test image was it 10 to 20 % sure."
    assert found[5] == "On no test image was it 0 to 10 % sure."


def test_only_what_is_always_right_is_right_on_100_percent(compute):
    """And the number never stands on another line than its sign."""
    shares = {0: "0 %", 0.1234: "12 %", 0.9846: "98 %", 0.9904: "99 %", 0.9965: "99.7 %"}
    shares |= {0.99949: "99.9 %", 0.99999: "99.9 %", 1: "100 %"}
    beside_bars = {0: "0.0 %", 0.1234: "12.3 %", 0.9995: "99.9 %", 0.99999: "99.9 %", 1: "100.0 %"}
    for expression, expected in (("percent(x)", shares), ("inTenths(x)", beside_bars)):
        found = compute("live-predictions", expression, [*expected])
        assert found == [words.replace(" ", "\u00a0") for words in expected.values()]


def test_a_grey_square_covers_its_pixels_and_no_others(compute):
    case = {"at": {"row": 3, "column": 30, "side": 8}, "mean": [0.2, 0.4, 0.6]}
    expression = "[...covered(new Uint8Array(3072).fill(9), x.at, x.mean)]"
    (found,) = compute("live-predictions", expression, [case])
    expected = np.full((32, 32, 3), 9)
    expected[3:11, 30:32] = 51, 102, 153
    assert np.array_equal(np.reshape(found, (32, 32, 3)), expected)


@pytest.mark.parametrize("key", ["Alt", "Control", "Meta"])
def test_the_grey_square_leaves_arrows_with_another_key_to_the_browser(red_or_dark, key):
    """Alt and left go a page back."""
    red_or_dark.get_by_role("checkbox", name="A grey square").check()
    patch = red_or_dark.get_by_role("button", name="grey square, row 12, column 12")
    patch.focus()
    red_or_dark.keyboard.press(f"{key}+ArrowDown")
    expect(patch).to_be_focused()
    expect(patch).to_have_accessible_name(re.compile("^grey square, row 12, column 12;"))


def test_the_bars_follow_the_grey_square_and_a_voice_waits_until_it_rests(red_or_dark):
    """The square takes 64 of the 768 red pixels from -1 or 1 to 0; half of grey is 0 here."""
    page = red_or_dark
    page.get_by_role("checkbox", name="A grey square").check()
    patch = page.get_by_role("button", name="grey square, row 12, column 12")
    mean = (768 - 64 - 256) / 1024
    share = 1 / (1 + np.exp(-2 * mean))
    assert filled(page.locator(".bar"))[0] == pytest.approx(share, abs=0.01)
    patch.focus()
    said = page.evaluate_handle("""() => {
        const told = [];
        const status = document.querySelector("cifarlab-live-predictions").shadowRoot
            .querySelector("[role=status]");
        new MutationObserver(() => told.push(status.textContent)).observe(status,
            { childList: true, characterData: true, subtree: true });
        return told;
    }""")
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    page.get_by_role("button", name="grey square, row 24, column 12").wait_for()
    below = (768 - (256 - 64)) / 1024
    share = 1 / (1 + np.exp(-2 * below))
    assert filled(page.locator(".bar"))[0] == pytest.approx(share, abs=0.01)
    page.wait_for_timeout(2000)
    assert len(said.json_value()) <= 1
    before = patch_box = page.locator(".patch").bounding_box()
    page.mouse.move(before["x"] + 5, before["y"] + 5)
    page.mouse.down()
    page.mouse.move(before["x"] + 5, before["y"] + 5 - 12 * patch_box["height"] / 8, steps=3)
    page.mouse.up()
    page.get_by_role("button", name="grey square, row 12, column 12").wait_for()


def test_a_large_photograph_is_read_smaller_and_looks_the_same(seen_in_page, browser, photographs):
    """Shrunk by the browser first; a few steps of 255 are what that may cost."""
    chosen = Image.fromarray(photographs[7]).resize((2500, 2100), Image.Resampling.BICUBIC)
    for picture in (chosen, chosen.rotate(90, expand=True)):
        file = picture_files.content(picture, "JPEG")
        assert steps_apart(seen_in_page, file) <= 4


def test_the_strongest_place_of_a_map_is_named(compute):
    places = {0: "upper left", 4: "upper", 8: "upper right", 40: "middle", 80: "lower right"}
    for place, words in places.items():
        values = [0] * 81
        values[place] = 1
        case = {"height": 9, "width": 9, "values": values}
        assert compute("live-predictions", "strongest(x)", [case]) == [words]


# ------------------------------------------------------------------- inside the live predictions

# Behind which modules a block of each network of the page ends; the whitening's ReLU is none.
BLOCKS = {
    "accurate": ["whitening", *(f"early.{n}" for n in range(2, 6))]
    + [f"late.{n}" for n in range(3, 8)],
    "fast": ["whitening", "early.2", "early.3", "late.2", "late.3", "late.4"],
    "baseline": [f"conv{n}" for n in range(5)],
}


@torch.no_grad()
def outputs_of(network, names, images):
    """What these modules give, behind a ReLU, as (N, channels, h, w)."""
    found, parts = {}, dict(network.named_modules())
    hooks = [
        parts[name].register_forward_hook(
            lambda *both, name=name: found.update({name: both[-1].relu()})
        )
        for name in names
    ]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
    return [found[name] for name in names]


@pytest.mark.parametrize("name", figures.LIVE)
@pytest.mark.parametrize("way", WAYS)
def test_the_maps_of_each_block_are_those_of_pytorch(compute, photographs, name, way):
    """Of a test image: the very maps of the rounded steps, and almost those of the network."""
    (written,), record = figures.exported([name]), records.load(f"{name}-seed0")
    case = {"network": written, "image": photographs[7].flatten().tolist()}
    expression = f"""((network) => {{
        const {{ found }} = ((n) => {WAYS[way]})(network)(x.image, 32, 32);
        return blockEnds(network.steps).map((number) => {{
            const {{ height, width, channels, data }} = found[number];
            return [number, height, width, channels, [...data]];
        }});
    }})(read(x.network))"""
    (found,) = compute("live-predictions", expression, [case])
    network = records.load_network(record.name)
    image = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)(image=photographs[7])
    maps = [image["image"][None].double()]
    for step in as_written(network, record.recipe)[1]:
        maps.append(step.run(maps))
    in_full = outputs_of(network, BLOCKS[name], image["image"][None])
    for (number, *shape, numbers), full in zip(found, in_full, strict=True):
        seen = torch.tensor(numbers).reshape(shape).permute(2, 0, 1)
        assert apart(seen, maps[number][0]) < 4e-6, number
        assert seen.shape == full[0].shape
        assert (seen - full[0]).norm() < 0.08 * full.norm(), number  # weights have 8 bits here


def some_units(field: Field, chance: random.Random) -> list[tuple[int, int]]:
    """Corners, a middle and a few more units of a map."""
    height, width = field.units
    corners = [(y, x) for y in (0, height - 1) for x in (0, width - 1)]
    inner = [(chance.randrange(height), chance.randrange(width)) for _ in range(4)]
    return [*corners, field.centre, *inner]


SEEN = """((marks) => [[...marks.keys()].filter((n) => marks[n]), boundsOf(marks, x.width)])(
    seenBy(x.steps, x.number ?? blockEnds(x.steps)[x.block], x.unit, x.height, x.width))"""


def geometries(steps: list[dict]) -> list[dict]:
    """Steps as they are written, without their numbers."""
    numbers = ("weights", "scales", "biases")
    return [{key: step[key] for key in step if key not in numbers} for step in steps]


@pytest.mark.parametrize("name", figures.LIVE)
def test_a_unit_of_a_block_sees_the_pixels_that_the_analysis_says(compute, name):
    (written,) = figures.exported([name])
    steps = geometries(written["steps"])
    fields = analyze(records.load_network(f"{name}-seed0"), (32, 32))
    chance = random.Random(0)
    for block, module in enumerate(BLOCKS[name]):
        field = fields[module]
        assert field.exact
        units = some_units(field, chance)
        cases = [
            {"steps": steps, "block": block, "unit": unit, "height": 32, "width": 32}
            for unit in units
        ]
        for (pixels, bounds), unit in zip(
            compute("live-predictions", SEEN, cases), units, strict=True
        ):
            assert pixels == np.flatnonzero(field.taps(*unit)).tolist(), (module, unit)
            sides = {side: bounds[side] for side in ("top", "left", "bottom", "right")}
            assert sides == field.box(*unit, clipped=True)._asdict(), (module, unit)


def test_in_random_networks_too_a_unit_sees_what_spoils_it(compute):
    """A pixel that is no number makes none of each unit that sees it, and asks for no rule."""
    chance, holes = random.Random(1), 0
    torch.manual_seed(1)
    for _ in range(60):
        height, width = chance.randint(7, 13), chance.randint(7, 13)
        steps, places = random_steps(chance, height, width), torch.arange(height * width)
        images = torch.zeros(len(places), 3, height, width).double()
        images.flatten(2)[places, :, places] = torch.nan
        spoiled = export.class_maps(steps, images).isnan().any(dim=1)  # (pixel, y, x)
        y, x = chance.randrange(spoiled.shape[1]), chance.randrange(spoiled.shape[2])
        case = {"steps": geometries(export.written(steps)["steps"]), "number": len(steps)}
        case |= {"unit": [y, x], "height": height, "width": width}
        ((pixels, bounds),) = compute("live-predictions", SEEN, [case])
        assert pixels == spoiled[:, y, x].nonzero().flatten().tolist(), case
        high, wide = (bounds["bottom"] - bounds["top"] + 1, bounds["right"] - bounds["left"] + 1)
        holes += bounds["count"] < high * wide
    assert holes > 5


def test_a_block_ends_behind_a_relu_that_nothing_goes_around(compute):
    """While a skip is under way, at step 3, there is no end; behind the sum, at step 5, is one."""
    steps = [
        *({"kind": "convolution", "sources": [0]}, {"kind": "relu", "sources": [1]}),
        *({"kind": "relu", "sources": [2]}, {"kind": "add", "sources": [2, 3]}),
        *({"kind": "relu", "sources": [4]}, {"kind": "convolution", "sources": [5]}),
    ]
    assert compute("live-predictions", "blockEnds(x)", [steps, steps[:1]]) == [[2, 5], []]
    assert compute("live-predictions", "sight(x)", [None]) == [
        "nothing of the picture: only padding"
    ]


@pytest.fixture(params=["kernel", "network.js"])
def opened(request, show):
    """The fold of the live figure of `fast` on its first sample, opened."""
    page = show(figures.Figure("quiz", {"questions": []}))  # an empty page, for what comes first
    if request.param == "network.js":
        page.evaluate("WebAssembly.validate = () => false")
    page.evaluate(
        """(text) => {
            const range = document.createRange();
            document.body.replaceChildren(range.createContextualFragment(text));
        }""",
        figures.show("live-predictions", networks=["fast", "accurate"])._repr_html_(),
    )
    page.get_by_role("button", name="sample: ship").click()
    fold = page.locator("details.inside")
    assert fold.locator(".blocks label, .maps button").count() == 0  # nothing until it is opened
    fold.locator("summary").click()
    expect(fold.get_by_role("radio")).to_have_count(len(BLOCKS["fast"]))
    return page


def framed(page) -> dict[str, int]:
    """First and last row and column of the picture within the frame."""
    outer, inner = page.locator(".eye").bounding_box(), page.locator(".frame").bounding_box()
    pixel = outer["width"] / 32
    left, top = (inner[side] - outer[side] for side in "xy")
    edges = {"top": top, "left": left, "bottom": top + inner["height"] - pixel}
    edges["right"] = left + inner["width"] - pixel
    assert all(abs(edge / pixel - round(edge / pixel)) < 0.05 for edge in edges.values())
    return {side: round(edge / pixel) for side, edge in edges.items()}


def test_a_unit_clicked_or_chosen_by_keys_has_its_field_framed_and_told(opened):
    fields = analyze(records.load_network("fast-seed0"), (32, 32))
    units = opened.locator("button.units")
    for block, keys in ((2, ["ArrowUp"]), (3, ["ArrowLeft", "ArrowDown"]), (5, ["ArrowRight"] * 9)):
        opened.get_by_role("radio", name=f"Block {block}").check()
        field = fields[BLOCKS["fast"][block - 1]]
        box, (height, width) = units.bounding_box(), field.units
        y, x = 1, width - 3
        at = {"x": (x + 0.5) * box["width"] / width, "y": (y + 0.5) * box["height"] / height}
        units.click(position=at)
        for key in [None, *keys]:
            if key:
                opened.keyboard.press(key)
                y += (key == "ArrowDown") - (key == "ArrowUp")
                x += (key == "ArrowRight") - (key == "ArrowLeft")
                y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
            expect(units).to_have_accessible_name(re.compile(f"unit in row {y}, column {x};"))
            seen = field.box(y, x, clipped=True)
            assert framed(opened) == seen._asdict()
        words = f"row {y}, column {x} sees rows {seen.top} to {seen.bottom} and columns {seen.left}"
        words += f" to {seen.right} of the picture"
        expect(opened.locator("details.inside [aria-live]")).to_contain_text(words)
        expect(opened.get_by_role("img", name=words.partition("sees ")[2])).to_be_visible()


def test_a_unit_leaves_arrows_with_another_key_to_the_browser(opened):
    units = opened.locator("button.units")
    name = units.get_attribute("aria-label")
    units.focus()
    for key in ("Alt", "Control", "Meta"):
        for arrow in ("ArrowUp", "ArrowDown"):  # of an edge, one leads nowhere
            opened.keyboard.press(f"{key}+{arrow}")
            expect(units).to_have_attribute("aria-label", name)


def test_the_small_maps_have_one_scale_and_the_strongest_is_the_first(opened):
    opened.get_by_role("radio", name="Block 4: 112 maps of 8×8").check()
    tiles = opened.locator(".maps button")
    expect(tiles).to_have_count(12)
    peaks = [painted(tile.locator("canvas"))[..., 0].max() for tile in tiles.all()]
    assert peaks[0] == 255 and peaks == sorted(peaks, reverse=True)
    said = [float(name.rpartition(" ")[2]) for (name,) in attributes(tiles, "aria-label")]
    assert np.array(peaks) / 255 == pytest.approx(np.array(said) / said[0], abs=0.01)
    for _ in range(9):
        opened.get_by_role("button", name="more maps").click()
    expect(tiles).to_have_count(112)
    expect(opened.get_by_role("button", name="more maps")).to_be_hidden()
    tiles.nth(20).focus()
    opened.keyboard.press("Enter")
    expect(tiles.nth(20)).to_have_attribute("aria-pressed", "true")
    large = painted(opened.locator("button.units canvas"))
    assert np.array_equal(large, painted(tiles.nth(20).locator("canvas")))


def test_another_network_and_another_picture_bring_their_own_maps(opened):
    fold = opened.locator("details.inside")
    first = painted(opened.locator("button.units canvas"))
    opened.get_by_role("button", name="sample: frog").click()
    expect(opened.get_by_role("status")).to_contain_text("CIFAR-10 calls it frog.")
    assert not np.array_equal(first, painted(opened.locator("button.units canvas")))
    opened.get_by_role("radio", name="accurate-seed0").check()
    expect(fold.get_by_role("radio")).to_have_count(len(BLOCKS["accurate"]))
    expect(fold.get_by_role("radio", name="Block 10: 128 maps of 16×16")).to_be_visible()


def test_the_figure_is_named_after_the_network_that_is_asked(opened):
    for name in ("accurate-seed0", "fast-seed0"):
        opened.get_by_role("radio", name=name).check()
        group = opened.locator("cifarlab-live-predictions")
        expect(group).to_have_accessible_name(f"Live predictions of {name}")


def test_the_first_answer_that_nobody_asked_for_is_not_read_out(show):
    page = show(figures.show("live-predictions", networks=["fast"]))
    told = page.get_by_role("status")
    expect(told).to_contain_text("CIFAR-10 calls it airplane.")
    expect(told).to_have_attribute("aria-live", "off")
    page.get_by_role("button", name="Noise").click()
    expect(told).to_contain_text("none of the ten")
    assert told.get_attribute("aria-live") is None  # a status is polite by itself


def test_a_network_without_such_blocks_has_no_fold(red_or_dark):
    expect(red_or_dark.locator("details.inside")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_opened_fold_fits_a_small_screen_and_bars_nobody(opened, scheme):
    opened.emulate_media(color_scheme=scheme)
    opened.set_viewport_size({"width": 320, "height": 640})
    opened.get_by_role("button", name="more maps").click()
    assert opened.evaluate("document.documentElement.scrollWidth") == 320
    where = {"fromShadowDom": ["cifarlab-live-predictions", "details.inside"]}
    found = Axe().run(opened, context=where, options={"resultTypes": ["violations"]})
    assert found.response["violations"] == []


@pytest.mark.parametrize("name", figures.LIVE)
def test_20_test_images_uploaded_get_in_the_page_what_pytorch_says(show, cifar10, name):
    """Every twentieth of the first 400; the page rounds to a tenth of a per cent."""
    _, test = cifar10
    images, record = test.images[:400:20], records.load(f"{name}-seed0")
    network = records.load_network(record.name)
    _, steps = as_written(network, record.recipe)
    rounded = 100 * maps_of(steps, record.recipe, images).mean(dim=(2, 3)).softmax(dim=1)
    in_full = 100 * probabilities(network, record.recipe, images)
    page = show(figures.show("live-predictions", networks=[name]))
    page.get_by_role("status").get_by_text("Among the ten").wait_for()
    found = []
    for number, image in enumerate(images):
        file = {"name": f"{number}.png", "mimeType": "image/png"}
        file["buffer"] = picture_files.content(Image.fromarray(image), "PNG")
        page.get_by_role("button", name="Noise").click()
        page.locator("input[type=file]").set_input_files(file)
        expect(page.get_by_role("status")).to_contain_text("What it is, you know best.")
        shares = page.locator("fieldset b").all_inner_texts()
        found.append([float(share.rstrip("\u00a0%")) for share in shares])
    found = torch.tensor(found)
    most = 99.9  # of what is not all
    assert (found.clamp(max=most) - rounded.clamp(max=most)).abs().max() < 0.051
    assert (found - in_full).abs().max() < 5  # weights have 8 bits here


# ------------------------------------------------------------------------------ the designer

# How many modules of the code each kind of layer gives.
MODULES = {"dense": 3, "depthwise": 1, "pointwise": 3, "separable": 4, "pooling": 1}


def designed(code: str) -> nn.Sequential:
    """The network that copied code makes, with the same weights each time."""
    torch.manual_seed(0)
    names: dict = {}
    exec(code, names)
    return names["network"]


def designs(count: int) -> list[list[dict]]:
    """Stacks of one to nine layers with all that can be chosen; the same each time."""
    chance = random.Random(2)

    def drawn(kind: str) -> dict:
        if kind == "pooling":
            return {"kind": kind, "kernel": chance.choice([2, 3]), "stride": chance.choice([1, 2])}
        window = {
            "kernel": chance.choice([1, 3, 3, 3, 5]),
            "stride": chance.choice([1, 1, 1, 2, 4]),
            "dilation": chance.choice([1, 1, 2, 3, 4, 16]),
        }
        channels = {"channels": chance.choice([16, 24, 48, 96, 160])}
        return {
            "kind": kind,
            **(window if kind != "pointwise" else {}),
            **(channels if kind != "depthwise" else {}),
        }

    kinds = [*MODULES, "dense", "separable"]
    return [
        [drawn(chance.choice(kinds)) for _ in range(chance.randint(1, 9))] for _ in range(count)
    ]


def runs_on(network: nn.Module) -> bool:
    """Whether a picture of 32 by 32 pixels is large enough for all its layers."""
    try:
        network.eval()(torch.zeros(1, 3, 32, 32))
    except RuntimeError:
        return False
    return True


def plain(sentences: list[str]) -> list[str]:
    """Without the marks of code; of a network that fails, without PyTorch's own words."""
    return [re.sub(r"(images: ).*", r"\1", each.replace("`", "")) for each in sentences]


def test_the_designer_counts_sees_and_judges_as_the_package_does_what_its_code_makes(compute):
    cases = designs(60)
    found = compute("designer", "[code(x), follow(x), totals(follow(x)), violations(x)]", cases)
    met = set()
    for layers, (code, maps, total, sentences) in zip(cases, found, strict=True):
        network = designed(code)
        assert total["parameters"] == model.count_parameters(network), layers
        broken = challenge.violations(network)
        assert plain(sentences) == plain(broken), layers
        met |= {" ".join(each.split()[:2]) for each in sentences or [""]}
        if not runs_on(network):
            assert maps[-1]["units"] == 0
            continue
        assert total["multiplyAdds"] == model.count_multiply_adds(network), layers
        analysis, place = analyze(network, (32, 32)), -1
        for each, follow in zip(layers, maps[1:], strict=True):
            place += MODULES[each["kind"]]
            field = analysis[str(place)]
            assert field.units == (follow["units"],) * 2, layers
            assert field.size == (follow["size"],) * 2, layers
    # Too many, not run, none of each kind, too narrow a view, and nothing at all.
    assert met == {"It has", "It does", "No dilated", "No depthwise", "A unit", ""}


def taken(page, chance: random.Random) -> None:
    """One step of somebody who tries out what the designer offers."""
    expect(page.locator("li.layer").first).to_be_visible()  # the last step may still be drawn
    row = page.locator("li.layer").nth(chance.randrange(page.locator("li.layer").count()))
    step = chance.choice(["add", "kind", "number", "number", "button"])
    if step == "add":
        page.get_by_label("A new layer").select_option(index=chance.randrange(7))
        page.get_by_role("button", name="Add it").click()
    elif step == "kind":
        row.get_by_role("combobox").first.select_option(chance.choice(list(MODULES)))
    elif step == "number":
        controls = row.locator("select:not([aria-label^=kind]), input").all()
        chosen = chance.choice(controls)
        if chosen.get_attribute("type") == "number":
            chosen.fill(str(chance.choice([1, 2, 3, 5, 16, 40, 96])))
        else:
            chosen.select_option(index=chance.randrange(chosen.locator("option").count()))
    else:
        usable = [each for each in row.get_by_role("button").all() if each.is_enabled()]
        if usable:
            chance.choice(usable).click()


def whole_numbers(text: str) -> list[int]:
    """12,345 as one of them."""
    return [int(each.replace(",", "")) for each in re.findall(r"[\d,]*\d", text)]


def copied(page) -> str:
    """What the button puts into the clipboard."""
    kept = "{ writeText: async (text) => { window.copied = text; } }"
    page.evaluate(f"Object.defineProperty(navigator, 'clipboard', {{ value: {kept} }})")
    page.get_by_role("button", name="Copy the code").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    return page.evaluate("window.copied")


def in_the_middle(field: Field) -> tuple[int, int]:
    """Of the units in the middle of a map, the one that sees most pixels."""
    places = [
        (y, x) for y in challenge.central(field.units[0]) for x in challenge.central(field.units[1])
    ]
    return max(places, key=lambda place: field.taps(*place).sum())


def square_seen(field: Field) -> int:
    """How many pixels it sees."""
    return int(field.taps(*in_the_middle(field)).sum())


def coverage(field: Field) -> float:
    """Which share of its box that is."""
    return field.coverage(*in_the_middle(field))


@pytest.mark.parametrize("seed", range(12))
def test_what_the_designer_shows_is_what_the_package_says_of_the_copied_code(show, seed):
    """After a walk of sixteen steps through its buttons and fields."""
    chance = random.Random(seed)
    page = show(figures.show("designer", preset=["draft", "leap", "early"][seed % 3]))
    for _ in range(16):
        taken(page, chance)
    network = designed(copied(page))
    runs = runs_on(network)
    counts = [model.count_parameters(network)]
    if runs:
        analysis = analyze(network, (32, 32))
        seen = square_seen(analysis.last_map)
        counts += [seen, 1024, model.count_multiply_adds(network)]
        assert page.locator(".square .seen").get_attribute("d").count("M") == seen
    shown = whole_numbers(" ".join(page.locator("dd").all_inner_texts()))
    assert [each for each in shown if each != 199_999] == (counts if runs else [*counts, 1024])
    sentences = [" ".join(each.split()) for each in page.locator(".said li").all_inner_texts()]
    assert plain(sentences) == plain(challenge.violations(network))

    end = 0
    for row in page.locator("li.layer").all():
        start, end = end, end + MODULES[row.get_by_role("combobox").first.input_value()]
        parts = network[start:end]
        layers = [each for each in parts if isinstance(each, nn.Conv2d | nn.MaxPool2d)]
        for name in ("kernel", "stride", "dilation"):
            if (control := row.locator(f"[aria-label^={name}]")).count():
                attribute = getattr(layers[0], "kernel_size" if name == "kernel" else name)
                assert {int(control.input_value())} == {*np.atleast_1d(attribute)}, name
        if (control := row.locator("[aria-label^=channels]")).count():
            assert int(control.input_value()) == layers[-1].out_channels
        facts = row.locator(".facts span").all_inner_texts()
        if not runs:
            continue
        field = analysis[str(end - 1)]
        adds = model.count_multiply_adds(network[:end])
        adds -= model.count_multiply_adds(network[:start]) if start else 0
        assert whole_numbers(facts[0])[:2] == [*field.units]
        assert whole_numbers(facts[1]) == [model.count_parameters(parts)]
        assert whole_numbers(facts[2]) == [adds]
        seen, box = square_seen(field), round(square_seen(field) / coverage(field))
        holes = [seen, box] if seen < box else []
        assert whole_numbers(facts[3]) == [*field.size, *holes]
        assert row.locator(".seen").get_attribute("d").count("M") ** 2 == seen


def test_a_layer_moves_goes_and_comes_by_keyboard_and_the_keyboard_goes_along(show):
    page = show(figures.show("designer", preset="leap"))  # pointwise, dense, separable
    kinds = page.get_by_role("combobox", name=re.compile("kind of layer"))

    def order() -> list[str]:
        return [each.input_value() for each in kinds.all()]

    page.get_by_role("button", name="Move down layer 1").press("Enter")
    assert order() == ["dense", "pointwise", "separable"]
    expect(page.get_by_role("button", name="Move down layer 2")).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert order() == ["dense", "separable", "pointwise"]
    expect(page.get_by_role("button", name="Move up layer 3")).to_be_focused()  # the end
    page.keyboard.press("ArrowDown")
    assert order() == ["dense", "separable", "pointwise"]
    page.get_by_role("button", name="Remove layer 1").press("Enter")
    expect(page.get_by_role("button", name="Remove layer 1")).to_be_focused()
    page.keyboard.press("Enter")
    assert order() == ["pointwise"]
    expect(page.get_by_role("button", name="Remove layer 1")).to_be_disabled()
    page.get_by_label("A new layer").select_option("dilated")
    page.get_by_role("button", name="Add it").press("Enter")
    assert order() == ["pointwise", "dense"]
    expect(kinds.last).to_be_focused()
    expect(page.get_by_label("dilation of layer 2")).to_have_value("2")


def test_a_number_that_cannot_be_is_mended(show):
    page = show(figures.show("designer"))
    channels = page.get_by_label("channels of layer 1")
    for typed, kept in (("1", "8"), ("9999", "256"), ("", "256"), ("20.4", "20")):
        channels.fill(typed)
        channels.blur()
        expect(channels).to_have_value(kept)
    assert "nn.Conv2d(3, 20, 3," in page.locator("pre").text_content()


def test_the_designer_speaks_when_it_rests_and_only_then(browser):
    page = browser.new_page()
    page.clock.install(time=0)
    page.set_content(figures.show("designer")._repr_html_())
    page.clock.pause_at(60_000)  # or it goes on by itself
    spoken = page.get_by_role("status").first
    expect(spoken).to_be_empty()
    for channels in ("16", "32"):
        page.get_by_label("channels of layer 1").fill(channels)
        page.keyboard.press("Enter")
        page.clock.run_for(300)
        expect(spoken).to_be_empty()
    page.clock.run_for(200)
    expect(spoken).to_contain_text("parameters. The referee says no, for one reason: A unit")
    page.close()


def test_without_a_clipboard_the_code_is_selected(show):
    page = show(figures.show("designer"))
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy the code").click()
    expect(page.get_by_text("It is selected")).to_be_visible()
    expect(page.locator("pre")).to_be_visible()
    taken = "addEventListener('copy', () => { window.kept = getSelection().toString(); })"
    page.evaluate(taken)
    page.keyboard.press("Control+c")
    assert page.evaluate("window.kept").startswith("from torch import nn")


# ------------------------------------------------------------------------------- inverse map

BORDERS = {"repeated": "nearest", "mirrored": "mirror", "grey": "grid-constant"}  # SciPy's names


def test_every_new_pixel_takes_what_scipy_finds_where_it_comes_from(compute):
    chance = np.random.default_rng(0)
    cases = [
        {
            "pixels": chance.integers(0, 16, (side, side, 3)).tolist(),
            "how": {
                "degrees": chance.uniform(-90, 90),
                "interpolation": interpolation,
                "border": border,
            },
        }
        for side in (5, 8, 17)
        for interpolation in ("linear", "nearest")
        for border in BORDERS
    ]
    pull = "x.pixels.map((row, b) => row.map((_, a) => pulled(x.pixels, [a, b], x.how).colour))"
    for case, found in zip(cases, compute("inverse-map", pull, cases), strict=True):
        old, how = np.array(case["pixels"], float), case["how"]
        middle, turn = (len(old) - 1) / 2, np.deg2rad(how["degrees"])
        down, across = np.mgrid[: len(old), : len(old)] - middle
        places = (
            np.sin(turn) * across + np.cos(turn) * down + middle,
            np.cos(turn) * across - np.sin(turn) * down + middle,
        )
        order, mode = int(how["interpolation"] == "linear"), BORDERS[how["border"]]
        for colour in range(3):
            expected = ndimage.map_coordinates(
                old[..., colour], places, order=order, mode=mode, cval=8
            )
            assert np.allclose(np.array(found)[..., colour], expected), how


def test_the_pixel_that_asks_its_origin_and_the_shares_are_shown(show):
    """The one that lesson 7 works out by hand, and one from outside, of a picture of 9 x 9."""
    page = show(figures.show("inverse-map"))
    said, parts = page.locator(".said"), page.get_by_role("listitem")
    expect(said).to_have_text(
        "The new pixel (2, −2) comes from (2.73, −0.73), counted from the middle."
    )
    assert parts.all_inner_texts() == [
        "(2, −1) counts 0.196",
        "(3, −1) counts 0.536",
        "(2, 0) counts 0.072",
        "(3, 0) counts 0.196",
    ]
    old = page.get_by_role("img", name="The old picture")
    assert numbers(old.locator(".mark"), "x", "y") == [[6, 3], [7, 3], [6, 4], [7, 4]]
    assert numbers(old.locator(".place"), "cx", "cy")[0] == pytest.approx([7.232, 3.768], abs=0.001)
    page.get_by_label("interpolation").select_option("nearest")
    assert parts.all_inner_texts() == ["(3, −1) counts 1"]
    page.get_by_label("outside").select_option("grey")
    page.get_by_role("img", name="The new picture").locator("rect").first.click()
    expect(said).to_contain_text("(−4, −4) comes from (−1.46, −5.46)")
    expect(said).to_contain_text("That is outside: there all is grey.")
    assert old.locator(".mark").count() == 0


def test_played_the_new_picture_fills_pixel_by_pixel_and_stays(show):
    page = show(figures.show("inverse-map", degrees=-40))
    expect(page.locator(".unasked")).to_have_count(0)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "() => document.querySelector('cifarlab-inverse-map').shadowRoot"
        ".querySelectorAll('.unasked').length < 70"
    )
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("slider").fill("0")  # nothing is turned: what is new is old
    new, old = (
        attributes(page.get_by_role("img", name=name).locator("rect:not(.mark)"), "style")
        for name in ("The new picture", "The old picture")
    )
    reached = [style for style in new if style != [""]]
    assert 11 < len(reached) < 81 and reached == old[: len(reached)]
    expect(page.locator(".unasked")).to_have_count(81 - len(reached))
    page.get_by_role("button", name="Step").click()
    expect(page.locator(".unasked")).to_have_count(80 - len(reached))


# -------------------------------------------------------------------------------- temperature


def test_the_sums_of_the_temperatures_are_those_that_are_made_today(cifar10):
    """But for one guess of a bin that another machine's rounding puts beside it."""
    stored = json.loads(temperatures.OUT.read_text(encoding="utf-8"))
    assert temperatures.text(stored) == temperatures.OUT.read_text(encoding="utf-8")
    anew = temperatures.temperatures(cifar10[1])
    assert stored["temperatures"] == anew["temperatures"]
    assert [*stored["networks"]] == [*anew["networks"]]
    for name, rows in anew["networks"].items():
        for row, again in zip(stored["networks"][name], rows, strict=True):
            assert row["loss"] == pytest.approx(again["loss"], abs=1e-4)
            for part in ("images", "right", "confidence"):
                assert row[part] == pytest.approx(again[part], abs=1.01), (name, part)


@pytest.fixture(scope="module")
def at_temperatures(browser):
    """A page with the figure on it."""
    page = browser.new_page()
    page.set_content(figures.show("temperature")._repr_html_())
    yield page
    page.close()


@pytest.mark.parametrize("name", ["baseline", "fast", "accurate"])
@pytest.mark.parametrize("temperature", [0.5, 0.65, 1.0, 1.15, 2.0])
def test_at_a_temperature_a_network_is_as_sure_and_as_right_as_the_package_finds_it(
    at_temperatures, cifar10, name, temperature
):
    labels = torch.from_numpy(cifar10[1].labels).long()
    cooled = (records.log_probabilities(f"{name}-seed0") / temperature).log_softmax(dim=1)
    found, score = diagnostics.calibration(cooled, labels), engine.score(cooled, labels)
    sure = cooled.exp().amax(dim=1).mean().item()
    panel = at_temperatures.get_by_role("region", name=name)
    panel.get_by_role("slider").fill(str(temperature))
    shown = [float(each.removesuffix(" %")) for each in panel.locator("dd").all_inner_texts()]
    expected = [100 * sure, score.accuracy, 100 * found.error]
    assert shown[:3] == pytest.approx(expected, abs=0.06)
    assert shown[3] == pytest.approx(score.loss, abs=0.0006)
    some = found.counts > 0
    claimed, right = 100 * found.confidence[some], 100 * found.accuracy[some]
    bars = np.array(numbers(panel.locator("rect.right"), "y", "height"))
    assert bars[:, 1] == pytest.approx(right.numpy(), abs=0.01)
    assert bars.sum(axis=1) == pytest.approx(100)
    gaps = np.array(numbers(panel.locator("rect.gap"), "y", "height"))
    assert 100 - gaps.sum(axis=1) == pytest.approx(torch.minimum(claimed, right).numpy(), abs=0.01)
    assert 100 - gaps[:, 0] == pytest.approx(torch.maximum(claimed, right).numpy(), abs=0.01)
    counts = np.array(numbers(panel.locator("rect.count"), "height"))[:, 0]
    assert counts / counts.max() == pytest.approx(
        (found.counts[some] / found.counts.max()).numpy(), abs=1e-3
    )
    gap = sure - score.accuracy / 100
    word = "as sure as" if abs(gap) < 0.005 else "too sure" if gap > 0 else "too modest"
    expect(panel.locator(".judged")).to_contain_text(word)


def test_a_slider_of_one_network_leaves_the_others_alone_and_is_told_when_it_rests(browser):
    page = browser.new_page()
    page.clock.install(time=0)
    page.set_content(figures.show("temperature")._repr_html_())
    page.clock.pause_at(60_000)
    others = [
        page.get_by_role("region", name=name).inner_text() for name in ("baseline", "accurate")
    ]
    slider = page.get_by_role("slider", name="temperature of fast")
    for _ in range(8):
        slider.press("ArrowLeft")
        page.clock.run_for(300)
        expect(page.get_by_role("status")).to_be_empty()
    page.clock.run_for(200)
    expect(page.get_by_role("status")).to_contain_text("fast at temperature 0.6: ")
    assert others == [
        page.get_by_role("region", name=name).inner_text() for name in ("baseline", "accurate")
    ]
    page.close()


# ------------------------------------------------------------------ epochs and augmentations

ARMS = {
    (arm["recipe"]["epochs"], arm["recipe"]["augmentation"]): arm
    for arm in records.experiment("augmentation")["arms"]
}


def expected_row(epochs: int, name: str) -> list[float]:
    """In the log, training as they are, held out, and the gap: means of an arm's runs."""
    runs = ARMS[epochs, name]["runs"]
    log = np.mean([run["history"][-1]["train"]["accuracy"] for run in runs])
    training, held_out = (
        np.mean([run[f"{part}_accuracy"] for run in runs]) for part in ("train", "test")
    )
    return [log, training, held_out, training - held_out]


@pytest.mark.parametrize(("epochs", "count"), [(8, 6), (40, 3)])
def test_epochs_and_augmentations_are_those_of_the_experiment(show, epochs, count):
    """Dots by seed where their accuracies are, and a table of means."""
    page = show(figures.show("epochs-and-augmentations"))
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("radio", name=str(epochs), exact=True).check()
    names = [name for length, name in ARMS if length == epochs]
    rows = page.get_by_role("row").all()[1:]
    assert len(rows) == len(names) == count
    for name, row in zip(names, rows, strict=True):
        assert row.get_by_role("rowheader").inner_text() == name
        shown = [float(each) for each in row.get_by_role("cell").all_inner_texts()]
        assert shown == pytest.approx(expected_row(epochs, name), abs=0.051)
        runs = ARMS[epochs, name]["runs"]
        drawn = page.locator(f"[data-arm='{name}']")
        for look, place, shift, part in (
            ("training", "cx", 0, "train_accuracy"),
            ("held-out", "x", 3.5, "test_accuracy"),
        ):
            dots = np.array(numbers(drawn.locator(f".{look}"), place))[:, 0] + shift
            right = 83 + (dots - 72) / (308 - 72) * (101 - 83)
            assert right == pytest.approx([run[part] for run in runs], abs=0.01)
        logged = np.array(numbers(page.locator(f".arm.{name} circle"), "cy"))[:, 0]
        assert 100 - (logged - 8) / 200 * 60 == pytest.approx(
            [epoch["train"]["accuracy"] for run in runs for epoch in run["history"]], abs=0.02
        )


def test_what_loses_after_8_epochs_wins_after_40_and_the_figure_says_so(browser):
    """And what was not trained for 40 epochs cannot be chosen there."""
    page = browser.new_page()
    page.clock.install(time=0)
    page.set_content(figures.show("epochs-and-augmentations")._repr_html_())
    page.clock.pause_at(60_000)
    said, spoken = page.locator(".said"), page.get_by_role("status")
    behind = expected_row(8, "all")[2] - expected_row(8, "none")[2]
    ahead = expected_row(40, "all")[2] - expected_row(40, "none")[2]
    assert behind < -1 and ahead > 1
    expect(said).to_contain_text(f"behind: all −{abs(behind):.1f}")
    page.get_by_role("radio", name="8", exact=True).press("ArrowRight")
    expect(spoken).to_be_empty()
    page.clock.run_for(500)
    expect(spoken).to_contain_text("After 40 epochs")
    expect(said).to_contain_text(f"all +{ahead:.1f}")
    disabled = [box.get_attribute("value") for box in page.locator("input:disabled").all()]
    assert disabled == ["affine", "cutout-8", "cutout"]
    for name in ("none", "flip", "all"):
        page.get_by_role("checkbox", name=name).uncheck()
    expect(said).to_have_text("Choose an augmentation.")
    page.close()


@pytest.mark.parametrize(("motion", "moves"), [("no-preference", True), ("reduce", False)])
def test_dots_slide_to_their_new_place_unless_one_wants_less_motion(browser, motion, moves):
    page = browser.new_page(reduced_motion=motion)
    page.set_content(figures.show("epochs-and-augmentations")._repr_html_())
    page.get_by_role("radio", name="40", exact=True).check()
    running = page.locator(".training").evaluate_all(
        "(all) => all.map((e) => e.getAnimations().length)"
    )
    assert len(running) == 9 and any(running) == moves
    page.close()


def test_without_a_script_the_table_of_all_arms_is_there(browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(figures.show("epochs-and-augmentations")._repr_html_())
    rows = page.get_by_role("row").all()[1:]
    assert len(rows) == len(ARMS)
    for (epochs, name), row in zip(ARMS, rows, strict=True):
        shown = [float(each) for each in row.get_by_role("cell").all_inner_texts()]
        assert shown == pytest.approx([epochs, *expected_row(epochs, name)], abs=0.051)
        assert row.get_by_role("rowheader").inner_text() == name
    context.close()


# ---------------------------------------------------------------------------- keep or refuse


def test_the_game_shows_each_picture_takes_an_answer_and_counts(show):
    """Two cards: agreed on the first, not on the second; then it begins anew, at nothing."""
    pictures = np.zeros((2, 4, 4, 3), np.uint8)
    pictures[0, 1, 2] = 255, 0, 0
    cards = [
        {"picture": pictures[0], "label": "cat", "keep": True, "why": "It is one."},
        {"picture": pictures[1], "label": "dog", "keep": False, "why": "It is black."},
    ]
    page = show(figures.show("keep-or-refuse", cards=cards, source="Drawn by hand."))
    told = page.get_by_role("status")
    red = page.locator("rect[fill='#f00']")
    assert attributes(red, "x", "y") == [["2", "1"]]
    expect(page.get_by_text("1 of 2. Its label: cat")).to_be_visible()
    page.get_by_role("button", name="Keep").click()
    expect(told).to_have_text("Agreed: keep. It is one. Agreed on 1 of 1.")
    expect(page.get_by_role("button", name="Keep")).to_be_hidden()
    page.keyboard.press("Enter")  # the next picture has the focus
    expect(page.get_by_text("2 of 2. Its label: dog")).to_be_visible()
    # A voice names the focused button, and with it the card that is to be judged.
    for name in ("Keep", "Refuse"):
        button = page.get_by_role("button", name=name)
        expect(button).to_have_accessible_description("2 of 2. Its label: dog")
    assert red.count() == 0
    page.keyboard.press("Enter")  # keep has it
    expect(told).to_have_text(
        "We\N{RIGHT SINGLE QUOTATION MARK}d refuse. It is black. Agreed on 1 of 2."
    )
    page.get_by_role("button", name="Once more").click()
    page.get_by_role("button", name="Refuse").click()
    expect(told).to_have_text(
        "We\N{RIGHT SINGLE QUOTATION MARK}d keep. It is one. Agreed on 0 of 1."
    )


# ----------------------------------------------------------------------------------- quizzes


@pytest.mark.parametrize("lesson", sorted(ROOT.glob("lessons/*.ipynb")), ids=lambda path: path.stem)
def test_each_section_of_a_lesson_is_reviewed_by_a_question(lesson):
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    taught, end, _ = text.partition("\n## Take away")
    sections = re.findall(r"^## (.+)$", taught, re.MULTILINE)
    questions = figures.quiz(lesson.stem[3:]).parameters["questions"]
    reviewed = dict.fromkeys(each["section"] for each in questions)
    assert end and [*reviewed] == sections  # in the order of the lesson


def test_the_right_choice_stands_in_no_place_that_one_could_guess():
    """All quizzes together, and each by itself."""
    everywhere = []
    for path in sorted(figures.QUIZZES.glob("*")):
        questions = figures.quiz(path.stem).parameters["questions"]
        places = [[c["right"] for c in each["choices"]].index(True) for each in questions]
        assert len(set(places)) > 1, path.stem
        everywhere += places
    shares = np.bincount(everywhere, minlength=3) / len(everywhere)
    assert shares.min() > 0.25 and shares.max() < 0.42


def test_the_right_choice_is_not_known_by_its_length():
    """By chance about a third would be the longest, or as long as another."""
    questions = [
        each
        for path in sorted(figures.QUIZZES.glob("*"))
        for each in figures.quiz(path.stem).parameters["questions"]
    ]
    longest = [
        len(next(each["choice"] for each in question["choices"] if each["right"]))
        == max(len(each["choice"]) for each in question["choices"])
        for question in questions
    ]
    assert np.mean(longest) < 0.45


def test_a_quiz_is_read_as_written():
    assert figures.read_quiz(
        "topic", "\n" + QUESTION + "\n# A `b`?\n\n? `a | b`?\n- no | a | b\n+ é | 1 + 1"
    ) == [
        {
            "section": "",
            "question": "Who?",
            "choices": [
                {"choice": "I", "right": True, "feedback": "Yes: I."},
                {"choice": "You", "right": False, "feedback": "No: I."},
            ],
        },
        {
            "section": "A `b`?",
            "question": "`a | b`?",
            "choices": [
                {"choice": "no", "right": False, "feedback": "a | b"},
                {"choice": "é", "right": True, "feedback": "1 + 1"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "no question"),
        ("\n\n", 2, "no question"),
        ("Who?\n", 1, "'Who?' starts with none of"),
        ("?Who?\n", 1, "'?Who?' starts with none of"),
        ("? \n", 1, "or ends there"),
        (" ? Who?\n", 1, "starts with none of"),
        ("#\n", 1, "or ends there"),
        ("- I | No.\n", 1, "no question (?) stands before it"),
        ("? Who?\n+ I\n", 2, 'write "+ choice | feedback"'),
        ("? Who?\n+ I | \n", 2, 'write "+ choice | feedback"'),
        ("? Who?\n- | No.\n", 2, 'write "- choice | feedback"'),
        ("? Who?\n+ I | Yes.\n", 2, "needs two choices"),
        ("? Who?\n\n" + QUESTION, 3, "needs two choices"),
        (QUESTION + "+ She | Yes.\n", 4, "has 2 right choices"),
        ("? Who?\n- I | No.\n- You | No.\n\n" + QUESTION, 5, "has 0 right choices"),
    ],
)
def test_a_malformed_quiz_is_refused_with_topic_and_line(text, line, what):
    with pytest.raises(ValueError, match=rf"^quiz 'dogs', line {line}: .*{re.escape(what)}"):
        figures.read_quiz("dogs", text)


def test_an_answer_leads_back_to_its_section_where_there_is_one(browser):
    """In a notebook a heading has the address itself, in the book its section has."""
    page = browser.new_page()
    headings = (
        "<section id='one'><h2>What&rsquo;s &ldquo;<code>a</code>&rdquo;?"
        "<a href='#one'>#</a></h2></section>"
        "<h2 id='Two'>Two</h2>"
    )
    text = "\n".join(f"# {section}\n{QUESTION}" for section in ('What\'s "`a`"?', "Two", "Three"))
    quiz = figures.Figure("quiz", {"questions": figures.read_quiz("topic", text)})
    page.set_content(headings + quiz._repr_html_())
    for number, address in enumerate(("#one", "#Two", None)):
        form = page.locator("form").nth(number)
        form.get_by_role("radio").last.check()
        form.get_by_role("button").click()
        link = form.get_by_role("status").get_by_role("link")
        expect(form.get_by_role("status")).to_contain_text("Read again: ")
        assert (link.get_attribute("href") if link.count() else None) == address
    page.close()


def test_an_unknown_quiz_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"no quiz 'cats'; there are: .*receptive-fields"):
        figures.quiz("cats")


def test_a_number_of_numpy_is_a_number_and_a_truth_is_none():
    figure = figures.show("convolution-stepper", kernel=np.int64(5))
    assert '"kernel": 5' in html.unescape(figure._repr_html_())
    with pytest.raises(ValueError, match="kernel of convolution-stepper is True"):
        figures.show("convolution-stepper", kernel=True)
    with pytest.raises(ValueError, match="picture is None of list; pass a square one"):
        figures.show("receptive-field-explorer", picture=[[1]], source="me")
