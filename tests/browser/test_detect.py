"""The Detect page in a real browser: from an address or a photo to points on the page and in files."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from playwright.sync_api import Locator, Page, expect

from fkd.schema import IBUG68

pytestmark = pytest.mark.browser


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A photo that is not the bundled one: the astronaut mirrored, half as large again, as JPEG."""
    mirrored = cv2.resize(skimage.data.astronaut()[:, ::-1, ::-1], (768, 768))
    cv2.imwrite(str(tmp_path / "portrait.jpg"), mirrored)
    return tmp_path / "portrait.jpg"


@pytest.fixture
def cup(tmp_path: Path) -> Path:
    """A photo without a face."""
    cv2.imwrite(str(tmp_path / "cup.png"), skimage.data.coffee()[..., ::-1])
    return tmp_path / "cup.png"


def upload(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").set_input_files(list(files))


def download(page: Page, label: str) -> bytes:
    button = page.get_by_role("button", name=label)
    expect(button).to_be_visible()
    with page.expect_download() as started:
        button.click()
    return Path(started.value.path()).read_bytes()


def tables(page: Page) -> Locator:
    return page.get_by_test_id("stDataFrame")


def check_points(points_px: np.ndarray) -> None:
    """The points lie on the face of `portrait`, at x 458 to 308 of 512 mirrored and enlarged by 1.5."""
    assert points_px.shape == (68, 2)
    assert ((points_px > (290, 75)) & (points_px < (550, 350))).all()


def test_a_page_opened_by_its_own_address_is_framed(page: Page, app_url: str) -> None:
    # The first visit of this server, so that nothing has run app.py before.
    page.goto(f"{app_url}/detect")
    expect(page.get_by_role("heading", name="Detect keypoints")).to_be_visible()
    expect(page).to_have_title("Detect · fkd")
    expect(page.get_by_test_id("stSidebarLogo")).to_be_visible()
    expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)


def test_the_root_address_opens_the_detect_page(page: Page, app_url: str) -> None:
    page.goto(app_url)
    expect(page.get_by_role("heading", name="Detect keypoints")).to_be_visible()
    expect(page).to_have_url(f"{app_url}/detect")


def test_the_sample_photo_is_at_most_three_clicks_away(page: Page, app_url: str) -> None:
    page.goto(app_url)
    page.get_by_role("button", name="Try the sample photo").click()
    expect(tables(page)).to_have_count(1)
    expect(page.get_by_role("img", name="astronaut.png with its keypoints")).to_be_visible()
    # The address now leads to what is shown.
    page.goto(page.url)
    expect(tables(page)).to_have_count(1)


def test_an_address_names_photo_and_weights(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/detect?source=Sample+photo&weights=kaggle15")
    expect(tables(page).get_by_text("nose_tip", exact=True)).to_be_attached()


def test_the_points_of_an_uploaded_photo_stand_on_the_page_and_in_the_files(
    page: Page, app_url: str, portrait: Path
) -> None:
    page.goto(app_url)
    upload(page, portrait)
    expect(tables(page)).to_have_count(1)
    expect(tables(page).get_by_text(IBUG68.keypoints[0])).to_be_attached()

    found = json.loads(download(page, "Points as JSON"))
    assert (found["image"], found["width"], found["height"]) == ("portrait.jpg", 768, 768)
    (face,) = found["faces"]
    check_points(np.array(face["points"]))

    rows = list(csv.DictReader(io.StringIO(download(page, "Points as CSV").decode())))
    assert [row["keypoint"] for row in rows] == list(IBUG68.keypoints)
    np.testing.assert_allclose([[float(row["x"]), float(row["y"])] for row in rows], face["points"], atol=1e-3)
    for number in face["points"][0]:
        expect(tables(page).get_by_text(str(number), exact=True)).to_be_attached()

    annotated = cv2.imdecode(np.frombuffer(download(page, "Annotated photo"), np.uint8), cv2.IMREAD_COLOR)
    changed = np.abs(annotated.astype(int) - cv2.imread(str(portrait)).astype(int)).max(axis=2) > 40
    for x, y in face["points"]:
        assert changed[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].any()
    assert changed.mean() < 0.2


def test_a_text_file_called_jpg_gives_a_sentence_and_the_page_stays_usable(
    page: Page, app_url: str, portrait: Path, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.jpg"
    letter.write_text("This is a letter, not a photo.")
    page.goto(app_url)
    upload(page, letter)
    expect(page.get_by_test_id("stAlert")).to_contain_text("letter.jpg is not a picture")
    upload(page, portrait)
    expect(tables(page)).to_have_count(1)
    expect(page.get_by_test_id("stAlert")).to_have_count(1)


def test_several_photos_come_in_one_archive(page: Page, app_url: str, portrait: Path, cup: Path) -> None:
    page.goto(app_url)
    upload(page, portrait, cup)
    with zipfile.ZipFile(io.BytesIO(download(page, "All 2 photos (zip)"))) as archive:
        names = archive.namelist()
        found = [json.loads(archive.read(name)) for name in names if name.endswith(".json")]
    assert sorted(Path(name).suffix for name in names) == [".csv", ".csv", ".json", ".json", ".png", ".png"]
    assert [len(photo["faces"]) for photo in found] == [1, 0]
    page.get_by_role("button", name="cup.png").last.click()
    expect(page.get_by_text("No face found in cup.png.")).to_be_visible()


def test_names_numbers_boxes_and_edges_change_the_drawing(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/detect?source=Sample+photo")
    drawing = page.get_by_role("img", name="astronaut.png with its keypoints")
    for choice in ("Names", "Numbers", "Show boxes", "Show edges"):
        expect(drawing).to_be_visible()
        before = drawing.get_attribute("src")
        page.get_by_text(choice, exact=True).click()
        expect(drawing).not_to_have_attribute("src", before or "")


def test_a_still_from_the_camera_is_looked_at(page: Page, app_url: str) -> None:
    page.goto(app_url)
    page.get_by_text("Camera", exact=True).click()
    page.wait_for_function("document.querySelector('video')?.currentTime > 0")
    page.get_by_role("button", name="Take Photo").click()
    expect(page.get_by_text("No face found in camera.jpg.")).to_be_visible()  # it is a test pattern


@pytest.mark.parametrize("width", [390, 360, 320])
def test_on_a_phone_the_sources_stand_in_one_row(page: Page, app_url: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{app_url}/detect")
    buttons = page.locator(".st-key-source").get_by_role("radio")
    expect(buttons).to_have_count(5)
    boxes = [button.bounding_box() for button in buttons.all()]
    assert len({box["y"] for box in boxes}) == 1
    assert boxes[-1]["x"] + boxes[-1]["width"] < width
