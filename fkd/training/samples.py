"""What a run shows of itself beside its figures: the same few validation faces after each epoch, and the worst.

samples/faces.npz       pictures and true points, written once
samples/epoch-0001.npz  where the points were predicted after an epoch, and the error of each keypoint
samples/worst.npz       the faces with the largest errors after the last epoch

Each file is written aside and renamed, so that a reader never meets half of one.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fkd.errors import FkdError
from fkd.paths import put_in_place

SHOWN = 8


class Faces(NamedTuple):
    """Crops as the network sees them: `images_u8` (n, s, s), `points_px` (n, k, 2) the truth in crop pixels."""

    images_u8: np.ndarray
    points_px: np.ndarray


class WorstFaces(NamedTuple):
    """The worst first: crops (n, s, s), predicted and true points (n, k, 2) in crop pixels, NME (n,) in percent."""

    images_u8: np.ndarray
    points_px: np.ndarray
    true_px: np.ndarray
    nme: np.ndarray


class Samples:
    """Reads and writes the samples of one run; safe to read while they are written.

    n is `SHOWN`, or less where fewer faces are watched. Missing labels are NaN.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write_faces(self, images_u8: np.ndarray, points_px: np.ndarray) -> None:
        """Keep the faces that are shown after each epoch.

        Args:
            images_u8: (n, s, s) uint8 crops.
            points_px: (n, k, 2) true points in crop pixels.
        """
        self._write("faces", images_u8=images_u8, points_px=points_px)

    def write_epoch(self, epoch: int, points_px: np.ndarray, keypoint_nme: np.ndarray) -> None:
        """Keep what was predicted after an epoch.

        Args:
            epoch: number of complete epochs.
            points_px: (n, k, 2) predicted points in crop pixels.
            keypoint_nme: (k,) error of each keypoint over all validation faces, in percent of the eye distance.
        """
        self._write(f"epoch-{epoch:04d}", points_px=points_px, keypoint_nme=keypoint_nme)

    def write_worst(self, images_u8: np.ndarray, points_px: np.ndarray, true_px: np.ndarray, nme: np.ndarray) -> None:
        """Keep the faces with the largest errors, the worst first; arguments as in `WorstFaces`."""
        self._write("worst", images_u8=images_u8, points_px=points_px, true_px=true_px, nme=nme)

    def faces(self) -> Faces | None:
        """The faces that are shown; None before the first epoch has ended."""
        stored = self._read("faces")
        return Faces(**stored) if stored else None

    def epochs(self) -> list[int]:
        """Epochs there are predictions of, ascending."""
        return sorted(int(path.stem.removeprefix("epoch-")) for path in self.folder.glob("epoch-*.npz"))

    def predicted_px(self, epoch: int) -> np.ndarray:
        """(n, k, 2) points predicted after an epoch, in crop pixels; `FkdError` where there are none."""
        return self._read_epoch(epoch)["points_px"]

    def keypoint_nme(self, epoch: int) -> np.ndarray:
        """(k,) errors after an epoch in percent of the eye distance; `FkdError` where there are none."""
        return self._read_epoch(epoch)["keypoint_nme"]

    def worst(self) -> WorstFaces | None:
        """The faces with the largest errors after the last epoch; None before the first has ended."""
        stored = self._read("worst")
        return WorstFaces(**stored) if stored else None

    def _read_epoch(self, epoch: int) -> dict[str, np.ndarray]:
        stored = self._read(f"epoch-{epoch:04d}")
        if not stored:
            raise FkdError(f"The run kept no samples of epoch {epoch}; choose another.")
        return stored

    def _write(self, name: str, **arrays: np.ndarray) -> None:
        self.folder.mkdir(exist_ok=True)
        aside = self.folder / f"{name}.tmp"
        with aside.open("wb") as file:
            np.savez_compressed(file, **{key: _small(array) for key, array in arrays.items()})  # type: ignore[arg-type]
        put_in_place(aside, self.folder / f"{name}.npz")

    def _read(self, name: str) -> dict[str, np.ndarray]:
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise FkdError(f"The samples {path} are damaged ({error}); delete the file.") from None


def _small(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array
