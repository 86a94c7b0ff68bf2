"""`Dataset`: grey faces with their points, the one form in which every source is handed on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fkd.schema import Schema


@dataclass(frozen=True)
class Dataset:
    """Faces of one schema, all pictures of one size.

    Attributes:
        name: what `--data` calls it; parts of a joint dataset are joined with `+`.
        schema: which points the faces have.
        images_u8: (n, h, w) uint8 grey pictures.
        points_px: (n, k, 2) float32 x, y in pixels of `images_u8`; NaN where a label is missing.
        groups: (n,) str: person or cluster of near-duplicates; a split never parts a group.
        sources: (n,) str: the source each row comes from.
        rows: (n,) str: the row's name in its source, a file name or row number.
        published_split: (n,) str: the file it was published in, such as `training` or `test`.

    Raises:
        ValueError: when shapes or dtypes do not fit together.
    """

    name: str
    schema: Schema
    images_u8: np.ndarray
    points_px: np.ndarray
    groups: np.ndarray
    sources: np.ndarray
    rows: np.ndarray
    published_split: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.images_u8)
        expected: dict[str, tuple[int, ...]] = dict.fromkeys(("groups", "sources", "rows", "published_split"), (n,))
        expected["points_px"] = (n, len(self.schema), 2)
        for field, shape in expected.items():
            received = getattr(self, field).shape
            if received != shape:
                raise ValueError(f"{field}: expected shape {shape}, received {received}")
        if self.images_u8.dtype != np.uint8 or self.images_u8.ndim != 3:
            raise ValueError(
                f"images_u8: expected (n, h, w) uint8, received {self.images_u8.shape} {self.images_u8.dtype}"
            )

    def __len__(self) -> int:
        return len(self.images_u8)

    @property
    def complete(self) -> np.ndarray:
        """(n,) bool: rows with every label present."""
        return np.isfinite(self.points_px).all(axis=(1, 2))

    def subset(self, which: np.ndarray) -> Dataset:
        """The rows chosen by an index or boolean array, in its order."""
        arrays = ("images_u8", "points_px", "groups", "sources", "rows", "published_split")
        return replace(self, **{field: getattr(self, field)[which] for field in arrays})


def concatenate(parts: list[Dataset]) -> Dataset:
    """One dataset of all rows; schemas and picture sizes must agree (`ValueError` otherwise)."""
    if len({(part.schema.name, part.images_u8.shape[1:]) for part in parts}) != 1:
        raise ValueError("datasets to be joined differ in schema or picture size")
    if len(parts) == 1:
        return parts[0]
    arrays = ("images_u8", "points_px", "groups", "sources", "rows", "published_split")
    joined = {field: np.concatenate([getattr(part, field) for part in parts]) for field in arrays}
    return Dataset("+".join(part.name for part in parts), parts[0].schema, **joined)
