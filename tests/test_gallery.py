"""Protects the augmentation gallery: its files show real draws, and say what was drawn."""

import json

import numpy as np
import pytest
from PIL import Image

from cifarlab import data
from cifarlab_course.artefacts import gallery


@pytest.fixture(scope="module")
def anew(cifar10):
    """The numbers and the sheet as the tool draws them today."""
    return gallery.gallery(cifar10[0])


def test_the_numbers_are_those_that_are_drawn_today(anew):
    assert gallery.NUMBERS.read_text(encoding="utf-8") == gallery.text(anew[0])
    assert json.loads(gallery.text(anew[0])) == anew[0]


def test_each_picture_of_the_sheet_is_the_one_that_is_drawn_today(anew):
    """Compression changes a picture by 6 of 256 steps, at most 11; drawn otherwise, by 30 or so."""
    with Image.open(gallery.SHEET) as file:
        sheet = np.asarray(file.convert("RGB"), int)
    assert sheet.shape == anew[1].shape
    side = gallery.SIDE
    tiles = (
        abs(sheet - anew[1])
        .reshape(sheet.shape[0] // side, side, sheet.shape[1] // side, side, 3)
        .mean(axis=(1, 3, 4))
    )
    assert tiles.max() < 14
    assert tiles.mean() < 7


def test_in_each_pipeline_every_step_acts_in_some_draws_and_not_in_others():
    draws, _ = gallery.draw(np.zeros((1, 32, 32, 3), np.uint8))
    for name in ("all", "original"):
        own = [draw for draw in draws if draw["transform"] == name]
        for step in ("flip", "rotate", "hole"):
            assert 0 < sum(step in draw for draw in own) < len(own)


def test_a_pixel_stands_where_the_matrix_says():
    """The picture's colours are its coordinates, eight steps a pixel: so each pixel tells its own
    origin, to a quarter of a pixel, wherever that lies within the picture."""
    y, x = np.mgrid[:32, :32]
    ramp = np.stack([8 * x, 8 * y, np.zeros_like(x)], axis=2).astype(np.uint8)
    draws, results = gallery.draw(ramp[None])
    for draw, (after,) in zip(draws, results, strict=True):
        back = np.linalg.inv([*draw["matrix"], [0, 0, 1]])
        origin = np.einsum("ij,jyx->yxi", back, np.stack([x, y, np.ones_like(x)]))[..., :2]
        inside = ((origin >= 1) & (origin <= 30)).all(axis=2)
        # A crop mirrors what the affine step left, where that cut off some of the picture.
        right, down = draw.get("crop", (0, 0))
        inside &= (x + right >= 0) & (x + right <= 31) & (y + down >= 0) & (y + down <= 31)
        left, top, right, bottom = draw.get("hole", (0, 0, 0, 0))
        inside[top:bottom, left:right] = False
        assert inside.sum() > 150
        assert abs(after[inside, :2] / 8 - origin[inside]).max() < 0.25, draw


def test_a_hole_is_where_the_numbers_say():
    white = np.full((1, 32, 32, 3), 255, np.uint8)
    draws, results = gallery.draw(white)
    for draw, (after,) in zip(draws, results, strict=True):
        hole = np.zeros((32, 32), bool)
        left, top, right, bottom = draw.get("hole", (0, 0, 0, 0))
        hole[top:bottom, left:right] = True
        assert np.array_equal((after != 255).any(axis=2), hole), draw


def test_what_is_told_of_an_affine_step_makes_its_matrix():
    step = data.affine(translate=8, scale=0.5, rotate=180, shear=30, p=1)
    pipeline = gallery.A.Compose([step], save_applied_params=True)
    for seed in range(20):
        data.reseed(pipeline, seed)
        applied = pipeline(image=np.zeros((32, 32, 3), np.uint8))["applied_transforms"]
        told = {"scale": 0, "rotate": 0, **gallery.told(applied)}
        radians = np.deg2rad(told["rotate"])
        turn = np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
        along, down = np.tan(np.deg2rad(told["shear"]))
        slant = np.array([[1, along], [down, 1]])
        linear = slant @ turn * (1 + told["scale"])
        move = np.array(told.get("translate", [0, 0])) + 15.5 - linear @ [15.5, 15.5]
        expected = np.column_stack([linear, move])
        assert np.allclose(told["matrix"], expected, atol=0.2), seed


def test_a_step_without_words_is_refused():
    with pytest.raises(ValueError, match="no words for Transpose; add them"):
        gallery.told([("Transpose", {})])
