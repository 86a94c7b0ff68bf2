"""One face large: its points with names, what is measured of it, and its labels as numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fkd.data import notes as kept
from fkd.data.dataset import Dataset
from fkd.data.notes import Notes, in_source
from fkd.data.quality import CHECKS
from fkd.schema import PREDICTION_COLOUR, TRUTH_COLOUR
from fkd.ui.explore import choice, keys
from fkd.ui.explore.notes import change
from fkd.ui.explore.source import Source
from fkd.ui.pictures import picture_figure
from fkd.ui.plots import MODEBAR, square_when_narrow

_NAMES, _EXPECTED = "Names", "Expected points"
_HEIGHT_PX = 500
_TAKEN_BACK = "explore.taken_back"


def show_face(source: Source, notes: Notes, row: int, rows: np.ndarray) -> None:
    """The face of a row, with buttons to its neighbours among the chosen `rows`."""
    _show_moves(source, notes, row, rows)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        with st.container(horizontal=True):
            names, expected = _switch(_NAMES), _switch(_EXPECTED) and source.measured
        figure = face_figure(source, notes, row, names, expected)
        with square_when_narrow("explore-face", _HEIGHT_PX):
            alt = f"Face {source.faces.rows[row]}"
            st.plotly_chart(figure, height="stretch", key=f"explore.face.{row}", config=MODEBAR, alt=alt)
        told = f"Labels in green; in magenta where {source.quality.judge} expects them. " if expected else ""
        st.caption(f"{told}Draw a box to look closer; a double click shows all again.")
    with right:
        _show_facts(source, row)
        _edit_points(source, notes, row)


def _switch(label: str) -> bool:
    """A button that is on or off in all sections; pills and toggles would keep the arrow keys to themselves."""
    key = f"explore.drawn.{label}"
    on = st.session_state.get(key, False)
    st.button(label, type="primary" if on else "secondary", on_click=st.session_state.update, args=({key: not on},))
    return on


def face_figure(source: Source, notes: Notes, row: int, names: bool, expected: bool) -> go.Figure:
    """The picture with its points; hovering names them."""
    faces = source.faces
    points_px, expected_px = notes.points_px(faces, row), source.quality.expected_px[row]
    figure = picture_figure(faces.images_u8[row], _HEIGHT_PX)
    if expected:
        _add_points(figure, faces, row, expected_px, [PREDICTION_COLOUR] * len(faces.schema), "expected", False)
        ends = np.stack([points_px, expected_px, np.full_like(points_px, np.nan)], axis=1).reshape(-1, 2)
        figure.add_scatter(
            x=ends[:, 0], y=ends[:, 1], mode="lines", line={"color": "white", "width": 1}, hoverinfo="skip"
        )
    colours = [TRUTH_COLOUR] * len(faces.schema) if expected else list(faces.schema.colours)
    _add_points(figure, faces, row, points_px, colours, "label", names)
    return figure.update_layout(showlegend=False, dragmode="zoom")


def _add_points(
    figure: go.Figure, faces: Dataset, row: int, points_px: np.ndarray, colours: list[str], kind: str, names: bool
) -> None:
    figure.add_scatter(
        x=points_px[:, 0],
        y=points_px[:, 1],
        mode="markers+text" if names else "markers",
        marker={"size": 9 if len(colours) < 30 else 6, "color": colours, "line": {"width": 1, "color": "#18181C"}},
        text=faces.schema.keypoints,
        textposition="top center",
        textfont={"size": 10, "color": "white", "shadow": "1px 1px 2px black, -1px -1px 2px black"},
        customdata=in_source(faces, row, points_px),
        hovertemplate=f"%{{text}}<br>{kind} %{{customdata[0]:.1f}}, %{{customdata[1]:.1f}}<extra></extra>",
    )


def _show_moves(source: Source, notes: Notes, row: int, rows: np.ndarray) -> None:
    """Back, previous, next and the flag; a face outside the chosen rows has the first of them next."""
    at = np.flatnonzero(rows == row)
    previous = rows[at[0] - 1] if len(at) and at[0] > 0 else None
    following = rows[at[0] + 1] if len(at) and at[0] + 1 < len(rows) else rows[0] if len(rows) and not len(at) else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All of them", icon=":material/grid_view:", shortcut="Esc", on_click=keys.close_face)
        for label, other, icon, key in (
            ("Previous", previous, ":material/chevron_left:", "Left"),
            ("Next", following, ":material/chevron_right:", "Right"),
        ):
            target = row if other is None else int(other)
            st.button(label, icon=icon, shortcut=key, disabled=other is None, on_click=keys.open_face, args=(target,))
        flagged = row in notes.flags
        st.button(
            "Take the flag back" if flagged else "Flag for review",
            icon=":material/flag:",
            shortcut="F",
            type="primary" if flagged else "secondary",
            on_click=change,
            args=(kept.set_flag, source.faces, row, not flagged),
        )
        if len(at):
            st.caption(f"{at[0] + 1:,} of {len(rows):,}", width="content")


def _show_facts(source: Source, row: int) -> None:
    faces, quality = source.faces, source.quality
    st.markdown(f"**Face {faces.rows[row]}**")
    suspicion = f"suspicion {quality.measures['suspicion'][row]:.2f}" if source.measured else "not judged yet"
    st.caption(f"Row {row:,} of the dataset · split {faces.published_split[row]} · {suspicion}")
    found = [check for check in CHECKS if quality.flagged(check)[row]]
    badges = " ".join(f":orange-badge[{check} {quality.measures[CHECKS[check].measure][row]:.3g}]" for check in found)
    st.markdown(badges or (":green-badge[No check finds anything]" if source.measured else ""))
    with st.container(horizontal=True):
        _offer_alike(source, row)


def _offer_alike(source: Source, row: int) -> None:
    """Ways to the face's group and to the face it resembles most."""
    faces, twin = source.faces, int(source.quality.twins[row])
    group = str(faces.groups[row])
    several = int((faces.groups == group).sum())
    if several > 1:
        st.button(
            f"All {several:,} of {group}",
            icon=":material/group:",
            type="tertiary",
            on_click=keys.open_faces,
            args=(choice.ALL,),
            kwargs={"group": group},
        )
    if twin != row:
        st.button(
            f"Most similar: {faces.rows[twin]}",
            help=f"Correlation {source.quality.measures['likeness'][row]:.3f}",
            icon=":material/content_copy:",
            type="tertiary",
            on_click=keys.open_face,
            args=(twin,),
        )


