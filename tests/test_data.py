"""Pixels arrive whole, once, with their labels, and changed only as was asked."""

import contextlib
import gc
import hashlib
import http.server
import io
import itertools
import math
import multiprocessing
import os
import pickle
import shutil
import socket
import tarfile
import threading
import warnings
from collections import Counter
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from albumentations.pytorch import ToTensorV2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cifarlab import data
from cifarlab._files import HOST
from tests.helpers import full_disk


def numbered(count, size=2):
    """Image i holds the number i in its first two channels, and has label i % 10."""
    images = np.zeros((count, size, size, 3), np.uint8)
    numbers = np.arange(count)
    images[..., 0] = (numbers // 256)[:, None, None]
    images[..., 1] = (numbers % 256)[:, None, None]
    return data.Split(images, numbers % 10, tuple("abcdefghij"), "numbers, not CIFAR-10")


def numbers_in(images):
    """Which images these are, of `numbered`; (N, 3, H, W) normalised or (N, H, W, 3) uint8."""
    pixels = data.denormalize(images) if isinstance(images, torch.Tensor) else images
    return [int(pixel[0]) * 256 + int(pixel[1]) for pixel in pixels[:, 0, 0]]


# ---------------------------------------------------------------------------- the real images


@pytest.mark.slow
def test_cifar10_has_50_000_and_10_000_images_of_ten_equal_classes(cifar10):
    for split, count in zip(cifar10, (50_000, 10_000), strict=True):
        assert split.images.shape == (count, 32, 32, 3)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert np.bincount(split.labels).tolist() == [count // 10] * 10
        assert split.source == "CIFAR-10"
        names = "airplane automobile bird cat deer dog frog horse ship truck"
        assert " ".join(split.classes) == names


@pytest.mark.slow
def test_the_stated_mean_and_deviation_are_those_of_the_training_images(cifar10):
    mean, deviation = data.statistics(cifar10[0].images)
    assert tuple(mean.round(4)) == data.MEAN
    assert tuple(deviation.round(4)) == data.STD


def test_the_famous_wrong_deviation_is_the_mean_of_the_deviations_of_the_images(cifar10):
    images = cifar10[0].images.reshape(50_000, 1024, 3)
    per_image = [part.std(axis=1, ddof=1, dtype=float) for part in np.array_split(images, 50)]
    wrong = np.concatenate(per_image).mean(axis=0) / 255
    assert tuple(wrong.round(4)) == data.PER_IMAGE_STD
    # The true one also holds how much images differ: it is larger in every channel.
    assert (wrong < np.array(data.STD) - 0.03).all()


def pixels_that_count():
    """50,000 images of one pixel, whose first two channels are the image's number."""
    pixels = np.zeros((50_000, 1, 1, 3), np.uint8)
    pixels[:, 0, 0, :2] = np.arange(50_000).astype("<u2").view(np.uint8).reshape(-1, 2)
    return pixels


def digest_of_indices(split):
    """What stands for the choice of images and their order."""
    return hashlib.sha256(split.images[..., :2].tobytes()).hexdigest()[:16]


def test_the_validation_images_of_cifar10_are_always_the_same(cifar10):
    """A different choice would make results of different dates incomparable."""
    labels = cifar10[0].labels
    known = data.Split(pixels_that_count(), labels, cifar10[0].classes, "indices")
    learn, validation = data.split_validation(known)
    assert len(learn) == 45_000
    assert np.bincount(validation.labels).tolist() == [500] * 10
    assert digest_of_indices(validation) == "dd43b2ade7c2b3be"


# ----------------------------------------------------------------------------- the split, any


@given(per_class=st.integers(1, 11), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_validation_split_parts_the_images_and_holds_as_many_of_each_class(per_class, seed):
    split = numbered(120)
    split = split.take(np.random.default_rng(seed).permutation(120))
    learn, validation = data.split_validation(split, per_class)
    assert sorted(numbers_in(learn.images) + numbers_in(validation.images)) == list(range(120))
    assert np.bincount(validation.labels).tolist() == [per_class] * 10
    for part in (learn, validation):
        assert [number % 10 for number in numbers_in(part.images)] == part.labels.tolist()


def test_the_validation_split_does_not_depend_on_the_global_random_state():
    np.random.seed(1)
    first = data.split_validation(numbered(100), 3)[1]
    np.random.seed(2)
    second = data.split_validation(numbered(100), 3)[1]
    assert numbers_in(first.images) == numbers_in(second.images)


def test_the_validation_split_of_50_000_is_pinned_down():
    """A change of NumPy's or of ours would show here without the data set."""
    labels = np.arange(50_000) % 10
    split = data.Split(pixels_that_count(), labels, tuple("abcdefghij"), "indices")
    assert digest_of_indices(data.split_validation(split)[1]) == "7632b0507180a739"


@pytest.mark.parametrize("per_class", [12, 500, 0, -1])
def test_a_validation_split_that_leaves_nothing_is_refused(per_class):
    """A class has 12 images: 1 to 11 of them may go. The remedy that is named works."""
    words = r".* 11\b" if per_class > 0 else "; it must be 1 or more"
    with pytest.raises(ValueError, match=rf"per_class={per_class}{words}"):
        data.split_validation(numbered(120), per_class)
    data.split_validation(numbered(120), 11)


def test_statistics_are_those_of_all_pixels_at_once():
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 3), np.uint8)
    mean, deviation = data.statistics(images)
    pixels = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation, pixels.std(axis=0), rtol=1e-9)


