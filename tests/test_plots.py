"""Protects the figures: they show what they are given, and name where pictures come from."""

import io
import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from cifarlab import data, diagnostics, engine, plots, receptive_field
from cifarlab.schema import Epoch, Score


def texts(plot) -> str:
    """All words of a figure, in one string."""
    return "\n".join(
        text.get_text() for text in plot.findobj(lambda part: hasattr(part, "get_text"))
    )


def shown(plot) -> list[np.ndarray]:
    """The images that a figure shows."""
    return [np.asarray(image.get_array()) for axes in plot.axes for image in axes.images]


@pytest.fixture(scope="module")
def split():
    return data.synthetic(40)


def history(epochs: int, tested: range) -> list[Epoch]:
    """Epochs whose accuracies can be told apart: train 10, 11, ...; held out 50, 51, ..."""
    return [
        Epoch(
            number,
            0.1,
            Score(2.0 - number / 10, 9.0 + number),
            Score(1.0, 49.0 + number) if number in tested else None,
            1.0,
            1.0,
            1.0,
        )
        for number in range(1, epochs + 1)
    ]


def test_a_plot_becomes_a_png_of_the_size_that_its_metadata_states_in_css_pixels():
    png, size = plots.Plot(4, 2)._repr_png_()
    assert size == {"width": 384, "height": 192}
    width, height = Image.open(io.BytesIO(png)).size
    assert width / height == 2
    assert width > 384  # finer than the page


ROW = receptive_field.Row("a", (8, 8), (3, 3), (1, 1), (1, 1), (3, 3), (1, 1), (0, 0))
CHARTS = {
    "learning curves": lambda: plots.learning_curves(history(30, range(2, 31))),
    "learned and held out": lambda: plots.learned_and_held_out(
        {"as they are": ([1, 9], [20, 99], [19, 40]), "redrawn": ([1, 9], [15, 60], [15, 50])}
    ),
    "dots": lambda: plots.dots({"a": [-1, 2]}, {"a": (-3, 4)}, "points above the rest"),
    "sweep": lambda: plots.learning_rate_sweep(engine.Sweep([1e-3, 0.1, 10], [2.3, 2, 5]), 0.05),
    "by_step": lambda: plots.by_step({"loss": {"calm": [2.5, 1.9], "wild": [2.5, 6.0]}}),
    "accuracy_by_rate": lambda: plots.accuracy_by_rate({"one cycle": {0.5: 85.1, 0.25: 84.0}}),
    "accuracy_by_size": lambda: plots.accuracy_by_size(
        {"experiments": [(54_624, 84.0)], "fast": [(157_248, 87.7)]}
    ),
    "designs": lambda: plots.designs(
        {"here": ([50, 60], [80, 85]), "elsewhere": ([100], [90])}, "parameters (thousands)"
    ),
    "designs, logarithmic": lambda: plots.designs(
        {"here": ([5, 50], [80, 85])}, "multiply-adds (millions)", logarithmic=True
    ),
    "accuracy_by_rank": lambda: plots.accuracy_by_rank(
        {"depthwise first": [17.1, 50, 78], "pointwise first": [13, 53, 78]}
    ),
    "share_curves": lambda: plots.share_curves(
        {"baseline": ([0, 50, 100], [0, 5, 100]), "fast": ([0, 50, 100], [0, 90, 100])},
        "test images answered",
        "noise answered",
    ),
    "field_widths": lambda: plots.field_widths(
        [1, 40, 80], {"theoretical": [3, 81, 161], "effective: two sigma": [3, 20, 29]}
    ),
    "within_and_between": lambda: plots.within_and_between(
        np.linspace(0, 1, 200) ** 2, np.linspace(0.1, 0.3, 200)
    ),
    "by row": lambda: plots.by_row(
        {"one": [0.1, 0.2], "another": [0.3, 0.4]}, ["cat", "automobile"], "share of the pixels"
    ),
    "reliability": lambda: plots.reliability(
        diagnostics.Calibration(
            torch.tensor([0.2, 0.8]), torch.tensor([0.25, 0.5]), torch.tensor([4, 6]), 0.2
        )
    ),
    "reliabilities": lambda: plots.reliabilities(
        {
            "one": diagnostics.Calibration(
                torch.tensor([0.2, 0.8]), torch.tensor([0.25, 0.5]), torch.tensor([4, 6]), 0.2
            )
        }
    ),
    "confidences": lambda: plots.confidences(
        {"noise": torch.linspace(0, 1, 99), "cats": torch.ones(9)}
    ),
    "paths": lambda: plots.paths({"plain": [0.25, 0.5, 0.25], "dilated": [0.5, 0, 0.5]}),
    "field growth": lambda: plots.field_growth({"five of them": [ROW] * 5}, image=32),
}
every_chart = pytest.mark.parametrize("make", CHARTS.values(), ids=CHARTS)


