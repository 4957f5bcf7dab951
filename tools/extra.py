"""Print the requirements of one extra of pyproject.toml, so that it can be installed alone.

    python tools/extra.py book

`pip install .[book]` would bring PyTorch too, which building the book does not need.
"""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main() -> int:
    """Print the extra that the command line names, one requirement a line."""
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    if len(sys.argv) != 2 or sys.argv[1] not in extras:
        print(f"extra: name one of: {', '.join(extras)}", file=sys.stderr)
        return 2
    print(*extras[sys.argv[1]], sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
