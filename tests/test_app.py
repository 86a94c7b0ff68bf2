"""The Detect page in its frame, run without a browser: what comes of good, bad and odd photos."""

from __future__ import annotations

import gc
import io
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
from PIL import Image
from streamlit.testing.v1 import AppTest

from fkd import DEFAULT_WEIGHTS, LIVE_WEIGHTS
from fkd.paths import PROJECT_ROOT, weights_root
from fkd.ui import frame, sources

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SENTENCE_LENGTH = 200


def picture(image: Image.Image, suffix: str = "png") -> bytes:
    file = io.BytesIO()
    image.save(file, {"jpg": "JPEG"}.get(suffix, suffix.upper()))
    return file.getvalue()


def astronaut() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut())


def claims_to_be_enormous() -> bytes:
    """A PNG of a few bytes whose header says 50,000 x 50,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def grey_16_bit() -> Image.Image:
    return Image.fromarray(np.asarray(astronaut().convert("L")).astype(np.uint16) * 257)


ODD = {  # name: content; each is a picture after all
    "one_pixel.png": lambda: picture(Image.new("RGB", (1, 1))),
    "sixteen_bit.png": lambda: picture(grey_16_bit()),
    "cmyk.jpg": lambda: picture(astronaut().convert("CMYK"), "jpg"),
    "palette.png": lambda: picture(astronaut().convert("P")),
    "see_through.png": lambda: picture(astronaut().convert("RGBA")),
    "line.bmp": lambda: picture(Image.new("L", (3000, 1)), "bmp"),
}
BAD = {  # name: content; none is a picture that can be read
    "empty.png": lambda: b"",
    "cut_short.jpg": lambda: picture(astronaut(), "jpg")[:5000],
    "text.jpg": lambda: b"This is a letter, not a photo.",
    "enormous.png": claims_to_be_enormous,
}
FACES = {"sixteen_bit.png", "cmyk.jpg", "palette.png", "see_through.png"}


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120).run()


def upload(app: AppTest, *photos: tuple[str, bytes]) -> AppTest:
    app.file_uploader[0].set_value([(name, content, "image/*") for name, content in photos])
    return app.run()


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def downloads(app: AppTest) -> set[str]:
    return {button.label for button in app.get("download_button")}


def test_the_sample_photo_is_one_click_away_and_gives_every_point(app: AppTest) -> None:
    press(app, "Try the sample photo")
    (table,) = app.dataframe
    assert len(table.value) == 68
    assert table.value["score"].between(0, 1).all()
    # The astronaut's face, as anybody sees it in the photo of 512 x 512 pixels.
    assert table.value["x"].between(150, 310).all()
    assert table.value["y"].between(50, 230).all()
    assert downloads(app) == {"Annotated photo", "Points as CSV", "Points as JSON"}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_gives_a_result(app: AppTest, name: str) -> None:
    upload(app, (name, ODD[name]()))
    assert not app.error
    assert len(app.dataframe) == (name in FACES)
    assert bool(app.warning) == (name not in FACES)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_gives_one_sentence_and_stops_no_other(app: AppTest, name: str) -> None:
    upload(app, (name, BAD[name]()), ("good.png", picture(astronaut())))
    (error,) = app.error
    assert error.value.startswith(name)
    assert "\n" not in error.value
    assert len(error.value) < SENTENCE_LENGTH
    assert len(app.dataframe) == 1


def test_several_photos_come_in_one_archive_and_each_can_be_shown(app: AppTest) -> None:
    upload(app, ("face.png", picture(astronaut())), ("cup.png", picture(Image.fromarray(skimage.data.coffee()))))
    assert "All 2 photos (zip)" in downloads(app)
    assert len(app.dataframe) == 1
    press(app, "cup.png")
    assert not app.dataframe
    assert "cup.png" in app.warning[0].value


def test_where_no_face_is_found_the_whole_photo_can_be_treated_as_one(app: AppTest) -> None:
    upload(app, ("plain.png", picture(Image.new("RGB", (90, 60), "grey"))))
    assert not app.dataframe
    press(app, "Treat the whole photo as a face")
    assert len(app.dataframe) == 1
    press(app, "Search for faces again")
    assert not app.dataframe


def test_where_no_face_is_found_a_box_can_be_given_by_numbers(app: AppTest) -> None:
    upload(app, ("plain.png", picture(Image.new("RGB", (400, 300), "grey"))))
    # Right and left have changed places: what is meant is plain all the same.
    for label, value in {"Left": 320, "Top": 100, "Right": 200, "Bottom": 220}.items():
        next(field for field in app.number_input if field.label == label).set_value(value)
    press(app, "Use this box")
    assert not app.error
    assert len(app.dataframe) == 1
    assert app.info[0].value == "These points are for the box you gave, with left and right exchanged."
    assert app.warning[0].value.startswith("There is hardly a face in that box: it scores 0.")
    assert [field.value for field in app.number_input if field.label in ("Left", "Right")] == [200, 320]
    press(app, "Use this box")
    assert app.info[0].value == "These points are for the box you gave."


def test_photos_stay_while_something_else_is_looked_at(app: AppTest) -> None:
    upload(app, ("mine.png", picture(astronaut())))
    for source in (sources.SAMPLE, sources.FILES):
        app.session_state[sources.SOURCE] = source
        app.run()
    assert len(app.dataframe) == 1
    (told,) = (caption.value for caption in app.caption if caption.value.startswith("Still here"))
    assert told == "Still here from before: mine.png"
    upload(app, ("other.png", picture(Image.new("RGB", (300, 300)))))
    assert {"show.0": "other.png", "show.1": "mine.png"}.items() <= {b.key: b.label for b in app.button}.items()
    assert app.warning[0].value.startswith("No face found in other.png.")  # the one that has just come
    upload(app, ("other.png", picture(Image.new("RGB", (300, 300)))), ("mine.png", picture(astronaut())))
    assert not [caption for caption in app.caption if caption.value.startswith("Still here")]
    assert len([button for button in app.button if (button.key or "").startswith("show.")]) == 2
    upload(app, ("other.png", picture(Image.new("RGB", (300, 300)))))
    press(app, "Remove")
    assert not app.dataframe and app.warning[0].value.startswith("No face found in other.png.")
    upload(app)
    assert any("No photo yet" in text.value for text in app.markdown)


def test_a_score_that_no_face_reaches_can_be_lowered_with_one_click(app: AppTest) -> None:
    press(app, "Try the sample photo")
    app.slider(key="min_score").set_value(1.0).run()
    assert not app.dataframe
    (label,) = (button.label for button in app.button if button.label.startswith("Lower"))
    press(app, label)
    assert len(app.dataframe) == 1
    lowered = app.slider(key="min_score").value
    assert label == f"Lower the minimum face score to {lowered:.2f}" and lowered < 1
    assert app.info[0].value == f"All photos are searched with a minimum face score of {lowered:g}."
    press(app, "Search as before")
    assert app.slider(key="min_score").value == 1.0 and not app.info and not app.dataframe


def test_a_threshold_that_is_low_already_is_not_raised_by_lowering(app: AppTest) -> None:
    upload(app, ("nothing.png", picture(Image.new("RGB", (300, 300)))))
    app.slider(key="min_score").set_value(0.05).run()
    press(app, "Search more closely")
    assert app.slider(key="min_score").value == 0.05
    assert app.slider(key="haar.min_neighbors").value == 1
    assert app.info[0].value == "All photos are searched with min neighbors 1, scale factor 1.05, min face 0.01."
    assert "Search more closely" not in [button.label for button in app.button]
    app.slider(key="haar.min_neighbors").set_value(5)
    app.slider(key="haar.min_face").set_value(0.05)
    app.slider(key="haar.scale_factor").set_value(1.3).run()
    assert "Search as before" not in [button.label for button in app.button]


def test_a_picture_too_small_for_a_face_says_so(app: AppTest) -> None:
    upload(app, ("tiny.png", picture(Image.new("RGB", (12, 10)))))
    assert app.warning[0].value == "No face found in tiny.png. It has only 12 × 10 pixels; take a larger picture."


def test_a_photo_is_looked_at_again_after_its_weights_were_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def put(name: str) -> None:
        shutil.copyfile(weights_root() / f"{name}.safetensors", tmp_path / "mine.safetensors")

    put("ibug68-small")
    monkeypatch.setattr("fkd.weights.weights_root", lambda: tmp_path)
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120).run()
    press(app, "Try the sample photo")
    assert len(app.dataframe[0].value) == 68
    put("kaggle15")
    assert len(app.run().dataframe[0].value) == 15


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("FKD_RUNS", str(tmp_path))
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120).run()
    (error,) = app.error
    assert "ibug68" in error.value
    assert str(tmp_path) in error.value


def test_damaged_weights_are_named_and_others_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ibug68.safetensors").write_bytes(b"\x08damaged")
    (tmp_path / "other.safetensors").write_bytes((weights_root() / "ibug68.safetensors").read_bytes())
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path))
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120).run()
    (error,) = app.error
    assert "ibug68" in error.value
    app.selectbox(key="weights").set_value("other").run()
    assert not app.error
    press(app, "Try the sample photo")
    assert len(app.dataframe) == 1


def test_what_nobody_foresaw_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr("fkd.ui.settings.choose_settings", fails)
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120).run()
    assert not app.exception
    (error,) = app.error
    assert "no idea" not in error.value


def test_what_a_page_has_loaded_is_left_out_of_looks_for_garbage() -> None:
    """Streamlit has one taken after each run, for which all threads wait."""
    gc.unfreeze()
    frame._settle.clear()
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120).run()
    try:
        assert gc.get_freeze_count() > 10 * len(gc.get_objects())
        frozen = gc.get_freeze_count()
        app.run()
        assert gc.get_freeze_count() <= frozen, "once is enough: what is frozen is never given back"
    finally:
        gc.unfreeze()


def a_page_with_a_live_picture() -> None:
    from types import SimpleNamespace

    from fkd.ui import frame, sources

    def page() -> None:
        sources.choose_source()
        sources.offer_source("Take a still photo", sources.CAMERA, ":material/photo_camera:")

    frame.run(SimpleNamespace(run=page, url_path="live"))


def test_a_button_counts_though_a_live_picture_brings_back_the_source_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, run_s = 100.0, 0.0
    offer = sources.offer_source

    def offer_slowly(*arguments: str) -> bool:
        nonlocal now_s
        now_s += run_s
        return offer(*arguments)

    monkeypatch.setattr(frame, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(sources, "offer_source", offer_slowly)
    app = AppTest.from_function(a_page_with_a_live_picture).run()

    def choose(source: str) -> str:
        return app.segmented_control(key="source").set_value(source).run().segmented_control(key="source").value

    assert choose("Live") == "Live"
    press(app, "Take a still photo")
    assert app.segmented_control(key="source").value == "Camera"
    assert choose("Live") == "Camera", "the browser had not heard of it yet"
    now_s += 2
    assert choose("Live") == "Live", "somebody chose it"
    press(app, "Take a still photo")
    assert choose("Photos") == "Photos"
    press(app, "Take a still photo")
    assert choose("Photos") == "Photos", "only a live picture tells anything by itself"
    assert choose("Live") == "Live"
    run_s = 5.0  # the answer loads other weights, and what the live picture tells waits for its end
    press(app, "Take a still photo")
    assert choose("Live") == "Camera"


def test_photos_are_not_written_to_disk(app: AppTest) -> None:
    press(app, "Try the sample photo")
    app.segmented_control(key="source").set_value("Photos").run()
    with files_written() as written:
        upload(app, ("mine.png", picture(astronaut().rotate(5))))
    assert len(app.dataframe) == 1
    assert written == []


@contextmanager
def files_written() -> Iterator[list[str]]:
    """Paths opened for writing, by any thread, inside the block."""
    written: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple) -> None:
        if watching and event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            written.append(str(arguments[0]))

    sys.addaudithook(watch)  # there is no way to remove it, only to make it deaf
    yield written
    watching = False


def test_the_watch_over_written_files_sees_one(tmp_path: Path) -> None:
    with files_written() as written:
        (tmp_path / "note.txt").write_text("x")
    assert written == [str(tmp_path / "note.txt")]


def test_photos_and_videos_begin_with_weights_of_their_own(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ending in ("safetensors", "onnx"):
        for copy in (DEFAULT_WEIGHTS, LIVE_WEIGHTS, "another"):
            shutil.copy(weights_root() / f"{DEFAULT_WEIGHTS}.{ending}", tmp_path / f"{copy}.{ending}")
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path))
    app.run()

    def weights_of(source: str) -> str:
        return app.segmented_control(key="source").set_value(source).run().selectbox(key="weights").value

    assert weights_of("Video") == LIVE_WEIGHTS
    assert weights_of("Photos") == DEFAULT_WEIGHTS
    app.selectbox(key="weights").set_value("another").run()
    assert weights_of("Video") == "another", "what somebody chose stays"
    assert not app.exception
