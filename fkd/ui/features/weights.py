"""The weights of a layer's convolutions as small pictures, and what a first layer's make of the face."""

from __future__ import annotations

import numpy as np
import streamlit as st

from fkd import inspect
from fkd.inspect import Layer
from fkd.mosaic import Mosaic, signed_mosaic
from fkd.ui.features.looks import Look
from fkd.ui.features.maps import choose_channel, offer_files
from fkd.ui.features.scale import show_scale

_MOST = 512  # filters in one picture
_WEIGHTS, _EFFECTS = "Weights", "Effect on the face"
_LARGE_PX = 360


def show_filters(look: Look, layer: Layer) -> None:
    """The filters of the layer; of one that sees the picture itself, also the effect of each on the face."""
    found = inspect.filters(look.model, layer.name)
    if not found:
        st.info(
            f"{layer.name} ({layer.kind}) has no filters that can be shown as pictures; choose a convolution above.",
            icon=":material/info:",
        )
        return
    names = list(found)
    name = names[0]
    if len(names) > 1:
        name = st.segmented_control("Convolution", names, default=name, required=True, key="features.convolution")
    weights = found[name]
    if weights.shape[1] == 1:
        _show_first(look, layer, weights)
    else:
        _show_deeper(look, layer, weights)


def _show_first(look: Look, layer: Layer, weights: np.ndarray) -> None:
    """Filters on the picture itself, or their effects; both of the chosen one large."""
    shown = st.segmented_control(
        "What is shown", [_WEIGHTS, _EFFECTS], default=_WEIGHTS, required=True, key="features.filters.shown"
    )
    outputs, _, height, width = weights.shape
    dense = height == look.crop_gray_u8.shape[0]
    weights = weights[:_MOST]
    effects = _effects(look.crop_gray_u8, weights, dense)
    what = "what each pixel adds to each output" if dense else "the face through each filter"
    more = f", the first {_MOST} of them shown" if outputs > _MOST else ""
    st.caption(f"{outputs} filters of {height} × {width}{more}: {what if shown == _EFFECTS else 'their weights'}.")
    _show_signed_scale()
    maps = weights[:, 0] if shown == _WEIGHTS else effects
    picture = signed_mosaic(maps) if shown == _WEIGHTS else _each_on_its_own_scale(maps)
    channel = choose_channel(picture, maps, f"features.filters.{look.weights}.{layer.name}", layer.name, "filter")
    left, right = st.columns(2, gap="medium")
    left.image(signed_mosaic(weights[channel]).rgb_u8, width=_LARGE_PX, caption=f"Weights of filter {channel}")
    told = f"What each pixel adds to output {channel}" if dense else f"The face through filter {channel}"
    right.image(signed_mosaic(effects[channel : channel + 1]).rgb_u8, width=_LARGE_PX, caption=told)
    offer_files(picture, {"weights": weights, "effects": effects}, f"{look.weights}_{layer.name}_filters")


def _effects(crop_gray_u8: np.ndarray, weights: np.ndarray, dense: bool) -> np.ndarray:
    """(outputs, s, s): the answers of filters; weight times pixel of a dense layer, which sees the crop at once."""
    if dense:
        return weights[:, 0] * (crop_gray_u8.astype(np.float32) / 255 - 0.5)
    return inspect.filtered(crop_gray_u8, weights)


def _each_on_its_own_scale(maps: np.ndarray) -> Mosaic:
    """Effects differ in strength by far more than colours can show."""
    return signed_mosaic(maps / np.maximum(np.abs(maps).max(axis=(1, 2), keepdims=True), 1e-12))


def _show_deeper(look: Look, layer: Layer, weights: np.ndarray) -> None:
    """The filters of one output, one for each channel that comes in."""
    outputs, inputs, height, width = weights.shape
    output = st.slider("Output channel", 0, outputs - 1, 0, key=f"features.output.{look.weights}.{layer.name}")
    st.caption(f"How output channel {output} weighs each of the {inputs} channels that come in: {height} × {width}.")
    _show_signed_scale()
    picture = signed_mosaic(weights[output])
    st.image(picture.rgb_u8, width="stretch", alt=f"Weights of output channel {output} of {layer.name}")
    offer_files(picture, {"weights": weights}, f"{look.weights}_{layer.name}_filters")


def _show_signed_scale() -> None:
    show_scale("Below zero", "above zero")