# ------------------------------------------------------------------------- finding the images


@pytest.fixture
def archive(monkeypatch, tmp_path):
    """A data set like CIFAR-10 but of 12 images, and a server on this machine that gives it out.

    `archive.content` is what it sends, `archive.asked` counts how often it was asked.
    After `archive.pause` bytes it waits for `archive.go_on`.
    """
    rows = {f"data_batch_{n}": 2 for n in range(1, 6)} | {"test_batch": 2}
    files = {
        name: pickle.dumps({"data": np.full((count, 3072), 7, np.uint8), "labels": [3] * count})
        for name, count in rows.items()
    }
    files["batches.meta"] = pickle.dumps({"label_names": list("abcdefghij")})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(archive.status)
            self.send_header("Content-Length", str(len(packed.getvalue())))
            self.end_headers()

        def do_GET(self):
            archive.asked += 1
            self.do_HEAD()
            first = archive.pause
            self.wfile.write(archive.content[:first])
            if first:
                archive.paused.set()
                archive.go_on.wait(60)
                with contextlib.suppress(ConnectionError):  # who asked was killed meanwhile
                    self.wfile.write(archive.content[first:])

        def log_message(self, *_):
            pass

    archive = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    archive.content, archive.asked, archive.status = packed.getvalue(), 0, 200
    archive.pause, archive.paused, archive.go_on = None, threading.Event(), threading.Event()
    threading.Thread(target=archive.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def md5(content):
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    facts = {
        "url": f"http://127.0.0.1:{archive.server_port}/cifar-10-python.tar.gz",
        "tgz_md5": md5(packed.getvalue()),
        "train_list": [[name, md5(files[name])] for name in list(files)[:5]],
        "test_list": [["test_batch", md5(files["test_batch"])]],
        "meta": {**data.CIFAR10.meta, "md5": md5(files["batches.meta"])},
    }
    monkeypatch.setattr(data, "CIFAR10", type("Small", (data.CIFAR10,), facts))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("CIFARLAB_DATA", raising=False)
    archive.cache = tmp_path / "cache"
    monkeypatch.setattr(data.platformdirs, "user_cache_path", lambda _: archive.cache)
    yield archive
    archive.shutdown()
    archive.server_close()


@pytest.fixture
def named(archive, monkeypatch, tmp_path):
    """A sound copy of the small data set, in the folder that CIFARLAB_DATA names."""
    folder = tmp_path / "data"
    data.download(folder)
    archive.asked = 0
    monkeypatch.setenv("CIFARLAB_DATA", str(folder))
    return folder


def test_images_are_taken_from_where_the_variable_says_and_nothing_is_downloaded(named, archive):
    assert data.find() == named
    train, test = data.load()
    assert (len(train), len(test)) == (10, 2)
    assert archive.asked == 0
    assert not archive.cache.exists()


def md5s():
    """The official md5 of each file."""
    meta = data.CIFAR10.meta
    return {
        **dict(data.CIFAR10.train_list),
        **dict(data.CIFAR10.test_list),
        meta["filename"]: meta["md5"],
    }


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def change_one_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, change_one_byte, Path.unlink])
@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_bad_file_is_named_and_not_replaced_behind_the_back(named, archive, damage, name):
    """Who named a folder wants that folder; a silent download would hide the mistake."""
    path = named / "cifar-10-batches-py" / name
    damage(path)
    what = "is missing" if damage is Path.unlink else "is damaged"
    with pytest.raises(OSError) as caught:
        data.find()
    message = str(caught.value)
    assert f"{path} {what}" in message
    assert message.count("is missing") + message.count("is damaged") == 1
    assert archive.asked == 0


