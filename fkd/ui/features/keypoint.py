"""One keypoint: where the network sees it, and what moves it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
import streamlit as st

from fkd import inspect
from fkd.inspect import Occlusion
from fkd.mosaic import colourise, colourise_signed, overlay
from fkd.pipeline.draw import draw_points
from fkd.schema import GROUP_COLOURS, PREDICTION_COLOUR, Schema
from fkd.ui import work
from fkd.ui.features.looks import Look
from fkd.ui.features.maps import npz
from fkd.ui.features.scale import show_scale
from fkd.ui.photos import shared_model
from fkd.ui.pictures import png
from fkd.ui.plots import bar_for, tidy

_PLACE = "features.occlusion"
_DIRECTIONS = {"Any way": None, "Sideways": 0, "Up or down": 1}
_ENDS = {None: ("Little", "much"), 0: ("To the left", "to the right"), 1: ("Upwards", "downwards")}
_COLOURS = "magma"
_LARGE_PX = 512
_ELSEWHERE_COLOUR = "#8A93A3"


@dataclass(frozen=True)
class _Chosen:
    """What a person asks about: which keypoint, along which axis, and how strongly maps are laid over the face."""

    keypoint: int
    name: str
    axis: int | None
    opacity: float


def show_keypoint(look: Look) -> None:
    """Choose a keypoint; where the network sees it beside what moves it, and the answer in a sentence."""
    chosen = _choose(look.model.card.schema)
    answer = st.empty()
    left, right = st.columns(2, gap="medium")
    with left:
        seen = _show_where_it_is_seen(look, chosen)
    with right if seen else left:
        st.markdown("**What moves it**")
        found = _occlusion(look)
        if found is not None:
            _show_what_moves_it(look, chosen, found)
    if found is not None:
        with right if not seen else st.container():
            _show_parts(look, chosen, found)
        answer.markdown(f"#### {_in_words(look, chosen, found)}", anchors=False)


def _choose(schema: Schema) -> _Chosen:
    names = schema.keypoints
    with st.container(horizontal=True, gap="medium"):
        name = st.selectbox(
            "Keypoint",
            names,
            index=_default_keypoint(names),
            format_func=lambda name: name.replace("_", " "),
            key="keypoint",
            bind="query-params",
            width=240,
        )
        direction = st.segmented_control(
            "Direction", list(_DIRECTIONS), default="Any way", required=True, key="features.direction"
        )
        opacity = st.slider("Opacity of the maps", 0.0, 1.0, 0.8, 0.05, key="features.keypoint.opacity", width=220)
    return _Chosen(names.index(name), name.replace("_", " "), _DIRECTIONS[direction], opacity)


def _default_keypoint(names: tuple[str, ...]) -> int:
    """The left mouth corner, which smiles and speech move most."""
    return next((i for i, name in enumerate(names) if "left" in name and "corner" in name and "mouth" in name), 0)


def _show_where_it_is_seen(look: Look, chosen: _Chosen) -> bool:
    """The heatmap where there are any, Grad-CAM for other networks that have maps; whether there was either."""
    found = inspect.heatmaps(look.model, look.crop_gray_u8)
    if found is not None:
        values = found.probabilities[chosen.keypoint]
        st.markdown("**Where the network sees it**")
        st.caption(
            f"Its heatmap, from which the point is decoded · spread {found.spread_px[chosen.keypoint]:.1f} px of the "
            f"crop · score {look.point_scores[chosen.keypoint]:.2f}"
        )
        smooth = cv2.resize(values, look.crop_gray_u8.shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0)
        drawn = _show_over_face(look, chosen, colourise(smooth, _COLOURS), smooth, "heatmap")
        show_scale("Improbable", "probable", _COLOURS)
        _offer(chosen, "heatmap", drawn, values)
        return True
    if any(layer.stride is not None for layer in look.layers):
        st.markdown("**What pushes it**")
        st.caption("Grad-CAM: which places of the last maps push its coordinates, by their gradient.")
        push = look.grad_cam(chosen.keypoint)
        values = np.linalg.norm(push, axis=-1) if chosen.axis is None else push[:, :, chosen.axis]
        heat_rgb_u8 = _coloured(values, chosen.axis, float(np.abs(values).max()))
        drawn = _show_over_face(look, chosen, heat_rgb_u8, np.abs(values), "grad-cam")
        show_scale(*_ENDS[chosen.axis], None if chosen.axis is not None else _COLOURS)
        _offer(chosen, "grad-cam", drawn, push)
        return True
    return False


def _occlusion(look: Look) -> Occlusion | None:
    """Which covered place moves which keypoint; until that is known its progress, and a button once it was stopped."""
    key = ("occlusion", *look.key)
    wanted = (key, "Covering the face", partial(inspect.occlusion, shared_model(look.weights), look.crop_gray_u8))
    if work.turn_to(_PLACE, key):
        work.ensure(*wanted)
    found = work.follow(key)
    if found is None and not work.is_under_way(key):
        st.caption("It is not known yet.")
        st.button("Cover the face place by place", icon=":material/play_arrow:", on_click=work.begin, args=wanted)
    return found


def _show_what_moves_it(look: Look, chosen: _Chosen, found: Occlusion) -> None:
    size = look.crop_gray_u8.shape[0]
    if chosen.axis is None:
        values, furthest_px = found.distance_map(chosen.keypoint, size), found.strongest(chosen.keypoint)[1]
    else:
        values = found.shift_map(chosen.keypoint, chosen.axis, size)
        furthest_px = float(np.abs(found.shift_px[:, :, chosen.keypoint, chosen.axis]).max())
    st.caption(f"Occlusion: how far it moves when a grey square of {found.patch_px} px covers the place.")
    heat_rgb_u8 = _coloured(values, chosen.axis, furthest_px)  # of the squares: the map between them is a little less
    drawn = _show_over_face(look, chosen, heat_rgb_u8, np.abs(values), "occlusion")
    if furthest_px:
        _show_shifts(chosen.axis, furthest_px)
    _offer(chosen, "occlusion", drawn, found.shift_px[:, :, chosen.keypoint])


def _show_shifts(axis: int | None, furthest_px: float) -> None:
    """What the colours of a map of movements mean."""
    if axis is None:
        show_scale("0 px", f"{furthest_px:.1f} px", _COLOURS)
    else:
        low, high = _ENDS[axis]
        show_scale(f"{low} by {furthest_px:.1f} px", high)


def _coloured(values: np.ndarray, axis: int | None, limit: float) -> np.ndarray:
    return colourise(values, _COLOURS, (0.0, limit)) if axis is None else colourise_signed(values, limit)


def _show_over_face(
    look: Look, chosen: _Chosen, heat_rgb_u8: np.ndarray, strength: np.ndarray, what: str
) -> np.ndarray:
    """The enlarged face under a map, with the predicted point; (s, s, 3) uint8."""
    factor = _LARGE_PX / look.crop_gray_u8.shape[0]
    large = cv2.resize(look.crop_gray_u8, (_LARGE_PX, _LARGE_PX), interpolation=cv2.INTER_CUBIC)
    point = (look.points_px[chosen.keypoint : chosen.keypoint + 1] + 0.5) * factor - 0.5
    laid = overlay(large, heat_rgb_u8, chosen.opacity, strength)
    drawn = draw_points(laid, point, [PREDICTION_COLOUR], radius_px=6)
    st.image(drawn, width="stretch", alt=f"{what.capitalize()} of {chosen.name} over the face")
    return drawn


def _offer(chosen: _Chosen, what: str, drawn_rgb_u8: np.ndarray, values: np.ndarray) -> None:
    """The picture and the numbers behind it as files."""
    stem = f"{chosen.name.replace(' ', '_')}_{what}"
    common: dict[str, Any] = {"on_click": "ignore", "icon": ":material/download:"}
    with st.container(horizontal=True):
        st.download_button("PNG", lambda: png(drawn_rgb_u8), f"{stem}.png", "image/png", key=f"{what}.png", **common)
        st.download_button("NPZ", lambda: npz({"map": values}), f"{stem}.npz", key=f"{what}.npz", **common)


def _show_parts(look: Look, chosen: _Chosen, found: Occlusion) -> None:
    """How far covering each part of the face moves the keypoint."""
    parts = found.by_part(chosen.keypoint, look.points_px, look.model.card.schema)
    if not any(parts.values()):
        return
    st.markdown("**Which part moves it**")
    st.caption(f"How far {chosen.name} moves at most when something of the part is covered, in pixels of the crop.")
    st.plotly_chart(
        parts_figure(parts),
        key="features.parts",
        config=bar_for(f"what_moves_{chosen.name.replace(' ', '_')}"),
        alt=f"How far {chosen.name} moves when each part of the face is covered",
    )


def parts_figure(parts: dict[str, float]) -> go.Figure:
    """Bars from the part that moves the keypoint most to the one that moves it least."""
    names = sorted(parts, key=lambda part: parts[part])
    figure = go.Figure()
    figure.add_bar(
        x=[parts[name] for name in names],
        y=[name.capitalize() for name in names],
        orientation="h",
        marker={"color": [GROUP_COLOURS.get(name, _ELSEWHERE_COLOUR) for name in names]},
        texttemplate="%{x:.1f} px",
        textposition="auto",
        hovertemplate="%{y}: up to %{x:.2f} px<extra></extra>",
    )
    figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False, fixedrange=True)
    figure.update_yaxes(fixedrange=True)
    return tidy(figure, height=30 + 32 * len(parts))


def _in_words(look: Look, chosen: _Chosen, found: Occlusion) -> str:
    """The answer: which covered place moves the keypoint most, and how far."""
    size = look.crop_gray_u8.shape[0]
    place_px, distance_px = found.strongest(chosen.keypoint)
    if not distance_px:
        return "Nothing in the picture moves this point."
    nearest = int(np.linalg.norm(look.points_px - place_px, axis=1).argmin())
    name = look.model.card.schema.keypoints[nearest].replace("_", " ")
    where = "its own place" if nearest == chosen.keypoint else f"the place near **{name}**"
    return f"**{chosen.name.capitalize()}** moves most, by {distance_px:.1f} of {size} px, when {where} is covered."
