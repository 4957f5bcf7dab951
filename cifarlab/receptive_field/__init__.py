"""How far can one unit see?  Exact receptive fields of any network, in whole numbers.

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
from cifarlab.receptive_field._rules import Refused, Unsupported

__all__ = [
    "Analysis",
    "Box",
    "Effective",
    "Field",
    "Pair",
    "Refused",
    "Row",
    "Table",
    "Unsupported",
    "analyze",
    "effective",
]
