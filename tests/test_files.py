"""A file is whole or absent, whatever happens while it is written."""

import errno
import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest

from cifarlab._files import HOST, replacing
from tests.helpers import full_disk, read_only


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("old")
    return path


def siblings(path):
    return sorted(file.name for file in path.parent.iterdir())


def test_a_new_file_takes_the_place_of_the_old_one(old):
    with replacing(old) as temporary:
        temporary.write_text("new")
    assert old.read_text() == "new"
    assert siblings(old) == [old.name]


def test_folders_that_are_missing_are_made(tmp_path):
    path = tmp_path / "runs" / "first" / "record.json"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_until_the_block_ends_the_old_file_stands(old):
    with replacing(old) as temporary:
        temporary.write_text("half of the n")
        assert old.read_text() == "old"


def test_the_temporary_file_lies_in_the_same_folder(old):
    """A rename from one disk to another would be a copy, and a copy can stop half-way."""
    with replacing(old) as temporary:
        temporary.write_text("new")
        assert temporary.parent == old.parent


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_an_error_in_the_block_leaves_the_old_file_and_nothing_else(old, error):
    with pytest.raises(type(error)), replacing(old) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert old.read_text() == "old"
    assert siblings(old) == [old.name]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_is_full_at_the_end_leaves_the_old_file_and_nothing_else(
    old, monkeypatch, call
):
    """Some file systems notice only when the file is flushed or renamed."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"), replacing(old) as temporary:
        temporary.write_text("new")
    assert old.read_text() == "old"
    assert siblings(old) == [old.name]


def test_the_content_is_flushed_before_it_takes_the_name(old, monkeypatch):
    """Else a power cut could leave an empty file under the good name."""
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: calls.append("fsync") or fsync(file))
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("replace") or replace(*paths))
    with replacing(old) as temporary:
        temporary.write_text("new")
    assert calls == ["fsync", "replace"]


def test_the_file_is_flushed_through_a_handle_that_may_write(old, monkeypatch):
    """Windows refuses to flush a file that was opened for reading."""
    fcntl = pytest.importorskip("fcntl")
    modes = []
    monkeypatch.setattr(os, "fsync", lambda file: modes.append(fcntl.fcntl(file, fcntl.F_GETFL)))
    with replacing(old) as temporary:
        temporary.write_text("new")
    assert [mode & os.O_ACCMODE for mode in modes] == [os.O_RDWR]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_others_may_read_the_file_if_they_may_read_any_new_file(tmp_path):
    """A record in a shared folder is for the others there too."""
    ordinary, replaced = tmp_path / "ordinary", tmp_path / "replaced"
    ordinary.write_text("new")
    with replacing(replaced) as temporary:
        temporary.write_text("new")
    assert stat.filemode(replaced.stat().st_mode) == stat.filemode(ordinary.stat().st_mode)


def leave_a_half(old):
    """What a process leaves that is killed while it writes; its number."""

    def work():
        with replacing(old) as temporary:
            temporary.write_text("half of the n")
            os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    return process.pid


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that starts as a copy")
def test_what_a_killed_process_left_goes_with_the_next_that_writes_the_file(old):
    left = f".record.json-{HOST}-{leave_a_half(old)}"
    assert siblings(old) == sorted([left, old.name])
    assert old.read_text() == "old"
    with replacing(old.with_name("weights")) as temporary:
        temporary.write_text("of another file")
    assert left in siblings(old)
    with replacing(old) as temporary:
        temporary.write_text("new")
    assert siblings(old) == [old.name, "weights"]
    assert old.read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such question to a process")
@pytest.mark.parametrize(
    "owner",
    [f"{HOST}-1", f"{HOST}-{os.getppid()}", "another-machine-4194305", "4194305", "of-mine", ""],
)
def test_what_a_running_process_or_another_machine_writes_or_nobody_named_stays(old, owner):
    """Process 1 always runs; 4194305 never, on Linux."""
    theirs = old.with_name(f".record.json-{owner}")
    theirs.write_text("half of the n")
    with replacing(old) as temporary:
        temporary.write_text("new")
    assert theirs.read_text() == "half of the n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such question to a process")
@pytest.mark.parametrize("number", [2**22 + 1, 2**31, 2**100])
def test_a_number_that_no_process_can_have_is_no_obstacle(old, number):
    """Linux counts to 2 ** 22."""
    old.with_name(f".record.json-{HOST}-{number}").write_text("half of the n")
    with replacing(old) as temporary:
        temporary.write_text("new")
    assert siblings(old) == [old.name]


def test_a_folder_that_is_read_only_is_an_os_error_that_names_the_file(old):
    with read_only(old.parent) as lock:
        lock()
        with (
            pytest.raises(OSError, match=r"record\.json can't be written: Permission denied"),
            replacing(Path(old.name)) as temporary,
        ):
            temporary.write_text("new")
        assert Path(old.name).read_text() == "old"
    assert siblings(old) == [old.name]


def test_a_full_disk_is_an_os_error_that_names_the_file(old):
    """The system's own words are "[Errno 27] File too large", of any file."""
    with (
        full_disk(2),
        pytest.raises(OSError, match=r"record\.json can't be written: File too large"),
        replacing(old) as temporary,
    ):
        temporary.write_text("new")
    assert old.read_text() == "old"
    assert siblings(old) == [old.name]


def test_a_folder_that_cannot_be_made_is_an_os_error(old):
    with pytest.raises(OSError), replacing(old / "below a file") as temporary:
        temporary.write_text("new")
    assert old.read_text() == "old"