@every_chart
def test_a_chart_has_no_ground_and_no_colour_but_the_page_s(make):
    shown = make()._repr_html_()
    outside = re.sub(r"var\(--[\w-]+, #\w{6}\)", "", shown)
    assert re.findall(r"#[0-9a-f]{6}\b|white|rgb", outside) == []
    assert "--pst-color-primary" in shown
    assert shown.count('fill="currentcolor"') == 2  # and all words and axes by inheritance
    assert "DejaVu" not in shown and "font-family" not in shown


@every_chart
def test_no_word_of_a_chart_is_smaller_than_the_page_s_on_a_small_screen(make):
    shown = make()._repr_html_()
    narrow = re.search(r'viewBox="0 0 (\d+) ', shown)
    assert int(narrow[1]) <= 288  # a screen of 320, without its margins
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", shown)]
    assert len(sizes) >= 12 and min(sizes) >= 16


@every_chart
@pytest.mark.parametrize("width", plots.Chart.WIDTHS)
def test_words_of_a_chart_lie_within_it_and_not_over_each_other(make, width):
    plot = make()
    plot.lay_out(width)
    plot.draw_without_rendering()
    words = [
        text
        for text in plot.findobj(Text)
        if text.get_text() and text.get_visible() and text.get_window_extent().width > 1
    ]
    ticks = [
        label
        for axes in plot.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not axis.get_view_interval().min() <= tick.get_loc() <= axis.get_view_interval().max()
        for label in (tick.label1, tick.label2)
    ]
    boxes = [(text.get_text(), text.get_window_extent()) for text in words if text not in ticks]
    for words, box in boxes:
        assert box.x0 >= -1 and box.x1 <= plot.bbox.width + 1, words
        assert box.y0 >= -1 and box.y1 <= plot.bbox.height + 1, words
    for (words, box), (others, other) in itertools.combinations(boxes, 2):
        assert not box.padded(-2).overlaps(other.padded(-2)), (words, others)


@every_chart
def test_a_chart_is_the_same_text_every_time_and_well_formed(make):
    plot = make()
    shown = plot._repr_html_()
    ElementTree.fromstring(shown)
    ids = re.findall(r' id="(.*?)"', shown)
    used = re.findall(r'(?:href="|url\()#(.*?)["\)]', shown)
    assert len(ids) == len(set(ids)) and set(ids) == set(used) and used
    assert not re.search(r"\d\.\d{3}[^<]*>", shown)  # a hundredth of a pixel is enough
    assert make()._repr_html_() == plot._repr_html_() == shown


def test_a_chart_is_named_by_what_stands_at_its_axes():
    shown = ElementTree.fromstring(plots.learning_curves(history(2, [2]))._repr_html_())
    assert shown.attrib["role"] == "img"
    assert "accuracy (%) against epoch" in shown.attrib["aria-label"]
    rows = plots.dots({"a": [1.0]}, {"a": (0.5, 1.5)}, "lost (points)")._repr_html_()
    assert 'aria-label="Chart: lost (points)."' in rows, "its rows are named, its axis is not"


