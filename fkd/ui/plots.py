"""The look that Plotly figures share: colours for light and dark pages, margins, and the bar above them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import plotly.graph_objects as go
import streamlit as st

MODEBAR: dict[str, Any] = {
    "displaylogo": False,
    "scrollZoom": False,
    "toImageButtonOptions": {"format": "png", "scale": 2},
}
# Okabe and Ito's palette, tellable apart with every common colour blindness, without its yellow and black, which
# vanish on a light or a dark page.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot")
GOOD_TO_BAD = ((0.0, "#56B4E9"), (0.5, "#CC79A7"), (1.0, "#D55E00"))
GRID_COLOUR = "rgba(128, 128, 128, 0.25)"
_MARGIN = {"l": 0, "r": 0, "t": 8, "b": 8}


def tidy(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    """Bring a figure to the shared look; `layout` adds to it."""
    return figure.update_layout(height=height, margin=_MARGIN, hovermode="closest").update_layout(**layout)


def line_style(index: int) -> dict[str, Any]:
    """Colour and dash of the line at a place among others: all colours solid, then all of them dashed, and on."""
    turn, place = divmod(index, len(PALETTE))
    return {"color": PALETTE[place], "dash": DASHES[turn % len(DASHES)]}


def shortened(text: str, longest: int) -> str:
    """Both ends of a text that is longer than so many characters."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[longest // 2 + 1 - longest :]}"


def bar_for(file_name: str) -> dict[str, Any]:
    """The bar above a figure, whose saved picture is called `file_name`."""
    return {**MODEBAR, "toImageButtonOptions": {**MODEBAR["toImageButtonOptions"], "filename": file_name}}


@contextmanager
def scrolled_when_narrow(key: str, width_px: int) -> Iterator[None]:
    """A place for a figure that needs some width: on a phone it is moved sideways, and the page is not.

    Args:
        key: of the container, letters and hyphens.
        width_px: the least width.
    """
    with st.container(key=key):
        st.html(
            f"<style>.st-key-{key} {{ overflow-x: auto; }} .st-key-{key} > * {{ min-width: {width_px}px; }}</style>"
        )
        yield


@contextmanager
def square_when_narrow(key: str, height_px: int) -> Iterator[None]:
    """A place for a figure of a picture, drawn with `height="stretch"`: no taller than a phone is wide.

    Args:
        key: of the container, letters and hyphens.
        height_px: where there is room.
    """
    with st.container(key=key):
        st.html(f"<style>div.st-key-{key} {{ flex: none; height: min({height_px}px, 100vw); }}</style>")
        yield
