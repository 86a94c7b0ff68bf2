"""What a person can do when the detector finds no face, or not the right one."""

from __future__ import annotations

import streamlit as st

from fkd.pipeline.detect import SMALLEST_FACE_PX
from fkd.ui.photos import Analysis, Boxes, Photo

_BOXES = "detect.boxes"
_EXCHANGED = "detect.exchanged"  # of the session: by the photo's digest, which sides were typed in the wrong order
_CHANGED = "detect.changed"  # of the session: settings of the search, before a button changed them and after
MIN_SCORE = "min_score"
HAAR = "haar"
_LEAST_SCORE = 0.05  # a lower minimum would take everything for a face


def given_boxes() -> dict[str, Boxes]:
    """The boxes that this session's person has given, by the photo's digest."""
    return st.session_state.setdefault(_BOXES, {})


def say_what_was_found(photo: Photo, analysis: Analysis) -> None:
    """Where no face is shown, say so and offer ways on; where boxes were given or the search changed, the way back."""
    _offer_search_as_before()
    if photo.digest in given_boxes():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(f"These points are for {_told(photo, analysis)}.", icon=":material/crop_free:", width="stretch")
            offer_search(photo)
        score = min((face.score for face in analysis.faces), default=1.0)
        if score < st.session_state[MIN_SCORE]:
            st.warning(
                f"There is hardly a face in that box: it scores {score:.2f}. A box close round one face, from brows to "
                "chin, may do better.",
                icon=":material/sentiment_neutral:",
            )
    elif not analysis.faces:
        _offer_ways_on(photo, analysis)


def _offer_ways_on(photo: Photo, analysis: Analysis) -> None:
    sentence, label = f"No face found in {photo.name}.", "Search more closely"
    changes = {MIN_SCORE: 0.1, f"{HAAR}.min_neighbors": 1, f"{HAAR}.scale_factor": 1.05, f"{HAAR}.min_face": 0.01}
    if analysis.weak_scores:
        best = max(analysis.weak_scores)
        sentence += f" The likeliest spot scores {best:.2f}, less than the minimum face score."
    if analysis.weak_scores and best >= _LEAST_SCORE:
        changes = {MIN_SCORE: int(best * 20) / 20}
        label = f"Lower the minimum face score to {changes[MIN_SCORE]:.2f}"
    if min(analysis.width, analysis.height) < SMALLEST_FACE_PX:
        sentence += f" It has only {analysis.width} × {analysis.height} pixels; take a larger picture."
    changes = {key: value for key, value in changes.items() if value < st.session_state[key]}
    st.warning(sentence, icon=":material/search_off:")
    with st.container(horizontal=True):
        if changes:
            st.button(
                label,
                type="primary",
                help=f"Look at all photos with {_named(changes)}; the way back is offered then.",
                on_click=_change_search,
                args=(changes,),
            )
        offer_whole(photo, analysis)
    box_by_numbers(photo, analysis)


def _change_search(changes: dict[str, float]) -> None:
    changed = st.session_state[_CHANGED]
    for key, value in changes.items():
        before, _ = changed.get(key, (st.session_state[key], value))
        changed[key] = before, value
    st.session_state.update(changes)


def _offer_search_as_before() -> None:
    """What buttons have changed of the search, and the way back; what was set otherwise since is left alone."""
    changed: dict[str, tuple[float, float]] = st.session_state.setdefault(_CHANGED, {})
    for key in [key for key, (_, after) in changed.items() if st.session_state[key] != after]:
        del changed[key]
    if not changed:
        return
    now, before = ({key: both[i] for key, both in changed.items()} for i in (1, 0))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"All photos are searched with {_named(now)}.", icon=":material/manage_search:", width="stretch")
        st.button("Search as before", on_click=st.session_state.update, args=(before,))


def _named(settings: dict[str, float]) -> str:
    names = {MIN_SCORE: "a minimum face score of"}
    return ", ".join(
        f"{names.get(key, key.split('.')[-1].replace('_', ' '))} {value:g}" for key, value in settings.items()
    )


def offer_whole(photo: Photo, analysis: Analysis) -> None:
    """A button that gives the whole photo as the box of a face."""
    st.button("Treat the whole photo as a face", on_click=_give, args=(photo.digest, _whole(analysis)))


def offer_search(photo: Photo) -> None:
    """A button that takes the given boxes back."""
    st.button("Search for faces again", on_click=_take_back, args=(photo.digest,))


def box_by_numbers(photo: Photo, analysis: Analysis) -> None:
    """A form for the corners of a face's box."""
    with st.expander("Give a box by numbers", icon=":material/crop_free:"):
        st.caption("Round one face, from brows to chin and from jaw to jaw, in pixels of the photo.")
        right, bottom = analysis.width - 1, analysis.height - 1
        with st.form(f"box.{photo.digest}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            for corner, label, last, share in (
                ("x0", "Left", right, 0.25),
                ("y0", "Top", bottom, 0.25),
                ("x1", "Right", right, 0.75),
                ("y1", "Bottom", bottom, 0.75),
            ):
                st.number_input(label, 0, last, round(last * share), key=f"{photo.digest}.{corner}", width=110)
            st.form_submit_button("Use this box", on_click=_give_typed, args=(photo.digest,))


def _give_typed(digest: str) -> None:
    """Give the box of the form; corners typed in the wrong order are exchanged, in the form too."""
    exchanged = []
    for low, high, sides in (("x0", "x1", "left and right"), ("y0", "y1", "top and bottom")):
        keys = f"{digest}.{low}", f"{digest}.{high}"
        typed = [st.session_state[key] for key in keys]
        if typed[0] > typed[1]:
            exchanged.append(sides)
        st.session_state.update(zip(keys, sorted(typed), strict=True))
    st.session_state.setdefault(_EXCHANGED, {})[digest] = exchanged
    x0, y0, x1, y1 = (st.session_state[f"{digest}.{corner}"] for corner in ("x0", "y0", "x1", "y1"))
    _give(digest, ((x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5),))


def _whole(analysis: Analysis) -> Boxes:
    """The whole photo as a box, to the outer edges of its pixels."""
    return ((-0.5, -0.5, analysis.width - 0.5, analysis.height - 0.5),)


def _told(photo: Photo, analysis: Analysis) -> str:
    if given_boxes()[photo.digest] == _whole(analysis):
        return "the whole photo"
    exchanged = st.session_state.get(_EXCHANGED, {}).get(photo.digest)
    return "the box you gave" + (f", with {' and '.join(exchanged)} exchanged" if exchanged else "")


def _give(digest: str, boxes: Boxes) -> None:
    given_boxes()[digest] = boxes


def _take_back(digest: str) -> None:
    given_boxes().pop(digest, None)
