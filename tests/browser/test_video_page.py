"""The Video mode in a real browser: a clip in, an annotated clip and tables out, and nothing left behind."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from fkd.video import read_frames, video_info
from tests.browser.conftest import free_port, serve
from tests.clips import moving_face, write_clip

pytestmark = pytest.mark.browser

FRAMES = 25
TIDY_S = 20


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server puts temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        with serve(tmp_path_factory.mktemp("server") / "log.txt", free_port()) as address:
            yield f"{address}/detect?source=Video"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "holiday.mov", moving_face(FRAMES), sound=True)


def upload(page: Page, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_role("heading", name=path.name)).to_be_visible()


def download(page: Page, label: str) -> Path:
    with page.expect_download() as started:
        page.get_by_role("button", name=label).click()
    assert started.value.suggested_filename.startswith("holiday_keypoints.")
    return Path(started.value.path())


def kept(temporary: Path) -> list[Path]:
    return list(temporary.glob("fkd-video-*"))


def wait_until_kept(temporary: Path, count: int) -> None:
    deadline = time.monotonic() + TIDY_S
    while len(kept(temporary)) != count and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(kept(temporary)) == count


def test_a_clip_comes_back_with_points_and_leaves_nothing_behind(
    page: Page, url: str, clip: Path, temporary: Path, tmp_path: Path
) -> None:
    page.goto(url)
    expect(page.get_by_text("No video yet")).to_be_visible()
    upload(page, clip)
    expect(page.get_by_text(f"1 face · {FRAMES} of {FRAMES} frames show a face")).to_be_visible()
    page.wait_for_function("document.querySelector('video')?.videoWidth == 320")

    drawn = download(page, "Annotated video").rename(tmp_path / "drawn.mp4")
    info = video_info(drawn)
    assert (info.width, info.height, info.has_sound) == (320, 240, True)
    assert len(list(read_frames(drawn))) == FRAMES
    rows = list(csv.DictReader(download(page, "Points as CSV").open()))
    table = pd.read_parquet(download(page, "Points as Parquet").rename(tmp_path / "points.parquet"))
    assert len(rows) == len(table) == 68 * FRAMES
    assert {row["image"] for row in rows} == {"holiday.mov"}
    assert set(table["frame"]) == set(range(FRAMES))
    # The drawn face of 110 px has its middle at 160 +- 20, 120.
    middle = table.groupby("frame")[["x", "y"]].mean()
    assert middle["x"].between(130, 190).all()
    assert middle["y"].between(90, 150).all()

    assert len(kept(temporary)) == 1
    page.get_by_role("link", name="Explore").click()
    wait_until_kept(temporary, 0)


def test_work_can_be_cancelled_taken_up_again_replaced_and_ends_with_the_window(
    page: Page, url: str, clip: Path, tmp_path: Path, temporary: Path
) -> None:
    seconds = 80
    images = moving_face(50) * (seconds // 2)
    long_clip = write_clip(tmp_path / "long.mp4", images, [number / 25 for number in range(len(images))])
    page.goto(url)
    upload(page, long_clip)
    expect(page.get_by_text("left", exact=False).filter(has_text="Following faces")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled before the end")).to_be_visible()
    expect(page.get_by_role("button", name="Annotated video")).to_have_count(0)
    assert [path.name for folder in kept(temporary) for path in folder.iterdir()] == ["source"]
    page.get_by_role("button", name="Follow again").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    upload(page, clip)
    expect(page.get_by_role("button", name="Points as CSV")).to_be_visible()
    wait_until_kept(temporary, 1)
    upload(page, long_clip)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.goto("about:blank")
    wait_until_kept(temporary, 0)


def test_what_is_no_video_gives_a_sentence(page: Page, url: str, tmp_path: Path, temporary: Path) -> None:
    letter = tmp_path / "letter.mp4"
    letter.write_text("This is a letter, not a video.")
    page.goto(url)
    upload(page, letter)
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_contain_text("letter.mp4 is damaged or not a video that can be read")
    assert str(temporary) not in alert.inner_text()


def test_changed_settings_are_followed_anew(page: Page, url: str, clip: Path) -> None:
    page.goto(url)
    upload(page, clip)
    expect(page.get_by_role("button", name="Points as CSV")).to_be_visible()
    page.get_by_text("Show boxes").click()
    page.get_by_role("button", name="Follow again with the new settings").click()
    expect(page.get_by_role("button", name="Follow again with the new settings")).to_have_count(0)
    expect(page.get_by_role("button", name="Points as CSV")).to_be_visible()
