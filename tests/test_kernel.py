"""Protects the kernel of the page: what runs is what its source says."""

import pytest

from cifarlab_course import cli as course
from cifarlab_course.artefacts import kernel


def test_the_binary_was_made_of_this_source_by_this_compiler():
    """If not: `course kernel`."""
    hash_then, binary = kernel.stored()
    assert hash_then == kernel.sign()
    assert binary.startswith(b"\0asm") and len(binary) < 5000


def test_another_source_or_another_compiler_has_another_hash(monkeypatch, tmp_path):
    before = kernel.sign()
    changed = tmp_path / "kernel.ts"
    changed.write_bytes(kernel.SOURCE.read_bytes() + b"\n")
    monkeypatch.setattr(kernel, "SOURCE", changed)
    assert kernel.sign() != before
    monkeypatch.undo()
    monkeypatch.setattr(kernel, "VERSION", "0.0.1")
    assert kernel.sign() != before


@pytest.mark.slow
@pytest.mark.skipif(not kernel.at_hand(), reason=f"no asc {kernel.VERSION} on the PATH")
def test_compiled_anew_the_source_gives_the_very_binary(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel, "OUT", tmp_path / "kernel-binary.js")
    before = kernel.SOURCE.with_name("kernel-binary.js").read_bytes()
    assert course.main(["kernel"]) == 0
    assert kernel.OUT.read_bytes() == before


@pytest.mark.skipif(not kernel.at_hand(), reason=f"no asc {kernel.VERSION} on the PATH")
def test_a_fault_in_the_source_is_told_and_nothing_is_written(monkeypatch, tmp_path, capsys):
    wrong = tmp_path / "kernel.ts"
    wrong.write_text("export function pass(: void {}")
    monkeypatch.setattr(kernel, "SOURCE", wrong)
    monkeypatch.setattr(kernel, "OUT", tmp_path / "out.js")
    assert course.main(["kernel"]) == 2
    assert "ERROR" in capsys.readouterr().err
    assert not kernel.OUT.exists()


def test_without_a_compiler_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert course.main(["kernel"]) == 2
    assert "install Node.js" in capsys.readouterr().err
