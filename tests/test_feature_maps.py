"""The Feature maps page without a browser: every network, every view, and faces that are none."""

from __future__ import annotations

import io
import itertools
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from fkd.crop import CropFrame
from fkd.data.kaggle import COORDINATES
from fkd.models import MODELS, create_model
from fkd.paths import PROJECT_ROOT
from fkd.progress import report
from fkd.schema import IBUG68, KAGGLE15
from fkd.weights import Card, save_weights

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
VIEWS = ("Activations", "Filters", "Keypoint", "Compare")
SIZE = 64


def kaggle_folder(root: Path) -> None:
    """Two pictures in Kaggle's layout, every label present."""
    folder = root / "kaggle"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with (folder / "training.csv").open("w") as file:
        file.write(",".join((*COORDINATES, "Image")) + "\n")
        for _ in range(2):
            numbers = [f"{value:.2f}" for value in rng.uniform(20, 76, 30)]
            file.write(",".join(numbers) + "," + " ".join(map(str, rng.integers(0, 256, 96 * 96))) + "\n")


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with untrained weights of every network, and faces to look at."""
    kaggle_folder(tmp_path / "data")
    for variable, name in {
        "FKD_DATA": "data",
        "FKD_CACHE": "cache",
        "FKD_WEIGHTS": "weights",
        "FKD_RUNS": "runs",
    }.items():
        monkeypatch.setenv(variable, str(tmp_path / name))
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(0)
    for name in MODELS:
        card = Card(name, KAGGLE15, name, SIZE, CropFrame(1.3))
        save_weights(folder / f"{name}.safetensors", create_model(name, 15, SIZE), card)
    return folder


def page(**state: object) -> AppTest:
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120)
    app.switch_page("pages/feature_maps.py")
    for key, value in {"features.source": "Dataset", **state}.items():
        app.session_state[key] = value
    return app.run()


def answered(app: AppTest, text: str) -> bool:
    """Whether a sentence comes, which work in the background may precede."""
    for _ in range(100):
        if text in texts(app):
            return True
        time.sleep(0.2)
        app.run()
    return False


def png(image_rgb_u8: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image_rgb_u8).save(file, "PNG")
    return file.getvalue()


def button(app: AppTest, label: str) -> Any:
    return next(button for button in app.button if button.label == label)


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption, *app.info, *app.warning, *app.error))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mean_shape"])
def test_every_network_shows_its_layers_and_every_view(networks: Path, name: str) -> None:
    app = page(weights=name)
    table = app.dataframe[0].value
    assert table["parameters"].sum() == sum(p.numel() for p in create_model(name, 15, SIZE).parameters())
    assert "dead" in texts(app)
    for view in VIEWS[1:]:
        app.segmented_control(key="view").set_value(view).run()
        assert not app.exception and not app.error
    assert "Points apart, mean" in {metric.label for metric in app.metric}


def test_a_network_without_layers_says_so(networks: Path) -> None:
    app = page(weights="mean_shape")
    assert not app.exception
    assert "nothing inside" in texts(app)
    assert answered(app, "Nothing in the picture moves this point.")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("heatmap", {"Its heatmap", "Occlusion"}), ("cnn", {"Grad-CAM", "Occlusion"}), ("mlp", {"Occlusion"})],
)
def test_heatmaps_and_grad_cam_are_shown_where_they_exist_and_occlusion_always(
    networks: Path, name: str, shown: set[str]
) -> None:
    app = page(weights=name, view="Keypoint")
    assert answered(app, "**Mouth left corner** moves most, by")
    assert {what for what in ("Its heatmap", "Grad-CAM", "Occlusion") if what in texts(app)} == shown


def test_occlusion_can_be_stopped_and_begun_again(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()

    def endless(model: object, crop_gray_u8: np.ndarray) -> None:
        try:
            for share in itertools.count():
                report("covering the face", share / (share + 10))
                time.sleep(0.01)
        finally:
            stopped.set()

    monkeypatch.setattr("fkd.inspect.occlusion", endless)
    app = page(weights="mlp", view="Keypoint")
    button(app, "Stop").click().run()
    assert stopped.wait(20)
    assert answered(app, "It is not known yet.")
    monkeypatch.undo()
    assert button(app, "Cover the face place by place")


def test_the_layer_looked_at_stays_with_other_weights_that_have_it(networks: Path) -> None:
    card = Card("other", KAGGLE15, "heatmap", SIZE, CropFrame(1.3))
    save_weights(networks / "other.safetensors", create_model("heatmap", 15, SIZE), card)
    app = page(weights="heatmap", **{"features.layer": "heatmaps"})
    assert "15 channels of heatmaps" in texts(app)
    app.selectbox(key="weights").set_value("other").run()
    assert "15 channels of heatmaps" in texts(app)
    app.selectbox(key="weights").set_value("mlp").run()
    assert "256 outputs of dense 1" in texts(app)


def test_two_weights_of_one_kind_can_be_compared(networks: Path) -> None:
    card = Card("other", KAGGLE15, "cnn", SIZE, CropFrame(1.3))
    save_weights(networks / "other.safetensors", create_model("cnn", 15, SIZE), card)
    elsewhere = Card("elsewhere", IBUG68, "cnn", SIZE, CropFrame(1.3))
    save_weights(networks / "elsewhere.safetensors", create_model("cnn", 68, SIZE), elsewhere)
    app = page(weights="cnn", view="Compare")
    app.segmented_control(key="features.compare").set_value("Other weights").run()
    assert "other" in app.selectbox(key="features.other").options
    assert "elsewhere" not in app.selectbox(key="features.other").options
    app.selectbox(key="features.other").set_value("other").run()
    metrics = {metric.label: metric.value for metric in app.metric}
    assert float(metrics["Points apart, mean"].removesuffix(" px")) > 0
    assert float(metrics["Likeness of the maps"]) < 1


def test_the_epochs_of_a_run_can_be_compared(networks: Path) -> None:
    run = networks.parent / "runs" / "mine"
    run.mkdir(parents=True)
    for file_name in ("best", "epoch-0001", "epoch-0002"):
        card = Card("mine", KAGGLE15, "cnn", SIZE, CropFrame(1.3))
        save_weights(run / f"{file_name}.safetensors", create_model("cnn", 15, SIZE), card)
    app = page(weights="run:mine", view="Compare")
    app.segmented_control(key="features.compare").set_value("Other weights").run()
    options = app.selectbox(key="features.other").options
    assert options[:2] == ["run:mine@1", "run:mine@2"]


def test_another_network_is_compared_at_the_layer_most_alike_or_a_chosen_one(networks: Path) -> None:
    app = page(weights="cnn", view="Compare", **{"features.layer": "convolution 2"})
    app.segmented_control(key="features.compare").set_value("Other weights").run()
    app.selectbox(key="features.other").set_value("resnet").run()
    theirs = next(box for box in app.selectbox if box.label == "Its layer, as it has no convolution 2")
    assert theirs.value == "stage 1, convolution"  # of stride 4, as the second convolution of the other
    theirs.set_value("stem").run()
    assert "**resnet** · stem" in texts(app)
    app.selectbox(key="features.other").set_value("mlp").run()
    theirs = next(box for box in app.selectbox if box.label == "Its layer, as it has no convolution 2")
    assert theirs.value == "dense 1"


def test_weights_without_layers_cannot_be_compared(networks: Path) -> None:
    app = page(weights="cnn", view="Compare")
    app.segmented_control(key="features.compare").set_value("Other weights").run()
    app.selectbox(key="features.other").set_value("mean_shape").run()
    assert "mean_shape has no layers" in texts(app) and not app.exception


def test_without_a_photo_the_page_says_what_to_do() -> None:
    app = page(weights="ibug68", **{"features.source": "Upload"})
    assert "Choose a face" in texts(app) and not app.exception


def test_of_several_faces_one_is_chosen() -> None:
    two = png(np.hstack([skimage.data.astronaut()] * 2))
    app = page(weights="ibug68", **{"features.source": "Upload"})
    app.file_uploader[0].set_value(("two.png", two, "image/png")).run()
    assert next(box for box in app.selectbox if box.label == "Which face").options == ["Face 1 of 2", "Face 2 of 2"]
    assert not app.exception and not app.error


def test_a_network_that_is_sure_of_no_face_can_be_looked_into_all_the_same(networks: Path) -> None:
    app = page(weights="heatmap", **{"features.source": "Sample"})
    assert "heatmap is not sure that this is a face (score 0." in texts(app)
    assert "32 channels of stem for astronaut.png" in texts(app)
    app = page(weights="heatmap", **{"features.source": "Upload"})
    app.file_uploader[0].set_value(("mine.png", png(skimage.data.astronaut()[:300, :400]), "image/png")).run()
    assert "No face found in mine.png" in texts(app) and not app.dataframe
    button(app, "Look at the likeliest spot").click().run()
    assert "32 channels of stem for mine.png" in texts(app)


def test_a_photo_without_a_face_can_be_taken_as_a_whole_and_searched_again() -> None:
    app = page(weights="ibug68", **{"features.source": "Upload"})
    app.file_uploader[0].set_value(("cup.png", png(skimage.data.coffee()), "image/png")).run()
    assert "No face found in cup.png" in texts(app) and not app.dataframe
    button(app, "Treat the whole photo as a face").click().run()
    assert "32 channels of stem for cup.png" in texts(app)
    button(app, "Search for faces again").click().run()
    assert "No face found in cup.png" in texts(app)


def test_the_detect_page_leads_to_the_face_just_found_in_the_same_weights() -> None:
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120)
    app.switch_page("pages/detect.py")
    app.query_params["weights"] = "kaggle15"
    button(app.run(), "Try the sample photo").click().run()
    button(app, "Feature maps").click().run()
    assert not app.error and app.title[0].value == "Feature maps"
    assert app.selectbox(key="weights").value == "kaggle15"
    assert app.segmented_control(key="features.source").value == "Last from Detect"
    assert "32 channels of stem for astronaut.png" in texts(app)


def test_damaged_weights_are_told_in_a_sentence(networks: Path) -> None:
    (networks / "broken.safetensors").write_bytes(b"nothing")
    app = page(weights="broken")
    assert any("damaged" in error.value for error in app.error) and not app.exception
