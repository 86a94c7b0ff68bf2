"""The dataset as a table: its first rows, columns, types and size."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from fkd.data.dataset import ARRAYS, Dataset
from fkd.data.notes import Notes, in_source
from fkd.ui.explore.source import Source

_FIRST = (5, 20, 100)
_TYPES = {"Image": "uint8, {} × {}", **dict.fromkeys(("group", "split", "source"), "text")}


def show_table(source: Source) -> None:
    """The first rows, and below what the dataset consists of."""
    faces = source.faces
    height, width = faces.images_u8.shape[1:]
    st.markdown(
        f"**{len(faces):,}** rows, **{2 * len(faces.schema)}** coordinate columns, pictures of {width} × {height} px, "
        f"{sum(getattr(faces, name).nbytes for name in ARRAYS) / 1e6:,.0f} MB in memory."
    )
    count = st.segmented_control("First rows", _FIRST, default=_FIRST[0], required=True, key="explore.first")
    st.dataframe(first_rows(faces, count))
    st.subheader("Columns", anchor=False)
    st.dataframe(
        column_types(faces),
        hide_index=True,
        width="content",
        column_config={
            "name": st.column_config.TextColumn("Name", width=230),
            "type": st.column_config.TextColumn("Type", width=120),
            "values": st.column_config.NumberColumn("Faces with a value", format="localized", width=140),
            "MB": st.column_config.NumberColumn(format="%.2f", width=70),
        },
    )


def first_rows(faces: Dataset, count: int) -> pd.DataFrame:
    """The first faces as their source has them: coordinates in pixels of its pictures, and the pixels in short."""
    rows = np.arange(min(count, len(faces)))
    points = np.round(in_source(faces, rows).reshape(len(rows), -1), 3)
    table = pd.DataFrame(points, columns=_coordinates(faces), index=pd.Index(faces.rows[rows], name="row"))
    table["Image"] = [" ".join(map(str, faces.images_u8[row].ravel()[:8])) + " …" for row in rows]
    return table


def faces_csv(source: Source, notes: Notes, rows: np.ndarray) -> bytes:
    """One line for each of the given rows, in their order: what it is, its scores, and its points in its source.

    Points are in pixels of the source's picture, corrected where they have been.
    """
    faces = source.faces
    columns: dict[str, np.ndarray] = {
        "row": faces.rows[rows],
        "source": faces.sources[rows],
        "group": faces.groups[rows],
        "split": faces.published_split[rows],
        "flagged": np.isin(rows, list(notes.flags)),
        "corrected": np.isin(rows, list(notes.corrections)),
    }
    columns |= {name: np.round(values[rows], 4) for name, values in source.quality.measures.items()}
    points = in_source(faces, rows)
    for at in np.flatnonzero(columns["corrected"]):
        points[at] = in_source(faces, rows[at], notes.corrections[rows[at]])
    flat = pd.DataFrame(np.round(points, 3).reshape(len(rows), -1), columns=_coordinates(faces))
    return pd.concat([pd.DataFrame(columns), flat], axis=1).to_csv(index=False).encode()


def _coordinates(faces: Dataset) -> list[str]:
    return [f"{keypoint}_{axis}" for keypoint in faces.schema.keypoints for axis in "xy"]


def column_types(faces: Dataset) -> pd.DataFrame:
    """One line for each column: name, type, how many faces have a value, and size."""
    coordinates = faces.points_px.reshape(len(faces), -1).T
    columns = dict(zip(_coordinates(faces), coordinates, strict=True)) | {"Image": faces.images_u8}
    columns |= {"group": faces.groups, "split": faces.published_split, "source": faces.sources}
    height, width = faces.images_u8.shape[1:]
    return pd.DataFrame(
        {
            "name": list(columns),
            "type": [_TYPES.get(name, "float32").format(width, height) for name in columns],
            "values": [
                int(np.isfinite(values).sum()) if values.dtype.kind == "f" else len(values)
                for values in columns.values()
            ],
            "MB": [round(values.nbytes / 1e6, 2) for values in columns.values()],
        }
    )