def test_rows_may_differ_in_length_and_stand_beside_their_names(split):
    plot = plots.rows({"one": split.images[:1], "three": split.images[1:4]}, "title")
    pictures = shown(plot)
    assert len(pictures) == 4
    assert all(map(np.array_equal, pictures, split.images[:4]))
    named = [(axes.get_ylabel(), len(axes.images)) for axes in plot.axes]
    assert named == [("one", 1), ("", 0), ("", 0), ("three", 1), ("", 1), ("", 1)]
    assert "title" in texts(plot)


@pytest.mark.parametrize("from_zero", [True, False])
def test_shares_become_per_cent_at_the_height_of_their_row(from_zero):
    plot = plots.by_row(
        {"a": [0.1, 0.2], "b": [0.3, 0.4]}, ["cat", "dog"], "share", from_zero=from_zero
    )
    (axes,) = plot.axes
    found = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}
    assert found == {"a": [(10, 0), (20, 1)], "b": [(30, 0), (40, 1)]}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert len({line.get_marker() for line in axes.lines}) == 2  # not colour alone
    assert "share (%)" in texts(plot)
    assert (axes.get_xlim()[0] == 0) == from_zero


def test_accuracy_stands_at_its_rank_counted_from_one():
    plot = plots.accuracy_by_rank({"reading": [15.0, 50.0, 85.5], "writing": [13.0, 44.0, 84.0]})
    found = {line.get_label(): line.get_data() for line in plot.axes[0].lines}
    assert [list(values) for values in found["reading"]] == [[1, 2, 3], [15, 50, 85.5]]
    assert list(found["writing"][1]) == [13, 44, 84]
    assert plot.axes[0].get_ylim() == (0, 100)


def test_two_shares_are_drawn_on_one_scale():
    plot = plots.share_curves({"a": ([25, 50], [4, 8])}, "light left", "right", marker="")
    axes = plot.axes[0]
    assert [list(values) for values in axes.lines[0].get_data()] == [[25, 50], [4, 8]]
    assert axes.get_xlim() == axes.get_ylim() == (0, 102)
    assert {"light left (%)", "right (%)"} <= set(texts(plot).splitlines())


def test_what_was_learned_is_dashed_and_has_the_colour_of_what_was_held_out():
    curves = {"none": ([1, 5, 9], [30, 70, 99], [28, 40, 39]), "all": ([1, 5], [20, 50], [21, 48])}
    lines = plots.learned_and_held_out(curves).axes[0].lines
    assert [line.get_label() for line in lines] == [
        f"{name}, {which}" for name in curves for which in ("training", "held out")
    ]
    drawn = [[list(values) for values in line.get_data()] for line in lines]
    assert drawn == [[curve[0], series] for curve in curves.values() for series in curve[1:]]
    assert [line.get_linestyle() for line in lines] == ["--", "-"] * 2
    colours = [line.get_color() for line in lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]


def test_values_are_dots_in_the_row_of_their_name_on_the_interval_of_their_mean():
    plot = plots.dots({"a": [80.0, 82.0], "b": [90.0]}, {"a": [79.0, 83.0]}, "accuracy (%)")
    lines = [[list(values) for values in line.get_data()] for line in plot.axes[0].lines]
    assert lines == [[[79, 83], [0, 0]], [[80, 82], [0, 0]], [[90], [1]]]
    assert [label.get_text() for label in plot.axes[0].get_yticklabels()] == ["a", "b"]


def test_each_design_is_a_marker_at_what_it_costs_and_is_worth():
    groups = {"here": ([5, 50], [80, 85]), "elsewhere": ([10], [90])}
    for logarithmic in (False, True):
        (axes,) = plots.designs(groups, "millions", logarithmic=logarithmic).axes
        drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        assert drawn == {"here": [[5, 80], [50, 85]], "elsewhere": [[10, 90]]}
        assert axes.get_xscale() == ("log" if logarithmic else "linear")
    (axes,) = plots.designs({str(number): ([1], [number]) for number in range(6)}, "cost").axes
    assert len({line.get_marker() for line in axes.lines}) == 6


