"""Reading datasets in their published layouts, caching them, and splitting them."""

import os
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fkd.cli import main
from fkd.crop import transform
from fkd.data import load_dataset
from fkd.data.cache import cache_failure
from fkd.data.dataset import Dataset, concatenate
from fkd.data.duplicates import near_duplicate_clusters
from fkd.data.kaggle import load_kaggle
from fkd.data.missing import interpolate_columns, invented, treat_missing
from fkd.data.points68 import group_of, load_points68
from fkd.data.scaling import from_unit, points_from_norm, points_to_norm, rescale_then_crop, to_unit
from fkd.data.splits import FOLDS, SPLIT_WAYS, fold_of, make_split, published_parts, shared_groups, split
from fkd.errors import FkdError
from fkd.schema import KAGGLE15

HEADER = [f"{name}_{axis}" for name in KAGGLE15.keypoints for axis in "xy"] + ["Image"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FKD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def faces():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 96, 96), dtype=np.uint8)
    points = rng.uniform(0, 95, (5, 15, 2)).astype(np.float32).round(3)
    points[2, 4] = np.nan
    return images, points


def rows_of(images, points):
    for image, face in zip(images, points, strict=True):
        yield ["" if np.isnan(v) else f"{v:.3f}" for v in face.ravel()] + [" ".join(map(str, image.ravel()))]


def write_csv(path, images, points, delimiter=",", prefix=""):
    lines = [delimiter.join(row) for row in (HEADER, *rows_of(images, points))]
    path.write_text(prefix + "\n".join(lines) + "\n", encoding="utf-8")


