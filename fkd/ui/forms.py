"""Form fields made from a dataclass of options, with the help and ranges that its fields carry."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

import streamlit as st

from fkd.errors import FkdError
from fkd.options import checked, label_of, readable

T = TypeVar("T")
_SHORT = 20  # letters in all choices that still fit side by side in the sidebar
_FINEST = 4  # decimals of the step that a field's buttons take


def options_form(options_class: type[T], key: str, skip: tuple[str, ...] = ()) -> T:
    """One widget below the other for each field of a dataclass; the dataclass with what was chosen.

    Args:
        options_class: a frozen dataclass whose fields are declared with `fkd.options.option`.
        key: prefix of the widgets' keys; the field `size` is kept in the session as `key.size`.
        skip: fields that keep their default and get no widget.
    """
    shown: list[Field] = [item for item in fields(options_class) if item.name not in skip]  # type: ignore[arg-type]
    return options_class(**{item.name: _widget(item, item.default, f"{key}.{item.name}") for item in shown})


def reset(options_class: type, key: str) -> None:
    """Put every widget of `options_form` back to its field's default; for a button's `on_click`."""
    for item in fields(options_class):
        st.session_state.pop(f"{key}.{item.name}", None)


def fields_grid(
    defaults: Any, key: str, names: Sequence[str], columns: int = 3, known_texts: dict[str, list[str]] | None = None
) -> dict[str, Any]:
    """Fields side by side, numbers to be typed and choices written as the command line takes them.

    Args:
        defaults: an instance of the dataclass; the widgets begin with its values.
        key: prefix of the widgets' keys. Another key makes fresh widgets, which begin with `defaults` again.
        names: the fields to show, in this order.
        columns: how many stand side by side where there is room.
        known_texts: by name, the texts that a field can be given besides its default and none, for those that take
            only what there is now.

    Raises:
        FkdError: what was typed is not what its field takes; raised once all widgets are drawn, and told below the
            field's row.
    """
    known = {item.name: item for item in fields(defaults)}
    values, problems = {}, []
    for start in range(0, len(names), columns):
        row, told = st.columns(columns, vertical_alignment="bottom"), st.container()
        for name, column in zip(names[start : start + columns], row, strict=False):
            with column:
                try:
                    default, idle = getattr(defaults, name), _is_idle(known[name], defaults, key)
                    texts = (known_texts or {}).get(name)
                    typed = _typed(known[name], default, f"{key}.{name}", idle, texts)
                    # What is without effect is not asked to be right, as it can be changed no more.
                    values[name] = default if idle else _checked(known[name], typed)
                except FkdError as error:
                    problems.append(error)
                    with told:
                        tell_problem(error)
    if problems:
        raise problems[0]
    return values


def tell_problem(error: FkdError) -> None:
    """What is wrong with what was typed, to stand below its field."""
    told = str(error).replace("[", r"\[").replace("]", r"\]")  # which would end the colour
    st.markdown(f":red[:small[{told}]]")


def _common(item: Field, key: str) -> dict[str, Any]:
    return {"label": label_of(item), "key": key, "help": item.metadata["help"], "persist_state": "session"}


def _is_idle(item: Field, defaults: Any, key: str) -> bool:
    """Whether a field has no effect with what stands in the one that it depends on, drawn yet or not."""
    if item.metadata["only"] is None:
        return False
    other, values = item.metadata["only"]
    return st.session_state.get(f"{key}.{other}", getattr(defaults, other)) not in values


def _widget(item: Field, default: Any, key: str) -> Any:
    """A field for the sidebar: sliders, and short choices side by side."""
    common = _common(item, key)
    choices, low, high = (item.metadata[name] for name in ("choices", "low", "high"))
    if choices is not None and sum(map(len, choices)) < _SHORT:
        return st.segmented_control(
            options=choices, default=default, required=True, format_func=readable, width="stretch", **common
        )
    if choices is not None:
        return st.selectbox(options=choices, index=choices.index(default), format_func=readable, **common)
    if isinstance(default, bool):
        return st.toggle(value=default, **common)
    if isinstance(default, int):
        return st.slider(min_value=int(low), max_value=int(high), value=default, **common)
    step = 0.005 if low < 0.01 else 0.01
    limits: dict[str, Any] = {"min_value": float(low), "max_value": float(high)}
    return st.slider(value=default, step=step, format="%.3g", **limits, **common)


def _typed(item: Field, default: Any, key: str, idle: bool, texts: list[str] | None) -> Any:
    """A field for a grid: numbers of any range, one of many choices, a text, or JSON."""
    common = _common(item, key) | {"disabled": idle}
    choices = item.metadata["choices"]
    if choices is not None:
        return st.selectbox(options=choices, index=choices.index(default), **common)
    if texts is not None:
        known = list(dict.fromkeys(["", *texts, default]))
        return st.selectbox(options=known, index=known.index(default), format_func=_or_none, **common)
    if isinstance(default, bool):
        return st.toggle(value=default, **common)
    # Numbers have no limits here: a widget that has some hands on its last good value without a word.
    # What decides is the setting's own default: a recipe may hold 25 for an angle, which a whole-number field rounds.
    if isinstance(item.default, float):
        return st.number_input(value=float(default), step=_step(default), format="%.6g", **common)
    if isinstance(default, int):
        return st.number_input(value=default, step=1, **common)
    if isinstance(default, dict):
        return st.text_input(value=json.dumps(default), **common)
    return st.text_input(value=str(default), **common)


def _or_none(text: str) -> str:
    return text or "None"


def _checked(item: Field, typed: Any) -> Any:
    """The value of a field, read from its text where that is JSON; `FkdError` for what it does not take."""
    if item.default is MISSING:
        return _json_object(typed, label_of(item))
    try:
        return checked(item, typed, label_of(item))
    except ValueError as error:
        raise FkdError(f"{error}.") from None


def _step(value: float) -> float:
    """One unit of the last decimal that a value is written with, and at most a tenth of the value's own size."""
    if not value:
        return 0.01
    decimals = len(f"{value:.{_FINEST}f}".rstrip("0").partition(".")[2])
    return 10.0 ** min(-decimals, math.floor(math.log10(abs(value))) - 1)


def _json_object(text: str, label: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise FkdError(f'{label} takes an object as JSON, such as {{"widths": [32, 64]}}, not {text!r}.')
    return value
