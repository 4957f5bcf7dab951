"""Protects the check of other libraries' networks: it must find a field that is wrong."""

import pytest
import torch
from torch import Tensor, nn

from benchmarks import fields
from benchmarks.networks import of_shape
from cifarlab.receptive_field import analyze

SHAPE = (1, 12, 10)


def conv(kernel: int) -> nn.Conv2d:
    return nn.Conv2d(1, 1, kernel, padding=kernel // 2)


def network(kernel: int) -> nn.Sequential:
    return nn.Sequential(conv(3), nn.ReLU(), conv(kernel))


class Inverse(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return torch.linalg.inv(image)


def test_the_check_confirms_a_field_and_finds_one_too_small_or_too_large():
    analysis = analyze(network(3), SHAPE[1:])
    assert fields.doubts(network(3), analysis, "2", 1) == []
    (doubt,) = fields.doubts(network(5), analysis, "2", 1)
    assert "sees something outside" in doubt
    lines = fields.doubts(network(1), analysis, "2", 1)
    assert len(lines) == 4
    assert all("sees nothing in" in line for line in lines)


def test_the_check_finds_a_map_of_another_size():
    strided = nn.Sequential(conv(3), nn.ReLU(), nn.Conv2d(1, 1, 3, stride=2))
    (doubt,) = fields.doubts(strided, analyze(network(3), SHAPE[1:]), "2", 1)
    assert doubt == "it has (5, 4) units, not (12, 10)"


class Large(nn.Module):
    """Its units are what is left of two numbers that float32 takes for infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3)

    def forward(self, image: Tensor) -> Tensor:
        large = self.conv(image).exp() * 1e30 * 1e30
        return large - large / 2


def test_numbers_too_large_for_float32_do_not_spoil_the_check():
    large, analysis = Large(), analyze(Large(), SHAPE[1:])
    assert fields.doubts(large, analysis, "", 1) == []
    assert fields.doubts(large, analysis, "conv", 1) == []  # which has float64 now
    always = nn.Sequential(conv(3), nn.Threshold(torch.inf, torch.nan))
    with pytest.raises(ValueError, match="is NaN for any image"):
        fields.doubts(always, analyze(always, SHAPE[1:]), "1", 1)


def test_a_network_is_answered_whole_or_up_to_what_is_refused():
    whole = fields.examine(of_shape(SHAPE, lambda: network(3)), True)
    assert (whole["verdict"], whole["checked"], whole["wrong"]) == ("whole", 2, [])
    square = (1, 10, 10)
    partly = fields.examine(of_shape(square, lambda: nn.Sequential(conv(3), Inverse())), True)
    assert (partly["verdict"], partly["rows"], partly["wrong"]) == ("partly", 1, [])
    assert "linalg_inv" in partly["why"]


def test_what_cannot_run_by_itself_does_not_count():
    assert (
        fields.examine(of_shape(SHAPE, lambda: nn.Conv2d(1, 1, 13)), True)["verdict"] == "invalid"
    )
    assert fields.examine(of_shape(SHAPE, lambda: 1 / 0), True)["verdict"] == "invalid"


def test_a_later_line_replaces_an_earlier_one_and_counts_once(tmp_path):
    path = tmp_path / "fields.jsonl"
    line = '{"library": "ours", "name": "net", "verdict": "%s", "checked": 1, "wrong": %s}\n'
    path.write_text(line % ("partly", "[]") + line % ("whole", '["too large"]'))
    text = fields.summary(fields.read(path))
    assert "| ours | 1 | 1 | 0 | 0 | 0 | 0 | 1 | 1 |" in text
    assert "100.0 % answered whole" in text
    assert "WRONG ours net: too large" in text
