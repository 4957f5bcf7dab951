"""Protects the receptive fields of networks in use: 24 of torchvision, at every stage.

And 600 networks of other libraries, where those are. Brute force takes minutes, so `make validate`
runs this, not `make test`.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from torch import nn
from torchvision import models

from benchmarks import fields
from cifarlab.receptive_field import Field, analyze, brute_force

pytestmark = pytest.mark.long

SIZE = (128, 112)  # so that height and width are told apart
CLASSIFIERS = """
    alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3
    mnasnet0_5 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_400mf regnet_y_400mf
    resnet18 resnet34 resnet50 resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_0 squeezenet1_1 vgg11
    vgg16_bn
"""
SEGMENTERS = ["deeplabv3_mobilenet_v3_large", "fcn_resnet50"]


def build(name: str) -> nn.Module:
    """Random weights: fields depend on the layers alone."""
    if name in SEGMENTERS:
        return getattr(models.segmentation, name)(weights=None, weights_backbone=None)
    slow = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return getattr(models, name)(**slow)


def stages(analysis) -> dict[str, Field]:
    """Maps of the modules at the first two levels, each map once."""
    found = {}
    for name in analysis.names:
        field = analysis[name]
        if name.count(".") < 2 and "#" not in name and isinstance(field, Field):
            found.setdefault(field.grid, (name, field))
    return dict(found.values())


@pytest.mark.parametrize("name", CLASSIFIERS.split() + SEGMENTERS)
def test_every_stage_sees_what_brute_force_finds(name):
    """The taps of a unit inside by gradients, and the box of one in a corner by NaN."""
    network = build(name).eval()
    for layer, field in stages(analyze(network, SIZE)).items():
        height, width = field.units
        inside, corner = (height // 2, width // 3), (0, width - 1)
        try:
            found = brute_force.by_gradient(network, SIZE, inside, layer=layer)
        except ValueError:  # a flattened map: only all its units can be asked at once
            continue
        assert np.array_equal(field.taps(*inside), found), layer
        box = field.box(*corner, clipped=True)
        assert brute_force.certify(network, SIZE, corner, box, layer=layer) == [], layer


@pytest.mark.skipif(
    "CIFARLAB_LIBRARIES" not in os.environ, reason="no folder of libraries (CONTRIBUTING.md)"
)
def test_most_networks_of_eight_libraries_are_answered_and_none_wrongly(tmp_path):
    out = tmp_path / "fields.jsonl"
    command = ["-m", "benchmarks.fields", os.environ["CIFARLAB_LIBRARIES"], "--out", str(out)]
    subprocess.run([sys.executable, *command], check=True)
    valid = [line for line in fields.read(out) if line["verdict"] != "invalid"]
    verdicts = [line["verdict"] for line in valid]
    checked = [line for line in valid if line.get("checked")]
    assert [line for line in checked if line["wrong"]] == []
    assert len(checked) >= 300
    assert verdicts.count("whole") >= 0.80 * len(valid)
    assert verdicts.count("whole") + verdicts.count("partly") >= 0.95 * len(valid)
