"""The Live mode in a real browser whose camera plays a film: from Start to points in the picture, and to the end."""

from __future__ import annotations

import base64
import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, FrameLocator, Locator, Page, TimeoutError, expect

from fkd.schema import IBUG68
from fkd.video import read_frames
from tests.browser.conftest import FLAGS, PATIENCE_S, assert_nothing_failed, free_port, serve
from tests.clips import moving_face, write_y4m
from tests.conftest import find_chromium

pytestmark = pytest.mark.browser

LOST_CLICK_MS = 4000
SETTLE_S = 20
FILM_HEIGHT, FILM_WIDTH = 480, 640


class Server:
    """The app's server, seen from outside."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def lasting_threads(self) -> int:
        """Threads but for those that only answer a request."""
        counts = []
        for _ in range(15):
            counts.append(self.threads())
            time.sleep(0.2)
        return min(counts)

    def memory_mb(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def server_of(port: int) -> int:
    """Process id of the server that was started for a port."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"--server.port={port}".encode() in process.read_bytes().split(b"\0"):
                return int(process.parent.name)
        except OSError:  # it has ended meanwhile
            continue
    pytest.skip("threads and memory are counted under /proc, which this system lacks")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "not-a-token")  # with which streamlit-webrtc would ask a server elsewhere
        with serve(tmp_path_factory.mktemp("server") / "log.txt", port) as url:
            yield Server(url, server_of(port))


def launch(chromium: Browser, film: Path, *flags: str) -> Browser:
    camera = f"--use-file-for-fake-video-capture={film}"
    return chromium.browser_type.launch(executable_path=find_chromium(), args=[*FLAGS, camera, *flags])


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a drawn face in grey, so that whatever has a colour has been drawn by fkd."""
    grey = (cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) for image in moving_face(50))
    return write_y4m(tmp_path_factory.mktemp("film") / "face.y4m", grey, FILM_WIDTH, FILM_HEIGHT)


@pytest.fixture(scope="module")
def camera(chromium: Browser, film: Path) -> Iterator[Browser]:
    browser = launch(chromium, film)
    yield browser
    browser.close()


@pytest.fixture
def window(camera: Browser) -> Iterator[Callable[[], Page]]:
    """Opens windows that are sessions of their own; none may show a traceback at the end."""
    pages: list[Page] = []

    def open_window() -> Page:
        context = camera.new_context(viewport={"width": 1400, "height": 1000}, permissions=["camera"])
        context.set_default_timeout(PATIENCE_S * 1000)
        expect.set_options(timeout=PATIENCE_S * 1000)
        pages.append(context.new_page())
        return pages[-1]

    yield open_window
    for page in pages:
        assert_nothing_failed(page)
        page.context.close()


def stage(page: Page) -> FrameLocator:
    """The part of the page with the picture and its buttons."""
    return page.frame_locator("iframe[title*=webrtc]")


def start(page: Page) -> None:
    """Press Start, and wait for figures."""
    press_start(page, page.get_by_text("Frames/s"))
    expect(page.get_by_role("columnheader", name="Face")).to_be_visible()


def press_start(page: Page, until: Locator) -> None:
    """Press Start, again for as long as the click was lost and it is still offered, until something shows."""
    begin = stage(page).get_by_role("button", name="Start", exact=True)
    expect(begin).to_be_enabled()
    for _ in range(PATIENCE_S * 1000 // LOST_CLICK_MS):
        if begin.is_visible():
            begin.click()
        try:
            until.wait_for(timeout=LOST_CLICK_MS)
            break
        except TimeoutError:
            continue
    expect(until).to_be_visible()


def stop(page: Page) -> None:
    stage(page).get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("The camera is off")).to_be_visible()


def picture(page: Page) -> np.ndarray:
    """(h, w, 3) uint8 BGR: what the video element shows at this moment."""
    shown = (
        stage(page)
        .locator("video")
        .evaluate(
            """video => {
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
            canvas.getContext("2d").drawImage(video, 0, 0);
            return canvas.toDataURL("image/png").split(",")[1];
        }"""
        )
    )
    return cv2.imdecode(np.frombuffer(base64.b64decode(shown), np.uint8), cv2.IMREAD_COLOR)


def coloured(image_bgr_u8: np.ndarray) -> np.ndarray:
    """(n, 2) x, y of the pixels that have a colour."""
    return np.argwhere(np.ptp(image_bgr_u8.astype(int), axis=2) > 40)[:, ::-1]


def soon(holds: Callable[[], bool], patience_s: float = SETTLE_S) -> bool:
    """Whether something comes to hold."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def figures(page: Page) -> str:
    return " ".join(page.get_by_test_id("stMetricValue").all_inner_texts())