def test_a_gallery_keeps_the_order_of_its_images_and_captions(split):
    plot = plots.gallery(split.images[:5], list("abcde"), columns=3)
    assert [axes.get_title() for axes in plot.axes] == ["a", "b", "c", "d", "e", ""]
    assert np.array_equal(shown(plot)[4], split.images[4])


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_gallery_does_not_cut_off_captions_of_several_lines(split, lines):
    plot = plots.gallery(split.images[:4], ["\n".join("one" for _ in range(lines))] * 4, columns=4)
    plot.canvas.draw()
    for axes in plot.axes:
        assert axes.title.get_window_extent().y1 < plot.bbox.y1


def test_the_unit_stands_in_the_middle_of_its_paths():
    (line,) = plots.paths({"ends only": [0.5, 0, 0, 0, 0.5]}).axes[0].lines
    assert line.get_xdata().tolist() == [-2, -1, 0, 1, 2]
    assert line.get_ydata().tolist() == [50, 0, 0, 0, 50]


def test_layers_are_counted_in_whole_numbers():
    row = receptive_field.Row("a", (8, 8), (3, 3), (1, 1), (1, 1), (3, 3), (1, 1), (0, 0))
    plot = plots.field_growth({"five of them": [row] * 5})
    assert all(tick == int(tick) for tick in plot.axes[0].get_xticks())


def test_widths_are_drawn_against_the_number_of_layers():
    plot = plots.field_widths([1, 4], {"on paper": [3, 9], "effective": [2.5, 5]})
    drawn = {line.get_label(): line.get_xydata().tolist() for line in plot.axes[0].lines}
    assert drawn == {"on paper": [[1, 3], [4, 9]], "effective": [[1, 2.5], [4, 5]]}


def test_effective_fields_stand_side_by_side_with_their_sigmas():
    share = np.eye(8) / 8
    found = {"a": receptive_field.Effective(share, (3, 4), (1.5, 2), 0.9)}
    found["b"] = receptive_field.Effective(share[::-1], (3, 4), (1, 0.5), 0.9)
    plot = plots.field_shares(found)
    assert [axes.get_title() for axes in plot.axes] == [
        "a\nsigma 1.5 and 2.0",
        "b\nsigma 1.0 and 0.5",
    ]
    first, second = shown(plot)
    assert (first == share).all() and (second == share[::-1]).all()
    ellipse = plot.axes[0].patches[-1]
    assert (ellipse.get_width(), ellipse.get_height()) == (8, 6)


def test_incorrect_predictions_name_guess_probability_and_truth(split):
    probabilities = torch.full((40, 10), 0.1 / 9)
    probabilities[:, 3] = 0.9
    plot = plots.incorrect_predictions(split, probabilities.log(), torch.tensor([7, 1]), count=2)
    assert plot.axes[0].get_title() == f"{split.classes[3]} 90%\nis {split.classes[7]}"
    assert np.array_equal(shown(plot)[1], split.images[1])


def test_learning_curves_draw_held_out_scores_only_where_they_were_taken():
    plot = plots.learning_curves(history(4, range(2, 5)))
    lines = {line.get_label(): line for line in plot.axes[0].lines}
    assert list(lines["train"].get_ydata()) == [10.0, 11.0, 12.0, 13.0]
    assert list(lines["held out"].get_xdata()) == [2, 3, 4]
    assert list(lines["held out"].get_ydata()) == [51.0, 52.0, 53.0]


def drawn(plot) -> dict[str, list[list[float]]]:
    """The heights of all lines in a panel, by what stands at its vertical axis."""
    return {
        axes.get_ylabel(): [line.get_ydata().tolist() for line in axes.lines] for axes in plot.axes
    }


def test_accuracies_and_losses_are_each_drawn_at_the_axis_of_their_name():
    assert drawn(plots.learning_curves(history(2, range(1, 3)))) == {
        "accuracy (%)": [[10.0, 11.0], [50.0, 51.0]],
        "loss (nats per image)": [[1.9, 1.8], [1.0, 1.0]],
    }


