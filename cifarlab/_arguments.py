"""Refuse an argument as soon as it arrives: its name, its value, what is allowed."""

from collections.abc import Iterable
from numbers import Real
from types import UnionType
from typing import Any, get_args

import numpy as np
import torch


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """`value`, if it is a whole number from `low` to `high`.

    Raises: TypeError or ValueError that says so.
    """
    limits = f"{low} or more" if high is None else f"from {low} to {high:,}"
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name}={shown(value)}; it must be a whole number, {limits}.")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name}={shown(value)}; it must be {limits}.")
    return int(value)


def number(name: str, value: Any, low: float, high: float) -> float:
    """`value`, if it is a number from `low` to `high`.

    Raises: TypeError or ValueError that says so.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number:
        raise TypeError(f"{name}={shown(value)}; it must be a number from {low:g} to {high:g}.")
    if not low <= value <= high:  # not a number lies nowhere
        raise ValueError(f"{name}={shown(value)}; it must be from {low:g} to {high:g}.")
    return value


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """`value`, if it is one of the words `allowed`.

    Raises: ValueError that lists them.
    """
    allowed = list(allowed)
    if not (isinstance(value, str) and value in allowed):
        raise ValueError(f"{name}={shown(value)}; choose one of: {', '.join(allowed)}.")
    return value


def instance(name: str, value: Any, kind: type | UnionType) -> Any:
    """`value`, if it is a `kind`.

    Raises: TypeError that says so.
    """
    if not isinstance(value, kind):
        kinds = get_args(kind) or (kind,)
        wanted = " or ".join(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
        wanted = wanted.replace("builtins.NoneType", "None").replace("builtins.", "")
        raise TypeError(f"{name}={shown(value)}; it must be {wanted}.")
    return value


def pair(name: str, values: Any, low: int, high: int | None = None) -> tuple[int, int]:
    """`values`, if they are two whole numbers from `low` to `high`: height and width, or y and x.

    Raises: TypeError or ValueError that says so.
    """
    row = values.tolist() if isinstance(values, np.ndarray | torch.Tensor) else values
    if not isinstance(row, tuple | list) or len(row) != 2:
        raise TypeError(f"{name}={shown(values)}; it must be two whole numbers, as in (32, 32).")
    first, second = (whole(name, value, low, high) for value in row)
    return first, second


def three(name: str, values: Any, low: float, high: float) -> tuple[float, float, float]:
    """`values`, if they are three numbers from `low` to `high`: one a channel.

    Raises: TypeError or ValueError that says so.
    """
    row = values.tolist() if isinstance(values, np.ndarray | torch.Tensor) else values
    if not isinstance(row, tuple | list) or len(row) != 3:
        raise TypeError(f"{name}={shown(values)}; it must be three numbers, one a channel.")
    red, green, blue = (number(name, value, low, high) for value in row)
    return red, green, blue


def shaped(
    name: str, value: Any, kind: type[Any], shape: tuple[int | str, ...], dtype: str | None
) -> Any:
    """`value`, if it is an array or tensor of that `shape` and `dtype`; a letter is any length.

    Raises: TypeError or ValueError that says so.
    """
    wanted = f"a {kind.__module__}.{kind.__qualname__} of shape {shape}".replace("'", "")
    wanted += f", {dtype}" if dtype else ""
    if not isinstance(value, kind):
        raise TypeError(f"{name}={shown(value)}; it must be {wanted}.")
    fits = len(value.shape) == len(shape) and all(
        isinstance(length, str) or length == size
        for length, size in zip(shape, value.shape, strict=True)
    )
    if not fits or (dtype and str(value.dtype).removeprefix("torch.") != dtype):
        raise ValueError(f"{name}={shown(value)}; it must be {wanted}.")
    return value


def predictions(log_probabilities: Any, labels: Any) -> None:
    """Nothing, if they are (N, classes) float32 of 0 or less, and (N,) int64 into the classes.

    N must be above 0.

    Raises: TypeError or ValueError that says so.
    """
    shaped("log_probabilities", log_probabilities, torch.Tensor, ("N", "classes"), "float32")
    shaped("labels", labels, torch.Tensor, (len(log_probabilities),), "int64")
    if log_probabilities.numel() == 0:
        raise ValueError(
            f"log_probabilities={shown(log_probabilities)}; there must be one or more."
        )
    if not log_probabilities.max() < 1e-4:  # but for rounding
        raise ValueError(
            f"log_probabilities up to {log_probabilities.max():g}; they must be 0 or less. Apply "
            "log_softmax(dim=1) to scores; if they are nan, so are the weights or the images."
        )
    into_classes(labels, log_probabilities.shape[1])


def into_classes(labels: np.ndarray | torch.Tensor, classes: int) -> None:
    """Nothing, if all of `labels`, one or more, are whole numbers from 0 to `classes` - 1.

    Raises: ValueError that says so.
    """
    if not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"labels from {labels.min()} to {labels.max()}; the {classes} classes are "
            f"0 to {classes - 1}."
        )


def shown(value: Any) -> str:
    """`value` in one line of at most 80 characters."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"<{type(value).__name__} of shape {tuple(value.shape)}, {value.dtype}>"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
