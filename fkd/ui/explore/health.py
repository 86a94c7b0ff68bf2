"""The top of the Explore page: what is there, what is missing, what looks wrong, and what to know before training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import streamlit as st

from fkd.data.dataset import Dataset
from fkd.data.missing import missing_most
from fkd.data.quality import NOBODY, REGRESSION
from fkd.data.splits import published_parts, shared_groups
from fkd.errors import listed
from fkd.ui.explore import choice, keys
from fkd.ui.explore.source import Source
from fkd.ui.grid import grid

_CARD_PX = 155  # two stand side by side on the smallest phone
_NO_QUESTION, _UNMEASURED = "–", "…"
_WORST = 5
_MOST_FACES = 0.9  # share of faces from which all are labelled by the same habit


class Figure(NamedTuple):
    """One card of the strip.

    Attributes:
        label: what is counted.
        value: how many; `–` where the question does not arise, `…` where that is being measured.
        show: the filter that shows the faces behind it.
        sort: the measure by which these come, highest first; None for the order of the file.
        told: a few words below the figure.
        meaning: what it means, for who asks.
    """

    label: str
    value: str
    show: str
    sort: str | None
    told: str
    meaning: str


def show_top(source: Source) -> None:
    """The figures and answers, folded away while a face is open, so that it is on the screen."""
    if keys.is_face_open(len(source.faces)):
        with st.expander("About this dataset", icon=":material/query_stats:"):
            _show(source)
    else:
        _show(source)


def _show(source: Source) -> None:
    """Six figures, each with a button that opens the faces behind it, and the answers to the first questions."""
    strip, sentences = _computed(source.key, source)
    with grid("explore-strip", _CARD_PX, 16, enlarge=True):
        for figure in strip:
            with st.container(border=True, gap="xsmall"):
                st.metric(figure.label, figure.value, help=figure.meaning)
                st.caption(figure.told)
                st.button(
                    "Show faces",
                    key=f"strip.{figure.show}",
                    type="tertiary",
                    icon=":material/arrow_forward:",
                    icon_position="right",
                    disabled=figure.value in ("0", _NO_QUESTION, _UNMEASURED),
                    on_click=keys.open_faces,
                    args=(figure.show, figure.sort, choice.HIGHEST) if figure.sort else (figure.show,),
                )
    st.markdown("\n".join(f"- {sentence}" for sentence in sentences))
    _offer_worst(source)


@st.cache_data(show_spinner=False, max_entries=6)
def _computed(key: tuple, _source: Source) -> tuple[list[Figure], list[str]]:
    return figures(_source), [missing_sentence(_source.faces), side_sentence(_source.faces), shared_sentence(_source)]


def _offer_worst(source: Source) -> None:
    """A button for each of the faces whose labels are the most suspicious."""
    if not source.measured:
        st.markdown(f"**{_worst_of(source)}:** {_UNMEASURED}")
        return
    suspects = int(source.quality.flagged("suspected error").sum())
    several = len(published_parts(source.faces)) > 1  # only then do names need the file that they are from
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{_worst_of(source)}:**" if suspects else "**No label is suspicious.**", width="content")
        for row in source.quality.ranking()[: min(_WORST, suspects)].tolist():
            name = str(source.faces.rows[row])
            short = name if several else name.rpartition("/")[2]
            st.button(
                short.rpartition(".")[0] or short,
                key=f"worst.{row}",
                help=f"{name}: suspicion {source.quality.measures['suspicion'][row]:.2f}",
                type="tertiary",
                icon=":material/search:",
                on_click=_open_suspect,
                args=(row,),
            )


def _worst_of(source: Source) -> str:
    return "Most unusual, as drawn points are exact" if source.is_drawn else "Most likely mislabelled"


def _open_suspect(row: int) -> None:
    keys.open_faces("suspected error", "suspicion", choice.HIGHEST)
    keys.open_face(row)


def figures(source: Source) -> list[Figure]:
    """The cards of the strip."""
    faces, quality = source.faces, source.quality
    n, k = len(faces), len(faces.schema)
    present = np.isfinite(faces.points_px).all(axis=2)
    complete, missing = int(present.all(axis=1).sum()), int((~present).sum())
    groups, parts = len(np.unique(faces.groups)), np.unique(faces.published_split).tolist()
    shared = f"{len(choice.shared_between_splits(source)):,}" if len(parts) > 1 else _NO_QUESTION
    near, suspects = (
        f"{int(quality.flagged(check).sum()):,}" if source.measured else _UNMEASURED
        for check in ("near duplicate", "suspected error")
    )
    people = kind_of_group(faces)
    return [
        Figure(
            "Faces",
            f"{n:,}",
            choice.ALL,
            None,
            f"{groups:,} {people.split()[0]}",
            f"Of {groups:,} {people}, told apart by {_how_grouped(faces)}.",
        ),
        Figure(
            f"All {k} points",
            f"{complete:,}",
            choice.COMPLETE,
            None,
            f"{complete / n:.1%} of faces",
            f"Faces with every one of the {k} points labelled.",
        ),
        Figure(
            "Labels missing",
            f"{missing:,}",
            "missing labels",
            "missing",
            f"{missing / (n * k):.1%} of labels",
            f"Of {n * k:,} labels in all; the faces that lack most come first.",
        ),
        Figure(
            "Duplicates",
            near,
            "near duplicate",
            "likeness",
            "nearly equal another",
            "Faces that nearly equal another one, the most alike first.",
        ),
        Figure(
            "Unusual" if source.is_drawn else "Suspected errors",
            suspects,
            "suspected error",
            "suspicion",
            "but exact, as drawn" if source.is_drawn else "the worst come first",
            f"Labels far from where they are expected, judged by {_judge(source)}.",
        ),
        Figure(
            "Shared",
            shared,
            choice.SHARED,
            None,
            f"{people.split()[0]} in two files"
            if len(parts) > 1
            else "not in files"
            if source.is_drawn
            else "only one file",
            f"{people.capitalize()} that are in more than one of the published files: a test on them tells too little.",
        ),
    ]


def missing_sentence(faces: Dataset) -> str:
    """Which keypoints are missing most."""
    names, most = missing_most(faces)
    if not most:
        return "**No label is missing.**"
    told, each = listed([f"`{name}`" for name in names]), "in" if len(names) == 1 else "each in"
    return f"**Missing most:** {told}, {each} {most:,} of {len(faces):,} faces ({most / len(faces):.1%})."


def side_sentence(faces: Dataset) -> str:
    """Whose left the names mean, by where the labels lie in most faces."""
    index = faces.schema.keypoints.index
    across = (
        faces.points_px[:, index("left_eye_outer_corner"), 0] - faces.points_px[:, index("right_eye_outer_corner"), 0]
    )
    if not np.isfinite(across).any():
        return "**Left and right** cannot be told: no face has both eyes labelled."
    share = float((across[np.isfinite(across)] > 0).mean())
    if 1 - _MOST_FACES < share < _MOST_FACES:
        return (
            f"**Left and right are mixed up:** the left eye lies on the right of the picture, as it should, "
            f"in only {share:.1%} of faces."
        )
    whose, side = ("subject's", "right") if share >= 0.5 else ("viewer's", "left")
    warning = "" if share >= 0.5 else " They have changed places: mirroring and the other datasets take the subject's."
    return (
        f"**Left means the {whose} left:** the left eye lies on the {side} of the picture "
        f"in {'every face' if share in (0, 1) else f'{max(share, 1 - share):.1%} of faces'}.{warning}"
    )


def shared_sentence(source: Source) -> str:
    """What the published files share, for each pair of them."""
    faces = source.faces
    parts, people = published_parts(faces), kind_of_group(faces)
    if source.is_drawn:
        return "**Train and test** are parted by each training: these people are drawn, and come in no files."
    if len(parts) < 2:
        return f"**Train and test** cannot share anybody: all faces are in one published file, `{next(iter(parts))}`."
    told = []
    for (first, second), shared in shared_groups(faces.groups, parts).items():
        smaller, larger = sorted((first, second), key=lambda name: len(np.unique(faces.groups[parts[name]])))
        total = len(np.unique(faces.groups[parts[smaller]]))
        count = f"all {total:,}" if len(shared) == total else f"{len(shared):,} of {total:,}"
        told.append(
            f"{count} {people} of `{smaller}` are in `{larger}` too" if shared else f"no {people} are in two files"
        )
    verdict = "share" if any(sentence[0] != "n" for sentence in told) else "do not share"
    return f"**Train and test {verdict} {people}:** {'; '.join(told)}."


def kind_of_group(faces: Dataset) -> str:
    """What the dataset's groups are called."""
    return "groups of alike faces" if _are_clusters(faces) else "people"


def _how_grouped(faces: Dataset) -> str:
    return "likeness of the pictures, as names tell nothing" if _are_clusters(faces) else "the names of the pictures"


def _are_clusters(faces: Dataset) -> bool:
    return bool(np.char.startswith(faces.groups, "cluster_").all())


def _judge(source: Source) -> str:
    judge = source.quality.judge
    return "a regression learnt from the dataset itself" if judge in (REGRESSION, NOBODY) else f"the weights {judge}"