def test_each_image_s_bar_spans_its_deviation_around_its_mean_from_dark_to_bright():
    plot = plots.within_and_between(np.array([0.5, 0.2, 0.8]), np.array([0.1, 0.2, 0.05]))
    (axes,) = plot.axes
    bars = [segment.tolist() for segment in axes.collections[0].get_segments()]
    assert np.allclose(bars, [[[0, 0], [0, 0.4]], [[1, 0.4], [1, 0.6]], [[2, 0.75], [2, 0.85]]])
    assert list(axes.lines[0].get_ydata()) == [0.2, 0.5, 0.8]


def test_the_sweep_marks_the_chosen_rate():
    plot = plots.learning_rate_sweep(engine.Sweep([0.001, 0.01, 0.1], [2.3, 2.0, 5.0]), 0.05)
    curve, mark = plot.axes[0].lines
    assert list(curve.get_ydata()) == [2.3, 2.0, 5.0]
    assert set(mark.get_xdata()) == {0.05}


def test_the_confusion_matrix_prints_counts_with_the_truth_in_rows():
    plot = plots.confusion_matrix(torch.tensor([[5, 2], [0, 7]]), ["a", "b"])
    written = {text.get_position(): text.get_text() for text in plot.axes[0].texts}
    assert written == {(0, 0): "5", (1, 0): "2", (1, 1): "7"}  # (column, row)
    assert plot.axes[0].get_ylabel() == "truth"


def test_reliability_draws_accuracy_over_confidence_and_the_counts():
    found = diagnostics.Calibration(
        torch.tensor([0.2, 0.8]), torch.tensor([0.25, 0.5]), torch.tensor([4, 6]), 0.2
    )
    plot = plots.reliability(found)
    line = plot.axes[0].lines[1]
    assert line.get_xdata().tolist() == pytest.approx([20, 80])
    assert line.get_ydata().tolist() == pytest.approx([25, 50])
    assert [bar.get_height() for bar in plot.axes[1].patches] == [4, 6]


def test_reliabilities_draw_a_line_for_each_network():
    counts, nan = torch.tensor([4, 6]), float("nan")
    one = diagnostics.Calibration(torch.tensor([0.2, 0.8]), torch.tensor([0.25, 0.5]), counts, 0.2)
    other = diagnostics.Calibration(torch.tensor([nan, 0.7]), torch.tensor([nan, 0.9]), counts, 0.2)
    _, *lines = plots.reliabilities({"one": one, "other": other}).axes[0].lines
    assert [line.get_label() for line in lines] == ["one", "other"]
    assert lines[0].get_xdata().tolist() == pytest.approx([20, 80])
    assert lines[0].get_ydata().tolist() == pytest.approx([25, 50])
    assert lines[1].get_ydata().tolist()[1] == pytest.approx(90)


def test_confidences_are_counted_for_each_kind_of_picture():
    plot = plots.confidences({"a": torch.tensor([0.11, 0.12, 0.93]), "b": torch.tensor([0.52])})
    heights = [[bar.get_height() for bar in axes.patches] for axes in plot.axes]
    assert [(sum(row), row[2], row[18], row[10]) for row in heights] == [(3, 2, 1, 0), (1, 0, 0, 1)]
    assert "a" in texts(plot)
    assert len({axes.get_ylim() for axes in plot.axes}) == 1  # or a small heap looks like a large


def test_a_prediction_shows_the_likeliest_class_on_top_and_its_map():
    image, maps = (
        np.zeros((32, 32, 3), np.uint8),
        torch.stack([torch.zeros(4, 4), torch.ones(4, 4)]),
    )
    plot = plots.prediction(image, torch.tensor([0.2, 0.8]), maps, ["cat", "dog"])
    assert np.array_equal(shown(plot)[1], maps[1].numpy())
    assert [label.get_text() for label in plot.axes[2].get_yticklabels()] == ["dog", "cat"]
    assert [bar.get_width() for bar in plot.axes[2].patches] == pytest.approx([80, 20])
    assert "80 %" in texts(plot)


