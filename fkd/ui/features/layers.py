"""The network as a table of its layers; a click on a row chooses the layer."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from fkd.inspect import Layer
from fkd.ui.features.looks import Look

_LAYER = "layer"  # in the address
_ROWS = 8  # shown without scrolling
_TALL_PX = 338  # so that half a row more tells that there are others below
_LAST = "features.layer"  # of the session, also when another page was shown meanwhile


def choose_layer(look: Look) -> Layer | None:
    """The table, and the layer that a person has clicked or the address names; the first one otherwise.

    None, with a sentence, from a network without layers.
    """
    layers = look.layers
    if not layers:
        st.info(
            f"{look.weights} predicts one shape whatever the picture: there is nothing inside to see, and nothing "
            "in the picture moves a point.",
            icon=":material/info:",
        )
        return None
    names = [layer.name for layer in layers]
    key = f"features.table.{look.key[0]}.{look.key[1]}"
    if key not in st.session_state:  # a table that was not there before begins with the layer looked at last
        wanted = st.query_params.get(_LAYER) or st.session_state.get(_LAST)
        _select(key, names.index(wanted) if wanted in names else 0)
    chosen = st.dataframe(
        layer_frame(layers),
        key=key,
        on_select=partial(_follow_click, key),
        selection_mode=["single-row-required", "single-cell"],
        hide_index=True,
        height="content" if len(layers) <= _ROWS else _TALL_PX,
        placeholder="–",
        column_config={
            "layer": st.column_config.TextColumn("Layer", width=150),
            "kind": st.column_config.TextColumn("Kind", width=235),
            "output": st.column_config.TextColumn("Output", help="Channels × rows × columns"),
            "stride": st.column_config.NumberColumn("Stride", help="Pixels of the crop for each cell"),
            "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
            "multiply_adds": st.column_config.NumberColumn("Multiply-adds", format="compact"),
            "milliseconds": st.column_config.NumberColumn("ms", format="%.2f", help="For one crop, measured here"),
        },
    )
    rows = chosen.selection.rows
    layer = layers[rows[0] if rows else 0]
    st.query_params[_LAYER] = st.session_state[_LAST] = layer.name
    return layer


def _follow_click(key: str) -> None:
    """Let a click on any cell choose its row, as a click on the row's mark does."""
    cells = st.session_state[key].selection.cells
    if cells:
        _select(key, cells[0][0])


def _select(key: str, row: int) -> None:
    st.session_state[key] = {"selection": {"rows": [row]}}


def layer_frame(layers: list[Layer]) -> pd.DataFrame:
    """One row for each layer, as it is shown and saved."""
    return pd.DataFrame(
        {
            "layer": [layer.name for layer in layers],
            "kind": [layer.kind for layer in layers],
            "output": [" × ".join(map(str, layer.output_shape)) for layer in layers],
            "stride": pd.array([layer.stride for layer in layers], dtype="Int64"),
            "parameters": [layer.parameters for layer in layers],
            "multiply_adds": [layer.multiply_adds for layer in layers],
            "milliseconds": [layer.milliseconds for layer in layers],
        }
    )
