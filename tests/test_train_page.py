"""The half of the Train page that starts runs and acts on them, without a browser and without workers."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Hashable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fkd.augment import Augmentation
from fkd.data.notes import notes_path
from fkd.errors import FkdError
from fkd.evaluation.leaderboard import Row
from fkd.lock import FileLock
from fkd.paths import PROJECT_ROOT, data_root
from fkd.progress import report
from fkd.training import launch
from fkd.training.config import SECTIONS, TrainConfig
from fkd.training.devices import Gpu, title_of
from fkd.training.recipes import RECIPES, changes_from_recipe, get_recipe
from fkd.training.run import RunFolder
from fkd.training.waiting import Queue, read_waiting
from fkd.ui import work
from fkd.ui.train import keys, setup, table
from fkd.weights import find_weights, list_run_weights
from tests.train_page import PATIENCE_S, furnish, open_page

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MEASURED = {"few": {"nme": 1.0, "mean_shape_nme": 7.0}}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    furnish(tmp_path, monkeypatch)
    return tmp_path


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def field(app: AppTest, kind: str, label: str):
    return next(widget for widget in app.get(kind) if widget.label == label)


def fill_in(app: AppTest, recipe: str = "mlp") -> AppTest:
    """Choose a recipe and the data that is there."""
    app.radio(key=keys.RECIPE).set_value(recipe).run()
    field(app, "multiselect", "Data").set_value(["few"]).run()
    return app


def plan(app: AppTest) -> str:
    return next(text.value for text in app.markdown if text.value.startswith("**Faces**"))


def make(name: str, state: str, recipe: str = "mlp", **settings: object) -> RunFolder:
    folder = RunFolder.create(name)
    folder.write_config(replace(get_recipe(recipe), data="few", **settings).as_dict())
    folder.write_status(state, device="cpu")
    return folder


def test_start_writes_the_run_that_the_command_line_would(places: Path) -> None:
    app = fill_in(open_page())
    field(app, "number_input", "Epochs").set_value(7).run()
    field(app, "number_input", "Rotation (°)").set_value(12.5).run()
    field(app, "text_input", "Network's arguments").set_value('{"widths": [4]}').run()
    command = app.code[0].value
    press(app, "Start")
    (name, device) = read_waiting()[0]
    config = TrainConfig.from_dict(RunFolder.open(name).read_config())
    expected = get_recipe("mlp").with_settings(
        ["data=few", "epochs=7", "augmentation.rotation_deg=12.5", 'model_args={"widths":[4]}']
    )
    assert (name, device, config) == ("mlp-1", "cpu", expected)
    assert command.startswith("python -m fkd train --recipe mlp --set ")
    assert command.endswith("--run mlp-1 --device cpu --detach")
    for change in changes_from_recipe(config.as_dict()):
        assert change.split("=")[0] in command
    assert app.segmented_control(key=keys.VIEW).value == keys.RUNS
    assert app.query_params["run"] in ("mlp-1", ["mlp-1"])


def test_start_takes_what_stands_in_the_fields_when_it_is_pressed() -> None:
    """Who types and then clicks sends both at once, before the page was drawn with what was typed."""
    app = fill_in(open_page())
    field(app, "number_input", "Epochs").set_value(7)
    field(app, "text_input", "Name of the run").set_value("typed")
    press(app, "Start")
    assert [name for name, _ in read_waiting()] == ["typed"]
    assert RunFolder.open("typed").read_config()["epochs"] == 7
    launch.stop("typed")
    field(app.run(), "text_input", "New name").set_value("first").run()
    field(app, "text_input", "New name").set_value("second")
    app.button(key="rename.do").click().run()
    assert [view.name for view in launch.view_all()] == ["second"]


def test_what_changes_the_faces_to_learn_from_has_them_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "turn_to", lambda place, key: False)
    monkeypatch.setattr(work, "ensure", lambda key, title, count: None)
    config = replace(get_recipe("mlp"), data="few", notes=True)
    keys_of_counts = [setup._begin_counting(config), setup._begin_counting(replace(config, whole_picture=False))]
    notes_path("few").parent.mkdir(parents=True, exist_ok=True)
    notes_path("few").write_text("row,source,note\n")
    keys_of_counts.append(setup._begin_counting(config))
    table = data_root() / "few" / "training.csv"
    with table.open("a") as rows:  # in place: the folder has not changed
        rows.write(table.read_text().splitlines()[-1] + "\n")
    keys_of_counts.append(setup._begin_counting(config))
    assert len(set(keys_of_counts)) == 4
    assert setup._begin_counting(replace(config, epochs=2)) == keys_of_counts[-1]


def test_a_start_that_cannot_be_is_not_made_up_for_later() -> None:
    app = AppTest.from_function(_page_with_a_button_that_goes, default_timeout=PATIENCE_S).run()
    app.text_input[0].set_value("bad")
    app.button[0].click().run()
    assert not app.button
    app.text_input[0].set_value("good").run()
    assert app.button and not app.success


def _page_with_a_button_that_goes() -> None:
    import streamlit as st

    from fkd.ui.frame import run
    from fkd.ui.pressed import pressed

    def draw() -> None:
        if st.text_input("Settings") != "bad" and pressed("Start", key="start"):
            st.success("started")

    run(type("Page", (), {"run": staticmethod(draw)}))


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_form_gives_back_what_it_was_filled_with(recipe: str) -> None:
    app = fill_in(open_page(), recipe)
    press(app, "Start")
    stored = TrainConfig.from_dict(RunFolder.open(f"{recipe}-1").read_config())
    assert stored == replace(get_recipe(recipe), data="few")


@pytest.mark.parametrize(
    ("recipe", "label", "changes"),
    [
        ("ibug68", "Rotation (°)", {"augmentation": replace(get_recipe("ibug68").augmentation, rotation_deg=12.5)}),
        ("mlp", "Averaging (EMA)", {"ema": 0.998}),
    ],
)
def test_a_fraction_is_taken_where_the_recipe_has_a_whole_number(recipe: str, label: str, changes: dict) -> None:
    app = fill_in(open_page(), recipe)
    (value,) = [getattr(value, "rotation_deg", value) for value in changes.values()]
    field(app, "number_input", label).set_value(value).run()
    press(app, "Start")
    stored = TrainConfig.from_dict(RunFolder.open(f"{recipe}-1").read_config())
    assert stored == replace(get_recipe(recipe), data="few", **changes)


def test_every_setting_has_a_field_once() -> None:
    app = fill_in(open_page())
    names = [widget.key.split(".", 3)[-1] for kind in _FIELDS for widget in app.get(kind) if _in_form(widget)]
    expected = set(TrainConfig().as_dict()) - {"recipe", "augmentation"}
    expected |= {f"augmentation.{name}" for name in TrainConfig().as_dict()["augmentation"]}
    assert sorted(names) == sorted(expected)
    folded = [name for section in SECTIONS.values() for name in section]
    assert len(folded) == len(set(folded))
    assert set(folded) <= set(TrainConfig().as_dict())


_FIELDS = ("number_input", "text_input", "selectbox", "toggle", "multiselect")


def _in_form(widget) -> bool:
    return str(widget.key).startswith("train.form.")


def test_the_plan_says_what_start_will_do() -> None:
    app = fill_in(open_page())
    ends = time.monotonic() + PATIENCE_S
    while "counted" in plan(app):
        assert time.monotonic() < ends
        time.sleep(0.1)
        app.run()
    counts = [int(word) for word in plan(app).split("**Steps**")[0].split() if word.isdigit()]
    assert sum(counts) == 30
    assert "60 epochs of 1 steps, 60 in all" in plan(app)
    assert "begins at once" in plan(app)
    make("first", "waiting")
    Queue("cpu").append("first")
    assert "number 2 in its queue" in plan(app.run())


def test_a_measured_trial_gives_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"step_s": 60.0, "watch_s": 0.0, "images_per_s": 12.0}
    monkeypatch.setattr(setup, "run_trial", lambda config, device: answer)
    app = fill_in(open_page())
    press(app, "Measure the time")
    ends = time.monotonic() + PATIENCE_S
    while "images/s" not in plan(app):
        assert time.monotonic() < ends
        time.sleep(0.1)
        app.run()
    assert "about **60 min** at 12 images/s" in plan(app)
    field(app, "number_input", "Epochs").set_value(600).run()
    assert "about **10.0 h**" in plan(app)  # more of the same needs no new trial
    field(app, "number_input", "Batch size").set_value(8).run()
    assert "not measured" in plan(app)


def test_the_data_that_another_page_chose_stay_with_other_recipes_for_their_points(places: Path) -> None:
    app = open_page(dataset="few")
    for recipe in ("mlp", "cnn"):
        app.radio(key=keys.RECIPE).set_value(recipe).run()
        assert field(app, "multiselect", "Data").value == ["few"]
    app.radio(key=keys.RECIPE).set_value("heatmap68").run()
    assert field(app, "multiselect", "Data").value == ["synthetic68"]


def test_without_data_synthetic_faces_are_offered() -> None:
    app = open_page(recipe="ibug68")
    assert field(app, "multiselect", "Data").value == ["synthetic68"]
    (told,) = [info.value for info in app.info if "portraits68" in info.value]
    assert "youtube_faces and portraits68, are not in" in told
    assert "fetches youtube_faces and imports portraits68 from files" in told  # nobody can fetch the latter there


def test_bad_settings_are_one_sentence_and_cannot_be_started() -> None:
    app = fill_in(open_page())
    field(app, "text_input", "Network's arguments").set_value("{widths").run()
    assert any("takes an object as JSON" in error.value for error in app.error)
    assert all(button.disabled for button in app.button if button.label == "Start")
    field(app, "text_input", "Network's arguments").set_value("{}").run()
    field(app, "multiselect", "Data").set_value(["few", "synthetic68"]).run()
    assert any("different points" in error.value for error in app.error)
    field(app, "multiselect", "Data").set_value([]).run()
    assert any("Choose the data" in error.value for error in app.error)


def start_button(app: AppTest):
    (button,) = [button for button in app.button if button.label == "Start"]
    return button


@pytest.mark.parametrize(("name", "told"), [("taken", "already"), ("../out", "cannot name a run"), ("", "cannot name")])
def test_a_name_that_will_not_do_is_told_at_once(name: str, told: str, places: Path) -> None:
    make("taken", "finished")
    app = fill_in(open_page())
    assert not start_button(app).disabled
    field(app, "text_input", "Name of the run").set_value(name)
    press(app, "Start")  # within a moment of typing
    assert any(told in error.value for error in app.error)
    app.run()
    assert start_button(app).disabled
    assert any(told in text.value for text in app.markdown)
    assert read_waiting() == []
    assert not (places / "out").exists()


def test_a_training_can_start_from_the_weights_there_are_and_no_other_file(places: Path) -> None:
    folder = make("old", "finished")
    for file in (folder.weights, folder.path / "epoch-0010.safetensors"):
        file.write_bytes(b"weights")
    start_from = field(fill_in(open_page()), "selectbox", "Start from weights")
    assert (start_from.value, start_from.options) == ("", ["None", "run:old", "run:old@10"])


def test_weights_that_cannot_be_started_from_are_told_and_use_no_name_up(places: Path) -> None:
    make("old", "finished").weights.write_bytes(b"nonsense")
    app = fill_in(open_page())
    field(app, "selectbox", "Start from weights").set_value("run:old").run()
    press(app, "Start")
    assert any("are damaged or not fkd's" in error.value for error in app.error)
    assert read_waiting() == []
    assert [path.parent.name for path in (places / "runs").glob("*/config.json")] == ["old"]


@pytest.mark.parametrize(
    ("kind", "label", "bad", "good"),
    [
        ("number_input", "Epochs", 0, 5),
        ("number_input", "Rotation (°)", 181.0, 10.0),
        ("text_input", "Network's arguments", "{widths]", "{}"),
    ],
)
def test_a_setting_that_will_not_do_is_told_below_its_row(kind: str, label: str, bad: object, good: object) -> None:
    app = fill_in(open_page())
    field(app, "text_input", "Name of the run").set_value("typed").run()
    field(app, kind, label).set_value(bad).run()
    (told,) = [text.value for text in app.markdown if text.value.startswith(":red")]
    assert label in told
    assert re.search(r"(?<!\\)\](?!\]?$)", told) is None  # no bracket of the sentence ends its colour
    assert start_button(app).disabled
    field(app, kind, label).set_value(good).run()
    assert not start_button(app).disabled
    assert field(app, "text_input", "Name of the run").value == "typed"


def test_after_a_start_another_name_is_suggested() -> None:
    app = fill_in(open_page())
    field(app, "text_input", "Name of the run").set_value("typed").run()
    press(app, "Start")
    app.segmented_control(key=keys.VIEW).set_value(keys.NEW).run()
    assert field(app, "text_input", "Name of the run").value == "mlp-1"


def test_a_name_that_is_typed_while_the_page_is_drawn_is_not_overwritten() -> None:
    app = fill_in(open_page())
    field(app, "number_input", "Epochs").set_value(7).run()
    name = field(app, "text_input", "Name of the run")
    assert name.value == "mlp-1" and not name.proto.set_value
    make("mlp-1", "finished")
    name = field(app.run(), "text_input", "Name of the run")
    assert name.value == "mlp-2" and name.proto.set_value


def test_fields_without_effect_cannot_be_filled_in() -> None:
    app = fill_in(open_page())
    assert field(app, "number_input", "Spread of heatmaps").disabled
    assert field(app, "number_input", "Share for testing").disabled
    assert not field(app, "number_input", "Fold").disabled
    field(app, "selectbox", "Held out as test").set_value("group")
    field(app, "selectbox", "Network").set_value("heatmap").run()
    assert not field(app, "number_input", "Spread of heatmaps").disabled
    assert not field(app, "number_input", "Share for testing").disabled
    assert field(app, "number_input", "Fold").disabled


def test_a_field_without_effect_keeps_nobody_from_starting() -> None:
    app = fill_in(open_page())
    field(app, "selectbox", "Held out as test").set_value("group").run()
    field(app, "number_input", "Share for testing").set_value(5.0).run()
    assert start_button(app).disabled
    field(app, "selectbox", "Held out as test").set_value("fold").run()
    assert field(app, "number_input", "Share for testing").disabled
    assert not start_button(app).disabled
    press(app, "Start")
    (view,) = launch.view_all()
    assert TrainConfig.from_dict(view.config).checked().split == "fold"


def test_fields_depend_on_others_of_their_form() -> None:
    for settings in (TrainConfig, Augmentation):
        known = {item.name: item for item in fields(settings)}
        for item in known.values():
            if item.metadata["only"] is not None:
                other, values = item.metadata["only"]
                assert set(values) < set(known[other].metadata["choices"])


def test_recipes_tell_what_they_reach(places: Path) -> None:
    assert "px" not in " ".join(open_page().radio(key=keys.RECIPE).proto.captions)
    results = PROJECT_ROOT / "results"
    stored = json.loads(next(results.glob("mlp.json")).read_text("utf-8"))
    (places / "results").mkdir()
    (places / "results" / "mlp.json").write_text(json.dumps(stored))
    caption = open_page().radio(key=keys.RECIPE).proto.captions[list(RECIPES).index("mlp")]
    assert f"{stored['measured']['kaggle']['metrics']['rmse_px']:.2f} px" in caption


def test_recipes_are_told_by_figures_of_the_same_faces() -> None:
    def row(recipe: str, data: str, nme: float) -> Row:
        known = {"recipe": recipe, "data": data, "nme": nme}
        return Row(**{item.name: known.get(item.name) for item in fields(Row)})

    rows = [
        row("ibug68", "portraits68", 3.3),
        row("ibug68", "youtube_faces", 3.7),
        row("ibug68", "youtube_faces", 3.6),
        row("ibug68", "elsewhere", 1.0),
        row("heatmap68", "youtube_faces", 3.8),
        row("mlp", "youtube_faces", 1.0),  # of a run with other data than the recipe's
        row("forgotten", "kaggle", 1.0),
    ]
    assert setup.best_by_recipe(rows) == {"ibug68": rows[2], "heatmap68": rows[4]}


def test_waiting_runs_are_reordered_and_cancelled() -> None:
    for name in ("one", "two"):
        make(name, "waiting")
        Queue("cpu").append(name)
    app = open_page(view=keys.RUNS)
    app.button(key="queue.Earlier.two").click().run()
    assert [name for name, _ in read_waiting()] == ["two", "one"]
    assert app.button(key="queue.Earlier.two").disabled
    assert app.button(key="queue.Later.one").disabled
    app.button(key="queue.cancel.two").click().run()
    assert [name for name, _ in read_waiting()] == ["one"]
    assert launch.view("two").state == "stopped"


def test_the_queue_is_shown_where_runs_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied")

    make("one", "waiting")
    Queue("cpu").append("one")
    monkeypatch.setattr(launch, "start_waiting", refuse)
    app = open_page(view=keys.RUNS)
    assert any("**one**" in text.value for text in app.markdown)
    assert not app.error


def test_a_run_that_becomes_unreadable_is_news_and_no_failure() -> None:
    folder = make("damaged", "running")
    (folder.path / "config.json").write_text("{")
    assert table._view("damaged") is None
    assert table._view("deleted") is None


def test_what_can_be_done_follows_from_the_state() -> None:
    folder = make("gone", "running")
    with FileLock(folder.path / "lock"):  # its worker was here
        pass
    app = open_page(view=keys.RUNS, run="gone")
    labels = {button.label for button in app.button}
    assert {"Resume", "Duplicate with changes", "Delete", "Rename"} <= labels
    assert not labels & {"Stop", "Try on Detect", "Measure and promote"}
    press(app, "Resume")
    assert [name for name, _ in read_waiting()] == ["gone"]
    labels = {button.label for button in app.button}
    assert not labels & {"Resume", "Delete"}


def test_a_duplicate_fills_the_form_with_its_settings() -> None:
    make("old", "finished", "cnn", epochs=3, learning_rate=0.0125, patience=2)
    app = open_page(view=keys.RUNS, run="old")
    press(app, "Duplicate with changes")
    assert app.segmented_control(key=keys.VIEW).value == keys.NEW
    assert app.radio(key=keys.RECIPE).value == "cnn"
    field(app, "number_input", "Epochs").set_value(4).run()
    press(app, "Start")
    stored = TrainConfig.from_dict(RunFolder.open("cnn-1").read_config())
    assert stored == replace(TrainConfig.from_dict(RunFolder.open("old").read_config()), epochs=4)


def test_a_run_is_renamed_and_deleted_after_a_question(places: Path) -> None:
    make("old", "finished")
    make("other", "finished")
    app = open_page(view=keys.RUNS, run="old")
    field(app, "text_input", "New name").set_value("other").run()
    app.button(key="rename.do").click().run()
    assert any("other" in error.value for error in app.error)
    field(app, "text_input", "New name").set_value("new").run()
    app.button(key="rename.do").click().run()
    assert app.query_params["run"] in ("new", ["new"])
    press(app, "Delete")
    assert (places / "runs" / "new").exists()
    app.button(key="delete.do").click().run()
    assert not (places / "runs" / "new").exists()
    assert (places / "runs" / "other").exists()


@pytest.mark.parametrize("way", ["rename", "delete"])
def test_a_promotion_is_not_told_of_the_next_run_of_that_name(way: str) -> None:
    make("again", "finished")
    work.begin(("promote", "again"), "The promotion", lambda: ("again", MEASURED))
    while_under_way(("promote", "again"))
    app = open_page(view=keys.RUNS, run="again")
    assert len(app.success) == 1
    if way == "delete":
        press(app, "Delete")
    else:
        field(app, "text_input", "New name").set_value("other").run()
    app.button(key=f"{way}.do").click().run()
    make("again", "running")
    assert not open_page(view=keys.RUNS, run="again").success


def test_a_run_keeps_its_name_while_it_is_promoted() -> None:
    make("mine", "finished")
    may_end = threading.Event()
    work.begin(("promote", "mine"), "The promotion", lambda: may_end.wait() and ("mine", MEASURED))
    try:
        app = open_page(view=keys.RUNS, run="mine")
        assert not [box for box in app.text_input if box.label == "New name"]
        assert [button.disabled for button in app.button if button.label == "Delete"] == [True]
    finally:
        may_end.set()
    while_under_way(("promote", "mine"))
    app = open_page(view=keys.RUNS, run="mine")
    assert field(app, "text_input", "New name").value == "mine"
    assert len(app.success) == 1


def test_the_weights_of_a_run_can_be_chosen_by_its_name(places: Path) -> None:
    make("young", "finished").weights.write_bytes(b"weights")
    make("empty", "running")
    assert list_run_weights() == ["run:young"]
    assert find_weights("run:young") == places / "runs" / "young" / "best.safetensors"
    for name in ("run:empty", "run:../runs/young", "run:"):
        if name == "run:../runs/young":  # only the last part counts: a name never leaves the folder of runs
            assert find_weights(name) == places / "runs" / "young" / "best.safetensors"
            continue
        with pytest.raises(FkdError, match="has no weights"):
            find_weights(name)


def while_under_way(key: Hashable) -> None:
    """Wait until work has ended."""
    ends = time.monotonic() + PATIENCE_S
    while work.is_under_way(key):
        assert time.monotonic() < ends


def _page_that_follows() -> None:
    import streamlit as st

    from fkd.ui import work

    st.text(work.follow("key"))


def followed() -> AppTest:
    return AppTest.from_function(_page_that_follows).run()


def test_work_that_fails_says_why_and_can_begin_again() -> None:
    tries: list[str] = []

    def fail() -> None:
        tries.append("failed")
        raise FkdError("No luck.")

    work.begin("key", "A try", fail)
    while_under_way("key")
    work.ensure("key", "A try", fail)
    while_under_way("key")
    assert [error.value for error in followed().error] == ["No luck."]
    assert tries == ["failed"]
    work.begin("key", "A try", lambda: "done")
    while_under_way("key")
    assert followed().text[0].value == "done"
    work.forget("key")
    assert followed().text[0].value == "None"


def _page_with_work_that_begins_by_itself() -> None:
    import streamlit as st

    from fkd.ui import work

    work.ensure("itself", "A try", st.session_state["tries"].pop)
    st.text(work.follow("itself", stop=None))


def test_work_that_began_by_itself_and_failed_is_tried_again_when_asked() -> None:
    class Tries(list):
        def pop(self) -> str:  # type: ignore[override]
            if len(self) == 1:
                return "done"
            del self[0]
            raise FkdError("No luck.")

    app = AppTest.from_function(_page_with_work_that_begins_by_itself)
    app.session_state["tries"] = Tries(range(2))
    for _ in range(2):
        app.run()
        while_under_way("itself")
    assert [error.value for error in app.run().error] == ["No luck."]
    press(app, "Try again")
    while_under_way("itself")
    assert app.run().text[0].value == "done"


def test_work_that_fails_unforeseen_is_not_kept() -> None:
    work.ensure("key", "A try", lambda: 1 / 0)
    while_under_way("key")
    assert followed().exception
    work.ensure("key", "A try", lambda: "done")
    while_under_way("key")
    assert followed().text[0].value == "done"


def _page_that_looks() -> None:
    import streamlit as st

    from fkd.ui import work

    work.turn_to("place", st.text_input("Key"))


def test_turning_away_stops_work_that_nobody_else_looks_at() -> None:
    def last() -> None:
        while not may_end.wait(0.01):
            report("lasting", 0.5)

    may_end = threading.Event()
    one, other = (AppTest.from_function(_page_that_looks).run() for _ in range(2))
    work.begin("shared", "Shared work", last)
    try:
        for session in (one, other):
            session.text_input[0].set_value("shared").run()
        one.text_input[0].set_value("else").run()
        assert work.is_under_way("shared")
        other.text_input[0].set_value("else").run()
        assert not work.is_under_way("shared")
    finally:
        may_end.set()


def test_devices_are_named_for_people() -> None:
    gpus = [Gpu("cuda:0", "NVIDIA H200", 120 * 2**30, 140 * 2**30), Gpu("cuda:1", "T4", 2**30, 16 * 2**30)]
    assert title_of("cuda:0", gpus) == "NVIDIA H200, 120 of 140 GiB free"
    assert title_of("cuda:0,cuda:1", gpus) == "NVIDIA H200, 120 of 140 GiB free + T4, 1 of 16 GiB free"
    assert title_of("cpu,cpu", gpus) == "CPU, two processes"
    assert title_of("cuda:0", [Gpu("cuda:0", "T4", None, None)]) == "T4, which does not tell its memory"
    assert title_of("cuda:3", gpus) == "cuda:3"  # of a run from another machine


def test_several_gpus_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [Gpu(f"cuda:{i}", "H200", 2**30, 2**31) for i in range(3)]
    monkeypatch.setattr("fkd.training.devices.list_gpus", lambda: gpus)
    app = fill_in(open_page())
    app.selectbox(key="train.device").set_value("several").run()
    app.multiselect(key="train.gpus").set_value(["cuda:2", "cuda:0"]).run()
    press(app, "Start")
    assert read_waiting() == [("mlp-1", "cuda:0,cuda:2")]
