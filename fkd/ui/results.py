"""What the Detect page shows of its results: the photo, the times, each face with its points."""

from __future__ import annotations

import time
from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from fkd.crop import invert, transform
from fkd.pipeline.draw import DrawOptions, draw_faces, draw_points
from fkd.pipeline.face import Face
from fkd.schema import Schema
from fkd.ui.photos import Analysis, Photo

_STEPS = {"read": "Read", "detect": "Find faces", "crop": "Crop", "predict": "Predict", "draw": "Draw"}
_FACES_AT_ONCE = 6
_CROP_PX = 512
_NAME_LENGTH = 16


def choose_photo(pairs: Sequence[tuple[Photo, Analysis]]) -> int:
    """Small pictures of several photos with a button below each; the index of the one to show."""
    shown = st.session_state.get("detect.shown")
    digests = [photo.digest for photo, _ in pairs]
    index = digests.index(shown) if shown in digests else 0
    with st.container(horizontal=True, gap="small", height=250 if len(pairs) > 12 else "content"):
        for i, (photo, analysis) in enumerate(pairs):
            with st.container(width=148, gap="xsmall"):
                st.image(_thumbnail(analysis.preview_rgb_u8), width="stretch", alt=photo.name)
                st.button(
                    _shortened(photo.name),
                    key=f"show.{i}",
                    help=f"{photo.name}: {count_faces(len(analysis.faces))}",
                    type="primary" if i == index else "secondary",
                    width="stretch",
                    on_click=st.session_state.update,
                    args=({"detect.shown": photo.digest},),
                )
    return index


def show_photo(photo: Photo, analysis: Analysis, schema: Schema, drawing: DrawOptions) -> None:
    """The annotated photo at full width, and how long each step took."""
    started = time.perf_counter()
    drawn_rgb_u8 = draw_faces(analysis.preview_rgb_u8, analysis.faces_on_preview(), schema, drawing)
    milliseconds = {**analysis.milliseconds, "draw": (time.perf_counter() - started) * 1000}
    st.subheader(photo.name, anchor=False)
    st.caption(f"{count_faces(len(analysis.faces))} · {analysis.width:,} × {analysis.height:,} px")
    st.image(drawn_rgb_u8, width="stretch", output_format="JPEG", alt=f"{photo.name} with its keypoints")
    steps = " ".join(f":gray-badge[{label} {milliseconds[step]:.0f} ms]" for step, label in _STEPS.items())
    st.markdown(f"{steps} :gray-badge[**Together {sum(milliseconds.values()):.0f} ms**]")


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
        left, right = st.columns([1, 2], gap="medium")
        with left:
            st.markdown(f"**{title}** · score {face.score:.2f}")
            st.image(_drawn_crop(analysis, index, schema), width="stretch", alt=f"{title}, as the network sees it")
        pixels = st.column_config.NumberColumn(format="%.1f", width=60)
        right.dataframe(
            points_table(face, schema),
            height=400,
            column_config={
                "name": st.column_config.TextColumn("Name", width=130),
                "x": pixels,
                "y": pixels,
                "score": st.column_config.ProgressColumn("Score", format="%.2f", min_value=0, max_value=1, width=90),
            },
        )


def _drawn_crop(analysis: Analysis, index: int, schema: Schema) -> np.ndarray:
    """What the network saw of a face, enlarged, with its points."""
    crop_gray_u8 = analysis.crops_gray_u8[index]
    factor = _CROP_PX / len(crop_gray_u8)
    points_px = transform(analysis.faces[index].points_px, invert(analysis.crops_to_photo[index]))
    large = cv2.resize(crop_gray_u8, (_CROP_PX, _CROP_PX), interpolation=cv2.INTER_CUBIC)
    return draw_points(
        cv2.cvtColor(large, cv2.COLOR_GRAY2RGB), (points_px + 0.5) * factor - 0.5, schema.colours, radius_px=3
    )


def _shortened(name: str) -> str:
    """A file's name for a narrow button; its beginning tells photos of one camera apart less than its end."""
    return name if len(name) <= _NAME_LENGTH else f"…{name[1 - _NAME_LENGTH :]}"


def _thumbnail(image_rgb_u8: np.ndarray) -> np.ndarray:
    """A square from the middle, thinned to some 300 px."""
    height, width = image_rgb_u8.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    step = max(1, side // 300)
    return image_rgb_u8[top : top + side : step, left : left + side : step]
