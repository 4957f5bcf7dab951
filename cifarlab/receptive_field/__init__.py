"""How far can one unit see?  Exact receptive fields of any network, in whole numbers.

`analyze` says where every unit of every feature map looks; `effective` says how much each pixel
counts there. `receptive_field.brute_force` checks both, knowing no rule.

Lesson: Receptive fields.
"""

from cifarlab.receptive_field._analysis import analyze
from cifarlab.receptive_field._effective import Effective, effective
from cifarlab.receptive_field._features import Refused, Unsupported
from cifarlab.receptive_field._fields import Analysis, Box, Field, Pair, Row, Table

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
