"""The half of the Train page that shows runs, without a browser: one from near by, all in a table, some compared."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fkd.data import SOURCES
from fkd.lock import FileLock
from fkd.schema import GROUP_COLOURS, IBUG68, KAGGLE15
from fkd.training import comparison, history, launch, loop
from fkd.training.history import EPOCH, TIME, as_history, read_history
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.training.waiting import Queue
from fkd.ui.plots import PALETTE, line_style, shortened
from fkd.ui.train import compare, curves, samples, table, watch
from fkd.ui.train.curves import CurveView
from fkd.ui.train.finder import range_figure
from tests.drawn import TINY_SETTINGS, drawn_faces

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
EPOCHS = 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of runs in which `tiny` was trained to its end."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FKD_RUNS", str(root))
        patch.setitem(SOURCES, "drawn", drawn_faces)
        config = get_recipe("mlp").with_settings(TINY_SETTINGS)
        folder = RunFolder.create("tiny")
        folder.write_config(config.as_dict())
        loop.train(config, folder)
        yield root


@pytest.fixture
def root(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may change."""
    shutil.copytree(trained, tmp_path / "runs")
    monkeypatch.setenv("FKD_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def copy(root: Path, name: str, *settings: str, state: str = "finished", **status: object) -> RunFolder:
    """The trained run once more under another name, as if other settings had led to it."""
    shutil.copytree(root / "tiny", root / name)
    folder = RunFolder(root / name)
    folder.write_config(get_recipe("mlp").with_settings([*TINY_SETTINGS, *settings]).as_dict())
    folder.write_status(state, device="cpu", **status)
    return folder


def one_run() -> None:
    import streamlit as st

    from fkd.ui.train import watch

    watch.show_run(st.query_params["run"])


def all_runs() -> None:
    import streamlit as st

    from fkd.ui.train import table

    st.text(f"chosen: {table.choose_run()}")


def comparison_page() -> None:
    from fkd.ui.train import compare

    compare.show_comparison()


def show(page: object, run: str | None = None) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60)
    if run is not None:
        app.query_params["run"] = run
    app.run()
    assert not app.exception
    return app


def section(app: AppTest, name: str) -> AppTest:
    app.segmented_control(key="train.section").set_value(name).run()
    assert not app.exception
    return app


def figures_of(app: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec, object_hook=_unpacked) for chart in app.get("plotly_chart")]


def _unpacked(value: dict) -> object:
    """Plotly packs arrays of numbers as base64."""
    return np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"]).tolist() if "bdata" in value else value


def downloads(app: AppTest) -> set[str]:
    return {button.label for button in app.get("download_button")}


def texts(app: AppTest) -> str:
    return "\n".join(element.value for kind in (app.caption, app.markdown, app.text, app.info) for element in kind)


def select(app: AppTest, key: str, *rows: int) -> AppTest:
    app.session_state[f"{key}.rows"] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    app.run()
    assert not app.exception
    return app


def test_a_run_shows_its_best_figures_and_its_curves(root: Path) -> None:
    app = show(one_run, "tiny")
    known = read_history(RunFolder.open("tiny"))
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Best NME"] == f"{np.nanmin(known.column('validation_nme')):.2f} %"
    # What only says how it goes at the moment, as its learning rate, is gone with the run's end.
    assert list(shown) == ["Best NME", "RMSE", "Best epoch", "Images/s", "Peak memory", "Trained for"]
    assert shown["Images/s"] == f"{np.median(known.at_epoch_ends('images_per_s')):,.0f}"
    assert f"{EPOCHS} of {EPOCHS} epochs" in texts(app)
    watched = RunFolder.open("tiny").read_made_with()["split"]["validation"]
    assert f"its {watched} validation faces" in texts(app)
    drawn = figures_of(app)
    assert [len(figure["data"]) for figure in drawn] == [3, 2, 2, 1]  # losses; NME; RMSE; learning rate; with stars
    np.testing.assert_allclose(drawn[1]["data"][0]["x"], range(1, EPOCHS + 1))
    assert "Metrics as CSV" in downloads(app)


