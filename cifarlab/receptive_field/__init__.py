"""How far can one unit see?  Exact receptive fields, in whole numbers.

Of any network of images, (N, C, H, W): a signal or a volume is refused.

`analyze` says where every unit of every feature map looks; `effective` says how much each pixel
counts there. `receptive_field.brute_force` checks both, knowing no rule.

Lesson: Receptive fields.
"""

from cifarlab.receptive_field._analysis import (
    Analysis,
    Box,
    Effective,
    Field,
    Pair,
    Row,
    Table,
    analyze,
    effective,
)
from cifarlab.receptive_field._rules import Unsupported

__all__ = [
    "Analysis",
    "Box",
    "Effective",
    "Field",
    "Pair",
    "Row",
    "Table",
    "Unsupported",
    "analyze",
    "effective",
]
