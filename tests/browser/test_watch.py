"""A run watched in a real browser: its curves appear and grow, hold still when asked to, and rest at its end."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from fkd.lock import FileLock
from fkd.training import launch
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from tests.browser.conftest import remove_runs, resting_box
from tests.drawn import write_noise_faces

pytestmark = pytest.mark.browser

NME = 1  # the place of its figure, after the losses
PATIENCE_MS = 240_000  # a worker and a server begin at the same time
PROGRESS = re.compile(r"Epoch \d+ of 10000")
QUIET_MS = 6000  # thrice as long as between two looks at a run
# So many epochs that no machine finishes them meanwhile.
SETTINGS = ["data=few", "epochs=10000", "batch_size=8", "validation_share=0.3", 'model_args={"widths": [4]}']


@pytest.fixture(scope="module", autouse=True)
def few_faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Thirty faces of noise in Kaggle's layout and an empty folder of runs, where the server finds them too."""
    root = tmp_path_factory.mktemp("watch")
    write_noise_faces(root / "data" / "few")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("runs", "data", "cache"):
            patch.setenv(f"FKD_{name.upper()}", str(root / name))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(autouse=True)
def no_run_left(few_faces: None) -> Iterator[None]:
    """Each test begins without runs, also where it is run once more."""
    yield
    remove_runs()


def start(name: str) -> RunFolder:
    folder = RunFolder.create(name)
    folder.write_config(get_recipe("mlp").with_settings(SETTINGS).as_dict())
    launch.launch(folder, "cpu")
    return folder


def points(figure: int) -> str:
    """In the browser: on how many points a figure's first curve goes; 0 while there is none."""
    return f"(document.querySelectorAll('.js-plotly-plot')[{figure}]?.calcdata?.[0].length ?? 0)"


def length(page: Page, figure: int) -> int:
    return page.evaluate(points(figure))


def wait_for_more(page: Page, figure: int, than: int) -> None:
    page.wait_for_function(f"{points(figure)} > {than}", timeout=PATIENCE_MS)


def wait_for_silence(page: Page, frames: list[int]) -> None:
    """Until the server has sent nothing for longer than it lets pass between two looks at a run."""
    for _ in range(PATIENCE_MS // QUIET_MS):
        before = len(frames)
        page.wait_for_timeout(QUIET_MS)
        if len(frames) == before:
            return
    raise AssertionError(f"The server still sends: {len(frames)} messages so far.")


def test_curves_grow_while_a_run_goes_on_also_after_a_refresh_and_rest_at_its_end(page: Page, app_url: str) -> None:
    page.context.set_default_timeout(PATIENCE_MS)
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(1)))
    start("live")
    page.goto(f"{app_url}/train?view=Runs&run=live")
    wait_for_more(page, NME, 0)
    expect(page.get_by_text(PROGRESS)).to_be_visible()
    before = length(page, NME)
    wait_for_more(page, NME, before)
    page.reload()
    wait_for_more(page, NME, before)

    launch.stop("live")
    expect(page.get_by_text("Resume goes on after epoch")).to_be_visible()  # without anybody's doing
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    wait_for_silence(page, frames)
    assert length(page, NME) == RunFolder.open("live").read_metrics()[-1]["epoch"]


def test_a_pause_holds_the_curves_and_their_zoom(page: Page, app_url: str) -> None:
    page.context.set_default_timeout(PATIENCE_MS)
    folder = start("held")
    page.goto(f"{app_url}/train?view=Runs&run=held")
    wait_for_more(page, NME, 2)
    page.get_by_text("Pause", exact=True).click()
    page.wait_for_timeout(QUIET_MS)  # for the figures that were under way to be drawn
    area = resting_box(page.locator(".js-plotly-plot").nth(NME).locator(".nsewdrag"))
    view = f"document.querySelectorAll('.js-plotly-plot')[{NME}].layout.xaxis.range.join()"
    whole = page.evaluate(view)
    page.mouse.move(area["x"] + 0.3 * area["width"], area["y"] + 0.5 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.7 * area["width"], area["y"] + 0.5 * area["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(f"{view} !== '{whole}'")
    count, zoom = length(page, NME), page.evaluate(view)
    strip = page.get_by_text(PROGRESS).inner_text()
    page.wait_for_timeout(QUIET_MS)
    assert page.get_by_text(PROGRESS).inner_text() != strip
    assert (length(page, NME), page.evaluate(view)) == (count, zoom)
    page.get_by_text("Pause", exact=True).click()
    wait_for_more(page, NME, count)
    assert FileLock(folder.path / "lock").is_held()
    launch.stop("held")


def test_a_row_opens_its_run_and_a_failure_says_why(page: Page, app_url: str) -> None:
    folder = RunFolder.create("failed")
    folder.write_config(get_recipe("mlp").as_dict())
    folder.write_status("failed", reason="Memory ran out; try a smaller batch.", epoch=3, epochs=9)
    page.goto(f"{app_url}/train?view=Runs")
    table = page.get_by_test_id("stDataFrame").first
    expect(table.get_by_text("failed", exact=True)).to_be_attached()
    box = resting_box(table)
    page.mouse.click(box["x"] + 17, box["y"] + 38 + 17)  # the mark of the first row: the one last written
    expect(page).to_have_url(re.compile("run=failed"))
    expect(page.get_by_test_id("stAlert").filter(has_text="Memory ran out")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