def test_the_widgets_change_axes_and_smooth_the_curves(root: Path) -> None:
    app = show(one_run, "tiny")
    app.slider(key="train.curves.smoothing").set_value(0.5)
    app.toggle(key="train.curves.log").set_value(True)
    app.segmented_control(key="train.curves.over").set_value("step").run()
    nme = figures_of(app)[1]
    raw, smooth, star = nme["data"]  # the curve as it is stays behind
    assert star["x"] == [raw["x"][np.argmin(raw["y"])]] and star["y"] == [min(raw["y"])]
    assert nme["layout"]["yaxis"]["type"] == "log"
    assert nme["layout"]["xaxis"]["title"]["text"] == "step"
    assert raw["opacity"] < 1
    assert smooth["y"][0] == raw["y"][0]
    assert smooth["y"][1:] != raw["y"][1:]
    assert len(figures_of(app)[3]["data"]) == 1  # the learning rate as it was


def test_a_pause_keeps_new_values_back_and_is_offered_while_there_are_any(root: Path) -> None:
    folder = copy(root, "live", state="running")
    with FileLock(folder.path / "lock"):
        app = show(one_run, "live")
        app.toggle(key="train.curves.pause").set_value(True).run()
        more = {"epoch": EPOCHS + 1, "step": 99, "train_loss": 1.0, "validation_nme": 1.0, "validation_rmse_px": 1.0}
        folder.append_metrics(more)
        app.run()
        assert len(figures_of(app)[1]["data"][0]["x"]) == EPOCHS
        assert {metric.label: metric.value for metric in app.metric}["Best NME"] == "1.00 %"  # the strip goes on
        app.toggle(key="train.curves.pause").set_value(False).run()
        assert len(figures_of(app)[1]["data"][0]["x"]) == EPOCHS + 1
        app.toggle(key="train.curves.pause").set_value(True).run()
        folder.append_metrics({**more, "epoch": EPOCHS + 2})
    folder.write_status("finished")
    app.run()
    assert "Pause" not in {toggle.label for toggle in app.toggle}
    assert len(figures_of(app)[1]["data"][0]["x"]) == EPOCHS + 2


def test_the_star_follows_the_axis(root: Path) -> None:
    known = as_history(
        [{"epoch": i, "step": 10 * i, "seconds": 60.0 * i, "validation_nme": abs(i - 3)} for i in (1, 2, 3, 4)]
    )
    for over, place in (("epoch", 3), ("step", 30), ("time", 3.0)):
        star = curves.panel_figure({"a": known}, curves.PANELS["NME, %"], CurveView(over)).data[-1]
        assert (*star.x, *star.y) == (place, 0)
    rates = curves.panel_figure({"a": known}, {"step": "no error"}, CurveView())
    assert len(rates.data) == 1


def test_outliers_are_cut_off_and_no_others() -> None:
    def axis(values: list[float], *, whole: bool = False) -> tuple | None:
        known = as_history([{"epoch": i, "validation_nme": value} for i, value in enumerate(values)])
        figure = curves.panel_figure({"a": known}, curves.PANELS["NME, %"], CurveView(whole=whole))
        return figure.layout.yaxis.range

    falling = [5.0 + 1 / (1 + i) for i in range(50)]
    assert axis(falling[5:]) is None
    low, top = axis([100.0, *falling])
    assert low < min(falling) and falling[2] < top < 10
    assert axis([100.0, *falling], whole=True) is None
    assert axis([100.0, *falling[:8]]) is None  # too few to tell
    assert axis([5.0] * 50) is None


