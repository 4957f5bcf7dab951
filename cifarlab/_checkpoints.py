"""The state of a run on disk, so that it can stop and go on another day."""

import hashlib
import io
import textwrap
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_bytes
from torch import nn

from cifarlab import data
from cifarlab._files import replacing
from cifarlab.recipes import Recipe
from cifarlab.schema import Epoch


def plain(recipe: Recipe) -> dict:
    """The recipe as it comes back from a file: lists for tuples."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(recipe).items()
    }


def fingerprint(*splits: data.Split) -> str:
    """A number that another pixel, another label or another order would change."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()


def weights(network: nn.Module) -> bytes:
    """The network's numbers to the last bit, as a `.safetensors` file holds them."""
    state = network.state_dict()
    return to_bytes({name: value.cpu().contiguous() for name, value in state.items()})


def weights_fingerprint(network: nn.Module | None) -> str | None:
    """A number that other weights would change: the SHA-256 of their file. None of none."""
    return None if network is None else hashlib.sha256(weights(network)).hexdigest()


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Where two runs' identities differ, in words: "seed (0 there, 1 here)"."""
    words = []
    for name, value in here.items():
        before: Any = there.get(name)
        if before == value:
            continue
        if name == "recipe":
            changed = "; ".join(
                f"{field}: {before[field]!r} there, {value[field]!r} here"
                for field in value
                if before[field] != value[field]
            )
            words.append(f"recipe ({changed})")
        elif name in ("data", "teacher"):  # a fingerprint says nothing to a reader
            words.append({"data": "data", "teacher": "the teacher's weights"}[name])
        else:
            words.append(f"{name} ({before!r} there, {value!r} here)")
    return words


@dataclass
class Checkpoint:
    """One file that holds a run's state; without a path, nothing is kept."""

    path: Path | None
    identity: dict[str, Any]  # what must be the same for a run to go on
    parts: dict[str, Any]  # network, optimizer and the like: what has a `state_dict`

    def save(self, history: list[Epoch]) -> None:
        """Write the state after `history`; the file is the old one or the whole new one."""
        if self.path is None:
            return
        content = io.BytesIO()  # not straight to the file: torch does not say when a disk is full
        torch.save(
            {
                "run": self.identity,
                "epochs": [asdict(epoch) for epoch in history],
                "state": {name: part.state_dict() for name, part in self.parts.items()},
            },
            content,
        )
        with replacing(self.path) as temporary:
            temporary.write_bytes(content.getvalue())

    def load(self) -> list[Epoch]:
        """Give the parts the state in the file; the epochs that led there, none without a path.

        Raises: ValueError if the file is damaged or of another run; OSError if it can't be read.
        """
        if self.path is None:
            return []
        saved = self._read(self.path)
        # What was not yet noted then was as it is by default.
        before = {"data": self.identity["data"], **saved["run"]}
        if differences := _differences(before, self.identity):
            # The wish for more epochs is the commonest.
            fixed = before["recipe"]["epochs"] != self.identity["recipe"]["epochs"]
            raise ValueError(
                f"{self.path} is of another run; what differs: {', '.join(differences)}. "
                + fixed * "A run can't be made longer: its learning rates are planned to its end. "
                + "Resume with what it was started with, or start anew in another folder."
            )
        for name, part in self.parts.items():
            state = saved["state"][name]
            if name == "scaler" and state == {}:
                continue  # the run began in a precision that needs none: a fresh one does
            try:
                part.load_state_dict(state)
            except Exception as error:  # torch has no class of its own for it
                reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
                raise ValueError(
                    f"{self.path} holds a {name} that does not fit the one of this run ({reason}). "
                    "Start anew in another folder."
                ) from error
        return saved["epochs"]

    def _read(self, path: Path) -> dict[str, Any]:
        content = path.read_bytes()
        try:
            # torch does not look at the check sums that it writes.
            if damaged := zipfile.ZipFile(io.BytesIO(content)).testzip():
                raise zipfile.BadZipFile(damaged)
            # weights_only: no code that somebody else may have put there
            saved = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
            recipe = plain(Recipe(**saved["run"]["recipe"]))  # with the settings of since then
            return {
                "run": {**saved["run"], "recipe": recipe},
                "state": {name: saved["state"].get(name) for name in self.parts},
                "epochs": [Epoch.read(epoch) for epoch in saved["epochs"]],
            }
        except Exception as error:  # torch names damage in many ways, and advises to run its code
            raise ValueError(
                f"{path} is no checkpoint of this program, or damaged "
                f"({type(error).__name__}). Start anew in another folder."
            ) from error
