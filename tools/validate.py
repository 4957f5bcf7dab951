"""The long checks: every lesson in every numeric mode of this machine, and the long tests.

    python tools/validate.py

Writes a dated report to validation/, to be committed: the colophon shows it. Exit status 1 if
anything failed; the report then says what.
"""

import datetime
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

import torch
from notebooks import LESSONS, ROOT

from cifarlab import engine, records
from cifarlab.files import replacing

PACKAGES = ["torch", "torchvision", "albumentations", "numpy", "ipywidgets", "nbval"]
FULL = {"CIFARLAB_PRECISION": "fp32", "CIFARLAB_MEMORY_FORMAT": "NCHW"}
BRAIN_FLOAT = {"CIFARLAB_PRECISION": "bf16", "CIFARLAB_MEMORY_FORMAT": "channels_last"}
HALF = {"CIFARLAB_PRECISION": "fp16", "CIFARLAB_MEMORY_FORMAT": "channels_last"}


def modes() -> dict[str, dict[str, str]]:
    """The numeric modes of this machine: a name, and the environment that brings it about."""
    on_cpu = {"CIFARLAB_DEVICE": "cpu"}
    found = {
        "CPU, fp32, NCHW": on_cpu | FULL,
        "CPU, bf16, channels_last": on_cpu | BRAIN_FLOAT,
        "CPU, one thread": on_cpu | {"OMP_NUM_THREADS": "1"},
        "CPU, two threads": on_cpu | {"OMP_NUM_THREADS": "2"},
    }
    if torch.cuda.is_available():
        on_gpu = {"CIFARLAB_DEVICE": "cuda"}
        found |= {
            "GPU, as the engine chooses": on_gpu,
            "GPU, fp32, NCHW": on_gpu | FULL,
            "GPU, fp16, channels_last": on_gpu | HALF,
        }
    return found


def passes(arguments: list[str], environment: dict[str, str]) -> tuple[bool, float]:
    """Does this pytest call pass, and in how many minutes?"""
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
    )
    return result.returncode == 0, (time.monotonic() - started) / 60


def main() -> int:
    """Run all checks and write the report."""
    os.environ["CIFARLAB_REQUIRE_DATA"] = "1"  # a skipped lesson is not a validated one
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=3600"]
    rows = []
    for mode, environment in modes().items():
        for path in LESSONS:
            print(f"\n{path.name}: {mode}", flush=True)
            rows.append((path.stem, mode, *passes([*nbval, str(path)], environment)))
    print("\nlong tests", flush=True)
    rows.append(("long tests", "as the machine is", *passes(["-m", "long", "tests"], {})))

    today = datetime.datetime.now(datetime.UTC).date()
    numbers = engine.numerics()
    device = records.processor(numbers)
    failed = sum(not passed for _, _, passed, _ in rows)
    report = [
        f"# {today}, {device}",
        "",
        f"{len(rows) - failed} of {len(rows)} checks passed, in "
        f"{sum(minutes for *_, minutes in rows):.0f} minutes, at commit `{records.commit()[:7]}`.",
        "",
        f"{platform.system()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        + f". The engine's own choice here: {numbers.precision}, {numbers.memory_format}.",
        "",
        "| Check | Mode | Result | Minutes |",
        "| --- | --- | --- | --: |",
        *(
            f"| {check} | {mode} | {'passed' if passed else '**failed**'} | {minutes:.1f} |"
            for check, mode, passed, minutes in rows
        ),
        "",
    ]
    kind = "gpu" if numbers.device.startswith("cuda") else "cpu"
    path = ROOT / "validation" / f"{today}-{kind}.md"
    with replacing(path) as temporary:
        temporary.write_text("\n".join(report), encoding="utf-8")
    print(f"\n{path.relative_to(ROOT)}: commit it, and the colophon shows it")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
