"""Which faces are measured, whether the weights have seen them, and the pictures of it."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fkd.cli import main
from fkd.crop import CropFrame, tight_boxes_from_points
from fkd.data import SOURCES
from fkd.data.splits import fold_of
from fkd.errors import FkdError
from fkd.evaluation.evaluate import SPLITS, crop_maps, evaluate, in_split, predict_mean_shape, seen_in_training
from fkd.images import read_image
from fkd.metrics import rmse_px
from fkd.models import create_model
from fkd.progress import listening
from fkd.schema import KAGGLE15
from fkd.training.recipes import get_recipe
from fkd.weights import Card, load_torch_model, save_weights
from tests.drawn import TINY_SETTINGS, drawn_faces

CONFIG = get_recipe("mlp").with_settings(TINY_SETTINGS)
pytestmark = pytest.mark.usefixtures("places")


def weights(places, *changes, name="tiny", model="mlp"):
    config = CONFIG.with_settings([*changes, f"model={model}"])
    if model != "mlp":
        config = dataclasses.replace(config, model_args={})
    torch.manual_seed(0)
    network = create_model(model, 15, 32, **config.model_args)
    training = {"recipe": "mlp", "config": config.as_dict(), "run": name, "versions": {}}
    card = Card(name, KAGGLE15, model, 32, CropFrame(1.3), config.model_args, training)
    path = places / "FKD_WEIGHTS" / f"{name}.safetensors"
    save_weights(path, network, card)
    return load_torch_model(path)


def test_the_parts_of_a_split_are_those_of_the_training(places):
    model, faces = weights(places), drawn_faces()
    parts = {split: in_split(model.card, faces, split) for split in SPLITS}
    np.testing.assert_array_equal(parts["test"], fold_of(faces.groups) == 0)
    assert (sum(parts[p].astype(int) for p in ("test", "validation", "train")) == 1).all()
    assert parts["validation"].any() and parts["published"].sum() == 8 and parts["all"].all()


@pytest.mark.parametrize("changes", [(), ("fold=3",), ("split=random",), ("split=group", "split_seed=5")])
def test_held_out_faces_are_unseen_and_all_others_seen(places, changes):
    model, faces = weights(places, *changes), drawn_faces()
    np.testing.assert_array_equal(seen_in_training(model.card, faces), ~in_split(model.card, faces, "test"))


def test_a_drawn_split_is_known_again_in_a_part_of_the_data(places):
    model, faces = weights(places, "split=random"), drawn_faces()
    some = np.arange(5, 40)
    expected = in_split(model.card, faces, "test")[some]
    np.testing.assert_array_equal(in_split(model.card, faces.subset(some), "test"), expected)


def test_weights_trained_on_everything_have_no_test_faces(places):
    model = weights(places, "fold=-1")
    with pytest.raises(FkdError, match="No face of drawn is in the split 'test' of tiny"):
        evaluate(model, drawn_faces())
    assert evaluate(model, drawn_faces(), "all", box_errors=False).seen > 0


@pytest.mark.parametrize("whole", ["true", "false"])
def test_the_progress_is_that_of_all_measurements_together(places, whole):
    model, heard = weights(places, f"whole_picture={whole}"), []
    with listening(lambda what, share: heard.append((what, share))):
        evaluate(model, drawn_faces())
    assert {what for what, _ in heard} == {"measuring tiny on drawn"}
    shares = [share for _, share in heard]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


def test_copies_of_training_pictures_under_another_name_are_recognised(places):
    model = weights(places)
    renamed = dataclasses.replace(drawn_faces(name="renamed"), groups=np.array([f"other {i}" for i in range(80)]))
    expected = ~in_split(model.card, drawn_faces(), "test")
    np.testing.assert_array_equal(seen_in_training(model.card, renamed), expected)
    renamed.images_u8[:] += 1
    assert not seen_in_training(model.card, renamed).any()


def test_weights_can_be_measured_where_what_they_learned_from_is_not(places, monkeypatch):
    model = weights(places, "split=random")
    monkeypatch.delitem(SOURCES, "drawn")
    assert evaluate(model, drawn_faces(name="other"), "all", box_errors=False).seen == 0


def test_faces_of_15_points_are_framed_as_in_photos(places):
    model, faces = weights(places, "whole_picture=false"), drawn_faces()
    boxes = tight_boxes_from_points(faces.points_px.astype(float), faces.schema)
    np.testing.assert_allclose(crop_maps(model, faces), model.card.crop.matrices(boxes, 32))


def test_only_faces_with_every_label_are_measured(places):
    outcome = evaluate(weights(places), drawn_faces(), "all", box_errors=False)
    assert outcome.rows.tolist() == [i for i in range(80) if i % 7]
    assert outcome.summary["faces"] == len(outcome.rows) == len(outcome.predicted_px)


def test_the_floor_is_the_mean_of_the_training_labels(places):
    faces = drawn_faces()
    model = weights(places, "whole_picture=true")
    learned = in_split(model.card, faces, "train")
    mean_px = np.nanmean(faces.points_px[learned], axis=0)
    rows = np.array([1, 5, 9])
    np.testing.assert_allclose(predict_mean_shape(model, faces, rows), np.tile(mean_px, (3, 1, 1)), atol=1e-4)


def test_the_floor_follows_the_box_where_faces_are_framed_by_one(places):
    """Faces of one shape, framed by themselves, have a mean shape without any error; those with gaps do not count."""
    faces = drawn_faces()
    lowest = int(np.nanargmax(faces.points_px[1, :, 1]))
    faces.points_px[::7, lowest] = np.nan
    rows = np.flatnonzero(faces.complete)
    floor = predict_mean_shape(weights(places, "whole_picture=false"), faces, rows)
    assert rmse_px(floor, faces.points_px[rows]) < 0.05 < 0.5 < np.std(faces.points_px[rows, 0, 0])


def test_faces_whose_points_contradict_a_wrong_box_are_looked_at_again(places, monkeypatch):
    """Off by 0.1 pixels, by 0.2 in a wrong box, and so by 0.3 where a second look starts from there."""

    def predicted(model, faces, error=(0.0, 0.0, 1.0)):
        return faces.points_px + np.array([0.1 if error == (0.0, 0.0, 1.0) else 0.2, 0])

    monkeypatch.setattr("fkd.evaluation.evaluate.predict_dataset", predicted)
    outcome = evaluate(weights(places, "whole_picture=false"), drawn_faces(), "all")
    assert outcome.summary["box_error_growth"] == pytest.approx(200, abs=0.01)


def test_for_wrong_boxes_whole_pictures_are_cut_as_photos_are(places, monkeypatch):
    """Off by 0.4 pixels in whole pictures, by 0.1 in true boxes, by 0.3 in the fourteen wrong ones."""
    faces = drawn_faces()
    faces = faces.subset(faces.complete)
    true_boxes = tight_boxes_from_points(faces.points_px.astype(float), faces.schema)
    asked = []

    class OfKnownError:
        def __init__(self, model):
            pass

        def __call__(self, image_rgb_u8, boxes):
            row = len(asked) % len(faces)
            asked.append(boxes[0])
            off = 0.1 if np.allclose(boxes[0], true_boxes[row]) else 0.3
            return [SimpleNamespace(points_px=faces.points_px[row] + np.array([off, 0]))]

    monkeypatch.setattr("fkd.pipeline.predict.Pipeline", OfKnownError)
    monkeypatch.setattr(
        "fkd.evaluation.evaluate.predict_dataset", lambda model, faces: faces.points_px + np.array([0.4, 0])
    )
    summary = evaluate(weights(places, "whole_picture=true"), drawn_faces(), "all").summary
    assert len(asked) == 15 * len(faces)
    assert summary["box_error_growth"] == pytest.approx(200, abs=0.01)
    assert summary["rmse_px"] == pytest.approx(0.4 / np.sqrt(2), abs=1e-3)


class FakePipeline:
    """Finds every other face, one pixel off, and something else beside it."""

    def __init__(self, model):
        self.faces = drawn_faces()

    def __call__(self, image_rgb_u8):
        row = next(i for i, image in enumerate(self.faces.images_u8) if (image[..., None] == image_rgb_u8).all())
        wanted = self.faces.points_px[row] + [1, 0]
        return [] if row % 2 else [SimpleNamespace(points_px=points) for points in (wanted + 30, wanted)]


def test_with_the_detector_faces_are_searched_for(places, monkeypatch):
    monkeypatch.setattr("fkd.pipeline.predict.Pipeline", FakePipeline)
    outcome = evaluate(weights(places), drawn_faces(), "all", boxes="detect")
    complete = np.array([i for i in range(80) if i % 7])
    assert outcome.rows.tolist() == [i for i in complete if i % 2 == 0]
    assert outcome.summary["found"] == pytest.approx(100 * np.mean(complete % 2 == 0), abs=0.01)
    assert outcome.summary["rmse_px"] == pytest.approx(np.sqrt(1 / 2), abs=1e-3)
    assert "box_error_growth" not in outcome.summary


def test_a_detector_that_finds_nothing_is_one_sentence(places, monkeypatch):
    monkeypatch.setattr("fkd.pipeline.predict.Pipeline", FakePipeline)
    with pytest.raises(FkdError, match="finds no face in the pictures of drawn"):
        evaluate(weights(places), drawn_faces().subset(np.array([1, 3])), "all", boxes="detect")


def test_the_command_says_loudly_when_faces_were_learned_from(places, capsys):
    model, faces = weights(places), drawn_faces()
    assert main(["evaluate", "--weights", "tiny", "--split", "all", "--no-box-errors"]) == 0
    loud = capsys.readouterr().err
    assert "WARNING: tiny WAS TRAINED ON" in loud and "say nothing about new faces" in loud
    assert main(["evaluate", "--weights", "tiny", "--no-box-errors"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["evaluate", "--weights", "tiny", "--split", "published", "--no-box-errors"]) == 0
    learned = int(in_split(model.card, faces, "train")[(faces.published_split == "test") & faces.complete].sum())
    assert f"TRAINED ON {learned} OF THESE 6 FACES of drawn." in capsys.readouterr().err


def test_faces_that_training_only_watched_are_told_calmly(places, capsys):
    model, faces = weights(places), drawn_faces()
    assert main(["evaluate", "--weights", "tiny", "--split", "validation", "--no-box-errors"]) == 0
    told = capsys.readouterr().err
    watched = int((in_split(model.card, faces, "validation") & faces.complete).sum())
    assert f"not learned from these faces of drawn, but its epoch was chosen by all these {watched}, so" in told
    assert "WARNING" not in told and "flatter a little" in told
    outcome = evaluate(model, faces, "all", box_errors=False)
    assert outcome.learned == int((in_split(model.card, faces, "train") & faces.complete).sum())
    assert outcome.seen == outcome.learned + watched


def test_figures_are_drawn_for_each_weights_in_turn(places, capsys):
    weights(places, name="first", model="cnn")
    weights(places, name="second")
    command = ["evaluate", "--weights", "first", "second", "--no-box-errors", "--figures", str(places / "figures")]
    assert main([*command, "--json", str(places / "out.json")]) == 0
    first, second = (read_image(places / "figures" / f"KEYPOINTS_{i}.png") for i in (0, 1))
    assert min(first.shape[:2]) > 280 and (first != second).any()
    assert "no curves of first" in capsys.readouterr().err and not (places / "figures" / "LOSS_0.png").exists()
    assert [r["weights"] for r in json.loads((places / "out.json").read_text())] == ["first", "second"]


def test_wrong_use_is_one_sentence(places, capsys):
    weights(places)
    for options, told in (
        (["--retrain"], "--retrain goes with --folds 5"),
        (["--folds", "5", "--boxes", "detect", "--figures", "x"], "leave out --boxes, --figures"),
        (["--split", "tset"], "invalid choice: 'tset'"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["evaluate", "--weights", "tiny", *options])
        assert told in capsys.readouterr().err