def test_a_run_of_before_samples_and_validation_losses_still_shows(root: Path) -> None:
    folder = RunFolder.create("old")
    folder.write_config({"recipe": "mlp", "data": "kaggle"})
    folder.write_status("finished", epoch=2, epochs=2)
    for epoch in (1, 2):
        folder.append_metrics({"epoch": epoch, "train_loss": 1.0 / epoch, "validation_nme": 9.0, "seconds": 60.0})
    app = show(one_run, "old")
    assert [len(figure["data"]) for figure in figures_of(app)] == [1, 2]
    assert {metric.label for metric in app.metric} == {"Best NME", "Best epoch", "Trained for"}
    assert "After the first epoch" in texts(section(app, "Faces"))
    section(app, "Settings")
    assert "not said anything" in texts(section(app, "Log"))


def test_an_axis_that_a_run_has_nothing_for_says_so(root: Path) -> None:
    folder = RunFolder.create("timeless")
    folder.write_config({"recipe": "mlp", "data": "kaggle"})
    folder.write_status("finished", epoch=1, epochs=1)
    folder.append_metrics({"epoch": 1, "train_loss": 1.0, "validation_nme": 9.0})
    app = show(one_run, "timeless")
    assert figures_of(app)
    next(c for c in app.segmented_control if c.key.endswith(".over")).set_value(TIME).run()
    assert not app.exception and not figures_of(app)
    assert "None of this has been noted over minutes of training." in texts(app)


def test_the_slider_follows_the_newest_epoch_until_it_is_moved(root: Path) -> None:
    app = section(show(one_run, "tiny"), "Faces")
    slider = app.select_slider(key="train.samples.epoch")
    assert slider.value == EPOCHS
    kept = RunFolder.open("tiny").samples
    kept.write_epoch(EPOCHS + 1, kept.predicted_px(EPOCHS), kept.keypoint_nme(EPOCHS))
    app.run()
    assert app.select_slider(key="train.samples.epoch").value == EPOCHS + 1
    app.select_slider(key="train.samples.epoch").set_value(1).run()
    kept.write_epoch(EPOCHS + 2, kept.predicted_px(EPOCHS), kept.keypoint_nme(EPOCHS))
    app.run()
    assert app.select_slider(key="train.samples.epoch").value == 1
    nme = kept.keypoint_nme(1)
    assert f"Largest: {KAGGLE15.keypoints[int(np.nanargmax(nme))]}, {np.nanmax(nme):.1f} %" in texts(app)
    assert "Save picture" in downloads(app)


def test_errors_stand_at_their_keypoints_as_bars_or_on_the_face(root: Path) -> None:
    app = section(show(one_run, "tiny"), "Faces")
    (bars,) = figures_of(app)
    nme = RunFolder.open("tiny").samples.keypoint_nme(EPOCHS)
    heights = {name: y for bar in bars["data"] for name, y in zip(bar["x"], bar["y"], strict=True)}
    np.testing.assert_allclose([heights[name] for name in KAGGLE15.keypoints], nme, rtol=1e-5)
    app.segmented_control(key="train.samples.keypoints").set_value("On the face").run()
    (face,) = figures_of(app)
    assert tuple(face["data"][0]["text"]) == KAGGLE15.keypoints
    sizes = np.array(face["data"][0]["marker"]["size"])
    assert sizes.argmax() == np.nanargmax(nme)


def test_settings_and_log_can_be_read_and_saved(root: Path) -> None:
    app = section(show(one_run, "tiny"), "Settings")
    shown = app.dataframe[0].value.set_index("Setting")["Value"]
    assert shown["batch_size"] == "16"
    made_with = app.dataframe[1].value.set_index("Made with")["Value"]
    assert {"data_hash", "versions.torch", "split.train"} <= set(made_with.index)
    assert "`batch_size=16`" in texts(app)  # of what was changed of the recipe
    RunFolder.open("tiny").log("a word of mine")
    assert "a word of mine" in section(app, "Log").code[0].value
    assert "Whole log" in downloads(app)


def test_a_failed_run_says_why_and_how_to_go_on(root: Path) -> None:
    copy(root, "failed", state="failed", reason="Memory ran out.")
    app = show(one_run, "failed")
    assert [error.value for error in app.error] == ["Memory ran out."]
    assert f"Resume goes on after epoch {EPOCHS}." in texts(app)