def test_points_are_drawn_into_the_picture_and_settings_take_effect_while_it_runs(
    window: Callable[[], Page], server: Server
) -> None:
    page = window()
    page.goto(f"{server.url}/detect?source=Live")
    start(page)
    assert soon(lambda: len(coloured(picture(page))) > 100)
    image = picture(page)
    assert image.shape[:2] == (FILM_HEIGHT, FILM_WIDTH)
    # The face of the film is about 220 px large and stays within 40 px of the middle.
    away = coloured(image) - (FILM_WIDTH / 2, FILM_HEIGHT / 2)
    assert (np.abs(away).max(axis=0) < (170, 180)).all()

    first = figures(page)
    assert soon(lambda: figures(page) != first), "figures go on changing"

    few = len(coloured(picture(page)))
    page.get_by_role("slider", name="Point size").press("End")
    assert soon(lambda: len(coloured(picture(page))) > 3 * few), "larger points cover more"

    expect(page.get_by_role("cell", name="Yaw")).to_be_visible()
    page.get_by_role("combobox", name="Weights").click()
    page.get_by_role("option", name="kaggle15", exact=True).click()
    expect(page.get_by_role("cell", name="Yaw")).to_have_count(0)
    expect(page.get_by_role("cell", name="Score")).to_be_visible()


