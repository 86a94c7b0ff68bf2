"""The channels of a layer as one picture; a click on a tile shows it large over the face."""

from __future__ import annotations

import io

import cv2
import numpy as np
import streamlit as st

from fkd.inspect import Layer
from fkd.mosaic import Mosaic, MosaicOptions, colourise, dead_channels, mosaic, overlay, scale_limits
from fkd.ui.features.looks import Look
from fkd.ui.features.scale import show_scale
from fkd.ui.features.tiles import choose_tile
from fkd.ui.forms import options_form
from fkd.ui.pictures import png

OPTIONS = "features.maps"
_LARGE_PX = 512


def choose_look() -> MosaicOptions:
    """Scale, order and colours side by side."""
    with st.container(horizontal=True):
        return options_form(MosaicOptions, OPTIONS)


def show_activations(look: Look, layer: Layer, face_name: str) -> None:
    """The grid, the chosen channel over the face, and both as files."""
    options = choose_look()
    maps = look.activations(layer.name)
    _say_what_is_shown(maps, layer, face_name)
    show_map_scale(maps, options)
    picture = mosaic(maps, options)
    kind = _kind(maps)
    channel = choose_channel(picture, maps, f"features.grid.{look.weights}.{layer.name}", layer.name, kind)
    if maps.ndim == 3:
        _show_channel(look, maps, channel, options)
    offer_files(picture, {"activations": maps, "crop_gray_u8": look.crop_gray_u8}, f"{look.weights}_{layer.name}")


def show_map_scale(maps: np.ndarray, options: MosaicOptions, limits: np.ndarray | None = None) -> None:
    """What the darkest and the brightest colour of a grid mean; `limits` as for `mosaic`."""
    if options.scale == "channel" and maps.ndim == 3:
        show_scale("Each channel's least", "greatest", options.colours)
    else:
        low, high = (scale_limits(maps, options.scale) if limits is None else limits)[0]
        show_scale(f"{low:.3g}", f"{high:.3g}", options.colours)


def choose_channel(picture: Mosaic, maps: np.ndarray, key: str, name: str, kind: str = "channel") -> int:
    """The grid; the channel whose tile was chosen, else the first one shown. `kind` is what a tile is called."""
    if maps.ndim == 1:
        tips = [f"{kind.capitalize()} {i} · {maps[i]:.3g}" for i in picture.channels]
    else:
        means, peaks = maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))
        tips = [f"{kind.capitalize()} {i} · mean {means[i]:.3g}, peak {peaks[i]:.3g}" for i in picture.channels]
    return choose_tile(picture, tips, key, f"{len(maps)} {kind}s of {name}")


def offer_files(picture: Mosaic, arrays: dict[str, np.ndarray], stem: str) -> None:
    """Buttons for the grid as PNG and for the raw numbers as NPZ."""
    stem = stem.replace(", ", "-").replace(" ", "-").replace(":", "-")
    with st.container(horizontal=True):
        st.download_button(
            "Grid as PNG",
            lambda: png(picture.rgb_u8),
            f"{stem}.png",
            "image/png",
            key=f"features.png.{stem}",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            "Raw values as NPZ",
            lambda: npz(arrays),
            f"{stem}.npz",
            "application/octet-stream",
            key=f"features.npz.{stem}",
            on_click="ignore",
            icon=":material/download:",
        )


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays by name as an NPZ file."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _say_what_is_shown(maps: np.ndarray, layer: Layer, face_name: str) -> None:
    dead = int(dead_channels(maps).sum())
    told = f"**{dead} dead**: zero everywhere on this face" if dead else "none dead on this face"
    st.caption(f"{len(maps)} {_kind(maps)}s of {layer.name} for {face_name} · {told}")


def _kind(maps: np.ndarray) -> str:
    return "channel" if maps.ndim == 3 else "output"


def _show_channel(look: Look, maps: np.ndarray, channel: int, options: MosaicOptions) -> None:
    """One channel over the face, and its figures."""
    values = maps[channel]
    low, high = (float(limit) for limit in scale_limits(maps, options.scale)[channel])
    left, right = st.columns([2, 3], gap="medium")
    with right:
        st.markdown(f"**Channel {channel}**")
        st.caption(
            f"{values.shape[0]} × {values.shape[1]} cells · mean {values.mean():.3g} · from {values.min():.3g} "
            f"to {values.max():.3g}. Click another tile to see it here."
        )
        opacity = st.slider("Opacity of the map", 0.0, 1.0, 0.5, 0.05, key="features.opacity", persist_state="session")
        show_scale(f"{low:.3g}", f"{high:.3g}", options.colours)
    large = cv2.resize(look.crop_gray_u8, (_LARGE_PX, _LARGE_PX), interpolation=cv2.INTER_CUBIC)
    drawn = overlay(large, colourise(values, options.colours, (low, high)), opacity)
    left.image(drawn, width="stretch", alt=f"Channel {channel} over the face")
