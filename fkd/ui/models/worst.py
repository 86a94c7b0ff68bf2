"""The faces at hand that weights get most wrong, with their true and predicted points."""

from __future__ import annotations

import streamlit as st

from fkd.data import schema_of
from fkd.evaluation.figures import face_cells
from fkd.evaluation.worst import WorstFaces, find_worst
from fkd.schema import Schema
from fkd.ui import work
from fkd.ui.datasets import SYNTHETIC, available_names, read_dataset, signature, ways_to_get
from fkd.ui.photos import written_ns

_SIDE_PX = 190


def show_worst(weights: str, schema: Schema, measured_on: list[str]) -> None:
    """A choice of datasets, a button that begins, and the faces.

    Args:
        weights: that are looked into.
        schema: of their points.
        measured_on: the datasets that they were measured on; the choice begins with the first that is here.
    """
    names = [name for name in available_names() if schema_of(name) == schema.name]
    order = {name: place for place, name in enumerate(measured_on)}
    names.sort(key=lambda name: (order.get(name, len(order)), name in SYNTHETIC))
    absent = [name for name in measured_on if name not in names]
    if absent:
        which, meanwhile = "The", " Meanwhile, look at synthetic ones."
        if set(measured_on) - set(absent):
            which, meanwhile = "Some of the", ""
        told = f"{which} faces that these figures are of are not here: {', '.join(absent)}."
        st.info(f"{told} {ways_to_get(absent)}{meanwhile}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        data = st.selectbox("Dataset", names, key=f"worst.{weights}.{names[0]}", width=260)
        key = ("worst faces", weights, written_ns(weights), data, signature(data))
        st.button(
            "Find the worst faces",
            type="primary",
            disabled=work.is_under_way(key),
            on_click=work.begin,
            args=(key, "Finding the worst faces", lambda: find_worst(weights, read_dataset(data))),
        )
    found: WorstFaces | None = work.follow(key)
    if found is not None:
        _show(found, data)


def _show(found: WorstFaces, data: str) -> None:
    st.caption(
        f"The worst {len(found.nme)} of {found.among:,} faces of {data} that these weights have not learned from: "
        "truth green, prediction magenta."
    )
    with st.container(horizontal=True, gap="small"):
        for cell, nme, row in zip(
            face_cells(found.faces, found.predicted_px), found.nme, found.faces.rows, strict=True
        ):
            with st.container(width=_SIDE_PX, gap="xsmall"):
                st.image(cell, width="stretch", alt=f"{row}, with true and predicted points")
                st.caption(f"NME {nme:.1f} %")
