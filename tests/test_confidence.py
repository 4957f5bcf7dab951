"""Protects what is said of pictures that no network can know: they are what they are called."""

import numpy as np
import pytest

from benchmarks import confidence
from cifarlab import data, records
from cifarlab_course import ROOT

PAGE = (ROOT / "book" / "practice" / "11-live-predictions.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def known():
    return data.synthetic(6, seed=1)


def in_order(pixels):
    """Rows (a pixel's colours, or one colour) sorted, so that only what there is counts."""
    return pixels[np.lexsort(pixels.T)]


def test_shuffled_pixels_keep_their_colours_together(known):
    found = confidence.strange(known)["shuffled pixels"]
    for image, shuffled in zip(known.images, found, strict=True):
        assert (image != shuffled).any()
        assert (in_order(image.reshape(-1, 3)) == in_order(shuffled.reshape(-1, 3))).all()


def test_shuffled_colours_come_apart_and_keep_the_brightness_of_each(known):
    found = confidence.strange(known)["shuffled colours"]
    for image, shuffled in zip(known.images, found, strict=True):
        assert (in_order(image.reshape(-1, 3)) != in_order(shuffled.reshape(-1, 3))).any()
        assert (
            np.sort(image.reshape(-1, 3), axis=0) == np.sort(shuffled.reshape(-1, 3), axis=0)
        ).all()


def test_the_practice_page_says_of_each_run_what_it_made_of_noise():
    whole = records.benchmark("confidence")
    rows = {"the run of the lesson": [whole["shipped"]["fast-seed0"]]}
    rows |= {f"anew, {name}": list(runs.values()) for name, runs in whole["arms"].items()}
    assert len(rows) > 3
    for words, runs in rows.items():
        noise = [run["strange"]["noise"] for run in runs]
        sure = ", ".join(f"{each['confidence']:.0f}" for each in noise)
        said = ", ".join(each["said_most"] for each in noise)
        assert f"| {words} | {sure} % | {said} |" in PAGE


def test_the_practice_page_compares_smoothing_with_none_as_the_runs_do():
    arms = records.benchmark("confidence")["arms"]
    smoothed, half, plain = (
        np.array([run["strange"]["noise"]["confidence"] for run in arms[name].values()])
        for name in ("smoothing 0.1", "smoothing 0.05", "no smoothing")
    )
    assert plain.min() > max(smoothed.max(), half.max())
    error = np.sqrt((plain.var(ddof=1) + smoothed.var(ddof=1)) / 3)
    difference = plain.mean() - smoothed.mean()
    assert f"by {difference:.0f} points on average" in PAGE
    assert f"Without pairing the seeds it's {2.776 * error:.0f} (Student's t, with four" in PAGE
    paired = 4.303 * (plain - smoothed).std(ddof=1) / 3**0.5
    assert f"begins, it's {paired:.0f}, so three seeds" in PAGE


def test_the_practice_page_says_how_far_chance_moves_what_is_made_of_noise():
    whole = records.benchmark("confidence")
    sure = np.array(
        [
            [run["strange"]["noise"]["confidence"] for run in runs.values()]
            for runs in whole["arms"].values()
        ]
    )
    shipped = whole["shipped"]["fast-seed0"]["strange"]["noise"]["confidence"]
    words = {12: "twelve"}[int((shipped > sure).sum())]
    assert f"is surer than {words} of these fifteen" in PAGE and sure.size == 15
    moves = np.ptp(sure, axis=1)
    assert f"the numbers move by {moves.min():.0f} to {moves.max():.0f} points" in PAGE
    worst = min(
        (run["strange"]["noise"] for runs in whole["arms"].values() for run in runs.values()),
        key=lambda noise: noise["auroc"],
    )
    assert worst["confidence"] > 99.9 and worst["share"] == 100
    assert f"each of the thousand pictures of noise is an {worst['said_most']}" in PAGE
    assert f"its AUROC is {worst['auroc']:.2f}" in PAGE
