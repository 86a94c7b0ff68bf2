"""One keypoint: where the network sees it, and what moves it."""

from __future__ import annotations

import cv2
import numpy as np
import streamlit as st

from fkd import inspect
from fkd.inspect import Heatmaps
from fkd.mosaic import colourise, colourise_signed, overlay
from fkd.pipeline.draw import draw_points
from fkd.schema import PREDICTION_COLOUR
from fkd.ui.features.looks import Look
from fkd.ui.features.maps import npz, png

_HEATMAP, _GRAD_CAM, _OCCLUSION = "Heatmap", "Grad-CAM", "Occlusion"
_HELP = {
    _HEATMAP: "The probability of the keypoint's place that the network decodes the point from.",
    _GRAD_CAM: "Which parts of the last maps push the keypoint's coordinate, by their gradient.",
    _OCCLUSION: "How far the keypoint moves when a grey square covers the place.",
}
_DIRECTIONS = {"Any way": None, "Sideways": 0, "Up or down": 1}
_LARGE_PX = 512


def show_keypoint(look: Look) -> None:
    """Choose a keypoint and a method; the face with what it says, and a sentence that says it in words."""
    schema = look.model.card.schema
    left, right = st.columns([2, 3], gap="medium")
    with left:
        keypoint = st.selectbox(
            "Keypoint",
            range(len(schema)),
            index=_default_keypoint(schema.keypoints),
            format_func=lambda k: f"{k} · {schema.keypoints[k].replace('_', ' ')}",
            key=f"features.keypoint.{schema.name}",
        )
        found = inspect.heatmaps(look.model, look.crop_gray_u8)
        method = st.segmented_control(
            "What is shown",
            _methods(look, found),
            default=_methods(look, found)[0],
            required=True,
            key=f"features.method.{look.weights}",
        )
        st.caption(_HELP[method])
        if method == _HEATMAP and found is not None:
            heat, strength, values = _show_heatmap(look, found, keypoint)
        elif method == _GRAD_CAM:
            heat, strength, values = _show_grad_cam(look, keypoint)
        else:
            heat, strength, values = _show_occlusion(look, keypoint)
        opacity = st.slider("Opacity of the map", 0.0, 1.0, 0.8, 0.05, key="features.keypoint.opacity")
    drawn = _drawn(look, heat, strength, keypoint, opacity)
    name = schema.keypoints[keypoint]
    right.image(drawn, width=_LARGE_PX, alt=f"{method} of {name} over the face")
    with right.container(horizontal=True):
        st.download_button("PNG", lambda: png(drawn), f"{name}_{method.lower()}.png", "image/png", on_click="ignore")
        st.download_button("NPZ", lambda: npz({"map": values}), f"{name}_{method.lower()}.npz", on_click="ignore")


def _default_keypoint(names: tuple[str, ...]) -> int:
    """The left mouth corner, which smiles and speech move most."""
    return next((i for i, name in enumerate(names) if "left" in name and "corner" in name and "mouth" in name), 0)


def _methods(look: Look, found: Heatmaps | None) -> list[str]:
    """Heatmaps where there are any; Grad-CAM for the other networks that have maps; occlusion for all."""
    if found is not None:
        return [_HEATMAP, _OCCLUSION]
    has_maps = any(layer.stride is not None for layer in look.layers)
    return [_GRAD_CAM, _OCCLUSION] if has_maps else [_OCCLUSION]


def _show_heatmap(look: Look, found: Heatmaps, keypoint: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    one, two = st.columns(2)
    one.metric("Spread", f"{found.spread_px[keypoint]:.1f} px", help="Deviation of the heatmap, in pixels of the crop.")
    two.metric("Score", f"{look.point_scores[keypoint]:.2f}", help="How sure the network is of this point.")
    values = found.probabilities[keypoint]
    smooth = cv2.resize(values, look.crop_gray_u8.shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0)
    return colourise(smooth, "magma"), smooth, values


def _show_grad_cam(look: Look, keypoint: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    push = look.grad_cam(keypoint, None)
    axis = _choose_direction()
    if axis is None:
        values = np.linalg.norm(push, axis=-1)
        heat = colourise(values, "magma", (0.0, float(values.max())))
    else:
        values = push[:, :, axis]
        heat = colourise_signed(values, float(np.abs(values).max()))
    _say_where(look, keypoint, np.abs(values), "is pushed most by what the network sees")
    return heat, np.abs(values), push


def _show_occlusion(look: Look, keypoint: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found, size = look.occlusion(), look.crop_gray_u8.shape[0]
    axis = _choose_direction()
    if axis is None:
        values = found.distance_map(keypoint, size)
        heat = colourise(values, "magma", (0.0, float(values.max())))
    else:
        values = found.shift_map(keypoint, axis, size)
        heat = colourise_signed(values, float(np.abs(values).max()))
    furthest = float(np.abs(values).max())
    _say_where(look, keypoint, np.abs(values), f"moves most, by {furthest:.1f} px of the crop, when covered")
    return heat, np.abs(values), found.shift_px[:, :, keypoint]


def _choose_direction() -> int | None:
    direction = st.segmented_control(
        "Direction",
        list(_DIRECTIONS),
        default="Any way",
        required=True,
        key="features.direction",
        help="Sideways: red to the right, blue to the left. Up or down: red downwards, blue upwards.",
    )
    return _DIRECTIONS[direction]


def _say_where(look: Look, keypoint: int, strength: np.ndarray, what: str) -> None:
    """The answer in one sentence: the keypoint next to the strongest place."""
    names = look.model.card.schema.keypoints
    place = np.array(np.unravel_index(strength.argmax(), strength.shape))[::-1]
    nearest = int(np.linalg.norm(look.points_px - place, axis=1).argmin())
    where = "at its own place" if nearest == keypoint else f"near **{names[nearest].replace('_', ' ')}**"
    if strength.max() > 0:
        st.markdown(f"**{names[keypoint].replace('_', ' ').capitalize()}** {what} {where}.")
    else:
        st.markdown("Nothing in the picture moves this point.")


def _drawn(look: Look, heat_rgb_u8: np.ndarray, strength: np.ndarray, keypoint: int, opacity: float) -> np.ndarray:
    """The enlarged face under the map, with the predicted point."""
    factor = _LARGE_PX / look.crop_gray_u8.shape[0]
    large = cv2.resize(look.crop_gray_u8, (_LARGE_PX, _LARGE_PX), interpolation=cv2.INTER_CUBIC)
    point = (look.points_px[keypoint : keypoint + 1] + 0.5) * factor - 0.5
    return draw_points(overlay(large, heat_rgb_u8, opacity, strength), point, [PREDICTION_COLOUR], radius_px=6)
