"""Which labels are missing, what each treatment does to them, and whether two people labelled by other habits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fkd.crop import transform
from fkd.data.dataset import Dataset
from fkd.data.missing import TREATMENTS, interpolate_columns, invented, treat_missing
from fkd.data.shape import similarity
from fkd.schema import PREDICTION_COLOUR, TRUTH_COLOUR
from fkd.ui.explore import choice, keys
from fkd.ui.explore.source import Source
from fkd.ui.pictures import picture_figure, with_points
from fkd.ui.plots import MODEBAR, tidy

_BANDS = 150
_MEAN_OF = 500  # faces in a mean picture
_TABLE_PX = 563  # fifteen rows and their head
_FEWEST = 20  # faces of each kind, for their means to be worth comparing
_TREATED = {
    "mask": "Every face is used; a missing label has no say in loss and errors. The default of training.",
    "drop": "Faces with any missing label are left out.",
    "interpolate": "Each missing coordinate is drawn between those of the faces above and below in the file. "
    "These are other people, so the points are invented: look at some of them.",
}


def show_labels(source: Source) -> None:
    """The table per keypoint, the matrix over the file, the treatments, and the comparison where it applies."""
    faces = source.faces
    if faces.complete.all():
        st.success("No label is missing.", icon=":material/check_circle:")
        _show_table(faces)
        return
    left, right = st.columns([7, 5], gap="medium")
    with left:
        _show_table(faces)
    with right:
        st.plotly_chart(matrix_figure(faces), config=MODEBAR, key="explore.matrix", alt="Matrix of missing labels")
    _show_treatments(faces)
    _show_labellers(faces)


def keypoint_table(faces: Dataset) -> pd.DataFrame:
    """One line for each keypoint: labels there and missing, and its mean place in pixels of the dataset's pictures."""
    present = np.isfinite(faces.points_px).all(axis=2)
    points = np.ma.masked_invalid(faces.points_px.astype(np.float64))
    (x, y), (spread_x, spread_y) = points.mean(axis=0).filled(np.nan).T, points.std(axis=0).filled(np.nan).T
    return pd.DataFrame(
        {
            "name": faces.schema.keypoints,
            "labelled": present.sum(axis=0),
            "missing": (~present).sum(axis=0),
            "share": (~present).mean(axis=0),
            "x": x,
            "y": y,
            "spread": np.hypot(spread_x, spread_y),
        }
    )


def matrix_figure(faces: Dataset) -> go.Figure:
    """Share of missing labels for each keypoint in bands of faces, in the order of the file."""
    missing = (~np.isfinite(faces.points_px).all(axis=2)).astype(float)
    edges = np.linspace(0, len(faces), min(_BANDS, len(faces)) + 1).astype(int)
    shares = np.add.reduceat(missing, edges[:-1], axis=0) / np.diff(edges)[:, None]
    figure = go.Figure(
        go.Heatmap(
            z=shares.T,
            x=edges[:-1],
            y=faces.schema.keypoints,
            zmin=0,
            zmax=1,
            colorscale=[[0, "rgba(128,128,128,0.15)"], [1, "#D55E00"]],
            colorbar={"title": "missing", "tickformat": ".0%", "thickness": 10},
            hovertemplate="%{y}<br>from face %{x}: %{z:.0%} missing<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", ticks="", tickfont={"size": 11})
    figure.update_xaxes(title="place in the file")
    return tidy(figure, _TABLE_PX)


def _show_table(faces: Dataset) -> None:
    table = keypoint_table(faces)
    number = st.column_config.NumberColumn(format="%.1f", width=60)
    event = st.dataframe(
        table.drop(columns="labelled" if len(table) > 30 else []),
        hide_index=True,
        height=_TABLE_PX,
        key=f"explore.keypoints.{faces.schema.name}",  # a chosen row stays with its table
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "name": st.column_config.TextColumn("Keypoint", width=175),
            "labelled": st.column_config.NumberColumn("Labelled", format="localized", width=75),
            "missing": st.column_config.NumberColumn("Missing", format="localized", width=70),
            "share": st.column_config.ProgressColumn("Share", format="percent", min_value=0, max_value=1, width=90),
            "x": number,
            "y": number,
            "spread": st.column_config.NumberColumn(
                "Spread", format="%.1f", width=65, help="Standard deviation in pixels of the dataset's pictures."
            ),
        },
    )
    chosen = event.selection.rows
    if chosen:
        name = faces.schema.keypoints[chosen[0]]
        st.button(
            f"Faces without {name}",
            icon=":material/arrow_forward:",
            disabled=not table["missing"][chosen[0]],
            on_click=keys.open_faces,
            args=(choice.without(name),),
        )