@given(
    name=st.sampled_from([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    cut=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_flipped_bit_and_any_cut_is_found_and_its_file_named(named, name, place, bit, cut):
    path = named / "cifar-10-batches-py" / name
    good = path.read_bytes()
    bad = bytearray(good)
    position = int(place * len(bad))
    bad[position] ^= 1 << bit
    path.write_bytes(bad[:position] if cut else bad)
    try:
        assert data.flaws(named) == [f"{path} is damaged: its md5 is not {md5s()[name]}"]
    finally:
        path.write_bytes(good)
    assert data.flaws(named) == []


def test_a_missing_folder_is_answered_with_the_address_the_md5_and_the_place(
    archive, monkeypatch, tmp_path
):
    monkeypatch.setenv("CIFARLAB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(OSError) as caught:
        data.load()
    message = str(caught.value)
    for part in (data.CIFAR10.url, data.CIFAR10.tgz_md5, str(tmp_path / "nowhere"), "unset"):
        assert part in message
    assert archive.asked == 0


def test_the_remedy_of_the_message_works(archive, monkeypatch, tmp_path):
    """Fetch the address, unpack it where the message says, and the data set is found."""
    folder = tmp_path / "by hand"
    monkeypatch.setenv("CIFARLAB_DATA", str(folder))
    with pytest.raises(OSError, match="By hand"):
        data.find()
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as tar:
        tar.extractall(folder, filter="data")
    assert data.find() == folder


def test_the_address_and_md5_that_are_named_are_the_official_ones(tmp_path):
    message = data.by_hand(tmp_path)
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in message
    assert "c58f30108f718f92721af3b95e74349a" in message


def test_a_download_takes_its_place_in_the_cache_and_leaves_nothing_else(archive):
    assert data.find() == archive.cache
    assert [path.name for path in archive.cache.iterdir()] == ["cifar-10-batches-py"]
    asked = archive.asked
    assert data.find() == archive.cache
    assert archive.asked == asked > 0, "what lies in the cache was fetched again"


def test_an_empty_variable_counts_as_unset(archive, monkeypatch):
    monkeypatch.setenv("CIFARLAB_DATA", "")
    assert data.find() == archive.cache


def test_a_damaged_cache_is_replaced(archive):
    data.find()
    truncate(archive.cache / "cifar-10-batches-py" / "data_batch_1")
    assert data.find() == archive.cache
    assert data.flaws(archive.cache) == []
    assert [path.name for path in archive.cache.iterdir()] == ["cifar-10-batches-py"]


def cut_off(archive):
    archive.content = archive.content[:-100]


def garble(archive):
    archive.content = archive.content[:-1] + b"?"


def refuse(archive):
    archive.status = 404


def hang_up(archive):
    archive.shutdown()
    archive.server_close()


def show_a_log_in_page(archive):
    """As the Wi-Fi of a hotel does, of any address."""
    archive.content = b"<!DOCTYPE html><title>Welcome</title>" * 9


@pytest.mark.slow
@pytest.mark.parametrize("fault", [cut_off, garble, refuse, hang_up, show_a_log_in_page])
def test_a_download_that_fails_leaves_nothing_and_says_what_to_do(archive, fault):
    fault(archive)
    with pytest.raises(OSError) as caught:
        data.find()
    message = str(caught.value)
    for part in ("could not be fetched", data.CIFAR10.url, data.CIFAR10.tgz_md5, "curl -C -"):
        assert part in message
    assert ".." not in message.replace("../", ""), "two stops at the end of a reason"
    if fault in (cut_off, garble, show_a_log_in_page):
        assert "what came is not the archive" in message and "log-in page" in message
    assert list(archive.cache.iterdir()) == []
    del caught
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # urllib's errors leave sockets open
        gc.collect()


def test_a_connection_that_breaks_off_is_an_os_error_too(archive, monkeypatch):
    """`http.client` has errors of its own for it, which are no OSError."""

    def broken(*_, **__):
        raise http.client.IncompleteRead(b"half", 100)

    monkeypatch.setattr(data, "CIFAR10", type("Broken", (data.CIFAR10,), {"download": broken}))
    with pytest.raises(OSError, match="By hand"):
        data.find()
    assert list(archive.cache.iterdir()) == []


def test_a_server_that_falls_silent_is_left_after_a_while(archive, monkeypatch):
    """It would else be waited for without an end: one of the public ones did so for hours."""
    monkeypatch.setattr(data, "PATIENCE", 0.2)
    archive.pause = 100  # bytes, then nothing
    before = socket.getdefaulttimeout()
    try:
        with pytest.raises(OSError, match=r"could not be fetched.*timed out.*By hand"):
            data.find()
    finally:
        archive.go_on.set()
    assert socket.getdefaulttimeout() == before
    assert list(archive.cache.iterdir()) == []


def test_a_failed_download_keeps_the_damaged_files_of_before(archive):
    """They may be all that someone without a network has to mend."""
    data.find()
    truncate(archive.cache / "cifar-10-batches-py" / "data_batch_1")
    garble(archive)
    with pytest.raises(OSError):
        data.find()
    assert len(list((archive.cache / "cifar-10-batches-py").iterdir())) == 7


def test_a_cache_that_cannot_be_written_is_answered_with_the_remedy(archive, tmp_path):
    """Below a regular file nobody can make a folder, root included."""
    (tmp_path / "file").write_text("")
    archive.cache = tmp_path / "file" / "cache"
    with pytest.raises(OSError, match=r"could not be fetched.*By hand.*CIFARLAB_DATA"):
        data.find()


def test_what_cannot_be_unpacked_into_the_cache_is_found_where_the_variable_says(
    archive, monkeypatch, tmp_path
):
    """The way out that the message names for a home that is read-only."""
    (tmp_path / "file").write_text("")
    archive.cache = tmp_path / "file" / "cache"
    other = tmp_path / "elsewhere"
    data.download(other)
    monkeypatch.setenv("CIFARLAB_DATA", str(other))
    assert data.find() == other


def test_two_processes_may_fetch_at_once(archive):
    """Both end well, whoever is faster, and one sound copy remains."""
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=data.find) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert data.flaws(archive.cache) == []
    assert [path.name for path in archive.cache.iterdir()] == ["cifar-10-batches-py"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that starts as a copy")
def test_a_download_killed_half_way_starts_anew_and_nothing_of_it_remains(archive):
    """Its half is in nobody's way meanwhile, and goes with the next look for the images."""
    archive.pause = 100
    process = multiprocessing.get_context("fork").Process(target=data.find)
    process.start()
    assert archive.paused.wait(60)
    process.kill()
    process.join()
    archive.go_on.set()
    (left,) = archive.cache.iterdir()
    assert left.name.startswith(f"download-{HOST}-{process.pid}-")
    archive.pause = None
    assert data.find() == archive.cache
    assert data.flaws(archive.cache) == []
    assert [path.name for path in archive.cache.iterdir()] == ["cifar-10-batches-py"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that starts as a copy")
def test_who_comes_while_another_fetches_leaves_it_alone(archive):
    """The first is in the middle of its download when the second begins and ends its own."""
    archive.pause = 100
    first = multiprocessing.get_context("fork").Process(target=data.find)
    first.start()
    assert archive.paused.wait(60)
    archive.pause = None
    data.find()
    target = archive.cache / "cifar-10-batches-py"
    ours = target.stat().st_ino
    archive.go_on.set()
    first.join()
    assert first.exitcode == 0
    assert data.flaws(archive.cache) == []
    assert [path.name for path in archive.cache.iterdir()] == ["cifar-10-batches-py"]
    assert target.stat().st_ino == ours


def test_a_disk_that_fills_up_during_the_download_leaves_nothing_and_says_so(archive):
    with full_disk(100), pytest.raises(OSError, match=r"could not be fetched.*File too large"):
        data.find()
    assert list(archive.cache.iterdir()) == []


def test_what_a_faster_process_put_there_stays(archive, monkeypatch, tmp_path):
    """It may be reading it already."""
    data.find()
    target = archive.cache / "cifar-10-batches-py"
    shutil.move(target, tmp_path / "faster")

    theirs = []

    class Slow(data.CIFAR10):
        def download(self):
            super().download()
            shutil.copytree(tmp_path / "faster", target)
            theirs.append(target.stat().st_ino)

    monkeypatch.setattr(data, "CIFAR10", Slow)
    data.find()
    assert [target.stat().st_ino] == theirs


def test_a_faster_process_may_finish_at_the_last_moment(archive, monkeypatch, tmp_path):
    """Between the last look and the rename: the worst moment."""
    data.find()
    shutil.move(archive.cache / "cifar-10-batches-py", tmp_path / "faster")
    rename = Path.rename

    def too_late(path, target):
        shutil.copytree(tmp_path / "faster", target)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", too_late)
    assert data.find() == archive.cache
    assert data.flaws(archive.cache) == []


# ------------------------------------------------------------------------------ augmentations


def alone(step, seed=0):
    """`step` without normalisation, its random numbers fixed."""
    pipe = A.Compose([step] if not isinstance(step, list) else step, strict=True)
    pipe.set_random_seed(seed)
    return lambda image: pipe(image=image)["image"]


def test_half_of_the_images_are_flipped_and_none_is_changed_otherwise():
    """Of 10,000 images, 5,000 give or take 50: one seed in 10^11 strays by 350.

    A 45 % coin would pass once in 700 tries.
    """
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    flip = alone(data.flip())
    seen = Counter(flip(image).tobytes() for _ in range(10_000))
    assert set(seen) == {image.tobytes(), image[:, ::-1].tobytes()}
    assert 4_650 < seen[image.tobytes()] < 5_350


ROWS, COLUMNS = np.mgrid[-36:37, -36:37]


def blobs(spread=2.0, arm=8):
    """A soft spot per channel: in the centre, `arm` pixels right of it, `arm` pixels below.

    73 x 73 pixels: their mirror images beyond the border never come into view.
    """
    places = [(0, 0), (0, arm), (arm, 0)]
    spots = [np.exp(-((ROWS - y) ** 2 + (COLUMNS - x) ** 2) / (2 * spread**2)) for y, x in places]
    return np.stack([(255 * spot).round().astype(np.uint8) for spot in spots], axis=2)


def motion(image, arm=8):
    """How a picture of `blobs` was moved: pixels right and down, and where the arms now point."""
    weights = np.where(image > 8, image, 0).astype(float)
    total = weights.sum(axis=(0, 1))
    x = np.einsum("hwc,hw->c", weights, COLUMNS) / total
    y = np.einsum("hwc,hw->c", weights, ROWS) / total
    return (
        (x[0], y[0]),
        ((x[1] - x[0]) / arm, (y[1] - y[0]) / arm),
        ((x[2] - x[0]) / arm, (y[2] - y[0]) / arm),
    )


STILL = {"translate": 0, "scale": 0.0, "rotate": 0.0, "shear": 0.0}


def degrees(run, rise):
    return math.degrees(math.atan2(rise, run))


def motions(count, **options):
    move = alone(data.affine(**{**STILL, **options}, p=1))
    image = blobs()
    return [motion(move(image)) for _ in range(count)]


def assert_even(values, low, high, slack):
    """The values lie from `low` to `high` and fill the range.

    Of 800 even draws, 100 fall into each eighth, give or take 9.4; one in 10^9 strays by 60.
    """
    assert len(values) == 800
    assert low - slack <= min(values) and max(values) <= high + slack
    counts, _ = np.histogram(np.clip(values, low, high), 8, (low, high))
    assert (abs(counts - 100) < 60).all(), counts


def test_the_measure_of_a_motion_sees_nothing_where_nothing_moves():
    """The measure itself, else the four tests below could all be wrong together."""
    np.testing.assert_allclose(motion(blobs()), [(0, 0), (1, 0), (0, 1)], atol=0.01)
    # Turned by a quarter: what pointed right points up, what pointed down points right.
    np.testing.assert_allclose(motion(np.rot90(blobs())), [(0, 0), (0, -1), (1, 0)], atol=0.01)


@pytest.mark.slow
def test_translation_is_by_whole_pixels_up_to_two_each_way_and_axes_are_independent():
    """Of 800 draws each of the 25 places gets 32, give or take 5.5; none 0 to 5 in 10^6 seeds."""
    moved = Counter((round(x, 1), round(y, 1)) for (x, y), *_ in motions(800, translate=2))
    assert set(moved) == {(x, y) for x in range(-2, 3) for y in range(-2, 3)}
    assert min(moved.values()) > 5


@pytest.mark.slow
def test_scale_keeps_the_proportions_and_fills_its_range():
    sizes = []
    for centre, right, down in motions(800, scale=0.1):
        assert right[0] == pytest.approx(down[1], abs=0.02)
        assert centre == pytest.approx((0, 0), abs=0.05)
        sizes.append(right[0])
    assert_even(sizes, 0.9, 1.1, slack=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [15, 45])
def test_rotation_turns_about_the_centre_and_fills_its_range(limit):
    angles = []
    for centre, right, down in motions(800, rotate=limit):
        assert centre == pytest.approx((0, 0), abs=0.05)
        assert math.hypot(*right) == pytest.approx(1, abs=0.02)
        assert degrees(*right) == pytest.approx(degrees(*down) - 90, abs=1)
        angles.append(degrees(*right))
    assert_even(angles, -limit, limit, slack=0.5)


@pytest.mark.slow
def test_shear_leans_each_axis_and_fills_its_range():
    along_x, along_y = [], []
    for _, right, down in motions(800, shear=5):
        along_x.append(degrees(down[1], down[0]))
        along_y.append(degrees(*right))
    assert_even(along_x, -5, 5, slack=0.5)
    assert_even(along_y, -5, 5, slack=0.5)
    assert abs(np.corrcoef(along_x, along_y)[0, 1]) < 0.2  # 5.7 deviations of chance


def test_half_of_the_images_are_moved():
    """Of 2,000, 1,000 give or take 22; one seed in 10^11 strays by 160."""
    image = blobs()
    move = alone(data.affine())
    still = sum(np.array_equal(move(image), image) for _ in range(2_000))
    assert 840 < still < 1_160


def test_what_comes_in_over_the_border_is_mirrored():
    """A picture of one colour stays so: with black borders it would show dark corners."""
    image = np.full((32, 32, 3), 200, np.uint8)
    move = alone(data.affine(rotate=45, p=1))
    assert all((move(image) == 200).all() for _ in range(20))


def test_a_crop_is_a_window_of_the_mirrored_image_and_every_window_comes():
    """81 windows in 2,000 draws: one that never comes is a matter of 10^-9."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    wide = np.pad(image, [(4, 4), (4, 4), (0, 0)], mode="reflect")
    windows = {
        wide[top : top + 32, left : left + 32].tobytes(): (top, left)
        for top in range(9)
        for left in range(9)
    }
    crop = alone(data.crop())
    seen = Counter(windows[crop(image).tobytes()] for _ in range(2_000))
    assert len(seen) == 81


def test_cutout_is_one_square_hole_inside_the_image_and_comes_in_half_of_the_draws():
    """Of 2,000, 1,000 give or take 22; one seed in 10^11 strays by 160.

    Every row and column that a hole may begin in is met, but for one chance in 10^25.
    """
    image = np.full((32, 32, 3), 255, np.uint8)
    cut = alone(data.cutout())
    corners = []
    for _ in range(2_000):
        changed = cut(image)
        hole = (changed != 255).any(axis=2)
        if hole.any():
            rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
            assert hole.sum() == 16 * 16 == len(rows) * len(columns)
            corners.append((rows[0], columns[0]))
            assert (changed[hole] == [125, 123, 114]).all()  # the mean colour, of 0 to 255
    assert 840 < len(corners) < 1_160
    tops, lefts = (set(places) for places in zip(*corners, strict=True))
    # 32 - 16 + 1 places; whether Albumentations lets the last be drawn is its own affair.
    assert tops >= set(range(16)) and lefts >= set(range(16))


@pytest.mark.parametrize("kind", [tuple, list, np.array, torch.tensor])
def test_cutout_takes_its_colour_in_any_row_of_three(kind):
    hole = data.cutout(32, fill=kind([1, 2, 3]), p=1.0)
    image = hole(image=np.zeros((32, 32, 3), np.uint8))["image"]
    assert image.reshape(-1, 3).mean(axis=0).tolist() == [1, 2, 3]


@pytest.mark.parametrize(("size", "fill"), [(8, (1, 2, 3)), (5, (0, 0, 0))])
def test_cutout_takes_another_size_and_colour(size, fill):
    image = np.full((32, 32, 3), 255, np.uint8)
    hole = alone(data.cutout(size, fill, p=1))(image)
    assert (hole == fill).all(axis=2).sum() == size * size
    assert (hole == 255).all(axis=2).sum() == 32 * 32 - size * size


def test_the_original_pipeline_is_that_of_2023_with_its_black_hole():
    """Flip, move up to 2 pixels, scale by 0.1, turn by 45 degrees, no shear, hole in black."""
    flip, affine, cutout = data.AUGMENTATIONS["original"]()
    assert isinstance(flip, A.HorizontalFlip)
    assert [step.p for step in (flip, affine, cutout)] == [0.5] * 3

    affine.p = cutout.p = 1
    move = alone(affine)
    image = blobs()
    moved = [motion(move(image)) for _ in range(400)]
    angles = [degrees(*right) for _, right, _ in moved]
    # The right angle between the arms stays: no shear.
    assert max(abs(degrees(*d) - degrees(*r) - 90) for _, r, d in moved) < 1
    assert 40 < max(angles) < 45.5 and -45.5 < min(angles) < -40
    assert max(abs(place) for centre, *_ in moved for place in centre) < 2.2
    assert 0.88 < min(math.hypot(*r) for _, r, _ in moved) < 0.92
    assert 1.08 < max(math.hypot(*r) for _, r, _ in moved) < 1.12

    hole = alone(cutout)(np.full((32, 32, 3), 255, np.uint8))
    assert (hole == 0).all(axis=2).sum() == 16 * 16


@pytest.mark.parametrize("name", data.AUGMENTATIONS)
def test_every_augmentation_gives_tensors_of_the_same_shape(name):
    """Whatever is drawn: images of one batch are stacked."""
    pipe = data.pipeline(name)
    image = data.synthetic(1).images[0]
    size = 28 if name == "flip-crop" else 32
    for _ in range(20):
        changed = pipe(image=image)["image"]
        assert changed.shape == (3, size, size) and changed.dtype == torch.float32


def test_a_policy_is_drawn_anew_for_each_picture_and_follows_from_the_seed():
    image = data.synthetic(1).images[0]
    steps = A.Compose([data.RandAugment()], strict=True)

    def drawn(seed):
        data.reseed(steps, seed)
        return [steps(image=image)["image"] for _ in range(20)]

    first = drawn(0)
    assert len({each.tobytes() for each in first}) > 12  # of 14 changes in pairs, some do nothing
    assert np.array_equal(first, drawn(0)) and not np.array_equal(first, drawn(1))
    weak = A.Compose([data.RandAugment(magnitude=0)], strict=True)
    strong = A.Compose([data.RandAugment(magnitude=30)], strict=True)
    changes = []
    for policy in (weak, strong):
        data.reseed(policy, 0)
        moved = [abs(policy(image=image)["image"].astype(int) - image).mean() for _ in range(40)]
        changes.append(np.mean(moved))
    assert changes[0] < changes[1] / 2


@pytest.mark.parametrize("name", data.AUGMENTATIONS)
def test_no_augmentation_writes_into_the_images(name):
    """Else the second epoch would learn from images with holes in them."""
    split = data.synthetic(64)
    before = split.images.copy()
    for _ in data.batches(split, data.pipeline(name), 16):
        pass
    assert np.array_equal(split.images, before)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 128])
def test_steps_of_a_pipeline_are_drawn_independently_of_each_other(batch_size):
    """Of 1,024 images a quarter is both flipped and cut: 256 give or take 14.

    One seed in 10^8 strays by 80. With one seed for all steps, in the first image of a batch
    either all act or none.
    """
    ramp = np.zeros((32, 32, 3), np.uint8)
    ramp[..., 0] = 100 + np.arange(32)
    split = data.Split(np.repeat(ramp[None], 1_024, 0), np.zeros(1_024, int), ("a",), "ramps")
    steps = A.Compose([data.flip(), data.cutout(fill=(0, 0, 0)), ToTensorV2()], strict=True)
    both = 0
    for images, _ in data.batches(split, steps, batch_size):
        red = images[:, 0].int()
        cut = (red == 0).flatten(1).any(1)
        # A hole hides at most half of a row, so the slope of what is left tells the direction.
        slope = torch.where((red[:, :, 1:] > 0) & (red[:, :, :-1] > 0), red.diff(dim=2), 0)
        both += (cut & (slope.sum(dim=(1, 2)) < 0)).sum().item()
    assert 176 < both < 336


def test_steps_of_a_pipeline_are_drawn_independently_right_after_reseeding():
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :16] = 255
    steps = A.Compose([data.flip(), data.cutout(fill=(9, 9, 9))], strict=True)
    agree = 0
    for seed in range(200):
        data.reseed(steps, seed)
        changed = steps(image=image)["image"]
        flipped = changed[0, 0, 0] == 0 or changed[-1, 0, 0] == 0
        agree += flipped == (changed == 9).any()
    assert 50 < agree < 150  # of 200, 100 give or take 7; with one seed a step, all 200


@pytest.mark.parametrize("name", ["none", "all"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint16, bool])
def test_a_pipeline_refuses_all_but_bytes_and_its_remedy_works(name, dtype):
    """White of 0 to 1 would be taken for black of 0 to 255, and no one would hear of it."""
    pipe = data.pipeline(name)
    with pytest.raises(ValueError, match=r"image=.*uint8.*\(255 \* image\)\.round\(\)") as caught:
        pipe(image=np.ones((32, 32, 3), dtype))
    assert np.dtype(dtype).name in str(caught.value)
    image = np.ones((32, 32, 3))
    white = (255 * image).round().astype(np.uint8)
    assert torch.equal(
        data.pipeline()(image=white)["image"],
        data.pipeline()(image=np.full((32, 32, 3), 255, np.uint8))["image"],
    )


@pytest.mark.parametrize(
    "wrong", [np.zeros((32, 32), np.uint8), np.zeros((3, 32, 32), np.uint8), torch.zeros(3, 8, 8)]
)
def test_a_pipeline_refuses_what_is_no_colour_image(wrong):
    with pytest.raises((TypeError, ValueError), match=r"image=<.*\(H, W, 3\), uint8"):
        data.pipeline()(image=wrong)


def test_a_pipeline_without_an_image_names_it():
    with pytest.raises(TypeError, match="image=None"):
        data.pipeline()()


def test_floats_come_into_no_batch():
    """`batches` takes a split, and a split takes bytes alone."""
    with pytest.raises(ValueError, match=r"images=.*float32.*uint8"):
        data.Split(np.ones((4, 8, 8, 3), np.float32), np.zeros(4, np.int64), ("a",), "mine")
    with pytest.raises(TypeError, match="split=<ndarray"):
        data.batches(np.ones((4, 8, 8, 3), np.float32))


def test_an_unknown_augmentation_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'cutmix'.*flip, affine, crop, cutout"):
        data.pipeline("cutmix")


@pytest.mark.filterwarnings("ignore:Argument")
def test_a_misspelt_argument_of_an_augmentation_is_an_error(monkeypatch):
    """By itself Albumentations warns and goes on with its default: another augmentation."""
    monkeypatch.setitem(data.AUGMENTATIONS, "wrong", lambda: [A.CoarseDropout(max_holes=1)])
    with pytest.raises(ValueError, match="max_holes"):
        data.pipeline("wrong")


# ------------------------------------------------------------------------------ normalisation


@pytest.mark.parametrize("std", [data.STD, data.PER_IMAGE_STD])
def test_normalisation_is_exact_for_all_256_values(std):
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    pixels = data.pipeline(std=std)(image=image)["image"]
    expected = (image / 255 - data.MEAN) / std
    np.testing.assert_allclose(pixels.permute(1, 2, 0).numpy(), expected, atol=2e-6)


@pytest.mark.slow
def test_normalised_cifar10_has_mean_0_and_deviation_1(cifar10):
    """2,000 of its images, so only nearly."""
    images = torch.cat([i for i, _ in data.batches(cifar10[0].take(range(2_000)))])
    assert images.mean(dim=(0, 2, 3)).abs().max() < 0.05
    assert (images.std(dim=(0, 2, 3)) - 1).abs().max() < 0.05


@given(
    image=arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))),
    std=st.sampled_from([data.STD, data.PER_IMAGE_STD]),
)
@settings(max_examples=50, deadline=None)
def test_denormalize_gives_back_the_very_pixels(image, std):
    images = data.pipeline(std=std)(image=image)["image"][None]
    assert np.array_equal(data.denormalize(images, std=std)[0], image)


def test_denormalize_stops_at_black_and_white():
    """Without it 256 would wrap round to 0: white becomes black."""
    far = torch.tensor([-9.0, 9.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    assert data.denormalize(far).ravel().tolist() == [0, 0, 0, 255, 255, 255]


# ------------------------------------------------------------------------------------ batches


@pytest.mark.slow
@given(
    count=st.integers(1, 60),
    batch_size=st.integers(1, 25),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_an_epoch_holds_every_image_once_with_its_label(count, batch_size, shuffle, seed, epoch):
    split = numbered(count)
    loader = data.batches(split, None, batch_size, shuffle=shuffle, seed=seed, epoch=epoch)
    found = list(loader)
    sizes = [len(labels) for _, labels in found]
    images, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
    numbers = numbers_in(images)
    assert len(loader) == len(found)
    assert sizes[:-1] == [batch_size] * (len(found) - 1) and 1 <= sizes[-1] <= batch_size
    assert sorted(numbers) == list(range(count))
    assert [number % 10 for number in numbers] == labels.tolist()
    assert images.dtype == torch.float32 and labels.dtype == torch.int64
    if not shuffle:
        assert numbers == list(range(count))


def order(**options):
    return [
        number
        for images, _ in data.batches(numbered(100), None, 7, **options)
        for number in numbers_in(images)
    ]


def test_shuffling_follows_from_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = order(shuffle=True, seed=3, epoch=2)
    torch.manual_seed(2)
    assert order(shuffle=True, seed=3, epoch=2) == first


def test_other_seeds_and_other_epochs_have_other_orders():
    orders = [tuple(order(shuffle=True, seed=s, epoch=e)) for s in range(4) for e in range(4)]
    assert len(set(orders)) == 16


def whole(loader):
    return torch.cat([images for images, _ in loader])


@pytest.mark.parametrize("steps", [[], [A.HorizontalFlip()]])
def test_a_pipeline_that_makes_no_tensors_is_told_what_it_lacks(steps):
    """One of no steps has the length 0, and yet isn't no pipeline."""
    with pytest.raises(TypeError, match="transform gives numpy.ndarray; end it with ToTensorV2"):
        whole(data.batches(data.synthetic(2), A.Compose(steps)))


def test_batches_are_the_same_with_none_one_or_two_workers():
    split = data.synthetic(70)
    options = {"batch_size": 16, "shuffle": True, "seed": 5, "epoch": 2}
    none, one, two = (
        whole(data.batches(split, data.pipeline("all"), workers=workers, **options))
        for workers in range(3)
    )
    assert torch.equal(none, one)
    assert torch.equal(none, two)


def test_batches_do_not_depend_on_what_the_pipeline_did_before():
    """One pipeline serves all epochs of a run, and a resumed run skips the first."""
    split, used = data.synthetic(30), data.pipeline("all")
    whole(data.batches(split, used, 16, epoch=1))
    again = whole(data.batches(split, used, 16, epoch=2))
    assert torch.equal(again, whole(data.batches(split, data.pipeline("all"), 16, epoch=2)))


@pytest.mark.parametrize("workers", [0, 2])
def test_no_two_images_are_augmented_alike_over_batches_epochs_and_seeds(workers):
    """The repeated stream: each worker of a DataLoader has a copy of the same random numbers.

    All images are the same here, so that only augmentation tells them apart; two draws from
    a continuous range never agree by chance.
    """
    image = data.synthetic(1).images
    split = data.Split(np.repeat(image, 24, axis=0), np.zeros(24, int), ("a",), "one image")
    steps = A.Compose([data.affine(p=1), A.Normalize(), ToTensorV2()], strict=True)
    runs = [(0, 0), (0, 1), (1, 0)]
    augmented = [
        whole(data.batches(split, steps, 6, seed=seed, epoch=epoch, workers=workers))
        for seed, epoch in runs
    ]
    distinct = {picture.numpy().tobytes() for picture in torch.cat(augmented)}
    assert len(distinct) == 24 * len(runs)


def test_workers_that_share_one_stream_repeat_each_other_and_every_epoch():
    """The lesson's bad example is bad, and without workers it is not."""
    for workers, versions in [(0, 24), (2, 6)]:
        steps = A.Compose(data.AUGMENTATIONS["all"](), strict=True)
        data.reseed(steps, 0)
        copies = data.OneByOne(np.repeat(data.synthetic(1).images, 12, axis=0), steps)
        loader = torch.utils.data.DataLoader(copies, batch_size=6, num_workers=workers)
        pictures = [picture for _ in range(2) for batch in loader for picture in batch]
        assert len(pictures) == 24
        assert len({picture.numpy().tobytes() for picture in pictures}) == versions


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_are_augmented_by_one_thread(workers):
    """OpenCV would start one for each core, in each worker: 160 for 10 workers on 16 cores."""

    class Ask(A.ImageOnlyTransform):
        def apply(self, img, **_):
            return np.full_like(img, cv2.getNumThreads())

    steps = A.Compose([Ask(p=1), ToTensorV2()])
    found = data.batches(data.synthetic(8), steps, 4, workers=workers)
    assert whole(found).unique().tolist() == [1]


def test_an_epoch_can_be_sent_to_a_worker_that_was_not_forked():
    """Windows and macOS start workers anew and send them the data set as bytes."""
    epoch = data.batches(data.synthetic(20), data.pipeline("all"), 8, seed=1).dataset
    images, labels = pickle.loads(pickle.dumps(epoch))[1]
    assert torch.equal(images, epoch[1][0]) and torch.equal(labels, epoch[1][1])


def test_an_epoch_ends():
    """`for` over the data set itself would else go on for ever."""
    epoch = data.batches(data.synthetic(20), batch_size=8).dataset
    assert len(list(itertools.islice(epoch, 10))) == 3


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 0), ("seed", -1), ("epoch", -1), ("workers", -1)]
)
def test_an_argument_out_of_range_is_named_with_its_limit(name, value):
    with pytest.raises(ValueError, match=rf"{name}={value}; it must be (from )?\d"):
        data.batches(data.synthetic(10), **{name: value})


@pytest.mark.parametrize(("label", "named"), [(2, "labels from 0 to 2"), (-1, "from -1 to 1")])
def test_a_label_of_no_class_is_refused_and_the_last_class_is_one(label, named):
    images, classes = np.zeros((3, 4, 4, 3), np.uint8), ("cat", "dog")
    with pytest.raises(ValueError, match=rf"{named}; the 2 classes are 0 to 1"):
        data.Split(images, np.array([0, 1, label]), classes, "black")
    assert len(data.Split(images, np.array([0, 1, 1]), classes, "black")) == 3


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_labels_as_images_are_asked_for(count):
    images, labels = np.zeros((2, 4, 4, 3), np.uint8), np.zeros(count, np.int64)
    with pytest.raises(ValueError, match=f"2 images and {count} labels; each image needs one"):
        data.Split(images, labels, ("cat",), "black")


def test_take_keeps_the_order_asked_for():
    taken = numbered(50).take([41, 3, 3])
    assert numbers_in(taken.images) == [41, 3, 3]
    assert taken.labels.tolist() == [1, 3, 3]
    assert (taken.source, taken.classes) == ("numbers, not CIFAR-10", tuple("abcdefghij"))


# ---------------------------------------------------------------------------------- synthetic


def test_synthetic_shapes_follow_from_their_seed():
    first, again, other = data.synthetic(40, 3), data.synthetic(40, 3), data.synthetic(40, 4)
    assert np.array_equal(first.images, again.images)
    assert not (first.images == other.images).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("count", [10, 200])
def test_synthetic_shapes_are_ten_equal_classes_of_small_colour_images(count):
    split = data.synthetic(count)
    assert split.images.shape == (count, 32, 32, 3) and split.images.dtype == np.uint8
    assert np.bincount(split.labels).tolist() == [count // 10] * 10
    assert len(set(split.classes)) == 10


def test_synthetic_shapes_say_that_they_are_not_cifar10():
    assert "not CIFAR-10" in data.synthetic(1).source
    assert "not CIFAR-10" in data.split_validation(data.synthetic(40), 1)[0].source


@pytest.mark.parametrize(
    ("count", "seed", "named"),
    [(0, 0, "count=0"), (-1, 0, "count=-1"), (10**9, 0, "count=1000000000"), (10, -1, "seed=-1")],
)
def test_synthetic_shapes_refuse_what_they_cannot_draw(count, seed, named):
    with pytest.raises(ValueError, match=f"{named}; it must be"):
        data.synthetic(count, seed)


def test_every_synthetic_shape_can_be_seen():
    """Colours that hardly differ would make a class that nobody can learn."""
    for image in data.synthetic(300).images:
        spread = np.percentile(image.reshape(-1, 3), 97, axis=0) - np.percentile(
            image.reshape(-1, 3), 3, axis=0
        )
        assert spread.max() > 60


def test_a_place_that_only_an_unsigned_number_can_name_is_refused():
    with pytest.raises(ValueError, match="indices from 18446744073709551615"):
        data.synthetic(4).take(np.array([2**64 - 1], dtype=np.uint64))


def test_a_word_is_no_answer_to_shuffle():
    with pytest.raises(TypeError, match="shuffle='no'; it must be bool"):
        data.batches(data.synthetic(4), shuffle="no")
