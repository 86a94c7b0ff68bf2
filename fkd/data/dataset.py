"""`Dataset`: grey faces with their points, the one form in which every source is handed on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fkd.schema import Schema

# Everything that has one entry for each face, in the order of the fields.
ARRAYS = (
    *("images_u8", "points_px", "groups", "sources", "rows", "published_split"),
    *("to_source", "source_size"),
)


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
        to_source: (n, 2, 3) float64 maps from pixels of `images_u8` to those of the picture in the source;
            the identity unless given.
        source_size: (n, 2) int32 width and height of that picture; those of `images_u8` unless given.

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
    to_source: np.ndarray = None  # type: ignore[assignment]
    source_size: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(self.images_u8)
        if self.to_source is None:
            object.__setattr__(self, "to_source", np.tile(np.eye(2, 3), (n, 1, 1)))
        if self.source_size is None:
            size = np.array(self.images_u8.shape[:0:-1], np.int32)
            object.__setattr__(self, "source_size", np.tile(size, (n, 1)))
        expected: dict[str, tuple[int, ...]] = dict.fromkeys(("groups", "sources", "rows", "published_split"), (n,))
        expected |= {"points_px": (n, len(self.schema), 2), "to_source": (n, 2, 3), "source_size": (n, 2)}
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
        return replace(self, **{field: getattr(self, field)[which] for field in ARRAYS})


def concatenate(parts: list[Dataset]) -> Dataset:
    """One dataset of all rows; schemas and picture sizes must agree (`ValueError` otherwise)."""
    if len({(part.schema.name, part.images_u8.shape[1:]) for part in parts}) != 1:
        raise ValueError("datasets to be joined differ in schema or picture size")
    if len(parts) == 1:
        return parts[0]
    joined = {field: np.concatenate([getattr(part, field) for part in parts]) for field in ARRAYS}
    return Dataset("+".join(part.name for part in parts), parts[0].schema, **joined)
