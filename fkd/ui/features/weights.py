"""The weights of a layer's convolutions as small pictures, and what a first layer's make of the face."""

from __future__ import annotations

import numpy as np
import streamlit as st

from fkd import inspect
from fkd.inspect import Layer
from fkd.mosaic import signed_mosaic
from fkd.ui.features.looks import Look
from fkd.ui.features.maps import choose_channel, offer_files

_MOST = 512  # filters in one picture


def show_filters(look: Look, layer: Layer) -> None:
    """The filters of the layer; of one that sees the picture itself, also its effect on the face."""
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
    """Filters on the picture itself; the chosen one's effect beside it."""
    outputs, _, height, width = weights.shape
    st.caption(
        f"{outputs} filters of {height} × {width}. :blue[Blue] weights are below zero, :red[red] ones above. "
        "Click one to see the face through it."
    )
    picture = signed_mosaic(weights[:_MOST, 0])
    channel = choose_channel(picture, weights[:_MOST, 0], f"features.filters.{look.key}.{layer.name}", layer.name)
    left, right = st.columns(2, gap="medium")
    if weights.shape[2] < look.crop_gray_u8.shape[0]:
        effect = inspect.filtered(look.crop_gray_u8, weights[channel : channel + 1])
        left.image(signed_mosaic(effect).rgb_u8, width=360, caption=f"The face through filter {channel}")
    else:  # a dense layer sees the whole picture at once: weight times pixel, place by place
        effect = weights[channel] * (look.crop_gray_u8.astype(np.float32) / 255 - 0.5)
        left.image(signed_mosaic(effect).rgb_u8, width=360, caption=f"What each pixel adds to unit {channel}")
    right.image(signed_mosaic(weights[channel]).rgb_u8, width=360, caption=f"Weights of {channel}")
    offer_files(picture, {"weights": weights}, f"{look.weights}_{layer.name}_filters")


def _show_deeper(look: Look, layer: Layer, weights: np.ndarray) -> None:
    """The filters of one output, one for each channel that comes in."""
    outputs, inputs, height, width = weights.shape
    output = st.slider("Output channel", 0, outputs - 1, 0, key=f"features.output.{look.weights}.{layer.name}")
    st.caption(
        f"How output channel {output} weighs each of the {inputs} channels that come in, {height} × {width} weights "
        "each. :blue[Blue] is below zero, :red[red] above."
    )
    picture = signed_mosaic(weights[output])
    choose_channel(picture, weights[output], f"features.deeper.{look.key}.{layer.name}.{output}", layer.name)
    offer_files(picture, {"weights": weights}, f"{look.weights}_{layer.name}_filters")
