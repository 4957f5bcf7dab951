"""Protects what is said of pictures that no network can know: they are what they are called."""

import numpy as np
import pytest

from benchmarks import confidence
from cifarlab import data, records
from cifarlab_course import ROOT


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
    page = (ROOT / "book" / "practice" / "11-live-predictions.md").read_text(encoding="utf-8")
    whole = records.benchmark("confidence")
    for words, run in (
        ("the run of the lesson", whole["shipped"]["fast-seed0"]),
        ("anew, smoothing 0.1", whole["arms"]["smoothing 0.1"]["0"]),
        ("anew, no smoothing", whole["arms"]["no smoothing"]["0"]),
    ):
        noise = run["strange"]["noise"]
        assert f"| {words} | {noise['confidence']:.0f} % | {noise['said_most']} |" in page