def test_a_lost_run_says_so_and_a_stopped_one_how_to_go_on(root: Path) -> None:
    for name in ("lost", "unborn"):
        folder = copy(root, name, state="running")
        with FileLock(folder.path / "lock"):  # its process is gone
            pass
    (root / "unborn" / "metrics.jsonl").unlink()
    assert f"Resume goes on after epoch {EPOCHS}." in show(one_run, "lost").warning[0].value
    assert "Resume starts it again." in show(one_run, "unborn").warning[0].value
    copy(root, "stopped", state="stopped")
    assert f"Resume goes on after epoch {EPOCHS}." in texts(show(one_run, "stopped"))


def test_a_running_and_a_waiting_run_say_how_far_they_are(root: Path) -> None:
    status = {"step": 24, "steps": 30, "seconds_left": 300, "load": 0.5, "memory_mb": 2048.0}
    folder = copy(root, "live", "epochs=6", state="running", **status)
    with FileLock(folder.path / "lock"):
        app = show(one_run, "live")
        bar = app.get("progress")[0].proto
        assert (bar.value, bar.text) == (80, f"Epoch {EPOCHS + 1} of 6 · step 24 of 30 · 5 min left")
        shown = {metric.label: metric.value for metric in app.metric}
        assert (shown["Load"], shown["Peak memory"]) == ("50 %", "2.0 GiB")
        assert "Learning rate" in shown
    for name in ("next", "last"):
        copy(root, name, state="waiting")
        Queue("cpu").append(name)

    def words(name: str) -> str:
        return show(one_run, name).get("progress")[0].proto.text

    assert words("next") == "Is starting on cpu"
    assert words("last") == "Waits for cpu, as number 2 in its queue"
    with Queue("cpu").locks[0]:
        assert words("next") == "Waits for cpu, as number 1 in its queue"


@pytest.mark.parametrize(
    ("state", "status", "share", "words"),
    [
        ("waiting", {"device": "cuda:1"}, 0.0, "Is starting on cuda:1"),
        ("running", {}, 0.5, "Epoch 3 of 4"),  # its epochs are too short for a status between them
        (
            "running",
            {"step": 30, "steps": 40, "seconds_left": 300},
            0.75,
            "Epoch 3 of 4 · step 30 of 40 · 5 min left",
        ),
        ("lost", {"state": "running", "step": 30, "steps": 40, "seconds_left": 300}, 0.5, "2 of 4 epochs"),
        ("stopped", {}, 0.5, "2 of 4 epochs"),
        ("finished", {}, 1.0, "ended after 2 of 4 epochs, as the last 1 brought nothing better"),
    ],
)
def test_progress_in_words(state: str, status: dict, share: float, words: str, root: Path) -> None:
    measured = as_history([{"epoch": epoch, "validation_nme": float(epoch)} for epoch in (1, 2)])
    assert watch.progress(launch.RunView("x", state, {"epochs": 4}, status), measured) == (share, words)


def test_before_its_first_step_a_run_reads_the_faces() -> None:
    assert watch.progress(launch.RunView("x", "running", {"epochs": 4}, {}), as_history([])) == (0.0, "Reads the faces")


def test_the_table_filters_by_state_setting_and_text(root: Path) -> None:
    copy(root, "slow", "learning_rate=0.0001", state="stopped")
    copy(root, "broad", "batch_size=64", state="failed")
    app = show(all_runs)
    assert set(app.dataframe[0].value["name"]) == {"tiny", "slow", "broad"}
    assert "Table as CSV" in downloads(app)
    app.multiselect(key="train.runs.state").set_value(["stopped", "failed"]).run()
    assert set(app.dataframe[0].value["name"]) == {"slow", "broad"}
    app.text_input(key="train.runs.find").set_value("batch_size=64 MLP").run()
    assert app.dataframe[0].value["name"].tolist() == ["broad"]
    app.text_input(key="train.runs.find").set_value("nothing such").run()
    assert not app.dataframe
    assert "No run fits" in texts(app)


