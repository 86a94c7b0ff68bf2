"""The dataset as a table: its first rows, columns, types and size."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from fkd.data.dataset import ARRAYS, Dataset
from fkd.ui.explore.notes import in_source
from fkd.ui.explore.source import Source

_FIRST = (5, 20, 100)


def show_table(source: Source) -> None:
    """The first rows, and below what the dataset consists of."""
    faces = source.faces
    height, width = faces.images_u8.shape[1:]
    st.markdown(
        f"**{len(faces):,}** rows, **{2 * len(faces.schema)}** coordinate columns, pictures of {width} × {height} px, "
        f"{sum(getattr(faces, name).nbytes for name in ARRAYS) / 2**20:,.0f} MB in memory."
    )
    count = st.segmented_control("First rows", _FIRST, default=_FIRST[0], required=True, key="explore.first")
    st.dataframe(first_rows(faces, count))
    st.subheader("Columns", anchor=False)
    st.dataframe(column_types(faces), hide_index=True)


def first_rows(faces: Dataset, count: int) -> pd.DataFrame:
    """The first faces as their source has them: coordinates in pixels of its pictures, and the pixels in short."""
    rows = range(min(count, len(faces)))
    points = np.array([in_source(faces, row, faces.points_px[row]).ravel() for row in rows])
    names = [f"{keypoint}_{axis}" for keypoint in faces.schema.keypoints for axis in "xy"]
    table = pd.DataFrame(np.round(points, 3), columns=names, index=pd.Index(faces.rows[: len(rows)], name="row"))
    table["Image"] = [" ".join(map(str, faces.images_u8[row].ravel()[:8])) + " …" for row in rows]
    return table


def column_types(faces: Dataset) -> pd.DataFrame:
    """One line for each array of the dataset: name, type, shape, size."""
    arrays = [getattr(faces, name) for name in ARRAYS]
    return pd.DataFrame(
        {
            "name": ARRAYS,
            "type": [str(array.dtype) for array in arrays],
            "shape": [" × ".join(map(str, array.shape)) for array in arrays],
            "MB": [round(array.nbytes / 2**20, 2) for array in arrays],
        }
    )
