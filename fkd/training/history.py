"""What a run has written so far, as arrays: curves over steps, epochs or time, smoothed where asked for.

history = read_history(RunFolder.open("mine"))
x, y = history.series("validation_nme", over="epoch")
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fkd.training.run import RunFolder, records_of

STEP, EPOCH, TIME = "step", "epoch", "time"
AXES = (EPOCH, STEP, TIME)
_MEASURED = b'"validation_'  # in every line that ends an epoch, and in no other
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class History:
    """The lines of metrics.jsonl as columns.

    Attributes:
        columns: (n,) float64 for each key that any line has; NaN where a line lacks it.
    """

    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @property
    def epochs_done(self) -> int:
        """Epochs that have come to their end."""
        ends = self.at_epoch_ends("epoch")
        return int(ends[-1]) if len(ends) else 0

    def column(self, name: str) -> np.ndarray:
        """(n,) float64; all NaN for what the run never wrote."""
        return self.columns.get(name, np.full(len(self), np.nan))

    def at_epoch_ends(self, name: str) -> np.ndarray:
        """(epochs,) values of the lines that end an epoch."""
        return self.column(name)[self._ends]

    def series(self, name: str, over: str) -> tuple[np.ndarray, np.ndarray]:
        """A curve's x and y, (m,) each: where both are finite.

        The loss of an epoch's end is its mean over the epoch; where there are lines from inside that epoch, only
        these are part of the curve, which would jump back and forth between the two.

        Args:
            name: a key of metrics.jsonl.
            over: `epoch`, `step`, or `time` in minutes of training.
        """
        x = self.column("seconds") / 60 if over == TIME else self.column(over)
        y = self.column(name)
        shown = np.isfinite(x) & np.isfinite(y)
        if name == "train_loss":
            shown &= ~(self._ends & np.isin(self.column("epoch"), self._epochs_with_inner_lines))
        return x[shown], y[shown]

    def best(self) -> dict[str, float]:
        """The line with the lowest validation NME, as far as it is known; empty before the first epoch's end."""
        nme = self.column("validation_nme")
        if not np.isfinite(nme).any():
            return {}
        row = int(np.nanargmin(nme))
        return {name: float(values[row]) for name, values in self.columns.items() if np.isfinite(values[row])}

    @property
    def _ends(self) -> np.ndarray:
        return np.isfinite(self.column("validation_nme")) | np.isfinite(self.column("validation_rmse_px"))

    @property
    def _epochs_with_inner_lines(self) -> np.ndarray:
        return np.unique(np.ceil(self.column("epoch")[~self._ends]))


# The last reading of each file, with and without the lines inside epochs, and when it was written and how long it was.
_kept: dict[tuple[Path, bool], tuple[tuple[int, int], History]] = {}


def read_history(folder: RunFolder) -> History:
    """All that the run has measured; a file that has not changed is not read again."""
    return _read_if_changed(folder, ends_only=False)


def read_epochs(folder: RunFolder) -> History:
    """The same for the lines that end an epoch alone, which takes a fraction of the time."""
    return _read_if_changed(folder, ends_only=True)


def _read_if_changed(folder: RunFolder, *, ends_only: bool) -> History:
    path = folder.path / "metrics.jsonl"
    kept = _kept.get((path, ends_only))
    try:
        status = path.stat()
        written = status.st_mtime_ns, status.st_size
        if kept is None or kept[0] != written:
            kept = _kept[path, ends_only] = written, _read(path, ends_only)
        return kept[1]
    except FileNotFoundError:  # not begun, or deleted meanwhile
        _kept.pop((path, ends_only), None)
        return History({})


def _read(path: Path, ends_only: bool) -> History:
    lines = path.read_bytes().split(b"\n")[:-1]
    return as_history(records_of([line for line in lines if _MEASURED in line] if ends_only else lines))


def as_history(records: list[dict[str, Any]]) -> History:
    """Lines of metrics.jsonl as columns; whatever is no number is left out."""
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: np.array([_number(record.get(name)) for record in records]) for name in names}
    return History({name: values for name, values in columns.items() if np.isfinite(values).any()})


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Running mean of (n,) values, each earlier one counting `weight` times the next; 0 leaves them as they are.

    The mean is divided by the sum of its weights, so that it doesn't start at 0 (Adam's correction).
    """
    smoothed = np.empty_like(values, dtype=np.float64)
    total = weights = 0.0
    for i, value in enumerate(values):
        total, weights = weight * total + value, weight * weights + 1
        smoothed[i] = total / weights
    return smoothed


def tail(path: Path, lines: int) -> str:
    """The last lines of a text file, read from its end; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - _TAIL_BYTES, 0))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
