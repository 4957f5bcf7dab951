"""How far can one unit see?  Receptive fields in whole numbers, for most networks.

`analyze` says where every unit of every feature map looks; `effective` says how much each pixel
counts there. `receptive_field.brute_force` checks both, knowing no rule.

It answers most convolutional networks, and many detectors and vision transformers. An operation
without a rule is refused by name, and the maps before it are kept. Where a field may be larger
than what the units see, `Field.exact` is False and `Field.loose` says why. README.md, beside this
file, explains grids, links and spans.

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
