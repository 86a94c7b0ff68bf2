"""The Feature maps page without a browser: every network, every view, and faces that are none."""

from __future__ import annotations

import io
from pathlib import Path

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
    app = AppTest.from_file(str(PROJECT_ROOT / "pages" / "feature_maps.py"), default_timeout=120)
    for key, value in {"frame.is_up": True, "features.source": "Dataset", **state}.items():
        app.session_state[key] = value
    return app.run()


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
    assert {"Points moved", "Furthest"} <= {metric.label for metric in app.metric}


def test_a_network_without_layers_says_so(networks: Path) -> None:
    app = page(weights="mean_shape")
    assert not app.exception
    assert "nothing inside" in texts(app) and "Nothing in the picture moves this point." in texts(app)


def test_heatmaps_grad_cam_and_occlusion_are_offered_where_they_exist(networks: Path) -> None:
    offered = {}
    for name in ("heatmap", "cnn", "mlp"):
        app = page(weights=name, view="Keypoint")
        offered[name] = app.segmented_control(key=f"features.method.{name}").options
    assert offered == {"heatmap": ["Heatmap", "Occlusion"], "cnn": ["Grad-CAM", "Occlusion"], "mlp": ["Occlusion"]}


def test_occlusion_answers_in_a_sentence(networks: Path) -> None:
    app = page(weights="mlp", view="Keypoint")
    assert "**Mouth left corner** moves most, by" in texts(app)


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
    assert float(metrics["Points moved"].removesuffix(" px")) > 0
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
    assert {"Run · mine, epoch 1", "Run · mine, epoch 2"} <= set(options)


def test_a_photo_without_a_face_says_what_to_do() -> None:
    app = page(weights="ibug68", **{"features.source": "Upload"})
    assert "Choose a face" in texts(app)
    file = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).save(file, "PNG")
    app.file_uploader[0].set_value(("cup.png", file.getvalue(), "image/png")).run()
    assert "No face found in cup.png" in texts(app) and not app.exception


def test_of_several_faces_one_is_chosen() -> None:
    file = io.BytesIO()
    Image.fromarray(np.hstack([skimage.data.astronaut()] * 2)).save(file, "PNG")
    app = page(weights="ibug68", **{"features.source": "Upload"})
    app.file_uploader[0].set_value(("two.png", file.getvalue(), "image/png")).run()
    assert next(box for box in app.selectbox if box.label == "Which face").options == ["Face 1 of 2", "Face 2 of 2"]
    assert not app.exception and not app.error


def test_damaged_weights_are_told_in_a_sentence(networks: Path) -> None:
    (networks / "broken.safetensors").write_bytes(b"nothing")
    app = AppTest.from_file(str(PROJECT_ROOT / "app.py"), default_timeout=120)
    app.switch_page("pages/feature_maps.py")
    app.session_state["weights"] = "broken"
    app.run()
    assert any("damaged" in error.value for error in app.error) and not app.exception
