"""Peak memory of one learner's kernel, and how many such fit into a machine.

python -m benchmarks.memory lessons/09-train-under-200k.ipynb    (Linux; idle is not needed)
"""

import argparse
import json
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

GIB = 2**30
SPARE = 2 * GIB  # for the system, the server and what else runs

# Peak: all pages that were ever in memory at once. Shared: pages of libraries that other kernels
# on the machine use too, and which therefore count once.
ASK = """
import json, resource
pages = dict(line.split(":") for line in open("/proc/self/smaps_rollup").readlines()[1:])
kilobytes = {name: int(text.split()[0]) for name, text in pages.items()}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"peak": peak * 1024, "shared": 1024 * kilobytes["Shared_Clean"]}))
"""


def measure(path: Path) -> dict[str, int]:
    """Bytes, of the kernel that ran the whole lesson."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ASK))
    NotebookClient(
        notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    return json.loads(notebook.cells[-1].outputs[0]["text"])


def main() -> int:
    """Measure each lesson named, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="+", type=Path)
    parser.add_argument("--memory", type=float, default=24, help="of the machine, GiB (24)")
    options = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    room = options.memory * GIB - SPARE
    for path in options.lessons:
        found = measure(path)
        fit = int(room // found["peak"])
        print(
            f"{path.stem}: peak {found['peak'] / GIB:.2f} GiB, of which "
            f"{found['shared'] / GIB:.2f} GiB shared with other kernels at the end; "
            f"at least {fit} fit into {options.memory:g} GiB",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
