"""Protects what practice 9 says of a finder, and of the rate that it recommends."""

import numpy as np
import scipy.stats

from cifarlab import records
from cifarlab_course import ROOT
from cifarlab_course.artefacts.arms import FOUND

PAGE = (ROOT / "book" / "practice" / "09-train-under-200k.md").read_text(encoding="utf-8")


def test_the_rate_that_was_tried_is_about_a_tenth_of_where_the_loss_is_lowest():
    sweeps = records.benchmark("finder")["sweeps"]
    rates = [sweep["recommended"] for sweep in sweeps]
    assert min(rates) < FOUND < max(rates) and f"and get about {FOUND};" in PAGE
    for sweep in sweeps:
        lowest = int(np.argmin(sweep["losses"]))
        assert sweep["recommended"] == sweep["learning_rates"][lowest] / 10
        assert len(sweep["losses"]) >= 200


def test_the_first_valleys_lie_where_the_page_says():
    valleys, hills = [], []
    for sweep in records.benchmark("finder")["sweeps"]:
        below = [
            (loss, rate)
            for rate, loss in zip(sweep["learning_rates"], sweep["losses"], strict=True)
            if rate < 0.4
        ]
        loss, rate = min((loss, rate) for loss, rate in below if rate < 0.15)
        valleys.append(f"{rate:.2f}")
        hills.append(max(above for above, behind in below if behind > rate) - loss)
    assert f"at {valleys[0]}, {valleys[1]} and {valleys[2]} for the three seeds" in PAGE
    assert min(hills) > 0.2, "what was called a valley has no hill behind it"


def test_the_page_says_by_how_much_the_finders_rate_is_behind():
    recipe, finder = (
        np.array([run["validation_accuracy"] for run in arm["runs"]])
        for arm in records.experiment("finder")["arms"]
    )
    behind = recipe - finder
    half = 4.303 * behind.std(ddof=1) / len(behind) ** 0.5
    assert "behind by a third of a point, give or take a fifth if one compares seed" in PAGE
    assert 0.28 < behind.mean() < 0.38 and 0.18 < half < 0.22
    assert "without the pairs, three runs couldn't tell" in PAGE
    low, high = scipy.stats.ttest_ind(recipe, finder).confidence_interval(0.95)
    assert low < 0 < high
