"""What the colours of a map mean: the bar from its least to its greatest value."""

from __future__ import annotations

import numpy as np
import streamlit as st

from fkd.mosaic import colourise, colourise_signed

_WIDTH_PX = 140


def show_scale(low: str, high: str, colours: str | None = None) -> None:
    """A bar of colours between what its ends mean.

    Args:
        low: what the leftmost colour means.
        high: what the rightmost colour means.
        colours: those of `fkd.mosaic.colourise`; none for those of `colourise_signed`.
    """
    values = np.linspace(-1, 1, _WIDTH_PX)[None].repeat(10, axis=0)
    bar = colourise_signed(values, 1.0) if colours is None else colourise(values, colours)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(low, width="content")
        st.image(bar, width=_WIDTH_PX, output_format="PNG", alt=f"Colours from {low} to {high}")
        st.caption(high, width="content")