def _show_treatments(faces: Dataset) -> None:
    st.subheader("What can be done about it", anchor=False)
    treatment = st.segmented_control(
        "Treatment",
        TREATMENTS,
        default="mask",
        required=True,
        format_func=str.capitalize,
        key="explore.treatment",
        persist_state="session",
        label_visibility="collapsed",
    )
    treated = treat_missing(faces, treatment)
    made_up = int(invented(faces, treated).sum()) if treatment == "interpolate" else 0
    labels = int(np.isfinite(treated.points_px).all(axis=2).sum()) - made_up
    st.markdown(
        f"{_TREATED[treatment]}  \n**{len(treated):,}** faces, **{labels:,}** true labels, **{made_up:,}** invented."
    )
    if treatment == "interpolate":
        _show_invented(faces)


def _show_invented(faces: Dataset) -> None:
    """The first faces with gaps, true labels in green and invented ones in magenta."""
    rows = np.flatnonzero(~faces.complete)[:6]
    points_px = interpolate_columns(faces.points_px)
    with st.container(horizontal=True):
        for row in rows.tolist():
            known = np.isfinite(faces.points_px[row]).all(axis=1)
            st.image(
                mark_invented(faces.images_u8[row], points_px[row], known),
                width=165,
                caption=f"{faces.rows[row]}: {int((~known).sum())} invented",
                output_format="JPEG",
            )


def mark_invented(image_gray_u8: np.ndarray, points_px: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB, enlarged: true labels in green, invented ones in magenta."""
    colours = [TRUTH_COLOUR if is_known else PREDICTION_COLOUR for is_known in known]
    return with_points(image_gray_u8, points_px, colours, 400, 5)


def compare_labellers(faces: Dataset) -> pd.DataFrame | None:
    """Mean shape of the complete faces beside that of the faces with gaps; None where either are few.

    Returns:
        Over the keypoints that most of both have: `name`, mean `x` and `y` of the complete faces in pixels of
        the dataset's pictures, `x_gaps` and `y_gaps` of the others after a similarity that brings them closest,
        and the `offset` between them in percent of the distance between the outermost of these points.
    """
    kinds = [faces.complete, ~faces.complete]
    if min(kind.sum() for kind in kinds) < _FEWEST:
        return None
    present = np.isfinite(faces.points_px).all(axis=2)
    common = np.flatnonzero(np.all([present[kind].mean(axis=0) > 0.5 for kind in kinds], axis=0))
    if len(common) < 3:  # two points always fit
        return None
    full, gaps = (np.nanmean(faces.points_px[kind][:, common].astype(np.float64), axis=0) for kind in kinds)
    gaps = transform(gaps, similarity(gaps[None], full)[0])
    extent = np.linalg.norm(full[:, None] - full, axis=-1).max()
    return pd.DataFrame(
        {
            "name": np.array(faces.schema.keypoints)[common],
            "x": full[:, 0],
            "y": full[:, 1],
            "x_gaps": gaps[:, 0],
            "y_gaps": gaps[:, 1],
            "offset": 100 * np.linalg.norm(gaps - full, axis=1) / extent,
        }
    )


def _show_labellers(faces: Dataset) -> None:
    table = compare_labellers(faces)
    if table is None:
        return
    st.subheader("Two ways of labelling", anchor=False)
    st.caption(
        f"The {int(faces.complete.sum()):,} complete faces and the {int((~faces.complete).sum()):,} with gaps may come "
        "from two labellers. Their mean shapes over the points that most of both have, the second brought onto the "
        "first by shift, turn and scale: what still differs is habit."
    )
    left, right = st.columns(2, gap="medium")
    left.dataframe(
        table,
        hide_index=True,
        column_config={
            "name": st.column_config.TextColumn("Keypoint", width=170),
            **{axis: st.column_config.NumberColumn(axis, format="%.2f", width=70) for axis in "xy"},
            **{
                f"{axis}_gaps": st.column_config.NumberColumn(f"{axis}, gaps", format="%.2f", width=70) for axis in "xy"
            },
            "offset": st.column_config.NumberColumn("Offset", format="%.2f %%", width=80),
        },
    )
    right.plotly_chart(_labellers_figure(faces, table), config=MODEBAR, key="explore.labellers", alt="Two mean shapes")


def _labellers_figure(faces: Dataset, table: pd.DataFrame) -> go.Figure:
    mean_u8 = faces.images_u8[faces.complete][:_MEAN_OF].mean(axis=0).astype(np.uint8)
    figure = picture_figure(mean_u8, height=400)
    for suffix, name, symbol, colour in (("", "complete", "circle", "#56B4E9"), ("_gaps", "with gaps", "x", "#E69F00")):
        figure.add_scatter(
            x=table[f"x{suffix}"],
            y=table[f"y{suffix}"],
            mode="markers",
            name=name,
            text=table["name"],
            marker={"symbol": symbol, "size": 10, "color": colour, "line": {"width": 1, "color": "#18181C"}},
            hovertemplate="%{text}<br>%{x:.1f}, %{y:.1f}<extra>" + name + "</extra>",
        )
    return figure.update_layout(legend={"orientation": "h"})