def test_a_snapshot_and_recorded_points_can_be_downloaded(window: Callable[[], Page], server: Server) -> None:
    page = window()
    page.goto(f"{server.url}/detect?source=Live")
    start(page)
    with page.expect_download() as snapshot:
        page.get_by_role("button", name="Snapshot").click()
    image = cv2.imread(str(snapshot.value.path()))
    assert image.shape == (FILM_HEIGHT, FILM_WIDTH, 3)
    assert len(coloured(image)) > 100

    page.get_by_role("button", name="Record points").click()
    expect(page.get_by_text(re.compile(r"Recording: ([2-9]|\d\d) s"))).to_be_visible()  # a second may be skipped
    page.get_by_role("button", name="Stop recording").click()
    with page.expect_download() as recording:
        page.get_by_role("button", name="Recording as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(recording.value.path()).read_text())))
    assert {row["face"] for row in rows} == {"1"}
    times_s = [float(row["time_s"]) for row in rows]
    assert times_s[0] == 0
    assert times_s == sorted(times_s)
    assert times_s[-1] >= 1.5
    assert {f"{name}_x" for name in IBUG68.keypoints} | {"yaw_deg", "mouth_opening", "blinks"} <= rows[0].keys()
    nose_x = [float(row[f"{IBUG68.keypoints[30]}_x"]) for row in rows]
    assert np.ptp(nose_x) > 10, "the face of the film moves to and fro"


def test_no_server_elsewhere_is_asked(window: Callable[[], Page], server: Server) -> None:
    page = window()
    page.add_init_script(
        """const Connection = window.RTCPeerConnection;
        window.RTCPeerConnection = class extends Connection {
            constructor(configuration) { super(configuration); window.parent.asked = configuration.iceServers; }
        };"""
    )
    page.goto(f"{server.url}/detect?source=Live")
    start(page)
    assert page.evaluate("window.asked") == []


@pytest.mark.parametrize("cycles", [4, pytest.param(10, marks=pytest.mark.long)])
def test_starting_and_stopping_leaves_no_threads_and_no_memory(
    window: Callable[[], Page], server: Server, cycles: int
) -> None:
    page = window()
    page.goto(f"{server.url}/detect?source=Live")
    threads, memory_mb = [], []
    for _ in range(cycles):
        start(page)
        running = server.lasting_threads()
        stop(page)
        assert soon(lambda running=running: server.threads() <= running - 2)
        threads.append(server.lasting_threads())
        memory_mb.append(round(server.memory_mb()))
    assert threads[-1] <= threads[0] + 1, threads
    # Allocators take and give back by tens of megabytes; what leaks is there at every look.
    assert min(memory_mb[-2:]) < max(memory_mb[:2]) + 30, memory_mb
    print(f"{threads} threads, {memory_mb} MB")


@pytest.mark.parametrize("way", ["another page", "another source"])
def test_leaving_ends_the_worker(window: Callable[[], Page], server: Server, way: str) -> None:
    page = window()
    page.goto(f"{server.url}/detect?source=Live")
    expect(page.get_by_text("The camera is off")).to_be_visible()
    before = server.lasting_threads()
    start(page)
    running = server.lasting_threads()
    assert running >= before + 2
    if way == "another page":
        page.get_by_role("link", name="Explore").click()
    else:
        page.get_by_text("Photos", exact=True).click()
    assert soon(lambda: server.threads() <= running - 2)
    page.goto(f"{server.url}/detect?source=Live")
    expect(page.get_by_text("The camera is off")).to_be_visible()


def test_two_sessions_keep_apart(window: Callable[[], Page], server: Server) -> None:
    one, other = window(), window()
    one.goto(f"{server.url}/detect?source=Live")
    other.goto(f"{server.url}/detect?source=Live&weights=kaggle15")
    start(one)
    start(other)
    expect(one.get_by_role("cell", name="Yaw")).to_be_visible()
    expect(other.get_by_role("cell", name="Yaw")).to_have_count(0)
    stop(one)
    before = figures(other)
    assert soon(lambda: figures(other) != before), "the other goes on"


TROUBLES = {
    "Object.defineProperty(window, 'isSecureContext', {value: false})": "only to pages on localhost or over https",
    "navigator.mediaDevices.enumerateDevices = async () => []": "finds no camera",
    "navigator.permissions.query = async () => ({state: 'denied'})": "The camera is blocked",
}


@pytest.mark.parametrize("cause", TROUBLES)
def test_where_there_can_be_no_picture_the_page_says_why_and_leads_on(
    window: Callable[[], Page], server: Server, cause: str
) -> None:
    page = window()
    page.add_init_script(cause)
    page.goto(f"{server.url}/detect?source=Live")
    expect(page.get_by_test_id("stAlert")).to_contain_text(TROUBLES[cause])
    page.get_by_role("button", name="Take a still photo").click()
    expect(page.get_by_test_id("stCameraInput")).to_be_visible()


def test_where_no_connection_comes_about_the_page_says_so(window: Callable[[], Page], server: Server) -> None:
    page = window()
    page.add_init_script(
        """const Connection = window.RTCPeerConnection;
        window.RTCPeerConnection = class extends Connection {
            constructor(configuration) { super({...configuration, iceTransportPolicy: "relay"}); }
        };"""
    )
    page.goto(f"{server.url}/detect?source=Live")
    press_start(page, page.get_by_test_id("stAlert").filter(has_text="does not come through"))
    page.get_by_role("button", name="Take a still photo").click()
    expect(page.get_by_test_id("stCameraInput")).to_be_visible()


KEPT_CONNECTION = """const Connection = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Connection {
        constructor(configuration) { super(configuration); window.parent.connection = this; }
    };"""


def test_a_camera_that_is_taken_away_is_told_and_can_be_started_again(
    window: Callable[[], Page], server: Server
) -> None:
    page = window()
    page.add_init_script(KEPT_CONNECTION)
    page.goto(f"{server.url}/detect?source=Live")
    start(page)
    page.evaluate("window.connection.getSenders().forEach((sender) => sender.track.stop())")
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_contain_text("No picture has come for some seconds")
    stage(page).get_by_role("button", name="Stop", exact=True).click()
    expect(alert).to_contain_text("the camera was taken away")
    expect(page.get_by_role("button", name="Take a still photo")).to_be_visible()
    start(page)
    expect(alert).to_have_count(0)
    stop(page)


def test_a_picture_that_takes_too_long_is_told(
    chromium: Browser, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamlit-webrtc ends a stream for a frame of more than ten seconds."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_FRAME, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    expect.set_options(timeout=PATIENCE_S * 1000)
    browser = launch(chromium, film)
    with serve(tmp_path / "log.txt", free_port()) as url:
        page = browser.new_page(permissions=["camera"])
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(f"{url}/detect?source=Live")
        start(page)
        alert = page.get_by_test_id("stAlert")
        expect(alert).to_contain_text("One picture took 1")
        expect(alert).to_contain_text("press Stop, then Start")
        stage(page).get_by_role("button", name="Stop", exact=True).click()
        expect(alert).to_contain_text("press Start")
        expect(page.get_by_role("button", name="Take a still photo")).to_be_visible()
        browser.close()


SLOW_FRAME = """
import builtins, time
importing = builtins.__import__

def watched(name, *arguments, **others):
    module = importing(name, *arguments, **others)
    if name == "fkd.pipeline.live":
        builtins.__import__ = importing
        import fkd.pipeline.live as live
        plain, frames = live.draw_faces, iter(range(10**9))
        live.draw_faces = lambda *faces: (time.sleep(11 if next(frames) == 10 else 0), plain(*faces))[1]
    return module

builtins.__import__ = watched
"""


@pytest.mark.data
def test_a_real_face_is_followed(chromium: Browser, server: Server, data_root: Path, tmp_path: Path) -> None:
    clip = data_root / "videos" / "yes.mkv"
    images = [frame.image_rgb_u8 for frame in read_frames(clip)]
    height, width = images[0].shape[:2]
    browser = launch(chromium, write_y4m(tmp_path / "yes.y4m", images, width, height))
    page = browser.new_page(permissions=["camera"])
    page.set_default_timeout(PATIENCE_S * 1000)
    page.goto(f"{server.url}/detect?source=Live")
    start(page)
    expect(page.get_by_role("cell", name="Yaw")).to_be_visible()
    browser.close()


@pytest.mark.long
def test_five_minutes_take_no_more_memory_than_one(window: Callable[[], Page], server: Server) -> None:
    page = window()
    page.goto(f"{server.url}/detect?source=Live")
    start(page)
    time.sleep(60)
    threads, memory_mb = server.lasting_threads(), []
    for _ in range(9):
        memory_mb.append(server.memory_mb())
        time.sleep(30)
    print("MB after one minute and every half: ", *(f"{each:.0f}" for each in memory_mb))
    # Allocators take and give back by tens of megabytes; what leaks is there at every look.
    assert min(memory_mb[-3:]) < max(memory_mb[:3]) + 20
    assert server.lasting_threads() <= threads + 2
    before = figures(page)
    assert soon(lambda: figures(page) != before), "it still runs"