class TestKaggle:
    def check(self, dataset, images, points):
        np.testing.assert_array_equal(dataset.images_u8, images)
        np.testing.assert_array_equal(dataset.points_px, points)
        assert dataset.complete.tolist() == [True, True, False, True, True]

    def test_plain(self, tmp_path, faces):
        write_csv(tmp_path / "training.csv", *faces)
        self.check(load_kaggle(tmp_path), *faces)

    def test_zipped(self, tmp_path, faces):
        write_csv(tmp_path / "plain.csv", *faces)
        with zipfile.ZipFile(tmp_path / "training.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(tmp_path / "plain.csv", "training.csv")
        self.check(load_kaggle(tmp_path), *faces)

    def test_semicolons_and_byte_order_mark(self, tmp_path, faces):
        write_csv(tmp_path / "training.csv", *faces, delimiter=";", prefix="\ufeff")
        self.check(load_kaggle(tmp_path), *faces)

    @pytest.mark.parametrize(
        ("pixels", "message"),
        [
            (["7"] * 9215, "line 5: 9215 pixels instead of 9216"),
            (["7"] * 9217, "line 5: 9217 pixels instead of 9216"),
            (["7"] * 9000 + ["300"] + ["7"] * 215, "line 5: pixel value '300'"),
            (["7"] * 9000 + ["abc"] + ["7"] * 215, "line 5: pixel value 'abc'"),
            (["7"] * 9000 + ["-1"] + ["7"] * 215, "line 5: pixel value '-1'"),
            (["7"] * 9000 + [""] + ["7"] * 215, "line 5: pixel value ''"),
        ],
    )
    def test_a_bad_row_is_named(self, tmp_path, faces, pixels, message):
        rows = list(rows_of(*faces))
        rows[3][-1] = " ".join(pixels)
        (tmp_path / "training.csv").write_text("\n".join(",".join(row) for row in (HEADER, *rows)))
        with pytest.raises(FkdError, match=message):
            load_kaggle(tmp_path)

    def test_a_missing_column_is_named(self, tmp_path):
        (tmp_path / "training.csv").write_text(",".join(HEADER[:7] + HEADER[8:]) + "\n")
        with pytest.raises(FkdError, match=HEADER[7]):
            load_kaggle(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken off"])
    def test_a_truncated_zip(self, tmp_path, content):
        (tmp_path / "training.zip").write_bytes(content)
        with pytest.raises(FkdError, match=r"training\.zip is no complete zip; fetch it again"):
            load_kaggle(tmp_path)

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda content: content.replace(b"\x14\0\0\0\x08\0", b"\x15\0\0\0\x09\0"), "compressed in an unusual way"),
            (lambda content: content.replace(b"training.csv", b"training.txt"), "holds no CSV file"),
        ],
    )
    def test_a_zip_that_cannot_be_used(self, tmp_path, faces, spoil, message):
        """One in the format Deflate64, which some systems choose for large files, and one without a table."""
        write_csv(tmp_path / "plain.csv", *faces)
        with zipfile.ZipFile(tmp_path / "training.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(tmp_path / "plain.csv", "training.csv")
        (tmp_path / "training.zip").write_bytes(spoil((tmp_path / "training.zip").read_bytes()))
        with pytest.raises(FkdError, match=message):
            load_kaggle(tmp_path)

    def test_nothing_there_says_what_to_fetch(self, tmp_path):
        with pytest.raises(FkdError, match=r"put training\.zip"):
            load_kaggle(tmp_path)


class TestPoints68:
    @pytest.fixture
    def folder(self, tmp_path):
        """Two photos whose only bright spot is at point 30."""
        folder = tmp_path / "people"
        (folder / "training").mkdir(parents=True)
        rng = np.random.default_rng(2)
        lines = ["," + ",".join(map(str, range(136)))]
        for name in ("Ann_Lee_01.jpg", "Ann_Lee_02.jpg"):
            points = rng.uniform(60, 180, (68, 2)).round(2)
            points[30] = (121, 117)
            picture = np.zeros((240, 260, 3), np.uint8)
            cv2.circle(picture, (121, 117), 3, (255, 255, 255), -1)
            cv2.imwrite(str(folder / "training" / name), picture)
            lines.append(name + "," + ",".join(map(str, points.ravel())))
        (folder / "training_frames_keypoints.csv").write_text("\n".join(lines))
        return folder

    def test_points_follow_the_crop(self, folder):
        dataset = load_points68(folder)
        assert dataset.images_u8.shape == (2, 208, 208)
        assert dataset.groups.tolist() == ["Ann_Lee", "Ann_Lee"]
        for image, points in zip(dataset.images_u8.astype(float), dataset.points_px, strict=True):
            y, x = np.indices(image.shape)
            centroid = np.array([(x * image).sum(), (y * image).sum()]) / image.sum()
            np.testing.assert_allclose(points[30], centroid, atol=0.5)

    def test_the_tight_box_is_half_of_the_picture(self, folder):
        points = load_points68(folder).points_px
        extent = (points.max(axis=1) - points.min(axis=1)).max(axis=1)
        np.testing.assert_allclose(extent, 104, atol=0.01)

    def test_an_absent_picture_is_named(self, folder):
        (folder / "training" / "Ann_Lee_02.jpg").unlink()
        with pytest.raises(FkdError, match=r"Ann_Lee_02\.jpg does not exist"):
            load_points68(folder)

    def test_wrong_columns_are_counted(self, folder):
        (folder / "training_frames_keypoints.csv").write_text("a,0,1\nx.jpg,1,2\n")
        with pytest.raises(FkdError, match="2 columns of coordinates; 136 are needed"):
            load_points68(folder)

    @pytest.mark.parametrize(
        ("stem", "group"),
        [
            ("Luis_Fonsi_21", "Luis_Fonsi"),
            ("helen_100040721_2", "helen_100040721"),  # two faces of one photo
            ("lfpw_image_0001", "lfpw_image_0001"),
        ],
    )
    def test_groups(self, stem, group):
        assert group_of(stem) == group

    @pytest.mark.parametrize(
        ("stem", "by_name"),
        [("img_{:02d}", False), ("frame_{:04d}", False), ("video{0:02d}_{1:02d}", True)],
    )
    def test_names_that_tell_nothing_leave_it_to_the_pictures(self, tmp_path, stem, by_name):
        """Five videos of six frames each, which are nearly the same."""
        rng = np.random.default_rng(0)
        videos = rng.integers(40, 200, (5, 32, 32)).repeat(6, axis=0)
        rng = np.random.default_rng(1)
        (tmp_path / "frames" / "training").mkdir(parents=True)
        lines = ["," + ",".join(map(str, range(136)))]
        for i, picture in enumerate(videos):
            name = stem.format(i // 6 if by_name else i, i % 6) + ".png"
            noisy = (picture + rng.normal(0, 4, picture.shape)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "frames" / "training" / name), noisy)
            lines.append(name + "," + ",".join(map(str, np.linspace(4, 28, 136))))
        (tmp_path / "frames" / "training_frames_keypoints.csv").write_text("\n".join(lines))
        groups = load_points68(tmp_path / "frames").groups
        named = [f"video{i // 6:02d}" if by_name else f"cluster_{i // 6 * 6}" for i in range(30)]
        assert groups.tolist() == named


class TestCache:
    def test_the_second_reading_comes_from_arrays(self, tmp_path, faces, monkeypatch):
        write_csv(tmp_path / "training.csv", *faces)
        first = load_kaggle(tmp_path)
        monkeypatch.setattr("fkd.data.kaggle._parse", None)  # would fail if it were called
        np.testing.assert_array_equal(load_kaggle(tmp_path).points_px, first.points_px)

    def test_a_changed_source_is_read_again(self, tmp_path, faces):
        write_csv(tmp_path / "training.csv", *faces)
        load_kaggle(tmp_path)
        write_csv(tmp_path / "training.csv", faces[0][:2], faces[1][:2])
        assert len(load_kaggle(tmp_path)) == 2

    def test_a_damaged_cache_is_read_again(self, tmp_path, faces):
        write_csv(tmp_path / "training.csv", *faces)
        load_kaggle(tmp_path)
        (stored,) = (tmp_path / "cache").glob("*.npz")
        os.truncate(stored, 1000)
        assert len(load_kaggle(tmp_path)) == 5

    def test_an_unwritable_cache_does_no_harm_and_is_told_of_once(self, tmp_path, faces, monkeypatch, caplog):
        (tmp_path / "file").touch()
        monkeypatch.setenv("FKD_CACHE", str(tmp_path / "file" / "cache"))
        write_csv(tmp_path / "training.csv", *faces)
        assert cache_failure() is None
        assert [len(load_kaggle(tmp_path)) for _ in range(2)] == [5, 5]
        assert [record.message for record in caplog.records] == [cache_failure()]
        assert "set FKD_CACHE to a folder that can be written" in cache_failure()


class TestClusters:
    @pytest.mark.parametrize("seed", range(3))
    def test_chains_of_alike_pictures_and_no_others_belong_together(self, seed):
        """Against every pair compared; so many that several blocks are needed."""
        rng = np.random.default_rng(seed)
        kinds = rng.normal(0, 1, (60, 12, 12))
        coarse = kinds[rng.integers(0, 60, 1200)] + rng.normal(0, 0.35, (1200, 12, 12))
        images = np.clip(128 + 40 * coarse.repeat(2, 1).repeat(2, 2), 0, 255).astype(np.uint8)
        images[:3] = 7  # nothing to compare
        flat = images.reshape(len(images), -1).astype(float)
        flat -= flat.mean(axis=1, keepdims=True)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
        alike = flat @ flat.T > 0.9
        alike |= np.eye(len(flat), dtype=bool)
        expected, before = np.arange(len(flat)), None
        while not np.array_equal(expected, before):
            before, expected = expected, np.where(alike, expected, len(flat)).min(axis=1)
        assert 100 < len(np.unique(expected)) < 1100
        np.testing.assert_array_equal(near_duplicate_clusters(images, 0.9), expected)

    def test_many_copies_take_no_longer_than_as_many_faces(self):
        images = np.random.default_rng(0).integers(0, 256, (4, 24, 24), np.uint8).repeat(2000, axis=0)
        np.testing.assert_array_equal(near_duplicate_clusters(images), np.arange(8000) // 2000 * 2000)


class TestSplits:
    groups = np.array([f"person {i % 300}" for i in range(3000)])

    def test_no_group_is_parted_and_folds_are_even(self):
        folds = fold_of(self.groups)
        assert all(len(set(folds[self.groups == g])) == 1 for g in set(self.groups))
        assert (np.bincount(folds, minlength=FOLDS) > 300).all()

    def test_a_fold_stays_when_data_is_added(self):
        np.testing.assert_array_equal(fold_of(self.groups)[:50], fold_of(self.groups[:50]))

    def test_split_uses_every_row_once(self, faces):
        n = len(self.groups)
        texts = dict.fromkeys(("groups", "sources", "rows", "published_split"), self.groups)
        dataset = Dataset("x", KAGGLE15, np.zeros((n, 96, 96), np.uint8), np.zeros((n, 15, 2), np.float32), **texts)
        masks = split(dataset, fold=0, validation_share=0.1)
        np.testing.assert_array_equal(sum(mask.astype(int) for mask in masks.values()), 1)
        np.testing.assert_array_equal(masks["test"], fold_of(self.groups) == 0)
        assert 0.04 < masks["validation"].mean() < 0.14
        assert not set(self.groups[masks["validation"]]) & set(self.groups[masks["train"]])


class TestWaysOfSplitting:
    @pytest.fixture
    def dataset(self):
        n = 1200
        points = np.zeros((n, 15, 2), np.float32)
        points[::3, 0] = np.nan
        groups = np.array([f"person {i % 240}" for i in range(n)])
        published = np.where(np.arange(n) < 1000, "training", "test")
        images = np.zeros((n, 4, 4), np.uint8)
        return Dataset("x", KAGGLE15, images, points, groups, groups, np.arange(n).astype(str), published)

    @pytest.mark.parametrize("way", SPLIT_WAYS)
    def test_every_row_once_in_even_shares(self, dataset, way):
        parts = make_split(dataset, way, test_share=0.2, validation_share=0.1, seed=3)
        np.testing.assert_array_equal(sum(mask.astype(int) for mask in parts.values()), 1)
        assert parts["test"].mean() == pytest.approx(0.167 if way == "files" else 0.2, abs=0.01)
        assert parts["validation"].mean() == pytest.approx(0.1, abs=0.02)
        assert dataset.complete[parts["test"]].mean() == pytest.approx(2 / 3, abs=0.01)

    def test_the_seed_decides(self, dataset):
        first, again, other = (make_split(dataset, "random", seed=seed)["test"] for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()

    @pytest.mark.parametrize("people", [3, 6, 12])
    def test_of_few_people_one_is_watched(self, dataset, people):
        few = dataset.subset(np.isin(dataset.groups, np.unique(dataset.groups)[:people]))
        for parts in (
            *(split(few, fold=fold, validation_share=0.01) for fold in (None, 0, 1)),
            make_split(few, "group", validation_share=0.01),
        ):
            assert len(np.unique(few.groups[parts["validation"]])) == 1
            assert parts["train"].any() and not shared_groups(few.groups, parts)["train", "validation"]

    def test_nobody_is_watched_where_that_is_not_asked_for(self, dataset):
        assert not split(dataset, fold=0, validation_share=0)["validation"].any()
        assert not make_split(dataset, "group", validation_share=0)["validation"].any()

    def test_shared_groups_are_counted(self, dataset):
        by_group = shared_groups(dataset.groups, make_split(dataset, "group"))
        assert by_group == {pair: [] for pair in by_group}
        as_published = shared_groups(dataset.groups, published_parts(dataset))
        assert len(as_published["test", "training"]) == 200

    def test_files_need_a_test_file(self):
        with pytest.raises(FkdError, match="without a test file"):
            make_split(load_dataset("synthetic15"), "files")


class TestMissingLabels:
    def test_interpolation_is_pandas(self):
        rng = np.random.default_rng(0)
        points = rng.uniform(0, 96, (30, 15, 2))
        points[rng.random(points.shape) < 0.4] = np.nan
        points[:4, 2, 0], points[-3:, 3, 1], points[:, 5, 0] = np.nan, np.nan, np.nan
        wanted = pd.DataFrame(points.reshape(30, -1)).interpolate().to_numpy()
        np.testing.assert_allclose(interpolate_columns(points).reshape(30, -1), wanted)

    def test_treatments(self):
        part = load_dataset("synthetic15").subset(np.arange(6))
        part.points_px[2, 4] = np.nan
        assert treat_missing(part, "mask") is part
        assert treat_missing(part, "drop").rows.tolist() == part.rows[[0, 1, 3, 4, 5]].tolist()
        filled = treat_missing(part, "interpolate")
        np.testing.assert_allclose(filled.points_px[2, 4], (part.points_px[1, 4] + part.points_px[3, 4]) / 2)
        assert np.argwhere(invented(part, filled)).tolist() == [[2, 4]]
        with pytest.raises(FkdError, match="mask, drop, interpolate"):
            treat_missing(part, "guess")


class TestScaling:
    def test_every_grey_value_returns(self):
        grey = np.arange(256, dtype=np.uint8)
        assert (to_unit(grey).min(), to_unit(grey).max()) == (0, 1)
        np.testing.assert_array_equal(from_unit(to_unit(grey)), grey)

    @given(st.floats(-500, 500), st.floats(-500, 500), st.integers(2, 500), st.integers(2, 500))
    def test_points_return(self, x, y, width, height):
        point = np.array([x, y])
        np.testing.assert_allclose(
            points_from_norm(points_to_norm(point, width, height), width, height), point, atol=1e-9
        )
        np.testing.assert_allclose(points_to_norm(np.array([width - 1, 0]), width, height), [1, -1])

    @given(st.integers(60, 400), st.integers(60, 400), st.integers(0, 9))
    def test_rescale_then_crop_returns(self, width, height, seed):
        rng = np.random.default_rng(seed)
        points = rng.uniform(0, 60, (68, 2))
        picture = np.zeros((height, width), np.uint8)
        window, in_window, to_picture = rescale_then_crop(picture, points, rng)
        assert window.shape == (224, 224)
        np.testing.assert_allclose(transform(in_window, to_picture), points, atol=1e-9)

    def test_the_window_shows_what_its_points_say(self):
        x = np.tile(np.arange(300, dtype=np.uint8) // 2, (280, 1))
        window, in_window, to_picture = rescale_then_crop(x, np.array([[150.0, 140.0]]))
        seen = transform(np.array([[100.0, 50.0]]), to_picture)[0, 0]
        assert window[50, 100] == pytest.approx(seen / 2, abs=1)
        np.testing.assert_allclose(in_window, 111.5, atol=1.0)


def test_near_duplicates_are_chained():
    rng = np.random.default_rng(3)
    faces = rng.integers(0, 256, (4, 96, 96)).astype(np.float32)
    faces = np.stack([cv2.GaussianBlur(face, (0, 0), 6) for face in faces])
    faces = (faces - faces.min()) / np.ptp(faces) * 200
    brighter = np.clip(faces[1] * 0.8 + 40, 0, 255)
    images = np.stack([*faces, brighter]).astype(np.uint8)
    assert near_duplicate_clusters(images).tolist() == [0, 1, 2, 3, 1]


def test_a_dataset_says_which_shape_is_wrong():
    texts = {f: np.array(["a"]) for f in ("groups", "sources", "rows", "published_split")}
    with pytest.raises(ValueError, match=r"points_px: expected shape \(1, 15, 2\), received \(1, 68, 2\)"):
        Dataset("x", KAGGLE15, np.zeros((1, 96, 96), np.uint8), np.zeros((1, 68, 2)), **texts)


def test_datasets_of_different_schemas_are_not_joined():
    with pytest.raises(FkdError, match="different points"):
        load_dataset("synthetic15+synthetic68")


def test_a_misspelt_name_is_answered_with_the_one_that_is_meant():
    with pytest.raises(
        FkdError, match=r"no dataset 'youtube-faces', perhaps youtube_faces is meant; known are kaggle,"
    ):
        load_dataset("synthetic68+youtube-faces")


def test_absent_faces_say_how_they_are_got_and_what_does_instead(tmp_path, monkeypatch):
    monkeypatch.setenv("FKD_DATA", str(tmp_path))
    for name, ways in (("kaggle", "data fetch kaggle.* synthetic15"), ("portraits68", "put them into .* synthetic68")):
        with pytest.raises(FkdError, match=ways):
            load_dataset(name)


@pytest.mark.parametrize("command", [["data", "list"], ["doctor"]])
def test_files_that_are_plainly_damaged_are_told_from_whole_ones(tmp_path, monkeypatch, capsys, faces, command):
    """By their first line alone, or the table of contents of a zip."""
    monkeypatch.setenv("FKD_DATA", str(tmp_path))
    for name in ("kaggle", "mine", "half", "points", "lonely"):
        (tmp_path / name).mkdir()
    (tmp_path / "kaggle" / "training.zip").write_bytes(b"junk")
    write_csv(tmp_path / "mine" / "training.csv", *faces)
    (tmp_path / "half" / "training.csv").write_text("a,b\n1,2\n")
    for name in ("points", "lonely"):
        (tmp_path / name / "training_frames_keypoints.csv").write_bytes(b"\xff\xfe no text")
    (tmp_path / "points" / "training").mkdir()
    main(command)
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    about = {word.strip(":"): " ".join(line) for line in told for word in line[:3]}
    assert "training.zip is no complete zip" in about["kaggle"] and "15 points" not in about["kaggle"]
    assert "lacks the column 'left_eye_center_x'" in about["half"]
    assert "no CSV in UTF-8" in about["points"] and "folder of pictures" in about["lonely"]
    assert not set(about["mine"].split()) & {"damaged", "absent"}


def test_unknown_dataset_names_the_known_ones():
    with pytest.raises(FkdError, match="youtube_faces"):
        load_dataset("celeba")


def test_joining_keeps_rows_in_order():
    part = load_dataset("synthetic15")
    joined = concatenate([part.subset(np.arange(3)), part.subset(np.arange(3, 5))])
    np.testing.assert_array_equal(joined.images_u8, part.images_u8[:5])


@pytest.mark.data
class TestRealData:
    def test_kaggle_counts(self, data_root):
        dataset = load_kaggle(data_root / "kaggle")
        assert (len(dataset), int(dataset.complete.sum())) == (2154, 2114)

    def test_kaggle_keeps_copies_of_a_photo_together(self, data_root):
        dataset = load_kaggle(data_root / "kaggle")
        original = np.loadtxt(data_root / "kaggle" / "original_rows.csv", skiprows=1, dtype=int)
        for a, b in ((2018, 2035), (1584, 1618)):
            first, second = dataset.groups[[np.flatnonzero(original == a)[0], np.flatnonzero(original == b)[0]]]
            assert first == second

    def test_youtube_faces_counts_people(self, data_root):
        dataset = load_points68(data_root / "youtube_faces")
        assert (len(dataset), len(set(dataset.groups))) == (3872, 317)
        shared = shared_groups(dataset.groups, published_parts(dataset))["test", "training"]
        assert len(shared) == len(set(dataset.groups[dataset.published_split == "test"]))
