"""The table of runs: filter, sort, choose; settings stand beside results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fkd.errors import FkdError
from fkd.paths import runs_root
from fkd.training import launch
from fkd.training.comparison import RESULTS, differing, runs_table
from fkd.training.launch import RunView
from fkd.ui.train.states import GOING_ON, STATES, readable

RUN = "run"  # in the address: the run that is watched
_KEY = "train.runs"
_IN_ADDRESS = f"{_KEY}.address"  # the run that this table last wrote there
_FILTERS = {"state": "State", "recipe": "Recipe", "data": "Data"}
# As far as the error fits on a phone.
_FIRST_COLUMNS = ("name", "state", "nme", "rmse_px", "progress", "recipe", "data", "best_epoch", "minutes", "started")
_ALWAYS = ("learning_rate", "batch_size")
_ROWS_PX, _HEAD_PX, _MOST_ROWS = 35, 40, 10
_ROWS_BESIDE_A_RUN = 5  # so that it stands near the top, on a phone above all
_EVERY_S, _EPOCHS_EVERY_S = 5.0, 20.0


def choose_run() -> str | None:
    """The table, where one run can be chosen to be watched; its name, or None while there is none.

    The choice stands in the address.
    """
    views = launch.view_all()
    _draw_again_when_something_changes(views)
    table = runs_table(views)
    known = set(table["name"])
    _follow_address(known)
    if not views:
        st.info("There are no runs yet. Choose a recipe and press Start: the first one will stand here.")
        return None
    shown = filter_runs(table, _KEY)
    wanted = [st.query_params[RUN]] if RUN in st.query_params else []
    chosen = [name for name in pick_rows(shown, _KEY, wanted, several=False) if name in known]
    _offer_csv(shown)
    st.session_state[_IN_ADDRESS] = chosen[0] if chosen else None
    if not chosen:
        st.query_params.pop(RUN, None)
        return None
    st.query_params[RUN] = chosen[0]
    return chosen[0]


def _follow_address(known: set[str]) -> None:
    """Open the run that the address names, where somebody else than this table has written it there."""
    asked = st.query_params.get(RUN)
    if asked and asked != st.session_state.get(_IN_ADDRESS):
        open_run(asked)
        if asked not in known:
            st.error(f"There is no run called {asked!r}; it may have been renamed or deleted.", icon=":material/error:")


def open_run(name: str) -> None:
    """Choose a run, as if its row had been clicked; for a button's `on_click`, or after a start."""
    st.query_params[RUN] = name
    for part in ("rows", "chosen"):
        st.session_state.pop(f"{_KEY}.{part}", None)


def filter_runs(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Widgets that leave fewer rows of `runs_table`; those rows.

    Args:
        table: every run.
        key: prefix of the widgets' keys.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        find = st.text_input(
            "Find", key=f"{key}.find", placeholder="name or setting", persist_state="session", width=170
        )
        for column, label in _FILTERS.items():
            options = sorted(table[column].dropna().unique())
            wanted = st.multiselect(
                label,
                options,
                key=f"{key}.{column}",
                placeholder="Any",
                format_func=str.capitalize if column == "state" else str,
                persist_state="session",
                width=170,
            )
            if wanted:
                table = table[table[column].isin(wanted)]
    return with_text(table, find or "")


def with_text(table: pd.DataFrame, text: str) -> pd.DataFrame:
    """The runs in whose name or settings every word of a text occurs; `batch_size=64` finds a setting's value."""
    if not text.strip() or table.empty:
        return table
    columns = [column for column in table.columns if column not in RESULTS]
    lines = [
        " ".join(f"{column}={value}" for column, value in zip(columns, row, strict=True)).lower()
        for row in table[columns].itertuples(index=False)
    ]
    words = text.lower().split()
    return table[np.array([all(word in line for word in words) for line in lines])]


def pick_rows(table: pd.DataFrame, key: str, default: Sequence[str], *, several: bool) -> list[str]:
    """The table of runs with rows to choose.

    Rows are kept by name: Streamlit knows them by their place, which changes with every new run and filter, and
    forgets them while the table is not drawn.

    Args:
        table: the rows of `runs_table` to show.
        key: prefix of the widget's key.
        default: the chosen names before anybody has clicked.
        several: whether more than one can be chosen.

    Returns:
        The names of the chosen runs in the order of choosing, also of those that a filter hides.
    """
    state = st.session_state
    names = table["name"].tolist()
    chosen: list[str] = state.get(f"{key}.chosen", list(default))
    if f"{key}.rows" in state:
        before: list[str] = state[f"{key}.names"]
        clicked = [before[row] for row in state[f"{key}.rows"]["selection"]["rows"] if row < len(before)]
        hidden = [name for name in chosen if name not in before]
        first = [name for name in chosen if name in clicked or (name in hidden and (several or not clicked))]
        chosen = [*first, *(name for name in clicked if name not in first)]
    state[f"{key}.names"], state[f"{key}.chosen"] = names, chosen
    rows = [names.index(name) for name in chosen if name in names]
    state[f"{key}.rows"] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    if not names:
        st.info("No run fits. Take a filter away.", icon=":material/search_off:")
        return chosen
    st.dataframe(
        for_display(table),
        key=f"{key}.rows",
        on_select="rerun",
        selection_mode="multi-row" if several else "single-row",
        hide_index=True,
        height=_HEAD_PX + _ROWS_PX * min(len(names), _MOST_ROWS if several or not rows else _ROWS_BESIDE_A_RUN),
        placeholder="–",
        column_order=_column_order(table),
        column_config=_column_config(table),
    )
    return chosen