def _edit_points(source: Source, notes: Notes, row: int) -> None:
    """The labels as numbers that can be changed; the picture and the exported file follow."""
    faces = source.faces
    # Taking corrections back needs a table that has forgotten what was typed into it.
    key = f"explore.points.{row}.{st.session_state.setdefault(_TAKEN_BACK, 0)}"
    pixels = st.column_config.NumberColumn(format="%.2f", step=0.01, width=70)
    st.data_editor(
        points_table(source, notes, row),
        key=key,
        hide_index=True,
        height=360,
        disabled=["name", "odd", "off"],
        column_config={
            "name": st.column_config.TextColumn("Name", width=170),
            "x": pixels,
            "y": pixels,
            "odd": st.column_config.NumberColumn(
                "Odd", format="%.1f", width=55, help="Distance from where the other points put it; 1 is usual."
            ),
            "off": st.column_config.NumberColumn(
                "Off", format="%.1f", width=55, help="Distance from where it is expected; 1 is usual."
            ),
        },
        on_change=lambda: change(kept.correct, faces, row, st.session_state[key]["edited_rows"]),
    )
    st.caption("In pixels of the source's picture. Change a number to correct a point; the source stays as it is.")
    if row in notes.corrections:
        st.button("Take the corrections back", icon=":material/undo:", on_click=_take_back, args=(faces, row))


def _take_back(faces: Dataset, row: int) -> None:
    st.session_state[_TAKEN_BACK] += 1
    change(kept.take_back, faces, row)


def points_table(source: Source, notes: Notes, row: int) -> pd.DataFrame:
    """One line for each keypoint: name, x, y in pixels of the source's picture, and the two scores."""
    x, y = np.round(in_source(source.faces, row, notes.points_px(source.faces, row)), 3).T
    return pd.DataFrame(
        {
            "name": source.faces.schema.keypoints,
            "x": x,
            "y": y,
            "odd": source.quality.shape_points[row],
            "off": source.quality.disagreement_points[row],
        }
    )
