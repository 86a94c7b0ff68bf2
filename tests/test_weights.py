import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fkd.crop import CropFrame
from fkd.data import load_dataset
from fkd.errors import FkdError
from fkd.evaluation.cards import render_card
from fkd.evaluation.evaluate import evaluate
from fkd.models import create_model, norm_to_px
from fkd.paths import weights_root
from fkd.schema import IBUG68, KAGGLE15
from fkd.weights import Card, list_weights, load_model, load_torch_model, read_card, save_weights

SMALL = {"widths": [8, 8, 8, 8, 8], "fused": 8}
# The figures on the cards were rounded, and CPUs differ in the last digits of a sum.
SAME_NME, SAME_RMSE_PX = 0.02, 0.005


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path))
    return tmp_path


def save(shelf, model="heatmap", name="mine", schema=KAGGLE15, **arguments):
    torch.manual_seed(0)
    network = create_model(model, len(schema), 64, **arguments).eval()
    card = Card(name, schema, model, 64, CropFrame(1.3, (0.0, -0.1)), arguments, {"recipe": "none"}, {})
    save_weights(shelf / f"{name}.safetensors", network, card)
    return network, card


def test_a_network_comes_back_with_its_card(shelf):
    network, card = save(shelf, **SMALL)
    model = load_model("mine")
    assert model.card == card and list_weights() == ["mine"]
    stored = {k: v.half().float() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    torch.testing.assert_close(model.network.state_dict(), stored, atol=0, rtol=0, check_dtype=False)


def test_a_mirrored_crop_gives_the_mirrored_face(shelf):
    """But for a shift: labels may lie on one side of what they name, and the direct look decides where."""
    save(shelf, **SMALL)
    model = load_model("mine")
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    direct, mirrored = model.predict(crops), model.predict(crops[:, :, ::-1])
    difference = mirrored.points_px - KAGGLE15.mirror(direct.points_px, 64)
    np.testing.assert_allclose(difference[..., 1], 0, atol=1e-3)
    np.testing.assert_allclose(difference[..., 0], difference[:, :1, 0].repeat(15, axis=1), atol=1e-3)
    np.testing.assert_allclose(mirrored.point_scores, direct.point_scores[:, KAGGLE15.mirror_partners], atol=1e-4)
    np.testing.assert_allclose(mirrored.face_scores, direct.face_scores, atol=1e-4)


def test_points_lie_sideways_where_the_direct_look_has_them(shelf):
    save(shelf, **SMALL)
    crops = np.random.default_rng(1).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    model = load_model("mine")
    direct = model.network(torch.from_numpy(crops)[:, None] / 255).points_norm[..., 0].mean(dim=1)
    averaged = model.predict(crops).points_px[..., 0].mean(axis=1)
    np.testing.assert_allclose(averaged, norm_to_px(direct, 64), atol=1e-3)


@pytest.mark.parametrize(("model", "arguments"), [("heatmap", SMALL), ("cnn5", {"widths": [4, 4, 8, 8, 8]})])
def test_scores_lie_between_0_and_1(shelf, model, arguments):
    save(shelf, model=model, **arguments)
    prediction = load_model("mine").predict(np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8))
    for scores in (prediction.point_scores, prediction.face_scores):
        assert (scores >= 0).all() and (scores <= 1).all()


def test_wrong_crops_are_named(shelf):
    save(shelf, **SMALL)
    with pytest.raises(ValueError, match=r"expected \(n, 64, 64\) uint8, got \(1, 32, 32\)"):
        load_model("mine").predict(np.zeros((1, 32, 32), np.uint8))


@pytest.mark.parametrize("name", ["ibug86", "/no/such/file.safetensors"])
def test_unknown_weights_name_the_known_ones(shelf, name):
    save(shelf, **SMALL)
    with pytest.raises(FkdError, match=r"no weights .* there are: mine"):
        load_model(name)