def for_display(table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: states as badges, times of day, a share done."""
    shown = table.copy()
    shown["state"] = [[state.capitalize()] for state in table["state"]]
    epochs = table.get("epochs", pd.Series(np.nan, table.index)).astype(float)
    shown["progress"] = (100 * table["epochs_done"] / epochs).clip(upper=100)
    shown.loc[table["state"] == "finished", "progress"] = 100.0  # also where it ended early, as nothing got better
    shown["started"] = pd.to_datetime(table["started"].astype(float), unit="s", utc=True)
    return shown


def _column_order(table: pd.DataFrame) -> list[str]:
    settings = [name for name in (*_ALWAYS, *differing(table)) if name in table]
    return list(dict.fromkeys([*_FIRST_COLUMNS, *settings, "images_per_s", "device"]))


def _column_config(table: pd.DataFrame) -> dict[str, Any]:
    column = st.column_config
    number = {"nme": "%.2f", "rmse_px": "%.2f", "validation_loss": "%.4g", "train_loss": "%.4g", "minutes": "%.1f"}
    config: dict[str, Any] = {
        "name": column.TextColumn("Run", pinned=True, width=130),
        "state": column.MultiselectColumn(
            "State",
            options=[state.capitalize() for state in STATES],
            color=[colour for colour, _ in STATES.values()],
            width=90,
        ),
        "progress": column.ProgressColumn("Progress", format="%.0f %%", min_value=0, max_value=100, width=78),
        "recipe": column.TextColumn("Recipe"),
        "data": column.TextColumn("Data", width=125),
        "device": column.TextColumn("Device"),
        "started": column.DatetimeColumn("Started", format="MMM D, HH:mm", width=105),
    }
    config |= {name: column.NumberColumn(label, format=number.get(name, "%.0f")) for name, label in RESULTS.items()}
    return config | {name: column.Column(readable(name)) for name in table.columns if name not in config}


def _offer_csv(table: pd.DataFrame) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        count = "1 run" if len(table) == 1 else f"{len(table):,} runs"
        st.caption(
            f"{count}. A click on a row opens the run, one on a column's name sorts.",
            help="The eye above the table brings further settings as columns.",
            width="stretch",
        )
        st.download_button(
            "Table as CSV",
            lambda: table.to_csv(index=False).encode(),
            "runs.csv",
            "text/csv",
            key=f"{_KEY}.csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )


def _draw_again_when_something_changes(views: Sequence[RunView]) -> None:
    """Look every few seconds whether runs have come, gone, or changed their state, for as long as any goes on.

    Epochs are followed more slowly: the run itself tells of each.
    """
    going_on = {view.name: view for view in views if view.state in GOING_ON}
    if going_on:
        st.fragment(_draw_again_unless, run_every=_EVERY_S)(going_on, _count(), time.monotonic())


def _draw_again_unless(going_on: dict[str, RunView], count: int, drawn_s: float) -> None:
    now = {name: _view(name) for name in going_on}
    of_epochs = time.monotonic() - drawn_s > _EPOCHS_EVERY_S
    if _count() != count or any(has_news(going_on[name], view, of_epochs) for name, view in now.items()):
        st.rerun()


def has_news(before: RunView, now: RunView | None, of_epochs: bool) -> bool:
    """Whether the table says something of a run that is no longer so.

    Args:
        before: the run as the table shows it.
        now: as it is; None when it is gone.
        of_epochs: whether another epoch is news enough.
    """
    if now is None or now.state != before.state:
        return True
    return of_epochs and now.status.get("epoch") != before.status.get("epoch")


def _view(name: str) -> RunView | None:
    """The run as it is; None where it is gone, or was damaged meanwhile."""
    try:
        return launch.view(name)
    except FkdError:
        return None


def _count() -> int:
    return sum(1 for _ in runs_root().glob("*/config.json"))
