"""The browser of faces: filter, order, a page of small pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import streamlit as st

from fkd.data.notes import Notes
from fkd.data.quality import CHECKS
from fkd.ui.explore import choice, face, keys
from fkd.ui.explore.notes import offer_notes, show_outcome
from fkd.ui.explore.source import Source
from fkd.ui.explore.table import faces_csv
from fkd.ui.grid import grid
from fkd.ui.pictures import thumbnail

_ON_A_PAGE = 27
_SMALL_PX = 114  # three side by side on a phone, nine on a wide screen
_QUALITY = 90
_SHORT_NAME = 5  # characters of a row's name that leave room for a value beside it
_MEASURE_NAMES = {  # where more has to be said than the measure's own name
    "suspicion": "Suspicion of an error",
    "shape": "Odd shape",
    "shape_point": "Odd point",
    "disagreement_point": "Point disagreement",
    "order": "Points in wrong order",
    "outside": "Labels outside",
    "copies": "Exact copies",
    "likeness": "Most alike face",
    "face_px": "Face size, px",
    "missing": "Missing labels",
    "offset": "Offset of all labels",
    "tilt_deg": "Head tilt, degrees",
    "turn": "Head turn",
}


def _sentence(option: str) -> str:
    """An option with a capital letter; the names of splits, people and keypoints stay as they are."""
    return option[:1].upper() + option[1:]


def _measure_name(measure: str) -> str:
    return _MEASURE_NAMES.get(measure, _sentence(measure))


def _group_name(group: str) -> str:
    return _sentence(group) if group == choice.ANY_GROUP else group


def show_browser(source: Source, notes: Notes) -> None:
    """The grid of the chosen faces, or the one that the address names with its neighbours a key away."""
    row = keys.shown_face(len(source.faces))
    with st.container() if row is None else st.expander("Filter and order", icon=":material/filter_list:"):
        chosen = _choose(source)
    rows = choice.rows_of(source, chosen, notes)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_count(len(rows), len(source.faces)), width="stretch")
        st.download_button(
            "Table as CSV",
            partial(faces_csv, source, notes, rows),
            f"{source.faces.name}_faces.csv",
            "text/csv",
            icon=":material/download:",
            help="The faces shown here, all pages of them: their labels with your corrections, and every score.",
            on_click="ignore",
            disabled=not len(rows),
        )
        offer_notes(source, notes)
    show_outcome()
    if row is not None:
        face.show_face(source, notes, row, rows)
    elif len(rows):
        _show_grid(source, notes, rows, chosen)
    elif source.measured:
        st.info("No face fits. Choose another filter, or move its threshold.", icon=":material/search_off:")
    else:
        st.info("No face fits, as far as is known: they are not judged yet.", icon=":material/hourglass:")


def _measure_help() -> str:
    """What the measures that checks go by are, a line each."""
    told = {check.measure: f"**{_measure_name(check.measure)}**: {check.help}" for check in CHECKS.values()}
    return "  \n".join(told.values())


def _choose(source: Source) -> choice.Choice:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        show = _select("Show", choice.filters(source.faces.schema), keys.SHOW, 215, on_change=keys.another_filter)
        threshold = _threshold(show) if show in CHECKS else None
        splits, groups = _names(source.key, source)
        split, group = choice.ANY_SPLIT, choice.ANY_GROUP
        if len(splits) > 1:
            split = _select("Split", [split, *splits], keys.SPLIT, 120)
        if groups:
            group = _select("Person or group", [group, *groups], keys.GROUP, 170, _group_name)
        sort = _select(
            "Sort by",
            [choice.ROW_ORDER, *source.quality.measures],
            keys.SORT,
            175,
            _measure_name,
            keys.another_sort,
            _measure_help(),
        )
        low, high = _range(source, sort) if sort != choice.ROW_ORDER else (None, None)
        order = _select("Order", [choice.LOWEST, choice.HIGHEST], keys.ORDER, 145)
        find = st.text_input(
            "Find",
            key=keys.FIND,
            bind="query-params",
            placeholder="row or person",
            width=140,
            on_change=keys.first_page,
        )
    selection = st.session_state.get(keys.SELECTION, ())
    return choice.Choice(show, threshold, split, group, find or "", sort, order, low, high, selection)


@st.cache_data(show_spinner=False, max_entries=6)
def _names(key: tuple, _source: Source) -> tuple[list[str], list[str]]:
    """The published splits, and the groups of several faces."""
    return np.unique(_source.faces.published_split).tolist(), choice.groups_of_several(_source.faces)


def _select(
    label: str,
    options: list[str],
    key: str,
    width: int,
    name: Callable[[str], str] = _sentence,
    on_change: Callable[[], None] = keys.first_page,
    about: str | None = None,
) -> str:
    return st.selectbox(
        label, options, key=key, bind="query-params", format_func=name, width=width, on_change=on_change, help=about
    )


def _threshold(show: str) -> float:
    check = CHECKS[show]
    return st.number_input(
        "From" if check.above else "Below",
        value=float(check.threshold),
        step=max(round(check.threshold / 20, 2), 0.01),
        format="%.3g",
        key=keys.THRESHOLD,
        bind="query-params",
        help=f"A face is shown where this is {'at least' if check.above else 'less than'} the number: {check.help}.",
        on_change=keys.first_page,
        width=130,
    )


def _range(source: Source, measure: str) -> tuple[float | None, float | None]:
    """Bounds of the measure that is sorted by; empty ones do not bind."""
    values = source.quality.measures[measure]
    known = values[np.isfinite(values)]
    lowest, highest = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    return _bound("At least", keys.LOW, lowest), _bound("At most", keys.HIGH, highest)


def _bound(label: str, key: str, end: float) -> float | None:
    return st.number_input(
        label,
        value=None,
        placeholder=f"{end:.3g}",
        format="%.4g",
        key=key,
        bind="query-params",
        on_change=keys.first_page,
        width=120,
    )


def _count(shown: int, total: int) -> str:
    return f"**{shown:,}** of {total:,} faces" if shown != total else f"**{total:,}** faces"


def _show_grid(source: Source, notes: Notes, rows: np.ndarray, chosen: choice.Choice) -> None:
    pages = -(-len(rows) // _ON_A_PAGE)
    if st.session_state.get(keys.PAGE, 1) > pages:
        st.session_state[keys.PAGE] = pages
    place = grid("explore-faces", _SMALL_PX, 8)
    page = st.pagination(pages, key=keys.PAGE, bind="query-params") if pages > 1 else 1
    with place:
        for row in rows[(page - 1) * _ON_A_PAGE : page * _ON_A_PAGE].tolist():
            with st.container(gap="xsmall"):
                name = str(source.faces.rows[row])
                points_px = notes.points_px(source.faces, row).astype(np.float32)
                st.image(_picture(source.key, row, points_px.tobytes(), source), width="stretch", alt=f"Face {name}")
                st.button(
                    _label(source, row, chosen),
                    key=f"face.{row}",
                    help=f"{name} · {source.faces.groups[row]}",
                    icon=":material/flag:" if row in notes.flags else None,
                    width="stretch",
                    on_click=keys.open_face,
                    args=(row,),
                )


@st.cache_data(show_spinner=False, max_entries=5000)
def _picture(key: tuple, row: int, points: bytes, _source: Source) -> bytes:
    """JPEG of a face with its points, twice as large as it is shown."""
    points_px = np.frombuffer(points, np.float32).reshape(-1, 2)
    picture = thumbnail(_source.faces.images_u8[row], points_px, _source.faces.schema, 2 * _SMALL_PX)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded[1].tobytes()


def _label(source: Source, row: int, chosen: choice.Choice) -> str:
    """The row's name, as far as it fits, and what the faces are sorted by."""
    name = source.short_name(row)
    if chosen.sort == choice.ROW_ORDER:
        return name
    value = source.quality.measures[chosen.sort][row]
    told = f"{value:.3g}" if np.isfinite(value) else "–"
    return f"{name} · {told}" if len(name) <= _SHORT_NAME else told
