"""A grid over the whole width: as many columns as there is room for, all of the same width."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def grid(key: str, least_px: int, gap_px: int, *, enlarge: bool = False) -> DeltaGenerator:
    """A container whose children, each a container of its own, stand in equal columns.

    Args:
        key: of the container, in letters and hyphens.
        least_px: what a column needs.
        gap_px: between columns, and between rows.
        enlarge: whether children that are too few for one row share it; else they stay as small as among many.
    """
    columns = f"repeat(auto-{'fit' if enlarge else 'fill'}, minmax({least_px}px, 1fr))"
    st.html(f"<style>div.st-key-{key} {{ display: grid; grid-template-columns: {columns}; gap: {gap_px}px }}</style>")
    return st.container(key=key)
