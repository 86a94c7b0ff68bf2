"""The browser of faces: filter, order, a page of small pictures."""

from __future__ import annotations

import numpy as np
import streamlit as st

from fkd.data.quality import CHECKS
from fkd.ui.explore import choice, face, keys
from fkd.ui.explore.notes import Notes, csv_text
from fkd.ui.explore.source import Source
from fkd.ui.pictures import thumbnail

_ON_A_PAGE = 24
_SMALL_PX = 132


def show_browser(source: Source, notes: Notes) -> None:
    """The grid of the chosen faces, or the one that the address names with its neighbours a key away."""
    chosen = _choose(source)
    rows = choice.rows_of(source, chosen, notes)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_count(len(rows), len(source.faces)), width="stretch")
        _offer_notes(source, notes)
    row = keys.shown_face(len(source.faces))
    if row is not None:
        face.show_face(source, notes, row, rows)
    elif len(rows):
        _show_grid(source, notes, rows, chosen)
    else:
        st.info("No face fits. Choose another filter, or move its threshold.", icon=":material/search_off:")


def _choose(source: Source) -> choice.Choice:
    splits: list[str] = np.unique(source.faces.published_split).tolist()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        show = st.selectbox(
            "Show",
            choice.filters(source.faces.schema),
            key=keys.SHOW,
            bind="query-params",
            width=230,
            on_change=_first_page,
        )
        threshold = _threshold(show) if show in CHECKS else None
        split = choice.ANY_SPLIT
        if len(splits) > 1:
            split = st.selectbox(
                "Split", [split, *splits], key=keys.SPLIT, bind="query-params", width=130, on_change=_first_page
            )
        sorts = [choice.ROW_ORDER, *source.quality.measures]
        sort = st.selectbox(
            "Sort by",
            sorts,
            key=keys.SORT,
            bind="query-params",
            format_func=_readable,
            width=180,
            on_change=_first_page,
        )
        order = st.selectbox(
            "Order",
            [choice.LOWEST, choice.HIGHEST],
            key=keys.ORDER,
            bind="query-params",
            width=150,
            on_change=_first_page,
        )
        find = st.text_input(
            "Find", key=keys.FIND, bind="query-params", placeholder="row or person", width=160, on_change=_first_page
        )
    return choice.Choice(show, threshold, split, find or "", sort, order, st.session_state.get(keys.SELECTION, ()))


def _threshold(show: str) -> float:
    check = CHECKS[show]
    return st.number_input(
        "From" if check.above else "Below",
        value=float(check.threshold),
        step=max(round(check.threshold / 20, 2), 0.01),
        format="%.3g",
        key=f"explore.threshold.{show}",
        help=f"A face is shown where this is {'at least' if check.above else 'less than'} the number: {check.help}.",
        persist_state="session",
        width=130,
    )


def _first_page() -> None:
    """After another filter or order, its first page."""
    st.session_state.pop(keys.PAGE, None)
    keys.close_face()


def _count(shown: int, total: int) -> str:
    return f"**{shown:,}** of {total:,} faces" if shown != total else f"**{total:,}** faces"


def _offer_notes(source: Source, notes: Notes) -> None:
    """What has been noted, and the file of it."""
    if notes.flags or notes.corrections:
        st.markdown(f":gray-badge[{len(notes.flags)} flagged] :gray-badge[{len(notes.corrections)} corrected]")
        st.download_button(
            "Flags and corrections as CSV",
            csv_text(source.faces, notes),
            f"{source.faces.name}_notes.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _show_grid(source: Source, notes: Notes, rows: np.ndarray, chosen: choice.Choice) -> None:
    pages = -(-len(rows) // _ON_A_PAGE)
    if st.session_state.get(keys.PAGE, 1) > pages:
        st.session_state[keys.PAGE] = pages
    place = st.container(horizontal=True, gap="small")
    page = st.pagination(pages, key=keys.PAGE, bind="query-params") if pages > 1 else 1
    with place:
        for row in rows[(page - 1) * _ON_A_PAGE : page * _ON_A_PAGE].tolist():
            with st.container(width=_SMALL_PX, gap="xsmall"):
                name = str(source.faces.rows[row])
                points_px = notes.points_px(source.faces, row)
                st.image(
                    _picture(source.key, row, points_px.tobytes(), source),
                    width="stretch",
                    output_format="JPEG",
                    alt=f"Face {name}",
                )
                st.button(
                    _label(source, row, chosen),
                    key=f"face.{row}",
                    help=f"{name} · {source.faces.groups[row]}",
                    icon=":material/flag:" if row in notes.flags else None,
                    width="stretch",
                    on_click=keys.open_face,
                    args=(row,),
                )


@st.cache_data(show_spinner=False, max_entries=2000)
def _picture(key: tuple, row: int, points: bytes, _source: Source) -> np.ndarray:
    points_px = np.frombuffer(points, np.float32).reshape(-1, 2)
    return thumbnail(_source.faces.images_u8[row], points_px, _source.faces.schema, 2 * _SMALL_PX)


def _label(source: Source, row: int, chosen: choice.Choice) -> str:
    """The row's name, as far as it fits, or what the faces are sorted by."""
    if chosen.sort != choice.ROW_ORDER:
        return f"{source.quality.measures[chosen.sort][row]:.3g}"
    name = str(source.faces.rows[row])
    return name if len(name) <= 13 else f"…{name[-12:]}"


def _readable(measure: str) -> str:
    return measure.replace("_", " ")
