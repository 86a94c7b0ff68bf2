"""What takes long on the Explore page is stopped by its button, and goes on by the one that is offered then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fkd.data.dataset import Dataset
from fkd.data.quality import Quality, measure_quality
from fkd.paths import PROJECT_ROOT
from fkd.progress import report
from fkd.schema import KAGGLE15
from fkd.ui.explore import adding
from tests.uploads import HEADER, kaggle_rows

PATIENCE_S = 60.0


class Work:
    """Work that goes on until it is stopped or allowed to end, and tells which it was."""

    def __init__(self) -> None:
        self.may_end, self.stopped, self.begun = threading.Event(), threading.Event(), 0

    def __call__(self) -> None:
        self.begun += 1
        try:
            while not self.may_end.wait(0.01):
                report("working", 0.5)
        except BaseException:
            self.stopped.set()
            raise


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.may_end.set()


@pytest.fixture(scope="module")
def faces() -> Dataset:
    rng = np.random.default_rng(0)
    points_px = rng.uniform(20, 76, (15, 2)) + rng.normal(0, 1, (30, 15, 2))
    return Dataset(
        "drawn",
        KAGGLE15,
        rng.integers(0, 256, (30, 96, 96), np.uint8),
        points_px.astype(np.float32),
        **{field: np.arange(30).astype(str) for field in ("groups", "sources", "rows", "published_split")},
    )


@pytest.fixture
def explore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: Dataset) -> Callable[[], AppTest]:
    """Opens the page of a machine without datasets, whose synthetic faces are the drawn ones."""
    for name in ("DATA", "CACHE", "NOTES", "WEIGHTS"):
        monkeypatch.setenv(f"FKD_{name}", str(tmp_path / name.lower()))
    monkeypatch.setattr("fkd.data.synthetic.synthetic_dataset", lambda *_: faces)
    monkeypatch.setattr("fkd.ui.explore.source._PATIENCE_S", 0.0)
    st.cache_resource.clear()
    st.cache_data.clear()

    return opened


def opened() -> AppTest:
    """The page in a session of its own."""
    app = AppTest.from_file(str(PROJECT_ROOT / "pages" / "explore.py"), default_timeout=PATIENCE_S)
    app.session_state["frame.is_up"] = True
    return app.run()


def press(app: AppTest, label: str) -> None:
    """Press the first button of that label that can be pressed."""
    next(button for button in app.button if button.label == label and not button.disabled).click().run()


def says(app: AppTest, text: str) -> bool:
    return any(text in element.value for kind in (app.info, app.success, app.markdown) for element in kind)


def run_until(app: AppTest, seen: Callable[[], bool]) -> None:
    """Draw the page anew until something is seen, as its fragments do in a browser."""
    deadline = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < deadline, [element.value for element in (*app.info, *app.error, *app.markdown)]
        app.run()


def test_judging_is_stopped_and_begun_again(
    explore: Callable[[], AppTest], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(faces: Dataset) -> Quality:
        work()
        return measure_quality(faces)

    monkeypatch.setattr("fkd.ui.explore.source.quality_of", judge)
    app = explore()
    press(app, "Stop")
    assert work.stopped.wait(PATIENCE_S)
    run_until(app, lambda: says(app, "The faces are not judged"))
    assert {metric.label: metric.value for metric in app.metric}["Suspected errors"] == "…"

    work.may_end.set()
    press(app, "Judge them")
    run_until(app, lambda: {metric.label: metric.value for metric in app.metric}["Suspected errors"] != "…")
    assert not says(app, "The faces are not judged")
    assert work.begun == 2


def in_dialog(app: AppTest, action: Callable[[], object]) -> None:
    """Do something in the dialog; every run here draws the whole page, and only one that opens the dialog shows it."""
    next(button for button in app.button if button.label == "Add a dataset").click()
    action()
    app.run()


@pytest.mark.parametrize("where", ["dialog", "page"])
def test_fetching_is_stopped_in_the_dialog_or_on_the_page(
    explore: Callable[[], AppTest], work: Work, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(adding, "fetch_youtube_faces", work)
    app = explore()
    press(app, "Add a dataset")
    sides = next(control for control in app.segmented_control if adding.YOUTUBE_FACES in control.options)
    in_dialog(app, lambda: sides.set_value(adding.YOUTUBE_FACES))
    in_dialog(app, next(button for button in app.button if button.label == "Fetch YouTube Faces").click)
    if where == "page":
        app.run()
    app.button(key=f"adding.stop.{where}.youtube_faces").click().run()
    assert work.stopped.wait(PATIENCE_S)
    run_until(app, lambda: says(app, "Fetching YouTube Faces was stopped."))


def choose(app: AppTest, content: str, name: str = "my faces.csv") -> None:
    files = app.file_uploader(key="explore.adding.files")
    in_dialog(app, lambda: files.set_value((name, content.encode(), "text/csv")))


def send(app: AppTest) -> None:
    in_dialog(app, next(button for button in app.button if button.label == "Import").click)


def told(app: AppTest) -> list[str]:
    return [element.value for element in (*app.error, *app.success)]


def test_what_needs_no_look_into_the_files_is_told_in_the_dialog_only(explore: Callable[[], AppTest]) -> None:
    app = explore()
    press(app, "Add a dataset")
    send(app)
    assert "No file was chosen" in told(app)[0]
    choose(app, HEADER, "---.csv")
    send(app)
    assert "has no name" in told(app)[0]
    assert told(app.run()) == told(explore()) == []


def test_nobody_else_can_import_under_a_name_meanwhile(
    explore: Callable[[], AppTest], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "import_dataset", lambda *_, **__: work())
    one, other = explore(), opened()
    for app in (one, other):
        press(app, "Add a dataset")
        choose(app, HEADER)
        send(app)
    assert told(other) == ["'my-faces' is being added already; wait for it, or choose another name."]
    assert (told(one), work.begun) == ([], 1)


def test_the_outcome_is_told_once_where_the_import_was_begun(explore: Callable[[], AppTest]) -> None:
    app = explore()
    press(app, "Add a dataset")
    choose(app, "\n".join([HEADER, *kaggle_rows(1, ["7"])]))
    assert app.text_input(key="explore.adding.name").value == "my-faces"
    send(app)
    run_until(app, lambda: bool(told(app)))
    assert told(app)[0].startswith("Importing my faces.csv as my-faces did not work: my faces.csv, ")
    assert told(explore()) == []  # another session
    assert told(app.run())  # still here, until it is closed
    press(app, "Close")
    assert told(app.run()) == []
