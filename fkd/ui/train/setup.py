"""A new run: recipe, data, device and settings, what it will take, and its start."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import streamlit as st

from fkd.apart import run_apart
from fkd.data.notes import notes_path
from fkd.errors import FkdError
from fkd.evaluation.leaderboard import Row, read_results, train_command
from fkd.paths import runs_root
from fkd.progress import in_words
from fkd.training import devices, launch
from fkd.training.begin import new_run
from fkd.training.config import SECTIONS, TrainConfig
from fkd.training.devices import CPU, TWO_PROCESSES, Gpu
from fkd.training.recipes import RECIPES, changes_from_recipe, get_recipe, remark
from fkd.training.run import check_new
from fkd.training.trial import count_faces, run_trial, seconds_of_training, steps_of_epoch
from fkd.training.waiting import Queue
from fkd.ui import work
from fkd.ui.datasets import signature
from fkd.ui.forms import tell_problem
from fkd.ui.pressed import pressed
from fkd.ui.train import address, finder, form, keys
from fkd.ui.train.attempts import show_failure, succeeds

_PLACE = "setup"
_NAME, _SUGGESTED = "train.name", "train.name.suggested"
_START_ICON = ":material/play_arrow:"
_COUNTED = "train.counted"
_SEVERAL = "several"
_WITHOUT_EFFECT: dict[str, Any] = {
    "epochs": 1,
    "learning_rate": 1.0,
    "seed": 0,
    "patience": 0,
    "keep_every": 0,
}  # on speed


def show_setup() -> None:
    """The whole of it."""
    left, right = st.columns([4, 7], gap="large")
    with left:
        recipe = _choose_recipe()
    with right:
        base = form.base_config(recipe)
        try:
            config, device = _choose_the_rest(base)
        except FkdError as error:
            st.error(str(error), icon=":material/error:")
            st.button("Start", key="train.start.never", type="primary", icon=_START_ICON, disabled=True)
            return
        _show_plan(config, device)


def _choose_recipe() -> str:
    reached = best_by_recipe(read_results())
    recipe = st.radio(
        "Recipe",
        list(RECIPES),
        captions=[_caption(name, reached.get(name)) for name in RECIPES],
        key=keys.RECIPE,
        bind="query-params",
        persist_state="session",
        width="stretch",
    )
    return recipe or next(iter(RECIPES))


def _caption(name: str, row: Row | None) -> str:
    told = RECIPES[name].summary[0].upper() + RECIPES[name].summary[1:]
    return told if row is None else f"{told}. **{row.rmse_px:.2f} px**, NME **{row.nme:.2f} %** on {row.data}"


def best_by_recipe(rows: Sequence[Row]) -> dict[str, Row]:
    """What each recipe reaches on the first of its own datasets that it was measured on.

    Recipes for the same points begin with the same dataset, so that their figures can be compared.
    """
    best = {}
    for name, recipe in RECIPES.items():
        own = recipe.config.data.split("+")
        if known := [row for row in rows if row.recipe == name and row.data in own]:
            best[name] = min(known, key=lambda row: (own.index(row.data), row.nme))
    return best


def _choose_the_rest(base: TrainConfig) -> tuple[TrainConfig, str]:
    st.markdown("**Data and device**")
    data = form.choose_data(base)
    address.keep_true(data["data"])
    device = _choose_device()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown("**Settings**", width="content")
        back = get_recipe(base.recipe)
        st.button(
            "Back to the recipe",
            icon=":material/undo:",
            type="tertiary",
            on_click=form.begin_with,
            args=(back,),
        )
    settings = form.choose_settings(base)
    config = replace(base, **data, **settings).checked()
    if told := remark(config):
        st.info(told, icon=":material/info:")
    with st.expander("Learning-rate finder", icon=":material/search_insights:", on_change="rerun") as folded:
        if folded.open:
            finder.show_finder(config, device)
    return config, device


def _choose_device() -> str:
    gpus = _gpus()
    singles = [gpu.device for gpu in gpus]
    choices = [*singles, *([_SEVERAL] if len(gpus) > 1 else []), CPU, TWO_PROCESSES]
    chosen = st.selectbox(
        "Device",
        choices,
        format_func=lambda device: "Several GPUs" if device == _SEVERAL else devices.title_of(device, gpus),
        key="train.device",
        help="One device trains one run at a time. Two processes share each batch, as several GPUs do.",
        persist_state="session",
    )
    if chosen != _SEVERAL:
        return chosen
    together = st.multiselect(
        "GPUs",
        singles,
        default=singles,
        format_func=lambda device: f"{device}: {devices.title_of(device, gpus)}",
        key="train.gpus",
        persist_state="session",
    )
    if not together:
        raise FkdError("Choose the GPUs to train on.")
    return ",".join(sorted(together))


@st.cache_data(ttl=60, show_spinner="Looking for GPUs …")
def _gpus() -> list[Gpu]:
    return devices.list_gpus()


def _show_plan(config: TrainConfig, device: str) -> None:
    """What Start will do, and Start."""
    with st.container(border=True):
        name, is_free = _choose_name(config.recipe)
        plan, under_way = st.container(), st.container()
        trial_key = ("trial", repr(replace(config, **_WITHOUT_EFFECT)), device)
        with under_way:
            counts, trial = (
                work.follow(_begin_counting(config), stop=None),
                work.follow(trial_key, stop="Stop measuring"),
            )
        plan.markdown(
            "  \n".join(f"**{label}** · {text}" for label, text in _plan(config, device, counts, trial).items())
        )
        with st.container(horizontal=True):
            if pressed("Start", key="train.start", type="primary", icon=_START_ICON, disabled=not is_free) and succeeds(
                _PLACE, start, config, device, name
            ):
                keys.set_next(_NAME, None)
                keys.open_run(name)
                st.rerun()
            if pressed(
                "Measure the time",
                key="train.measure",
                icon=":material/timer:",
                help="Trains for 5 seconds on the chosen device, without keeping anything.",
                disabled=work.is_under_way(trial_key),
            ):
                measure = partial(run_apart, run_trial, config=config.as_dict(), device=device)
                work.begin(trial_key, "The trial", measure)
                st.rerun()
        show_failure(_PLACE)
        with st.expander("The same from the command line", icon=":material/terminal:"):
            st.code(_command(config, device, name), language="bash", wrap_lines=True)


def _choose_name(recipe: str) -> tuple[str, bool]:
    """The name that a run is to have, and whether it can; a free one is suggested until another is typed."""
    state, free = st.session_state, _free_name(recipe)
    # Only a new one is put there: it takes the place of what somebody types until the browser hears of it.
    if state.get(_NAME) in (None, state.get(_SUGGESTED)) and state.get(_NAME) != free:
        state[_NAME] = free
    state[_SUGGESTED] = free
    name = st.text_input("Name of the run", key=_NAME, max_chars=80, persist_state="session").strip()
    try:
        check_new(name)
    except FkdError as error:
        tell_problem(error)
        return name, False
    return name, True


def _free_name(recipe: str) -> str:
    return next(name for name in (f"{recipe}-{i}" for i in count(1)) if not (runs_root() / name).exists())


def _begin_counting(config: TrainConfig) -> tuple:
    """Count the faces beside the app, once for each choice of them; the key of that work."""
    sources = config.data.split("+")
    changed = [(signature(name), _changed(notes_path(name))) for name in sources]
    chosen = [getattr(config, name) for name in ("data", "missing", "notes", "whole_picture", *SECTIONS["Split"])]
    key = ("count", repr(chosen), repr(changed))
    work.turn_to(_COUNTED, key)
    work.ensure(key, "The count", partial(run_apart, count_faces, config=config.as_dict()))
    return key


def _changed(path: Path) -> float | None:
    return path.stat().st_mtime if path.exists() else None


def _plan(
    config: TrainConfig, device: str, counts: dict[str, int] | None, trial: dict[str, float] | None
) -> dict[str, str]:
    """What the run will do, by heading."""
    told = {"Faces": "being counted …", "Steps": f"{config.epochs:,} epochs", "Time": "not measured for these settings"}
    if counts:
        faces = [f"{counts['train']:,} to learn from", f"{counts['validation']:,} to watch"]
        told["Faces"] = ", ".join([*faces, f"{counts['test']:,} held out as test"])
        steps = steps_of_epoch(config, counts["train"])
        told["Steps"] = f"{config.epochs:,} epochs of {steps:,} steps, {config.epochs * steps:,} in all"
    if config.patience:
        told["Steps"] += f"; fewer, if {config.patience} epochs bring nothing better"
    if counts and trial:
        left = in_words(seconds_of_training(trial, config, counts["train"]))
        told["Time"] = f"about **{left}** at {trial['images_per_s']:,.0f} images/s"
        if "memory_bytes" in trial:
            told["Time"] += f", in {trial['memory_bytes'] / 2**30:.1f} GiB"
    told["Device"] = f"{devices.title_of(device, _gpus())}, {_place(device)}"
    changes = changes_from_recipe(config.as_dict())
    told["Changes to the recipe"] = ", ".join(f"`{change}`" for change in changes) or "none"
    return told


def _place(device: str) -> str:
    queue = Queue(device)
    waiting = len(queue.names)
    if waiting:
        return f"number {waiting + 1} in its queue"
    return "begins when the run that trains there has ended" if queue.is_busy() else "begins at once"


def _command(config: TrainConfig, device: str, name: str) -> str:
    return f"{train_command(shlex.quote(name), config.as_dict())} --device {device} --detach"


def start(config: TrainConfig, device: str, name: str) -> None:
    """Write a run's folder and queue it, as `python -m fkd train --detach` does.

    Raises:
        FkdError: what cannot be trained, or a name that is taken or cannot name a run.
    """
    launch.launch(new_run(name, config), device)