def test_a_choice_is_of_a_run_and_not_of_its_place(root: Path) -> None:
    copy(root, "chosen")
    app = show(all_runs)
    names = app.dataframe[0].value["name"].tolist()
    select(app, "train.runs", names.index("tiny"))
    assert "chosen: tiny" in texts(app)
    assert app.query_params["run"] == "tiny"
    copy(root, "newer")  # stands above it
    app.run()
    assert "chosen: tiny" in texts(app)
    names = app.dataframe[0].value["name"].tolist()
    assert app.session_state["train.runs.rows"]["selection"]["rows"] == [names.index("tiny")]
    app.multiselect(key="train.runs.state").set_value([]).run()
    app.text_input(key="train.runs.find").set_value("newer").run()
    assert "chosen: tiny" in texts(app)  # hidden by the filter, and still watched
    app.text_input(key="train.runs.find").set_value("nothing such").run()
    app.run()
    assert "chosen: tiny" in texts(app)
    shutil.rmtree(root / "tiny")
    app.run()
    assert "chosen: None" in texts(app)
    assert "run" not in app.query_params


def test_an_address_opens_its_run_and_an_unknown_one_none(root: Path) -> None:
    assert "chosen: tiny" in texts(show(all_runs, "tiny"))
    app = show(all_runs, "nobody")
    assert "chosen: None" in texts(app)
    assert [error.value.partition(";")[0] for error in app.error] == ["There is no run called 'nobody'"]
    select(app, "train.runs", app.session_state["train.runs.names"].index("tiny"))
    assert not app.error
    shutil.rmtree(root / "tiny")
    app = show(all_runs, "tiny")
    assert len(app.error) == len(app.info) == 1, "also where there is none at all"


@pytest.mark.parametrize(("epochs", "step"), [(2, 1), (300, None)])
def test_epochs_are_marked_by_whole_numbers(epochs: int, step: int | None) -> None:
    known = as_history([{"epoch": i, "seconds": i / 10, "validation_nme": 1.0 / i} for i in range(1, epochs + 1)])
    for over, dtick in ((EPOCH, step), ("time", None)):
        figure = curves.panel_figure({"a": known}, {"validation_nme": "NME"}, CurveView(over=over))
        curves.align([figure], over)
        assert figure.layout.xaxis.dtick == dtick


def test_the_same_epoch_stands_at_the_same_place_in_all_figures(root: Path) -> None:
    """Losses are measured within the first epoch already, and errors at its end."""
    RunFolder.open("tiny").append_metrics({"epoch": EPOCHS + 0.5, "step": 99, "train_loss": 1.0})
    layouts = [figure["layout"] for figure in figures_of(show(one_run, "tiny"))]
    (low, high), *others = [layout["xaxis"]["range"] for layout in layouts]
    assert low < 1 and high > EPOCHS + 0.5
    assert others == [[low, high]] * 3
    assert len({(layout["margin"]["l"], layout["yaxis"]["automargin"]) for layout in layouts}) == 1


def test_the_table_tells_how_far_a_running_run_is(root: Path) -> None:
    folder = copy(root, "live", "epochs=300", state="running", epoch=21)
    with FileLock(folder.path / "lock"):
        shown = table.for_display(comparison.runs_table([launch.view("live")]))
    assert shown["progress"].tolist() == [pytest.approx(100 * EPOCHS / 300)]


def test_the_table_is_drawn_again_for_another_state_and_now_and_then_for_another_epoch() -> None:
    def run(state: str, epoch: int) -> launch.RunView:
        return launch.RunView("a", state, {}, {"epoch": epoch})

    before = run("running", 3)
    assert table.has_news(before, None, False)
    assert table.has_news(before, run("finished", 3), False)
    assert not table.has_news(before, run("running", 4), False)
    assert table.has_news(before, run("running", 4), True)
    assert not table.has_news(before, run("running", 3), True)


def test_an_empty_folder_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKD_RUNS", str(tmp_path / "none"))
    assert "press Start" in texts(show(all_runs))
    assert "Two runs are needed" in texts(show(comparison_page))


