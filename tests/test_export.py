"""Exported networks: that they answer as torch does, know what they were made from, and are chosen when they should."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import fkd
from fkd import export, paths
from fkd.bench.predict import measure
from fkd.cli import main
from fkd.crop import CropFrame
from fkd.errors import FkdError
from fkd.export import MOST_APART_PX, export_onnx
from fkd.models import MODELS, create_model
from fkd.runtime import LoadedModel, OnnxModel, Prediction
from fkd.schema import IBUG68, KAGGLE15
from fkd.weights import Card, list_weights, load_model, onnx_hindrance, save_weights, weights_digest

ARGUMENTS: dict[str, dict] = {"heatmap": {"widths": [8, 8, 8, 8, 8], "fused": 8}, "cnn5": {"widths": [4, 4, 8, 8, 8]}}
NAMES = ("points_px", "point_scores", "face_scores")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path))
    return tmp_path


def save(shelf: Path, model: str = "heatmap", seed: int = 0) -> Path:
    """Weights with random parameters and statistics, as `mine`."""
    torch.manual_seed(seed)
    arguments = ARGUMENTS.get(model, {})
    network = create_model(model, len(KAGGLE15), 64, **arguments)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    path = shelf / "mine.safetensors"
    save_weights(path, network.eval(), Card("mine", KAGGLE15, model, 64, CropFrame(1.3), arguments))
    return path


def crops(n: int = 3, size: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size), dtype=np.uint8)


def assert_alike(first: Prediction, second: Prediction) -> None:
    for name, apart in zip(NAMES, (MOST_APART_PX, 1e-3, 1e-3), strict=True):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=apart, err_msg=name)


@pytest.mark.parametrize("model", list(MODELS))
def test_every_network_answers_alike_in_both_runtimes(shelf: Path, model: str) -> None:
    save(shelf, model)
    export_onnx("mine", shelf / "mine.onnx")
    exported, direct = load_model("mine", runtime="onnx"), load_model("mine", runtime="torch")
    assert (exported.runtime, direct.runtime) == ("onnx", "torch")
    assert exported.card == direct.card
    for n, flip in ((1, False), (3, True)):  # any number of crops at a time
        assert_alike(exported.predict(crops(n), flip=flip), direct.predict(crops(n), flip=flip))


def test_without_the_mirror_image_the_direct_look_is_the_answer(shelf: Path) -> None:
    save(shelf)
    model = load_model("mine")
    output = model.network(torch.from_numpy(crops())[:, None] / 255)
    single = model.predict(crops(), flip=False)
    np.testing.assert_allclose(single.points_px, (output.points_norm.numpy() + 1) * 63 / 2, atol=1e-3)
    np.testing.assert_allclose(single.point_scores, output.point_logits.sigmoid().numpy(), atol=1e-5)
    assert np.abs(single.points_px - model.predict(crops()).points_px).max() > 0.1


@pytest.mark.parametrize("model", ["heatmap", "cnn5"])
def test_a_file_holds_every_parameter_in_half_precision(shelf: Path, model: str) -> None:
    path = save(shelf, model)
    done = export_onnx("mine", shelf / "mine.onnx")
    parameters = sum(p.numel() for p in load_model("mine", runtime="torch").network.parameters())
    assert done.size_bytes == (shelf / "mine.onnx").stat().st_size
    assert 2 * parameters < done.size_bytes < path.stat().st_size + 60_000


def test_the_faster_runtime_is_taken_where_its_file_is_up_to_date(shelf: Path) -> None:
    save(shelf)
    assert load_model("mine").runtime == "torch"
    assert "no exported network; make it with: python -m fkd export --weights mine" in str(onnx_hindrance("mine"))
    export_onnx("mine", shelf / "mine.onnx")
    assert load_model("mine").runtime == "onnx"
    assert fkd.load("mine", threads=1).model.runtime == "onnx"
    assert fkd.load("mine", runtime="torch").model.runtime == "torch"


def test_a_file_made_from_other_weights_is_noticed(shelf: Path) -> None:
    save(shelf)
    export_onnx("mine", shelf / "mine.onnx")
    save(shelf, seed=1)
    with pytest.warns(UserWarning, match="was not made from the present"):
        assert load_model("mine").runtime == "torch"
    with pytest.raises(FkdError, match=r"was not made from the present mine\.safetensors; make it with"):
        load_model("mine", runtime="onnx")


def test_an_exported_file_stands_alone(shelf: Path, tmp_path: Path) -> None:
    path = save(shelf)
    direct = load_model("mine").predict(crops())
    export_onnx("mine", shelf / "elsewhere.onnx")
    path.unlink()
    model = load_model(shelf / "elsewhere.onnx")
    assert model.card.name == "mine"
    assert_alike(model.predict(crops()), direct)


def test_an_exported_file_computes_on_no_other_device(shelf: Path) -> None:
    save(shelf)
    export_onnx("mine", shelf / "mine.onnx")
    for choice in ({"name_or_path": shelf / "mine.onnx"}, {"name_or_path": "mine", "runtime": "onnx"}):
        with pytest.raises(FkdError, match="computes on the CPU here, not on 'bogus'"):
            load_model(**choice, device="bogus")


@pytest.mark.parametrize("content", [b"", b"no network", None])
def test_damaged_exported_files_are_named(shelf: Path, content: bytes | None) -> None:
    save(shelf)
    exported = shelf / "mine.onnx"
    export_onnx("mine", exported)
    exported.write_bytes(exported.read_bytes()[:-3000] if content is None else content)
    with pytest.raises(FkdError, match=r"mine\.onnx are damaged or not fkd's"):
        load_model(exported)


def test_a_difference_is_found_before_anything_is_written(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(shelf)
    export_onnx("mine", shelf / "other.onnx")
    save(shelf, seed=1)
    other = (shelf / "other.onnx").read_bytes()
    monkeypatch.setattr(export, "_halved", lambda *_: other)
    with pytest.raises(FkdError, match=r"differs from torch by .* px; nothing was written"):
        export_onnx("mine", shelf / "mine.onnx")
    assert not list(shelf.glob("*mine.onnx*"))


def test_one_session_serves_several_threads(shelf: Path) -> None:
    save(shelf)
    export_onnx("mine", shelf / "mine.onnx")
    model = load_model("mine", threads=1)
    assert isinstance(model, OnnxModel)
    batches = [crops(4)[i : i + 1] for i in range(4)] * 10
    expected = [model.predict(batch).points_px for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        received = list(pool.map(lambda batch: model.predict(batch).points_px, batches))
    np.testing.assert_array_equal(received, expected)


def test_what_is_missing_is_named(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(shelf)
    export_onnx("mine", shelf / "mine.onnx")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnx", None)
        with pytest.raises(FkdError, match="pip install onnx=="):
            export_onnx("mine", shelf / "again.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="onnxruntime is not installed"):
        assert load_model("mine").runtime == "torch"
    with pytest.raises(FkdError, match="pip install onnxruntime=="):
        load_model("mine", runtime="onnx")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"runtime": "tensorflow"}, "Unknown runtime 'tensorflow'; known are auto, onnx, torch"),
        ({"runtime": "onnx", "device": "cuda"}, "onnxruntime computes on the CPU"),
    ],
)
def test_wrong_choices_are_named(shelf: Path, arguments: dict[str, str], told: str) -> None:
    save(shelf)
    with pytest.raises(FkdError, match=told):
        load_model("mine", **arguments)


def test_the_command_writes_a_file_and_tells_the_parity(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(shelf)
    assert main(["export", "--weights", "mine", "--out", str(shelf / "new" / "mine.onnx")]) == 0
    told = capsys.readouterr().out
    assert "mine.onnx" in told
    assert "px from torch (allowed: 0.01)" in told
    assert load_model(shelf / "new" / "mine.onnx").card.name == "mine"


def test_another_ending_is_wrong_use(shelf: Path) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["export", "--weights", "mine", "--out", "mine.pt"])
    assert exit_info.value.code == 2


@pytest.mark.parametrize("name", list_weights())
def test_the_exported_file_beside_shipped_weights_is_theirs(name: str) -> None:
    assert onnx_hindrance(name) is None
    exported, direct = (load_model(name, runtime=runtime) for runtime in ("onnx", "torch"))
    assert exported.card == direct.card
    size = direct.card.input_size
    assert_alike(exported.predict(_smooth_crops(size)), direct.predict(_smooth_crops(size)))


def _smooth_crops(size: int) -> np.ndarray:
    import cv2

    coarse = np.random.default_rng(0).integers(0, 256, (4, 9, 9), dtype=np.uint8)
    return np.stack([cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC) for crop in coarse])


def test_all_shipped_files_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in paths.weights_root().iterdir()) < 40e6


def test_predicting_with_an_exported_file_needs_no_torch() -> None:
    code = "import sys, fkd; fkd.load('ibug68'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=paths.PROJECT_ROOT, check=False).returncode == 0


def test_the_digest_is_of_the_whole_file(shelf: Path) -> None:
    path = save(shelf)
    before = weights_digest(path)
    path.write_bytes(path.read_bytes() + b" ")
    assert weights_digest(path) != before


def test_models_of_68_points_are_mirrored_by_their_own_schema(shelf: Path) -> None:
    arguments = ARGUMENTS["cnn5"]
    torch.manual_seed(0)
    card = Card("mine", IBUG68, "cnn5", 64, CropFrame(1.3), arguments)
    save_weights(shelf / "mine.safetensors", create_model("cnn5", 68, 64, **arguments).eval(), card)
    model: LoadedModel = load_model("mine")
    direct, mirrored = model.predict(crops()), model.predict(crops()[:, :, ::-1])
    np.testing.assert_allclose(IBUG68.mirror(mirrored.points_px, 64)[..., 1], direct.points_px[..., 1], atol=1e-3)


def test_the_measurement_compares_the_same_answers() -> None:
    result = measure("ibug68", {1: 1, 2: 1})
    assert set(result["milliseconds"]) == {"1", "2"}
    one = result["milliseconds"]["1"]
    assert result["ratio"] == pytest.approx(one["torch_fp32"] / one["onnxruntime"], abs=0.01)
    assert result["apart_from_torch_fp32_px"]["onnxruntime"] < MOST_APART_PX
    assert result["apart_from_torch_fp32_px"]["torch_bf16"] < 1
