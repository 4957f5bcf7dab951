"""Protects photographs from their own notes: the pixels count, turned as the camera noted."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cifarlab import live
from tests.picture_files import (
    NO_ORIENTATION,
    ODD_EXIF,
    ODD_NOTES,
    content,
    jpeg,
    lopsided,
    png,
    webp,
)

FILES = {
    "JPEG": lambda exif: jpeg((1, b"Exif\0\0" + exif)),
    "PNG": lambda exif: png((b"eXIf", exif)),
    "WebP": webp,
}
PLAIN = {"JPEG": jpeg(), "PNG": png(), "WebP": content(lopsided(), "WEBP", lossless=True)}


def upright(kind, turn=Image.Transpose.ROTATE_270):
    """What should be seen of a file of that kind whose orientation is 6."""
    with Image.open(io.BytesIO(PLAIN[kind])) as picture:
        return live.as_seen(np.asarray(picture.convert("RGB").transpose(turn)))


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("what", ODD_EXIF)
def test_a_photograph_is_turned_by_its_orientation_whatever_else_its_exif_holds(kind, what):
    seen = live.as_seen(FILES[kind](ODD_EXIF[what]))
    assert np.array_equal(seen, upright(kind))


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("what", NO_ORIENTATION)
def test_a_photograph_whose_orientation_cannot_be_read_stays_as_it_is(kind, what):
    seen = live.as_seen(FILES[kind](NO_ORIENTATION[what]))
    assert np.array_equal(seen, live.as_seen(PLAIN[kind]))


@pytest.mark.parametrize("what", ODD_NOTES)
def test_no_other_note_changes_what_is_seen(what):
    file = ODD_NOTES[what]
    plain = PLAIN["PNG" if file.startswith(b"\x89PNG") else "JPEG"]
    assert np.array_equal(live.as_seen(file), live.as_seen(plain))


@pytest.mark.slow
@given(number=st.integers(0, 15), head=st.sampled_from(
    [b"", b"JFIF\0", b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0", b"MPF\0II*\0\x08\0\0\0", b"FPXR\0",
     b"ICC_PROFILE\0", b"Photoshop 3.0\x008BIM", b"http://ns.adobe.com/xap/1.0/\0"]
), text=st.binary(max_size=80))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_noise_in_the_notes_of_a_jpeg_is_in_its_way(number, head, text):
    """Its orientation may be read out of the noise, by chance."""
    seen = live.as_seen(jpeg((number, head + text)))
    ways = [np.asarray(live.as_seen(PLAIN["JPEG"]))]
    ways += [upright("JPEG", turn) for turn in Image.Transpose]
    assert any(np.array_equal(seen, way) for way in ways)


NAMES = "tEXt zTXt iTXt iCCP pHYs gAMA cHRM sRGB eXIf tIME bKGD sBIT acTL fcTL fdAT hIST".split()


@pytest.mark.slow
@given(name=st.sampled_from(NAMES), text=st.binary(max_size=80), sound=st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_noise_in_the_notes_of_a_png_is_in_its_way(name, text, sound):
    seen = live.as_seen(png((name.encode(), text), sound=sound))
    assert np.array_equal(seen, live.as_seen(PLAIN["PNG"]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_way_of_holding_a_camera_is_turned_back(kind, orientation):
    """Pillow's own turning is the oracle, of files in which nothing is odd."""
    notes = Image.Exif()
    notes[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {}
    file = content(lopsided(), kind, exif=notes, **options)
    with Image.open(io.BytesIO(file)) as picture:
        expected = live.as_seen(np.asarray(ImageOps.exif_transpose(picture).convert("RGB")))
    assert np.array_equal(live.as_seen(file), expected)
