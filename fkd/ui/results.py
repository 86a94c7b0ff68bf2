"""What the Detect page shows of its results: the photo, the times, each face with its points."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fkd.crop import invert, transform
from fkd.pipeline.draw import DrawOptions, count_unlabelled, draw_faces
from fkd.pipeline.face import Face
from fkd.schema import Schema
from fkd.ui.photos import LAST_PHOTO, SHOWN, Analysis, Photo
from fkd.ui.pictures import picture_figure
from fkd.ui.plots import MODEBAR

_STEPS = {"read": "Read", "detect": "Find faces", "crop": "Crop", "predict": "Predict", "draw": "Draw"}
_FACES_AT_ONCE = 6
_NAME_LENGTH = 12
_THUMBNAIL_PX = 112
_TALLEST_PX = 820  # so that a square photo is as wide as all else beside the sidebar on a screen of 1,280


def choose_photo(pairs: Sequence[tuple[Photo, Analysis]]) -> int:
    """A row of small pictures of several photos with a button below each; the index of the one to show."""
    shown = st.session_state.get(SHOWN)
    digests = [photo.digest for photo, _ in pairs]
    index = digests.index(shown) if shown in digests else 0
    with st.container(horizontal=True, gap="small", wrap=False):  # one row, so that the photo is seen below it
        for i, (photo, analysis) in enumerate(pairs):
            with st.container(width=_THUMBNAIL_PX, gap=None):
                st.image(_thumbnail(analysis.preview_rgb_u8), width="stretch", alt=photo.name)
                st.caption(count_faces(len(analysis.faces)))
                st.button(
                    _shortened(photo.name),
                    key=f"show.{i}",
                    help=photo.name,
                    type="primary" if i == index else "secondary",
                    width="stretch",
                    on_click=st.session_state.update,
                    args=({SHOWN: photo.digest},),
                )
    return index


def show_photo(photo: Photo, analysis: Analysis, schema: Schema, drawing: DrawOptions) -> None:
    """The annotated photo at full width, and how long each step took."""
    if analysis.faces:
        st.session_state[LAST_PHOTO] = photo
    started = time.perf_counter()
    drawn_rgb_u8 = draw_faces(analysis.preview_rgb_u8, analysis.faces_on_preview(), schema, drawing)
    milliseconds = {**analysis.milliseconds, "draw": (time.perf_counter() - started) * 1000}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader(photo.name, anchor=False, width="content")
        st.caption(f"{count_faces(len(analysis.faces))} · {analysis.width:,} × {analysis.height:,} px", width="content")
    st.image(
        drawn_rgb_u8, width=_shown_width(drawn_rgb_u8), output_format="JPEG", alt=f"{photo.name} with its keypoints"
    )
    left_out, labels = count_unlabelled(analysis.preview_rgb_u8, analysis.faces_on_preview(), schema, drawing)
    if left_out:
        told = f"{left_out} of {labels} {drawing.labels} find no room in the photo"
        st.caption(f"{told}: hover over a point in a face below for its {drawing.labels.removesuffix('s')}.")
    steps = " ".join(f":gray-badge[{label} {milliseconds[step]:.0f} ms]" for step, label in _STEPS.items())
    st.markdown(f"{steps} :gray-badge[**Together {sum(milliseconds.values()):.0f} ms**]")


def _shown_width(image_rgb_u8: np.ndarray) -> int | Literal["stretch"]:
    """A portrait is shown no taller than a screen; a wider picture takes the whole width."""
    height, width = image_rgb_u8.shape[:2]
    return "stretch" if width > height else round(_TALLEST_PX * width / height)


def show_faces(analysis: Analysis, schema: Schema) -> None:
    """Each face's crop beside the table of its points; many faces are folded away but for the first."""
    n = len(analysis.faces)
    for index in range(min(n, _FACES_AT_ONCE)):
        _show_face(analysis, index, schema)
    if n > _FACES_AT_ONCE:
        more = st.expander(f"{count_faces(n - _FACES_AT_ONCE)} more", on_change="rerun")
        if more.open:
            with more:
                for index in range(_FACES_AT_ONCE, n):
                    _show_face(analysis, index, schema)


def points_table(face: Face, schema: Schema) -> pd.DataFrame:
    """One row for each keypoint: name, x and y in pixels of the photo, score; as precise as in the files."""
    x, y = np.round(face.points_px.astype(float), 3).T
    scores = np.round(face.point_scores.astype(float), 4)
    return pd.DataFrame({"name": schema.keypoints, "x": x, "y": y, "score": scores})


def count_faces(number: int) -> str:
    """`1 face`, `2 faces`, `No face`."""
    return "No face" if number == 0 else f"{number} face{'s' if number > 1 else ''}"


def _show_face(analysis: Analysis, index: int, schema: Schema) -> None:
    face = analysis.faces[index]
    title = f"Face {index + 1} of {len(analysis.faces)}"
    with st.container(border=True):
        left, right = st.columns([2, 3], gap="medium")
        with left:
            st.markdown(f"**{title}** · score {face.score:.2f}")
            figure = crop_figure(analysis, index, schema)
            st.plotly_chart(figure, key=f"crop.{index}", config=MODEBAR, alt=f"{title}, as the network sees it")
        pixels = st.column_config.NumberColumn(format="%.1f", width=55)
        right.dataframe(
            points_table(face, schema),
            height=400,
            column_order=("name", "score", "x", "y"),  # what is cut off on a phone is told by the picture too
            column_config={
                "name": st.column_config.TextColumn("Name", width=165),
                "x": pixels,
                "y": pixels,
                "score": st.column_config.NumberColumn("Score", format="%.2f", width=60),
            },
        )


def crop_figure(analysis: Analysis, index: int, schema: Schema) -> go.Figure:
    """What the network saw of a face, upright, with its points; hovering names a point and tells its score."""
    face = analysis.faces[index]
    x, y = transform(face.points_px, invert(analysis.crops_to_photo[index])).T
    size = 9 if len(schema) < 30 else 6
    return picture_figure(analysis.crops_gray_u8[index], height=340).add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": size, "color": schema.colours, "line": {"width": 1, "color": "#18181C"}},
        text=[f"{number} · {name}" for number, name in enumerate(schema.keypoints)],
        customdata=face.point_scores,
        hovertemplate="%{text}<br>score %{customdata:.2f}<extra></extra>",
    )


def _shortened(name: str) -> str:
    """A file's name for a narrow button; its beginning tells photos of one camera apart less than its end."""
    return name if len(name) <= _NAME_LENGTH else f"…\u2060{name[1 - _NAME_LENGTH :]}"  # no break after the dots


def _thumbnail(image_rgb_u8: np.ndarray) -> np.ndarray:
    """A square from the middle, thinned to some 300 px."""
    height, width = image_rgb_u8.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    step = max(1, side // 300)
    return image_rgb_u8[top : top + side : step, left : left + side : step]
