"""The channels of a layer as one picture; a click on a tile shows it large over the face."""

from __future__ import annotations

import io

import cv2
import numpy as np
import plotly.graph_objects as go
import streamlit as st

from fkd.inspect import Layer
from fkd.mosaic import Mosaic, MosaicOptions, colourise, dead_channels, mosaic, overlay, scale_limits
from fkd.ui.features.looks import Look
from fkd.ui.forms import options_form
from fkd.ui.pictures import picture_figure
from fkd.ui.plots import bar_for

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
    dead = int(dead_channels(maps).sum())
    kind = "channels" if maps.ndim == 3 else "outputs"
    st.caption(
        f"{len(maps)} {kind} of {layer.name} for {face_name}"
        + (f" · **{dead}** dead: zero everywhere on this face" if dead else " · none is dead on this face")
    )
    picture = mosaic(maps, options)
    key = f"features.grid.{look.key}.{layer.name}.{options}"
    channel = choose_channel(picture, maps, key, f"{look.weights} {layer.name}")
    if maps.ndim == 3:
        _show_channel(look, maps, channel, options)
    offer_files(picture, {"activations": maps, "crop_gray_u8": look.crop_gray_u8}, f"{look.weights}_{layer.name}")


def choose_channel(picture: Mosaic, maps: np.ndarray, key: str, name: str) -> int:
    """The grid as a figure; the channel whose tile was clicked, else the first one shown."""
    chosen = st.plotly_chart(
        grid_figure(picture, maps),
        key=key,
        on_select="rerun",
        selection_mode="points",
        config=bar_for(name),
        alt=f"Channels of {name}",
    )
    points = chosen.selection.points
    return int(points[0]["customdata"][0]) if points else int(picture.channels[0])


def grid_figure(picture: Mosaic, maps: np.ndarray) -> go.Figure:
    """The mosaic with an unseen marker on each tile, which names the channel and takes the click."""
    height = picture.rgb_u8.shape[0]
    figure = picture_figure(picture.rgb_u8, height=int(np.clip(height * 0.75, 120, 720)))
    numbers = maps.reshape(len(maps), -1)[picture.channels]
    x, y = picture.centres_px.T
    clear = {"size": min(picture.tile_px) * 0.7, "symbol": "square", "color": "rgba(0,0,0,0)"}
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker=clear,
        selected={"marker": {"color": "rgba(255,255,255,0.35)"}},
        unselected={"marker": {"opacity": 0}},
        customdata=np.stack([picture.channels, numbers.mean(axis=1), numbers.max(axis=1)], axis=1),
        hovertemplate="channel %{customdata[0]}<br>mean %{customdata[1]:.3g}, peak %{customdata[2]:.3g}<extra></extra>",
    )
    figure.update_yaxes(constraintoward="top")
    return figure.update_layout(dragmode=False, clickmode="event+select", hoverdistance=min(picture.tile_px))


def offer_files(picture: Mosaic, arrays: dict[str, np.ndarray], stem: str) -> None:
    """Buttons for the grid as PNG and for the raw numbers as NPZ."""
    stem = stem.replace(", ", "-").replace(" ", "-")
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


def png(picture_rgb_u8: np.ndarray) -> bytes:
    """A (h, w, 3) uint8 RGB picture as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(picture_rgb_u8, cv2.COLOR_RGB2BGR))[1].tobytes()


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays by name as an NPZ file."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def show_over_face(crop_gray_u8: np.ndarray, heat_rgb_u8: np.ndarray, key: str) -> np.ndarray:
    """A slider for the opacity; the crop with the map laid over it, enlarged, (s, s, 3) uint8."""
    opacity = st.slider("Opacity of the map", 0.0, 1.0, 0.5, 0.05, key=key, persist_state="session")
    large = cv2.resize(crop_gray_u8, (_LARGE_PX, _LARGE_PX), interpolation=cv2.INTER_CUBIC)
    return overlay(large, heat_rgb_u8, opacity)


def _show_channel(look: Look, maps: np.ndarray, channel: int, options: MosaicOptions) -> None:
    values = maps[channel]
    low, high = scale_limits(maps, options.scale)[channel]
    left, right = st.columns([2, 3], gap="medium")
    with right:
        st.markdown(f"**Channel {channel}**")
        st.caption(
            f"{values.shape[0]} × {values.shape[1]} cells · mean {values.mean():.3g} · from {values.min():.3g} "
            f"to {values.max():.3g}. Click another tile to see it here."
        )
        drawn = show_over_face(
            look.crop_gray_u8, colourise(values, options.colours, (float(low), float(high))), "features.opacity"
        )
    left.image(drawn, width="stretch", alt=f"Channel {channel} over the face")
