"""Protects people's own pictures: turned, cropped and shrunk right, or refused with a reason."""

import base64
import io
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from cifarlab import data, live, model, recipes


def file(picture, kind="PNG", **options):
    """The content of an image file."""
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def striped(width, height):
    """Red on the left, green in the middle square, blue on the right."""
    picture = Image.new("RGB", (width, height), "lime")
    side = (width - height) // 2
    picture.paste("red", (0, 0, side, height))
    picture.paste("blue", (width - side, 0, width, height))
    return picture


def test_the_square_in_the_middle_is_kept():
    seen = live.as_seen(file(striped(300, 100)))
    assert seen.shape == (32, 32, 3)
    assert seen.dtype == np.uint8
    assert (seen[:, 1:-1] == [0, 255, 0]).all()
    assert (seen.argmax(axis=2) == 1).all()  # at the edges, shrinking mixes in a little


def test_a_picture_of_cifar_10_stays_as_it_is():
    image = data.synthetic(1).images[0]
    assert np.array_equal(live.as_seen(image), image)


def test_each_pixel_is_a_mean_of_what_it_covers_not_one_of_it():
    """Black and white columns of one pixel: whoever picks single pixels gets black or white."""
    fine = np.zeros((320, 320, 3), np.uint8)
    fine[:, ::2] = 255
    assert np.abs(live.as_seen(fine)[:, 2:-2].astype(int) - 127).max() <= 3


def test_transparent_parts_turn_white():
    assert (live.as_seen(file(Image.new("RGBA", (50, 50), (0, 0, 0, 0)))) == 255).all()


def test_a_photograph_is_turned_as_its_camera_noted():
    picture = Image.new("RGB", (64, 64), "white")
    picture.paste("black", (0, 0, 64, 32))  # black above
    upside_down = Image.Exif()
    upside_down[0x0112] = 3  # orientation: rotated by 180 degrees
    seen = live.as_seen(file(picture, "JPEG", exif=upside_down))
    assert seen[4].mean() > 200
    assert seen[-4].mean() < 50


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA"])
def test_other_kinds_of_pictures_are_taken(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert live.as_seen(file(Image.new(mode, (40, 50)), kind)).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("nothing", "named"),
    [
        (b"", "the file"),
        (b"%PDF-1.7 not a picture", "the file"),
        (file(striped(300, 100))[:60], "the file"),
        (np.zeros((4, 4, 4, 4), np.uint8), r"\(4, 4, 4, 4\)"),
        (np.zeros((4, 4, 3), complex), r"\(4, 4, 3\)"),
    ],
)
def test_what_is_no_picture_is_refused(nothing, named):
    with pytest.raises(ValueError, match=rf"{named} is no picture .* PNG, JPEG or WebP"):
        live.as_seen(nothing)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


@pytest.mark.parametrize(
    ("nothing", "remedy"),
    [
        (HEIC, "it is a HEIC, as iPhones take them: share it as JPEG, or"),
        (HEIC.replace(b"ftypheic", b"ftypmif1"), "it is a HEIC"),
        (b"", "it is empty"),
        (b"%PDF-1.7 not a picture", "it begins as no kind of picture does"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "it begins as no kind of picture does"),
    ],
)
def test_the_reason_is_in_words_that_a_reader_can_use(nothing, remedy):
    with pytest.raises(ValueError) as caught:
        live.as_seen(nothing)
    assert f"the file is no picture that can be read ({remedy}" in str(caught.value)
    assert " object at " not in str(caught.value)


@pytest.mark.parametrize(
    "trouble",
    [struct.error("bad"), ZeroDivisionError(), AssertionError(), MemoryError(), KeyError(1)],
)
def test_whatever_pillow_raises_is_a_value_error_that_names_it(monkeypatch, trouble):
    def fail(_):
        raise trouble

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ValueError, match="the file is no picture") as caught:
        live.as_seen(b"any")
    assert (str(trouble) or type(trouble).__name__) in str(caught.value)


SIZES = [(31, 33), (33, 31), (30, 33), (1, 500), (500, 1), (2, 3), (24, 40), (129, 64), (333, 500)]