def test_metrics_that_have_not_changed_are_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        copy(root, f"run-{number}")
    read = []
    parse = history.records_of
    monkeypatch.setattr(history, "records_of", lambda lines: read.append(lines) or parse(lines))
    comparison.runs_table(launch.view_all())
    assert len(read) == 6
    RunFolder.open("run-3").append_metrics({"epoch": 9, "validation_nme": 0.5})
    found = comparison.runs_table(launch.view_all()).set_index("name")
    assert len(read) == 7
    assert found.loc["run-3", "nme"] == 0.5


def test_runs_are_compared_with_a_baseline_and_drawn_over_each_other(root: Path) -> None:
    copy(root, "other", "batch_size=32").append_metrics(
        {"epoch": 4, "validation_nme": 0.5, "validation_rmse_px": 0.1, "seconds": 1.0}
    )
    app = show(comparison_page)
    assert len(app.dataframe) == 1
    names = app.dataframe[0].value["name"].tolist()
    select(app, "train.compare", 1)
    assert "Tick two runs" in texts(app)
    select(app, "train.compare", 0, 1)
    app.selectbox(key="train.compare.baseline").set_value("tiny").run()
    compared = app.dataframe[1].value.set_index("Run")
    assert compared.index.tolist() == ["tiny", "other"]
    best = np.nanmin(read_history(RunFolder.open("tiny")).column("validation_nme"))
    assert compared.loc["other", "Δ NME, %"] == pytest.approx(0.5 - best)
    assert compared.loc[["tiny", "other"], "Batch size"].tolist() == ["16", "32"]
    nme = figures_of(app)[0]
    assert [curve["name"] for curve in nme["data"] if "name" in curve] == names[::-1]  # in the order of choosing
    assert len({curve["line"]["color"] for curve in nme["data"] if "line" in curve}) == 2
    assert {"Differences as CSV", "Metrics as CSV"} <= downloads(app)


def test_the_run_that_was_open_is_ticked_for_a_comparison_once(root: Path) -> None:
    for name in ("first", "second"):
        copy(root, name)
    app = show(comparison_page, run="first")
    assert app.session_state["train.compare.chosen"] == ["first"]
    names = app.session_state["train.compare.names"]
    select(app, "train.compare", names.index("tiny"))
    assert app.session_state["train.compare.chosen"] == ["tiny"]  # it can be taken away
    app.query_params["run"] = "second"
    app.run()
    assert app.session_state["train.compare.chosen"] == ["tiny", "second"]


def test_parallel_coordinates_come_with_the_fourth_run(root: Path) -> None:
    copy(root, "b", "batch_size=32")
    copy(root, "c", "learning_rate=0.1", "optimizer=adamw")
    assert not figures_of(show(comparison_page))
    copy(root, "d", "augmentation.mirror=true")
    (figure,) = figures_of(show(comparison_page))
    axes = {axis["label"]: axis for axis in figure["data"][0]["dimensions"]}
    assert {"Learning rate", "Batch size", "Optimizer", "Mirror", "NME, %", "RMSE, px"} == set(axes)
    assert axes["Optimizer"]["ticktext"] == ["adam", "adamw"]
    assert sorted(axes["Batch size"]["values"]) == [16, 16, 16, 32]


def test_faces_are_composed_with_the_truth_in_green_and_the_prediction_in_magenta() -> None:
    images_u8 = np.zeros((8, 60, 60), np.uint8)
    true_px, predicted_px = np.full((8, 15, 2), 15.0), np.full((8, 15, 2), 45.0)
    true_px[1] = np.nan
    picture = samples.mosaic(images_u8, true_px, predicted_px)
    height, width = picture.shape[0] // 2, picture.shape[1] // 4
    assert height == width
    scale = width / 60

    def colour(row: int, column: int, place_px: float) -> list[int]:
        x, y = (round(start + (place_px + 0.5) * scale) for start in (column * width, row * height))
        return picture[y, x].tolist()

    assert colour(0, 0, 15) == colour(1, 3, 15) == [0, 200, 83]
    assert colour(0, 1, 45) == colour(1, 3, 45) == [255, 0, 255]
    assert colour(0, 1, 15) == [0, 0, 0]  # no label, no point


