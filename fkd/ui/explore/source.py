"""Which dataset the Explore page shows, read and judged once for all sessions; faces come before their judgement."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import streamlit as st

from fkd.curation import judge_of, quality_of
from fkd.data.cache import cache_failure
from fkd.data.dataset import Dataset
from fkd.data.quality import Quality, first_look
from fkd.errors import FkdError
from fkd.jobs import Job, Stopped
from fkd.ui.datasets import SYNTHETIC, SYNTHETIC_FACES, available_names, read_dataset, signature
from fkd.ui.explore import adding, keys
from fkd.ui.photos import written_ns
from fkd.ui.waiting import follow, wait_for

_PATIENCE_S = 1.0  # what is in the cache is there by then; for anything else the faces are shown first
_SHORT, _SHORTEST = 10, 6  # characters of a name's end below a small picture
_HOW_MANY = f"The first {SYNTHETIC_FACES} are drawn here; a training learns from more."
_STOP_READING, _STOP_JUDGING = "explore.stop.reading", "explore.stop.judging"


@dataclass(frozen=True)
class Source:
    """A dataset as the page shows it.

    Attributes:
        key: changes with the dataset's content; what caches go by.
        faces: the dataset, every row of it.
        quality: what is measured of each face.
        measured: whether all of it is; else `quality` is a first look.
    """

    key: tuple
    faces: Dataset
    quality: Quality
    measured: bool = True

    @property
    def is_drawn(self) -> bool:
        """Whether all faces are synthetic, so that their points are exact."""
        return bool(np.isin(self.faces.sources, list(SYNTHETIC)).all())

    def short_name(self, row: int) -> str:
        """A row's name without folder and ending, or as much of its end as fits below a small picture."""
        name = str(self.faces.rows[row]).rpartition("/")[2]
        stem = name.rpartition(".")[0] or name
        ends = [stem, *(stem[found.end() :] for found in re.finditer("[^A-Za-z0-9]+", stem))]
        whole_words = (end for end in ends if _SHORTEST <= len(end) <= _SHORT)
        return stem if len(stem) <= _SHORT else next(whole_words, f"…{stem[1 - _SHORT :].lstrip()}")


def choose_source() -> Source:
    """The list of datasets that are here, those of real faces first, and the chosen one; ways to add others."""
    names = available_names()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Dataset", names, key=keys.DATA, bind="query-params", on_change=keys.forget_view, width=260)
        wanted = adding.OWN if st.button("Add a dataset", icon=":material/add:") else None
        if st.button("Train on this", icon=":material/model_training:", help=f"A new run that learns from {name}."):
            st.switch_page("pages/train.py", query_params={"dataset": name})
    adding.show_jobs()
    if all(other in SYNTHETIC for other in names):
        wanted = _say_how_to_begin() or wanted
    elif name in SYNTHETIC:
        st.caption(f":material/smart_toy: Synthetic faces of people who do not exist. {_HOW_MANY}")
    adding.open_dialog(wanted)
    files, faces = _read(name)
    source = _judged(name, (*files, _judge(faces)), faces)
    if failure := cache_failure():
        st.warning(failure, icon=":material/save:")
    return source


def _read(name: str) -> tuple[tuple, Dataset]:
    """What changes with the files of a dataset, and its faces."""
    files = signature(name)
    job = _reading(name, files)
    if adding.is_busy() and not job.done:
        follow(job, _draw_anew, _STOP_READING)
        st.stop()
    wait_for(job, _STOP_READING)
    try:
        return files, job.result()
    except Stopped as stopped:
        st.info(f"{stopped} Choose another dataset above, or go on with this one.", icon=":material/stop_circle:")
        st.button(f"Read {name}", type="primary", on_click=_reading.clear, args=(name, files))
        st.stop()
    except Exception:
        _reading.clear(name, files)  # so that the next visit tries again
        raise


def _judge(faces: Dataset) -> tuple[str, int] | None:
    """The weights that judge these faces, and when they were written; None where a regression does."""
    weights = judge_of(faces.schema.name)
    return None if weights is None else (weights, written_ns(weights))


def _judged(name: str, decisive: tuple, faces: Dataset) -> Source:
    """The faces with their quality; while that is under way, with a first look at them and a bar.

    Args:
        name: of the dataset.
        decisive: changes with its files and with the weights that judge them.
        faces: of the dataset.
    """
    job = _judging(name, decisive, faces)
    unmeasured = (name, "first look", *decisive)
    if not job.done:
        follow(job, _draw_anew, _STOP_JUDGING)
        return Source(unmeasured, faces, _first_look(unmeasured, faces), measured=False)
    try:
        return Source((name, *decisive), faces, job.result())
    except Stopped:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info("The faces are not judged, as that was stopped; all else can be looked at.", width="stretch")
            st.button("Judge them", on_click=_judging.clear, args=(name, decisive, faces))
        return Source(unmeasured, faces, _first_look(unmeasured, faces), measured=False)
    except Exception:
        _judging.clear(name, decisive, faces)
        raise


def _draw_anew() -> None:
    """Draw the whole page once a job is done, but not under an open dialog: it would close."""
    if not adding.is_open():
        st.rerun()


def _say_how_to_begin() -> str | None:
    """What the synthetic faces are, and which side of the dialog is asked for."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(width=420, gap="xsmall"):
            st.markdown("**:material/smart_toy: These are synthetic faces**")
            st.caption(f"People who do not exist, to try everything on, as no dataset has been added yet. {_HOW_MANY}")
        own = st.button("Import your own", type="primary", icon=":material/upload:")
        published = st.button("Fetch a published one", icon=":material/download:")
    return adding.OWN if own else adding.KAGGLE if published else None


@st.cache_resource(show_spinner=False, max_entries=3)
def _reading(name: str, signature: tuple) -> Job[Dataset]:
    return Job(f"Reading {name}", lambda: _load(name))


@st.cache_resource(show_spinner=False, max_entries=3)
def _judging(name: str, decisive: tuple, _faces: Dataset) -> Job[Quality]:
    job = Job("Judging every face, which you can look at meanwhile", lambda: quality_of(_faces))
    job.wait(_PATIENCE_S)
    return job


@st.cache_resource(show_spinner=False, max_entries=3)
def _first_look(key: tuple, _faces: Dataset) -> Quality:
    return first_look(_faces)


def _load(name: str) -> Dataset:
    faces = read_dataset(name)
    if len(faces) < 2:
        raise FkdError(f"{name!r} has a single face, and faces are judged by comparing them; add more to its folder.")
    return faces
