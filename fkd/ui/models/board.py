"""The leaderboard of all recipes and weights."""

from __future__ import annotations

from contextlib import suppress

import pandas as pd
import streamlit as st

from fkd.errors import FkdError
from fkd.evaluation.leaderboard import Row, config_hash
from fkd.weights import list_weights, read_card

_COLUMNS = {
    "name": st.column_config.TextColumn("Run", pinned=True),
    "data": st.column_config.TextColumn("Faces of"),
    "nme": st.column_config.NumberColumn(
        "NME, %", format="%.2f", help="Mean point error in percent of the distance of the outer eye corners."
    ),
    "rmse_px": st.column_config.NumberColumn("RMSE, px", format="%.2f", help="Of a face scaled to 96 pixels."),
    "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
    "milliseconds": st.column_config.NumberColumn(
        "ms, torch", format="%.2f", help="Processor time of one crop on one thread; cards tell onnxruntime's too."
    ),
    "fr8": st.column_config.NumberColumn("FR@8, %", format="%.2f", help="Share of faces with an NME above 8 %."),
    "argmax_accuracy": st.column_config.NumberColumn(
        "Argmax, %", format="%.1f", help="How often the largest coordinate is the true one; it means little."
    ),
    "weights": st.column_config.TextColumn("Weights", help="Shipped weights that the run became."),
    "recipe": st.column_config.TextColumn("Recipe"),
    "minutes": st.column_config.NumberColumn("Training, min", format="%.1f"),
    "verdict": st.column_config.TextColumn(
        "Mean shape", help="Whether RMSE and NME are below those of the constant mean shape on the same faces."
    ),
}
EVERY = "all"


def show_board(rows: list[Row]) -> str:
    """All rows, or those of one dataset, whose name is returned, else `EVERY`; a click on a heading sorts."""
    datasets = list(dict.fromkeys(row.data for row in rows))
    shown: str = st.segmented_control(
        "Faces of",
        [EVERY, *datasets],
        default=EVERY,
        required=True,
        key="board",
        bind="query-params",
        label_visibility="collapsed",
    )
    st.dataframe(
        board_table([row for row in rows if shown in (EVERY, row.data)]),
        hide_index=True,
        height="content",
        column_config=_COLUMNS,
        placeholder="–",
    )
    st.caption(
        "Measured on held-out faces in their true boxes; what is trained on Kaggle's pictures takes them whole. "
        "Click on a heading to sort by it."
    )
    _say_what_is_absent(rows)
    return shown


def _say_what_is_absent(rows: list[Row]) -> None:
    """Which weights no row is of, and how they come in."""
    measured = {(row.name, row.config_hash) for row in rows}
    for name in list_weights():
        with suppress(FkdError):  # damaged ones say so where they are chosen
            made = read_card(name).training
            run = made.get("run", "")
            if (run, config_hash(made.get("config", {}))) not in measured:
                way = f"from its run: `python -m fkd leaderboard --add {run}`" if run else "as no run is known of it"
                st.caption(f"{name} is in no row yet; {way}")


def board_table(rows: list[Row]) -> pd.DataFrame:
    """One row each, the best NME of each dataset first."""
    table = pd.DataFrame([vars(row) for row in rows])
    return table.sort_values(["schema", "data", "nme"], kind="stable").reset_index(drop=True)[list(_COLUMNS)]