@pytest.mark.slow
def test_activation_maps_lie_over_their_image_on_one_scale_around_zero(split):
    maps = np.arange(2 * 2 * 4 * 4, dtype=float).reshape(2, 2, 4, 4)
    plot = plots.activation_maps(split.images[:2], maps, [list("abc"), list("def")], split.source)
    *panels, scale = plot.axes
    assert [axes.get_title() for axes in panels] == list("abcdef")
    assert np.array_equal(panels[3].images[0].get_array(), split.images[1])
    grey, over = panels[5].images
    assert np.array_equal(grey.get_array(), split.images[1].mean(axis=2))
    assert np.array_equal(over.get_array(), maps[1, 1])
    assert list(over.get_extent()) == list(grey.get_extent())
    assert all(axes.images[1].get_clim() == (-63, 63) for axes in panels if len(axes.images) > 1)
    assert "against" in scale.get_xlabel()
    assert "not CIFAR-10" in texts(plot)


@pytest.mark.parametrize("count", [1, 7])
def test_a_gallery_of_any_count_can_be_drawn(split, count):
    assert plots.gallery(split.images[:count], columns=3)._repr_png_()[0][:4] == b"\x89PNG"


def test_maps_without_negative_numbers_begin_at_black_and_others_have_zero_in_the_middle():
    maps = {"counts": np.array([[2.0, 6.0]]), "edges": np.array([[-3.0, 1.0]])}
    plot = plots.maps(maps, unit="sum", columns=3)
    counts, edges = (axes.images[0] for axes in plot.axes if axes.get_title())
    assert counts.get_clim() == (0, 6)
    assert edges.get_clim() == (-3, 3)
    assert np.array_equal(edges.get_array(), maps["edges"])
    assert texts(plot).count("sum") == 2  # a scale for each


@pytest.mark.parametrize(
    ("interval", "marked"), [((0.5, 3.5), False), ((-0.5, 3.5), True), ((-3.0, -1.0), True)]
)
def test_dots_lie_on_their_interval_and_0_is_marked_where_it_is_in_sight(interval, marked):
    plot = plots.dots({"a": [1, 2], "b": [3]}, {"a": interval}, "points")
    lines = [[list(axis) for axis in line.get_data()] for line in plot.axes[0].lines]
    assert lines[:3] == [[list(interval), [0, 0]], [[1, 2], [0, 0]], [[3], [1]]]
    assert [line[0] for line in lines[3:]] == [[0, 0]] * marked
    assert "points" in texts(plot)


@pytest.mark.parametrize("count", [1, 5, 9])
def test_every_series_is_drawn_however_many_there_are(count):
    shares = {f"series {number}": [0.1, 0.2] for number in range(count)}
    for plot in (plots.by_row(shares, ["one", "two"], "accuracy"), plots.accuracy_by_rank(shares)):
        assert len(plot.axes[0].lines) == count


def test_no_mistakes_make_no_gallery(split):
    with pytest.raises(ValueError, match="wrong holds no image"):
        plots.incorrect_predictions(split, torch.zeros(40, 10), torch.zeros(0, dtype=torch.int64))


def test_a_picture_without_boxes_is_only_a_picture(split):
    (image,) = shown(plots.field_boxes(split.images[0], {}, "one"))
    assert np.array_equal(image, split.images[0])


@pytest.mark.parametrize("count", [1, 3, 12])
def test_no_marker_of_a_row_hangs_over_the_border(count):
    names = [f"row {number}" for number in range(count)]
    plot = plots.by_row({"share": [0.5] * count}, names, "accuracy")
    plot.draw_without_rendering()
    (axes,) = plot.axes
    places = axes.transData.transform([(50, place) for place in range(count)])[:, 1]
    room = 7 * plot.dpi / 72  # a marker of 7 points, in dots: half of it and its edge, and air
    assert axes.bbox.y0 + room < places.min() and places.max() < axes.bbox.y1 - room
