"""What can be done with a run: stop, resume, change, try, take along, ship, delete."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from fkd.apart import run_apart
from fkd.errors import FkdError
from fkd.export import export_onnx
from fkd.promote import check_name, promote, warning
from fkd.training import launch
from fkd.training.config import TrainConfig
from fkd.training.launch import RunView
from fkd.training.run import RunFolder
from fkd.ui import work
from fkd.ui.pressed import pressed
from fkd.ui.train import form, keys, table
from fkd.ui.train.attempts import attempt, show_failure, succeeds
from fkd.ui.train.states import GOING_ON
from fkd.weights import RUN_PREFIX, list_weights

_PLACE = "actions"
_PROMOTING, _RENAMING = "promote.open", "rename.open"  # closed when their work begins, which they would hide
_DETECT = "pages/detect.py"


def show_actions(name: str) -> None:
    """A row of buttons, those that the run's state allows, and what came of the last one."""
    view, folder = launch.view(name), RunFolder.open(name)
    has_weights = folder.weights.is_file()
    with st.container(horizontal=True, gap="small"):
        _stop_or_resume(view)
        if has_weights and st.button("Try on Detect", icon=":material/face:"):
            st.switch_page(_DETECT, query_params={"weights": f"{RUN_PREFIX}{name}"})
        st.button(
            "Duplicate with changes",
            icon=":material/content_copy:",
            on_click=attempt,
            args=(_PLACE, _duplicate, view),
        )
        if has_weights:
            with st.popover("Export", icon=":material/download:"):
                _offer_files(folder)
            with st.popover("Promote", icon=":material/workspace_premium:", key=_PROMOTING, on_change="rerun"):
                _offer_promotion(name)
        if view.state not in GOING_ON:
            with st.popover("Rename", icon=":material/edit:", key=_RENAMING, on_change="rerun"):
                _offer_rename(name)
            is_promoted = work.is_under_way(_promotion(name))
            why = "It is being measured and promoted; wait for that, or stop it." if is_promoted else None
            if st.button("Delete", icon=":material/delete:", disabled=is_promoted, help=why):
                _confirm_deletion(name)
    show_failure(_PLACE)
    _tell_of_promotion(name)


def _stop_or_resume(view: RunView) -> None:
    if view.state in GOING_ON:
        if st.button("Stop" if view.state == "running" else "Cancel", icon=":material/stop:", type="primary"):
            with st.spinner("Stopping after this step …"):
                attempt(_PLACE, launch.stop, view.name)
            st.rerun()
    elif view.state != "finished":
        st.button(
            "Resume",
            icon=":material/play_arrow:",
            type="primary",
            on_click=attempt,
            args=(_PLACE, launch.resume, view.name),
        )


def _duplicate(view: RunView) -> None:
    form.begin_with(TrainConfig.from_dict(view.config))
    keys.set_next(keys.VIEW, keys.NEW)


def _offer_files(folder: RunFolder) -> None:
    weights = f"{RUN_PREFIX}{folder.name}"
    files: dict[str, tuple[str, Callable[[], bytes]]] = {
        "Weights (safetensors)": ("safetensors", folder.weights.read_bytes),
        "Weights for onnxruntime (ONNX)": ("onnx", partial(_onnx_bytes, weights)),
        "Everything (zip)": ("zip", partial(_zip_bytes, folder.name)),
    }
    for label, (suffix, data) in files.items():
        st.download_button(
            label,
            data,
            f"{folder.name}.{suffix}",
            "application/octet-stream",
            key=f"export.{suffix}",
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
        )


def _onnx_bytes(weights: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.onnx"
        export_onnx(weights, path)
        return path.read_bytes()


def _zip_bytes(name: str) -> bytes:
    file = io.BytesIO()
    launch.write_zip(name, file)
    return file.getvalue()


def _offer_promotion(name: str) -> None:
    st.markdown("Puts the best weights into `weights/`, measured on the faces held out from them, and with a card.")
    called = st.text_input("Name of the weights", name, key=f"promote.name.{name}", max_chars=60).strip()
    exists = called in list_weights()
    replace = exists and st.checkbox(f"Replace the weights {called}", key=f"promote.replace.{name}.{called}")
    problem = None
    try:
        check_name(called, replace)
    except FkdError as error:
        problem = str(error)
        st.caption(problem)
    key = _promotion(name)
    if pressed(
        "Measure and promote",
        key="promote.do",
        type="primary",
        disabled=problem is not None or work.is_under_way(key),
    ):
        work.begin(key, "The promotion", partial(_promoted, name, called, replace))
        keys.set_next(_PROMOTING, False)
        st.rerun()


def _promotion(run: str) -> tuple[str, str]:
    """The key of the work that ships a run's weights; to be forgotten with the run's name, which another may get."""
    return "promote", run


def _promoted(run: str, name: str, replace: bool) -> tuple[str, dict]:
    return name, run_apart(promote, run=run, name=name, replace=replace)


def _tell_of_promotion(name: str) -> None:
    promoted = work.follow(_promotion(name))
    if promoted:
        called, metrics = promoted
        told = " · ".join(f"NME {summary['nme']:.2f} % on {data}" for data, summary in metrics.items())
        st.success(f"Its best weights are now shipped as **{called}**: {told}.", icon=":material/workspace_premium:")
        if warned := warning(metrics):
            st.warning(warned, icon=":material/warning:")


def _offer_rename(name: str) -> None:
    if work.is_under_way(_promotion(name)):
        st.caption("It is being measured and promoted; wait for that, or stop it.")
        return
    new = st.text_input("New name", name, key=f"rename.{name}", max_chars=80).strip()
    if pressed("Rename", key="rename.do", type="primary", disabled=new in ("", name)):
        if succeeds(_PLACE, launch.rename, name, new):
            work.forget(_promotion(name))
            table.open_run(new)
        keys.set_next(_RENAMING, False)
        st.rerun()


@st.dialog("Delete this run?", icon=":material/delete:")
def _confirm_deletion(name: str) -> None:
    st.markdown(f"**{name}** goes with its weights, curves and log. This cannot be undone.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it"):
            st.rerun()
        if st.button("Delete", key="delete.do", type="primary", on_click=_delete, args=(name,)):
            st.rerun()


def _delete(name: str) -> None:
    if succeeds(_PLACE, launch.delete, name):
        work.forget(_promotion(name))