def test_a_file_of_another_kind_is_told_from_a_name(shelf):
    (shelf / "notes.md").write_text("no weights")
    for name in (shelf / "notes.md", str(shelf / "notes.md")):
        with pytest.raises(
            FkdError, match=r"The file '.*notes.md' holds no weights; files that do end in .safetensors"
        ):
            load_model(name)


def damage_truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def damage_empty(path):
    path.write_bytes(b"")


def damage_other_file(path):
    path.write_bytes(b"\x80\x04 this is no safetensors file")


def damage_without_card(path):
    save_file({"a": torch.zeros(1)}, path)


def damage_other_network(path):
    card = Card("mine", IBUG68, "cnn5", 64, CropFrame(1.3))
    save_file({"a": torch.zeros(1)}, path, metadata={"fkd": card.to_json()})


@pytest.mark.parametrize(
    "damage", [damage_truncated, damage_empty, damage_other_file, damage_without_card, damage_other_network]
)
def test_damaged_weights_are_named(shelf, damage):
    save(shelf, **SMALL)
    damage(shelf / "mine.safetensors")
    with pytest.raises(FkdError, match=r"mine\.safetensors are damaged or not fkd's"):
        load_model("mine")


def test_the_header_is_plain_json(shelf):
    _, card = save(shelf, **SMALL)
    stored = json.loads(card.to_json())
    assert stored["schema"] == "kaggle15" and stored["normalisation"] == "grey in [0, 1]"


def test_a_failed_write_leaves_the_old_file(shelf, monkeypatch):
    save(shelf, **SMALL)
    before = (shelf / "mine.safetensors").read_bytes()

    def broken(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr("pathlib.Path.write_bytes", broken)
        save(shelf, **SMALL)
    assert (shelf / "mine.safetensors").read_bytes() == before
    assert len(list(shelf.iterdir())) == 1


def test_evaluating_needs_the_same_schema(shelf):
    save(shelf, **SMALL)
    with pytest.raises(FkdError, match="predicts 15 points, and the faces of synthetic68 are labelled with 68"):
        evaluate(load_model("mine"), load_dataset("synthetic68"))


@pytest.mark.parametrize("name", list_weights())
def test_the_card_beside_shipped_weights_is_theirs(name):
    assert read_card(name).name == name
    assert (weights_root() / f"{name}.md").read_text("utf-8") == render_card(name)


@pytest.mark.data
@pytest.mark.parametrize("name", list_weights())
def test_the_figures_of_a_card_can_be_measured_again(name):
    model = load_model(name)
    assert model.card.metrics
    for data, stated in model.card.metrics.items():
        measured = evaluate(model, load_dataset(data), box_errors=False).summary
        assert measured["nme"] == pytest.approx(stated["nme"], abs=SAME_NME)
        assert measured["rmse_px"] == pytest.approx(stated["rmse_px"], abs=SAME_RMSE_PX)


@pytest.mark.parametrize(
    ("name", "data", "metric", "target"),
    [
        ("ibug68", "youtube_faces", "nme", 3.8),
        ("ibug68", "portraits68", "nme", 3.45),
        ("kaggle15", "kaggle", "rmse_px", 1.05),
        ("kaggle15-small", "kaggle", "rmse_px", 1.05),
    ],
)
def test_shipped_weights_are_as_good_as_promised(name, data, metric, target):
    assert read_card(name).metrics[data][metric] <= target


@pytest.mark.parametrize("name", ["ibug68", "kaggle15"])
def test_the_small_weights_are_nearly_as_good_as_the_large_ones(name):
    small, large = read_card(f"{name}-small"), read_card(name)
    assert sum(p.numel() for p in load_torch_model(f"{name}-small").network.parameters()) <= 800_000
    for data, figures in large.metrics.items():
        assert small.metrics[data]["nme"] <= 1.04 * figures["nme"]


@pytest.mark.parametrize("name", ["ibug68", "ibug68-small", "kaggle15", "kaggle15-small"])
def test_shipped_weights_bear_wrong_boxes(name):
    assert all(m["box_error_growth"] <= 10 for m in read_card(name).metrics.values())
