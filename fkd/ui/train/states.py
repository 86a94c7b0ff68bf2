"""How the states and settings of runs are written on the page."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import streamlit as st

from fkd import options
from fkd.augment import Augmentation
from fkd.training.config import TrainConfig

GOING_ON = ("running", "waiting")
POLL_S = 2.0  # how often what goes on is looked at; the trainer writes as often
STATES = {  # state: colour and icon of its badge
    "running": ("blue", ":material/play_arrow:"),
    "waiting": ("gray", ":material/hourglass_empty:"),
    "finished": ("green", ":material/check:"),
    "stopped": ("orange", ":material/stop:"),
    "failed": ("red", ":material/error:"),
    "lost": ("violet", ":material/link_off:"),
}
_LABELS = {item.name: options.label_of(item) for item in (*fields(TrainConfig), *fields(Augmentation))}


def state_badge(state: str) -> None:
    """The state as a coloured badge."""
    colour: Any
    colour, icon = STATES[state]
    st.badge(state.capitalize(), icon=icon, color=colour)


def readable(setting: str) -> str:
    """What the form calls a setting: `augmentation.rotation_deg` as `Rotation (°)`."""
    name = setting.removeprefix("augmentation.")
    return _LABELS.get(name) or options.readable(name)
