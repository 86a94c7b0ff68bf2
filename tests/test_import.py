"""Datasets of one's own: good ones arrive whole, bad ones leave one sentence and nothing else."""

import io
import os
import re
import stat
import struct
import time
import zipfile
import zlib
from pathlib import Path, PurePath

import cv2
import numpy as np
import pytest

from fkd.cli import main
from fkd.cli.doctor import findings
from fkd.crop import transform
from fkd.data import dataset_names, is_available, load_dataset
from fkd.data.importing import check_name, import_dataset, name_from
from fkd.data.kaggle import COORDINATES, load_kaggle_test
from fkd.data.synthetic import render_face
from fkd.errors import FkdError
from fkd.images import to_gray
from fkd.progress import listening
from fkd.schema import kaggle15_from_ibug68
from tests.uploads import HEADER, kaggle_rows, points68_files, pts_files, zipped


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("FKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FKD_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def take(content, name="mine", **options):
    return import_dataset([("faces.csv", content)], name, **options)


def kaggle(rows):
    return "\n".join([HEADER, *rows]).encode()


def beside(*names):
    """Files in the layout of 68 points, with the pictures in the folder that their table is called after."""
    files = points68_files(names or ("ann_01.png", "bob_01.png"))
    return {name.replace("pictures/", "faces/"): content for name, content in files.items()}


def edited(before, after):
    table = points68_files()["faces.csv"]
    assert table.count(before.encode()) >= 1
    return table.replace(before.encode(), after.encode(), 1)


def moved(x):
    """The table with the first point of the second face elsewhere."""
    return re.sub(rb"(?<=bob_01.png,)\d+", x.encode(), points68_files()["faces.csv"])


def headless():
    return points68_files()["faces.csv"].split(b"\n", 1)[1]


def enormous():
    """A PNG of a few bytes whose header says 50,000 x 50,000 pixels."""
    content = bytearray(points68_files()["pictures/ann_01.png"])
    content[16:24] = struct.pack(">II", 50_000, 50_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


def nothing_remains(root):
    return not root.exists() or not list(root.iterdir())


class TestGood:
    def test_kaggle_as_upload(self, root):
        steps = []
        inner = zipped({"training.csv": "\n".join([HEADER, *kaggle_rows()])})
        test = "\n".join(["ImageId,Image", "5," + " ".join(["9"] * 9216)])
        upload = zipped({"training.zip": inner, "test.csv": test, "__MACOSX/._training.zip": "x"})
        with listening(lambda what, share: steps.append((what, share))):
            done = take(upload)
        assert (done.layout, done.faces, done.bad_rows) == ("kaggle", 3, [])
        assert steps and all(0 <= share <= 1 for _, share in steps)
        assert "mine" in dataset_names() and is_available("mine")
        dataset = load_dataset("mine")
        assert (dataset.name, len(dataset), dataset.images_u8[0, 0, 0]) == ("mine", 3, 7)
        unlabelled = load_kaggle_test(root / "mine")
        assert unlabelled.rows.tolist() == ["5"] and np.isnan(unlabelled.points_px).all()

    @pytest.mark.parametrize(("delimiter", "mark"), [(",", ""), (";", ""), (",", "\ufeff")])
    def test_pictures_beside_a_csv(self, tmp_path, delimiter, mark):
        for name, content in points68_files(delimiter=delimiter, mark=mark).items():
            place = tmp_path / "source" / name.replace("pictures/", "")
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
        assert import_dataset(tmp_path / "source" / "faces.csv", "mine").faces == 2
        dataset = load_dataset("mine")
        assert dataset.groups.tolist() == ["ann", "bob"]
        assert dataset.source_size.tolist() == [[110, 120], [110, 120]]

    def test_a_file_of_points_beside_each_picture(self):
        pictures = ("lfpw/trainset/image_0001.png", "lfpw/testset/image_0001.PNG", "lfpw/testset/image_0002.png")
        files = pts_files(*pictures)
        done = take(zipped(files | {"lfpw/testset/readme.txt": "terms"}))
        assert (done.layout, done.faces, done.bad_rows) == ("points68", 3, [])
        dataset = load_dataset("mine")
        assert dataset.rows.tolist() == ["test/image_0001.PNG", "test/image_0002.png", "training/image_0001.png"]
        written = np.loadtxt(io.BytesIO(files["lfpw/testset/image_0002.pts"]), skiprows=3, max_rows=68)
        in_source = transform(dataset.points_px, dataset.to_source)
        np.testing.assert_allclose(in_source[1], written - 1, atol=1e-3)  # counted from 1 in the file

    def test_only_the_files_of_points_that_were_named_are_read(self, tmp_path):
        for name, content in (pts_files("a.jpg", "b.jpg") | {"._a.pts": b"\xff\xfe"}).items():
            (tmp_path / name).write_bytes(content)
        assert import_dataset(tmp_path, "both").faces == 2
        assert import_dataset(tmp_path / "b.pts", "mine").faces == 1
        assert load_dataset("mine").rows.tolist() == ["training/b.jpg"]

    @pytest.mark.parametrize("as_pts", [True, False])
    def test_a_folder_for_each_person_is_a_group(self, as_pts):
        people = [f"{person}/{number:03d}.png" for person in ("ann", "bob", "eve") for number in (1, 2)]
        take(zipped(pts_files(*people) if as_pts else beside(*people)))
        assert sorted(load_dataset("mine").groups.tolist()) == ["ann", "ann", "bob", "bob", "eve", "eve"]

    def test_numbers_in_few_folders_are_photos_of_their_own(self):
        take(zipped(pts_files("one/image_1.png", "two/image_1.png", "two/bob_01.png", "two/bob_02.png")))
        assert load_dataset("mine").groups.tolist() == ["one--image_1", "bob", "bob", "two--image_1"]

    def test_a_picture_that_two_tables_have_is_taken_once(self):
        files = points68_files()
        files["old.csv"] = files["faces.csv"]
        files = {name.removeprefix("pictures/"): content for name, content in files.items()}
        with pytest.raises(FkdError, match=r"which faces\.csv has too: import one of these tables"):
            take(zipped(files))

    def test_coordinates_as_shares_of_the_picture_are_refused(self):
        files = beside()
        header, *rows = files["faces.csv"].decode().splitlines()
        names_and_shares = [[name, *(f"{int(x) / 110:.4f}" for x in xy)] for name, *xy in (r.split(",") for r in rows)]
        files["faces.csv"] = "\n".join([header, *map(",".join, names_and_shares)]).encode()
        with pytest.raises(FkdError, match="hardly a pixel: coordinates are pixels of the picture, not shares"):
            take(zipped(files))

    def test_files_of_points_that_are_no_face_are_left_out_by_name(self):
        files = pts_files("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
        files["b.pts"] = files["b.pts"].replace(b"{", b"").replace(b"}", b"")
        del files["c.jpg"]
        files["d.pts"] = files["d.pts"].replace(b"\n}", b"\n1 2\n}")
        files["e.pts"] = b"\xff\xfe{"
        with pytest.raises(FkdError, match=r"^b\.pts: has 0 points between braces; 68 are needed; mend it, or import"):
            take(zipped(files))
        done = take(zipped(files), skip_bad_rows=True)
        assert done.faces == 1 and load_dataset("mine").rows.tolist() == ["training/a.jpg"]
        assert [bad.reason for bad in done.bad_rows] == [
            "b.pts: has 0 points between braces; 68 are needed.",
            "c.pts: has no picture of its name beside it.",
            "d.pts: has 69 points between braces; 68 are needed.",
            "e.pts: is no text.",
        ]

    def test_points_in_the_source_are_the_csvs(self, tmp_path):
        files = points68_files()
        upload = zipped({"faces.csv": files["faces.csv"], **{k[9:]: v for k, v in files.items() if "/" in k}})
        take(upload)
        dataset = load_dataset("mine")
        in_source = transform(dataset.points_px, dataset.to_source)
        wanted = np.loadtxt(io.BytesIO(files["faces.csv"]), delimiter=",", skiprows=1, usecols=range(1, 137))
        np.testing.assert_allclose(in_source.reshape(2, -1), wanted, atol=1e-3)

    def test_coordinates_outside_the_picture_are_kept(self):
        row = ",".join(["191.5", "-4", *(f"{i}" for i in range(28)), " ".join(["7"] * 9216)])
        take("\n".join([HEADER, row, *kaggle_rows()]).encode())
        np.testing.assert_array_equal(load_dataset("mine").points_px[0, 0], [191.5, -4])

    def test_semicolons_with_decimal_commas_and_a_mark(self):
        header, *rows = kaggle(kaggle_rows(2)).decode().split("\n")
        lines = [header.replace(",", ";"), *(row.replace(",", ";").replace(".", ",") for row in rows)]
        take(("\ufeff" + "\r\n".join(lines)).encode())
        np.testing.assert_array_equal(load_dataset("mine").points_px[:, 0], [[10, 11], [11, 12]])

    def test_several_uploads_are_one_dataset(self):
        files = [(PurePath(name).name, memoryview(content)) for name, content in beside().items()]
        assert import_dataset(files, "mine").faces == 2
        assert load_dataset("mine").rows.tolist() == ["faces/ann_01.png", "faces/bob_01.png"]

    def test_rows_left_out_keep_their_numbers(self):
        files = beside("ann_01.png", "bob_01.png", "eve_01.png")
        files["faces.csv"] = files["faces.csv"].replace(b"eve_01.png,", b"\neve_01.png,abc")
        del files["faces/bob_01.png"]
        done = take(zipped(files), skip_bad_rows=True)
        assert done.faces == 1
        assert [bad.row for bad in done.bad_rows] == [1, 2]
        assert [re.findall("line [0-9]+", bad.reason) for bad in done.bad_rows] == [["line 3"], ["line 5"]]

    def test_half_a_label_is_none(self):
        take(kaggle([kaggle_rows(1)[0].replace("10.0,", ",", 1), *kaggle_rows(1)]))
        points = load_dataset("mine").points_px
        assert np.isnan(points[0, 0]).all() and np.isfinite(points[0, 1:]).all()

    def test_the_doctor_finds_it(self):
        take(kaggle(kaggle_rows()))
        assert any(found.startswith("mine: kaggle, ") for _, _, about, found in findings() if about == "data")

    def test_bad_rows_are_left_out_and_counted(self, tmp_path, capsys):
        rows = kaggle_rows(4)
        rows[1] = kaggle_rows(1, ["7"] * 9215)[0]
        rows[2] = "\n" + rows[2].replace("7 7 7", "7 abc 7", 1)
        (tmp_path / "mine.csv").write_text("\n".join([HEADER, *rows]))
        command = ["data", "import", str(tmp_path / "mine.csv"), "--name", "mine"]
        assert main(command) == 1
        assert "line 3: 9215 pixels" in capsys.readouterr().err
        assert main([*command, "--bad-rows", "skip"]) == 0
        shown = capsys.readouterr().out
        assert "2 faces, 2 rows left out" in shown and "line 5: pixel value 'abc'" in shown
        assert len(load_dataset("mine")) == 2

    def test_every_bad_row_is_named(self, tmp_path, capsys):
        rows = [*kaggle_rows(12, ["7"] * 9215), *kaggle_rows(1)]
        (tmp_path / "mine.csv").write_text("\n".join([HEADER, *rows]))
        assert main(["data", "import", str(tmp_path / "mine.csv"), "--name", "mine", "--bad-rows", "skip"]) == 0
        shown = capsys.readouterr().out
        assert re.findall("left out: .*(line [0-9]+)", shown) == [f"line {number}" for number in range(2, 14)]


def pictured(faces, delimiter, named):
    """Pictures and a table with Kaggle's columns that names them in another; of semicolons with decimal commas."""
    lines = [delimiter.join((named, *COORDINATES))]
    files = {}
    for i, face in enumerate(faces):
        numbers = [f"{value:.3f}" for value in kaggle15_from_ibug68(face.points68_px).ravel()]
        lines.append(delimiter.join((f"face_{i}.png", *numbers)))
        files[f"faces/face_{i}.png"] = cv2.imencode(".png", face.image_rgb_u8[..., ::-1])[1].tobytes()
    table = "\n".join(lines)
    return {**files, "faces.csv": table.replace(".", ",").replace(",png", ".png") if delimiter == ";" else table}


class TestPicturesOf15Points:
    """Kaggle's columns with the names of pictures: faces are cut out and stored in Kaggle's layout."""

    @pytest.mark.parametrize(("delimiter", "named"), [(",", "Image"), (";", "file")])
    def test_faces_are_cut_out_with_their_points(self, delimiter, named):
        faces = [render_face(seed, 200 + 40 * seed, roll_deg=0) for seed in range(4)]
        done = take(zipped(pictured(faces, delimiter, named)))
        assert (done.layout, done.faces) == ("kaggle", 4)
        stored = load_dataset("mine")
        assert stored.images_u8.shape == (4, 96, 96) and stored.complete.all()
        for face, points_px, crop in zip(faces, stored.points_px, stored.images_u8, strict=True):
            given = kaggle15_from_ibug68(face.points68_px)
            scale = np.ptp(given, axis=0) / np.ptp(points_px, axis=0)
            assert scale[0] == pytest.approx(scale[1], rel=1e-3)
            corner = given[0] - scale[0] * points_px[0]  # where the first pixel of the crop lies in the picture
            np.testing.assert_allclose(scale[0] * points_px + corner, given, atol=0.01 * scale[0])
            whole = cv2.warpAffine(
                to_gray(face.image_rgb_u8),
                np.array([[scale[0], 0, corner[0]], [0, scale[0], corner[1]]]),
                (96, 96),
                flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            assert np.corrcoef(whole[20:80, 20:80].ravel(), crop[20:80, 20:80].ravel())[0, 1] > 0.95

    def test_bad_rows_are_told_by_their_lines(self):
        files = pictured([render_face(seed, 120) for seed in range(4)], ",", "Image")
        lines = files["faces.csv"].splitlines()
        lines[2] = lines[2].replace("face_1.png", "none.png")
        lines[3] = lines[3].replace("face_2.png", "../face_2.png")
        cells = lines[4].split(",")
        lines[4] = ",".join([*cells[:15], "", "", *cells[17:]])  # an outer brow end, which tells the width
        files["faces.csv"] = "\n".join(lines)
        with pytest.raises(FkdError, match=r"line 3: names the picture 'none.png', which is not there; mend"):
            take(zipped(files))
        done = take(zipped(files), skip_bad_rows=True)
        assert done.faces == 1
        told = ["which is not there", "leads out of its folder", "outer brow ends and lower lip are needed"]
        assert [bad.row for bad in done.bad_rows] == [1, 2, 3]
        assert all(words in bad.reason for words, bad in zip(told, done.bad_rows, strict=True))

    def test_a_missing_column_is_told(self):
        files = pictured([render_face(0, 120)], ",", "Image")
        files["faces.csv"] = files["faces.csv"].replace("nose_tip_y", "nose")
        with pytest.raises(FkdError, match="lacks the column 'nose_tip_y'; add it, with empty cells"):
            take(zipped(files))


def locked(archive: bytes) -> bytes:
    """The archive with the mark of encryption in the headers of its first file."""
    changed = bytearray(archive)
    for header, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[archive.index(header) + place] |= 1
    return bytes(changed)


class TestBad:
    good = "\n".join([HEADER, *kaggle_rows(1)])

    def test_a_zip_of_too_many_files_is_not_opened(self, monkeypatch):
        files = {"training.csv": self.good, "readme.txt": "hello"}
        monkeypatch.setattr("fkd.data.archives._MOST_FILES", 1)
        with pytest.raises(FkdError, match=r"would unpack to 0 MB in 2 files, .* and was not opened"):
            take(zipped(files))
        monkeypatch.setattr("fkd.data.archives._MOST_FILES", 2)
        assert take(zipped(files)).faces == 1

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (b"", "is empty"),
            (zipped({"training.csv": good})[:-30], "no complete zip"),
            (zipped({"training.csv": ""}), "is empty"),
            (zipped({"../training.csv": good}), r"'../training.csv', which leads out"),
            (zipped({"/training.csv": good}), "leads out"),
            (zipped({"a\\..\\training.csv": good}), "leads out"),
            (zipped({"C:/training.csv": good}), "leads out"),
            (locked(zipped({"training.csv": good})), "asks for a password; pack it without one"),
            (zipped({"zeros.csv": bytes(60 << 20)}), "times its size, and was not opened; pack only a table"),
            (zipped({"training.zip": zipped({"training.csv": bytes(60 << 20)})}), "times its size, and was not opened"),
            (zipped({"readme.txt": "hello"}), "No table of keypoints"),
            (good.replace("nose_tip_x,", "").encode(), "lacks the column 'nose_tip_x'; add it, with empty cells"),
            (HEADER.encode(), "holds no rows"),
            (zipped({"faces.csv": points68_files()["faces.csv"]}), "'ann_01.png', which is not there"),
            (
                zipped(beside("ann_01.png", "ann_01.png")),
                "line 3: .* an earlier row has: .* a name of its own; mend it",
            ),
            (zipped(beside() | {"faces/bob_01.png": b""}), r"line 3: bob_01\.png is empty"),
            (zipped(beside() | {"faces/bob_01.png": enormous()}), r"line 3: bob_01\.png has too many pixels"),
            (zipped(beside() | {"faces.csv": edited(",135", "")}), "135 columns of coordinates .'135' is missing"),
            (zipped(beside() | {"faces.csv": edited("bob_01.png,", "bob_01.png,1,")}), "line 3: 138 columns"),
            (zipped(beside() | {"faces.csv": edited("bob_01.png,", "bob_01.png,abc")}), "line 3: a coordinate is not"),
            (
                zipped(beside() | {"faces.csv": edited("bob_01.png,", "bob_01.png,9e9")}),
                "a coordinate is beyond",
            ),
            (zipped(beside() | {"faces.csv": moved("999.5")}), "line 3: a point is at 999.5, [0-9]+, far outside its"),
            (zipped(beside() | {"faces.csv": moved("-111")}), "far outside its picture of 110 x 120 pixels"),
            (kaggle([kaggle_rows(1)[0].replace("12.0", "193")]), "line 2: a point is at 193, 13, far outside its"),
            (kaggle([kaggle_rows(1)[0].replace("12.0", "inf")]), "line 2: a point is at inf, 13, far outside its"),
            (zipped(beside() | {"faces.csv": headless()}), "needs a first line that names the columns"),
            (zipped(beside() | {"faces.csv": "\u00e9".encode("latin-1") + points68_files()["faces.csv"]}), "UTF-8"),
            (good.replace("Image", "Picture").encode(), "lacks the column 'Image'; add it."),
            (good.replace("nose_tip_y", "nose_tip_x").encode(), "has the column 'nose_tip_x' twice; keep one"),
            (b"x" * (3 << 20), "No table of keypoints"),
            (good.encode() + b"7" * (2 << 20), "more than 1,048,576 characters"),
            (kaggle([*kaggle_rows(1), kaggle_rows(1, ["7"] * 9217)[0]]), "line 3: 9217 pixels"),
            (kaggle([kaggle_rows(1, ["300"] * 9216)[0]]), "line 2: pixel value '300'"),
            (kaggle([kaggle_rows(1)[0].replace("12.0", "twelve")]), "line 2: a coordinate is not a number"),
        ],
    )
    def test_one_sentence_and_nothing_remains(self, root, source, message):
        with pytest.raises(FkdError, match=message) as caught:
            take(source)
        assert "\n" not in str(caught.value)
        assert nothing_remains(root)

    def test_a_link_in_a_zip(self, root):
        link = zipfile.ZipInfo("training.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(link, "/etc/passwd")
        with pytest.raises(FkdError, match=r"link 'training\.csv'"):
            take(buffer.getvalue())
        assert nothing_remains(root)

    def test_the_same_name_twice_in_a_zip(self, root):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("training.csv", self.good)
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("training.csv", self.good)
        with pytest.raises(FkdError, match="twice"):
            take(buffer.getvalue())
        assert nothing_remains(root)

    def test_a_table_that_names_a_picture_elsewhere(self, root):
        files = points68_files()
        files["faces.csv"] = files["faces.csv"].replace(b"ann_01.png", b"../../ann_01.png")
        with pytest.raises(FkdError, match="leads out of its folder"):
            take(zipped(files))
        assert nothing_remains(root)

    def test_a_damaged_picture(self, root):
        files = {k.replace("pictures/", "faces/"): v for k, v in points68_files().items()}
        files["faces/bob_01.png"] = b"not a picture"
        with pytest.raises(FkdError, match=r"line 3: bob_01\.png is not a picture"):
            take(zipped(files))
        assert nothing_remains(root)
        assert take(zipped(files), skip_bad_rows=True).faces == 1

    @pytest.mark.parametrize("name", ["../x", "a b", ".x", "a/b", "a+b", "x" * 65])
    def test_names(self, name):
        with pytest.raises(FkdError, match="cannot name a dataset"):
            take(self.good.encode(), name)

    def test_no_name(self):
        with pytest.raises(FkdError, match="has no name"):
            take(kaggle(kaggle_rows()), "")

    def test_names_that_are_taken(self):
        for name in ("synthetic68", "youtube_faces"):
            with pytest.raises(FkdError, match="known source"):
                take(self.good.encode(), name)
        assert take(self.good.encode(), "kaggle").faces == 1  # fetched by hand, and of the layout it has
        take(self.good.encode(), "mine")
        with pytest.raises(FkdError, match="already"):
            take(self.good.encode(), "mine")

    def test_uploads_of_the_same_name(self, root):
        with pytest.raises(FkdError, match=r"Two files are called faces\.csv"):
            import_dataset([("a/faces.csv", b"x"), ("b\\faces.csv", b"y")], "mine")
        assert nothing_remains(root)

    def test_no_uploads(self, root):
        with pytest.raises(FkdError, match="choose a zip, or a CSV and its pictures"):
            import_dataset([], "mine")
        assert nothing_remains(root)

    def test_no_row_can_be_used(self, root):
        with pytest.raises(FkdError, match=r"no row that can be used; the first: faces\.csv, line 2: 1 pixels"):
            take(kaggle(kaggle_rows(2, ["7"])), skip_bad_rows=True)
        assert nothing_remains(root)

    def test_a_stopped_import_leaves_nothing(self, root):
        def stop(what, share):
            if what.startswith("storing"):
                raise FkdError("stopped")

        with pytest.raises(FkdError, match="stopped"), listening(stop):
            take(self.good.encode())
        assert nothing_remains(root)

    def test_what_a_killed_import_left_is_cleared_a_day_later(self, root):
        for name, age_s in (("old", 90_000), ("new", 60)):
            (root / f".importing-{name}").mkdir(parents=True)
            os.utime(root / f".importing-{name}", (time.time() - age_s,) * 2)
        take(self.good.encode())
        assert sorted(path.name for path in root.iterdir()) == [".importing-new", "mine"]

    def test_a_place_that_cannot_be_written(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("FKD_DATA", str(tmp_path / "file" / "data"))
        with pytest.raises(FkdError, match=r"Nothing can be stored .* set FKD_DATA"):
            take(self.good.encode(), "mine")

    def test_a_bad_row_says_that_such_rows_can_be_left_out(self):
        for source in (kaggle([kaggle_rows(1, ["300"] * 9216)[0]]), zipped(beside() | {"faces/bob_01.png": b""})):
            with pytest.raises(FkdError, match=r"; mend it, or import .* left out \(--bad-rows skip on"):
                take(source, "mine")


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ([], ""),
        (["a.png", "My faces (2).csv"], "My-faces-2"),
        (["faces.zip"], "faces"),
        (["été.csv"], "t"),
        (["???.csv"], ""),
        (["-" + "x" * 99 + ".zip"], "x" * 64),
    ],
)
def test_a_dataset_is_called_after_its_files(files: list[str], name: str) -> None:
    assert name_from(files) == name
    if name:
        check_name(name)


def test_a_path_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKD_DATA", str(tmp_path / "data"))
    with pytest.raises(FkdError, match=r"faces\.zip is not there"):
        import_dataset(tmp_path / "faces.zip", "mine")
    assert not (tmp_path / "data").exists()