@pytest.mark.parametrize("size", [*SIZES, (1, 1), (32, 32), (40, 32), (32, 40), (640, 427)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_rows_are_shrunk_before_columns_whatever_the_shape(size, mode):
    """As in `picture.js`; Pillow alone takes the one or the other first, by version and shape."""
    chance = np.random.default_rng(0)
    channels = len(mode)
    pixels = chance.integers(0, 256, (*size[::-1], channels), dtype=np.uint8)
    picture = Image.fromarray(pixels.squeeze(axis=2) if channels == 1 else pixels)
    (width, height), side = size, min(size)
    left, top = (width - side) / 2, (height - side) / 2
    white = Image.new("RGBA", size, "white")
    whole = Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    bicubic = Image.Resampling.BICUBIC
    narrow = whole.resize((32, height), bicubic, (left, 0, left + side, height))
    expected = narrow.resize((32, 32), bicubic, (0, top, 32, top + side))
    assert np.array_equal(live.as_seen(file(picture)), np.asarray(expected))


@pytest.mark.slow
def test_a_large_picture_takes_little_more_memory_than_its_pixels(tmp_path):
    """A byte a pixel, here. Pillow keeps a pointer of 8 bytes for each row."""
    pytest.importorskip("resource")  # not on Windows
    sizes = [(1, 1_000_000), (3_000, 3_000), (300_000, 50)]
    for size in sizes:
        Image.new("L", size, 77).save(tmp_path / f"{size[0]}.png")
    program = """
import resource, sys
from pathlib import Path
from cifarlab import live
for path in sys.argv[1:]:
    content = Path(path).read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (live.as_seen(content) == 77).all()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    paths = [str(tmp_path / f"{size[0]}.png") for size in sizes]
    command = [sys.executable, "-c", program, *paths]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    taken = sum(map(int, done.stdout.split())) * unit
    assert taken < 60e6  # four copies in RGBA of the largest alone are 240 MB


def test_of_a_large_picture_no_warning_is_given(monkeypatch):
    """Pillow warns of more than 89 million pixels, and refuses more than twice as many."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    assert live.as_seen(file(striped(40, 40))).shape == (32, 32, 3)
    with pytest.raises(ValueError, match=r"the file is no picture .*exceeds limit"):
        live.as_seen(file(striped(80, 80)))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return model.create("skipnet").eval()


def test_a_prediction_is_what_the_network_says_of_the_normalised_picture(network):
    recipe, image = recipes.get("baseline"), data.synthetic(1).images[0]
    found = live.predict(network, recipe, image)
    pixels = (torch.tensor(image) / 255 - torch.tensor(recipe.mean)) / torch.tensor(recipe.std)
    with torch.no_grad():
        expected = network(pixels.permute(2, 0, 1)[None])[0].exp()
    torch.testing.assert_close(found.probabilities, expected, rtol=1e-3, atol=1e-5)
    assert found.maps.shape == (10, 32, 32)


# ----------------------------------------------------------------------------------- the panel


@pytest.fixture
def panel(network):
    return live.Panel(network, recipes.get("baseline"), data.synthetic(3))


def shown(panel):
    """Kinds of what stands below the panel, and its words."""
    return ["plot" if "data" in output else output["text"] for output in panel.answer.outputs]


def test_choosing_a_sample_shows_an_answer(panel):
    assert shown(panel) == []
    panel.sample.value = 1
    assert shown(panel) == ["plot"]


@pytest.mark.slow
@pytest.mark.parametrize("version", [7, 8])
def test_an_upload_is_answered_in_either_version_of_ipywidgets(panel, version):
    content = file(striped(90, 60))
    value = {"a.png": {"content": content}} if version == 7 else ({"content": memoryview(content)},)
    panel.on_upload({"new": value})
    assert shown(panel) == ["plot"]


def test_an_upload_that_is_no_picture_is_answered_in_words(panel):
    panel.on_upload({"new": {"a.pdf": {"content": b"%PDF"}}})
    (words,) = shown(panel)
    assert "is no picture" in words


@pytest.mark.slow
def test_a_new_answer_takes_the_place_of_the_last(panel):
    panel.sample.value = 1
    panel.on_upload({"new": {"a.pdf": {"content": b"%PDF"}}})
    panel.sample.value = 2
    assert shown(panel) == ["plot"]


def test_the_same_file_is_answered_again_after_another_answer(panel):
    about = {"name": "a.pdf", "type": "", "size": 4, "last_modified": datetime.now(UTC)}
    for _ in range(2):
        panel.sample.value = None
        panel.sample.value = 1
        panel.upload.value = ({**about, "content": b"%PDF"},)
        (words,) = shown(panel)
        assert "is no picture" in words


class Odd(Exception):
    """What nobody thought of."""


@pytest.mark.parametrize(
    ("where", "trouble"),
    [
        ("live.as_seen", struct.error("no room")),
        ("live.as_seen", MemoryError()),
        ("live.predict", RuntimeError("no GPU")),
        ("plots.prediction", KeyError("a")),
        ("live.ipywidgets.Output.append_display_data", Odd("so")),
    ],
)
def test_whatever_goes_wrong_is_answered_in_words_and_the_answer_before_it_goes(
    panel, monkeypatch, where, trouble
):
    """Out of a callback an exception would go to a log that nobody reads."""

    def fail(*_, **__):
        raise trouble

    monkeypatch.setattr(f"cifarlab.{where}", fail)
    picture = {"name": "a.png", "type": "", "size": 4, "last_modified": datetime.now(UTC)}
    picture["content"] = file(striped(90, 60))
    for choose in (
        lambda: panel.upload.set_trait("value", (picture,)),
        lambda: panel.sample.set_trait("value", 1),
    ):
        panel.answer.outputs = ({"output_type": "display_data", "data": {}, "metadata": {}},)
        choose()
        (words,) = shown(panel)
        assert type(trouble).__name__ in words and str(trouble) in words
        assert "live.predict" in words
        assert panel.upload.value == (), "the same file could not be given again"


def test_an_upload_without_content_is_answered_in_words(panel):
    panel.on_upload({"new": {"a.png": {}}})
    (words,) = shown(panel)
    assert "content" in words


def test_the_panel_says_how_large_a_file_may_be(panel):
    words = [part.value for part in panel.children if isinstance(part, live.ipywidgets.Label)]
    assert len(words) == 1
    assert "10 MB" in words[0] and "`make lab`: 100 MB" in words[0]


def test_an_upload_that_was_taken_back_changes_nothing(panel):
    panel.on_upload({"new": ()})
    assert shown(panel) == []


# ---------------------------------------------------------------------------- the camera in Colab


@pytest.fixture
def in_colab(monkeypatch):
    """in_colab(eval_js): from now on this kernel is one of Colab, and its browser answers so."""

    def pretend(eval_js):
        for name in ("google", "google.colab", "google.colab.output"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        sys.modules["google.colab.output"].eval_js = eval_js

    return pretend


def buttons(panel):
    return [part.description for part in panel.children[0].children]


def new_panel(network):
    return live.Panel(network, recipes.get("baseline"), data.synthetic(3))


def test_outside_colab_no_camera_is_offered(panel):
    assert "Camera" not in buttons(panel)
    with pytest.raises(ValueError, match="works in Colab only; upload a picture"):
        live.photograph()


def test_in_colab_the_picture_of_the_camera_is_answered(network, in_colab):
    address = f"data:image/png;base64,{base64.b64encode(file(striped(90, 60))).decode()}"
    in_colab(lambda _: address)
    panel = new_panel(network)
    assert "Camera" in buttons(panel)
    assert live.photograph() == file(striped(90, 60))
    panel.camera.click()
    assert shown(panel) == ["plot"]


def test_a_camera_that_was_not_allowed_is_answered_in_words(network, in_colab):
    def refuse(_):
        raise RuntimeError("NotAllowedError: Permission denied")

    in_colab(refuse)
    panel = new_panel(network)
    panel.sample.value = 1
    panel.camera.click()
    (words,) = shown(panel)
    assert "gives no picture (NotAllowedError" in words
    assert "upload one instead" in words


def test_the_camera_of_a_telephone_looks_away_from_its_reader_and_stays_in_the_page(browser):
    """An iPhone plays only what is silent, and in full screen unless told otherwise."""
    with browser.new_context(permissions=["camera"]) as context:
        page = context.new_page()
        page.goto((Path(__file__).parent / "cases" / "summary.txt").as_uri())
        found = page.evaluate(
            """async (camera) => {
                const asked = [];
                const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
                navigator.mediaDevices.getUserMedia = (what) => (asked.push(what), open(what));
                const played = [];
                const { play } = HTMLMediaElement.prototype;
                HTMLMediaElement.prototype.play = function () {
                    played.push([this.muted, this.playsInline]);
                    return play.call(this);
                };
                const taken = eval(camera);
                while (!document.querySelector("button")) await new Promise(requestAnimationFrame);
                document.querySelector("button").click();
                await taken;
                return { asked, played };
            }""",
            live.CAMERA,
        )
    assert found == {"asked": [{"video": {"facingMode": "environment"}}], "played": [[True, True]]}


@pytest.mark.parametrize("allowed", [True, False])
def test_the_script_of_the_camera_takes_a_picture_in_a_browser(allowed, in_colab, browser):
    """Chromium's own camera sees mostly green."""
    with browser.new_context(permissions=["camera"] if allowed else []) as context:
        page = context.new_page()
        page.goto((Path(__file__).parent / "cases" / "summary.txt").as_uri())

        def in_browser(script):
            page.evaluate(f"() => {{ window.taken = {script}; window.taken.catch(() => 0); }}")
            if allowed:
                page.get_by_role("button", name="Take the picture").click()
            return page.evaluate("() => window.taken")

        in_colab(in_browser)
        if allowed:
            assert live.as_seen(live.photograph()).mean(axis=(0, 1)).argmax() == 1
        else:
            with pytest.raises(ValueError, match="gives no picture .*NotAllowedError"):
                live.photograph()
        assert page.locator("video, button").count() == 0


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_picture_of_more_than_8_bits_a_channel_is_refused_not_white(dtype):
    """Pillow cuts such values off at 255 when it converts them."""
    ramp = np.linspace(0, 60_000, 64 * 64).reshape(64, 64).astype(dtype)
    picture = file(Image.fromarray(ramp)) if dtype == np.uint16 else ramp
    with pytest.raises(ValueError, match="is no picture .*8 bits a channel"):
        live.as_seen(picture)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ValueError, match=r"an array \(0, 0, 3\) is no picture .*has no pixels"):
        live.as_seen(np.zeros((0, 0, 3), np.uint8))
