"""The learning-rate finder: its range test, its plot, and the value to take."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from fkd.apart import run_apart
from fkd.training.config import TrainConfig
from fkd.training.lr_finder import find_learning_rate
from fkd.ui import work
from fkd.ui.plots import PALETTE, bar_for, tidy
from fkd.ui.pressed import pressed
from fkd.ui.train import form

_CURVE_COLOUR, _MARK_COLOUR = PALETTE[:2]
_QUIET_COLOUR = "#8A93A3"
_HEIGHT_PX = 320


def show_finder(config: TrainConfig, device: str) -> None:
    """Begin the test, watch it, and take its suggestion for the form."""
    st.caption(
        "Trains a fresh network for some 120 steps while the learning rate grows, and keeps nothing of it. "
        "The best rate to begin with lies where the loss falls most steeply."
    )
    key = ("range test", repr(replace(config, learning_rate=1.0, epochs=1)), device)
    if pressed(
        "Find the learning rate",
        key="train.find",
        icon=":material/search_insights:",
        disabled=work.is_under_way(key),
    ):
        find = partial(run_apart, find_learning_rate, config=config.as_dict(), device=device)
        work.begin(key, "The range test", find)
        st.rerun()
    found = work.follow(key)
    if found:
        _show_curve(found, config)


def _show_curve(found: dict[str, Any], config: TrainConfig) -> None:
    st.plotly_chart(
        range_figure(found, config.learning_rate),
        key="train.finder",
        config=bar_for("learning_rate"),
        alt="Loss against learning rate",
    )
    suggestion = found["suggestion"]
    if suggestion is None:
        st.warning("The loss never fell; check data and loss.", icon=":material/trending_up:")
        return
    rate = float(f"{suggestion:.2g}")
    with st.container(horizontal=True, vertical_alignment="center"):
        if pressed(f"Take {rate:g}", key="train.take", type="primary", disabled=rate == config.learning_rate):
            form.begin_with(replace(config, learning_rate=rate))
            st.rerun()
        st.caption(f"The form has {config.learning_rate:g}.")


def range_figure(found: dict[str, Any], now: float) -> go.Figure:
    """Loss over learning rate, smoothed over the single steps, with the suggestion and the form's value."""
    figure = go.Figure()
    rates = found["learning_rates"]
    figure.add_scatter(
        x=rates, y=found["losses"], mode="markers", name="Steps", marker={"color": _QUIET_COLOUR, "size": 4}
    )
    figure.add_scatter(x=rates, y=found["smoothed"], mode="lines", name="Smoothed", line={"color": _CURVE_COLOUR})
    if found["suggestion"] is not None:
        _mark(figure, found["suggestion"], "Suggested", 1.0, {"color": _MARK_COLOUR})
    _mark(figure, now, "Form", 0.9, {"color": _QUIET_COLOUR, "dash": "dot"})
    figure.update_xaxes(type="log", title="Learning rate", exponentformat="power")
    figure.update_yaxes(title="Loss", range=_range_of(found))
    return tidy(figure, _HEIGHT_PX, legend={"orientation": "h", "y": 1.12})


def _mark(figure: go.Figure, rate: float, label: str, height: float, line: dict[str, str]) -> None:
    """A vertical line with a label at this share of the height."""
    figure.add_vline(rate, line=line)
    # On a logarithmic axis a label's place is a power of ten, while a line's is the value itself.
    figure.add_annotation(
        x=math.log10(rate), y=height, yref="paper", text=label, showarrow=False, xanchor="left", xshift=4
    )


def _range_of(found: dict[str, Any]) -> list[float]:
    """From the lowest loss to a little above where it began: what follows shoots up."""
    low, start = min(found["smoothed"]), found["smoothed"][0]
    return [low - 0.1 * (start - low), start + 0.5 * max(start - low, 1e-9)]