def test_bars_keep_the_order_of_the_schema_and_the_colours_of_the_groups() -> None:
    figure = samples.keypoint_bars(IBUG68, np.arange(68.0))
    assert figure.layout.xaxis.categoryarray == IBUG68.keypoints
    assert {bar.name: bar.marker.color for bar in figure.data} == {
        group: GROUP_COLOURS[group] for group in IBUG68.groups
    }


def test_many_curves_are_told_apart_by_colour_and_dash() -> None:
    styles = {tuple(line_style(index).values()) for index in range(4 * len(PALETTE))}
    assert len(styles) == 4 * len(PALETTE)


def test_long_names_keep_both_ends() -> None:
    assert shortened("abcdefgh", 8) == "abcdefgh"
    assert shortened("abcdefghi", 8) == "abcd…ghi"
    assert shortened("abcdefghij", 7) == "abc…hij"


def test_a_long_curve_is_a_line_without_marks() -> None:
    records = [{"epoch": i, "step": i, "train_loss": 1.0, "validation_nme": 1.0} for i in range(1, 500)]
    figure = curves.panel_figure({"a": as_history(records)}, curves.PANELS["NME, %"], CurveView(EPOCH))
    assert figure.data[0].mode == "lines"


def test_all_metrics_are_saved_with_their_run(root: Path) -> None:
    known = read_history(RunFolder.open("tiny"))
    lines = curves.metrics_csv({"a": known, "b": known}).decode().splitlines()
    assert lines[0].startswith("run,epoch,step")
    assert [line.split(",")[0] for line in lines[1:]] == ["a"] * len(known) + ["b"] * len(known)


def test_the_finders_labels_stand_at_their_lines_and_never_over_each_other() -> None:
    found = {"learning_rates": [1e-5, 1e-3, 1e-1], "losses": [3, 1, 9], "smoothed": [3, 1, 9], "suggestion": 1e-4}
    figure = range_figure(found, 1e-4)
    suggested, form = figure.layout.annotations
    assert (suggested.text, form.text) == ("Suggested", "Form")
    assert (suggested.x, form.x) == (-4, -4) and suggested.y != form.y
    assert [shape.x0 for shape in figure.layout.shapes] == [1e-4, 1e-4]


def test_an_axis_over_powers_of_ten_is_logarithmic_and_others_are_not() -> None:
    rates = {"learning_rate": [0.0002, 0.001, 0.02, 0.001], "epochs": [10, 20, 40, 0], "schedule": ["a", "b", "a", "b"]}
    runs = pd.DataFrame({**rates, "nme": [4.0, 3.0, 2.0, 5.0], "rmse_px": [1.0, 1.0, 1.0, 1.0]})
    (trace,) = compare.parallel_figure(runs, ["learning_rate", "epochs", "schedule"]).data
    rate, epochs, schedule, nme, _ = trace.dimensions
    assert list(rate.ticktext) == ["0.0001", "0.001", "0.01", "0.1"]
    np.testing.assert_allclose(rate.values, np.log10(rates["learning_rate"]))
    assert list(epochs.values) == [10, 20, 40, 0] and epochs.ticktext is None
    assert list(schedule.values) == [0, 1, 0, 1] and list(schedule.ticktext) == ["a", "b"]
    assert list(nme.values) == [4.0, 3.0, 2.0, 5.0]


def test_a_run_that_another_page_names_is_opened_though_one_was_chosen_before(root: Path) -> None:
    for name in ("first", "second"):
        copy(root, name)
    app = show(all_runs, "first")
    assert "chosen: first" in texts(app)
    select(app, "train.runs", app.session_state["train.runs.names"].index("tiny"))
    assert "chosen: tiny" in texts(app)
    app.query_params["run"] = "second"
    app.run()
    assert "chosen: second" in texts(app)
