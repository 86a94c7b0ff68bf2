"""Videos: upright, in true time, whatever state they are in; and annotated ones that keep time and sound."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pandas as pd
import pytest

from fkd import paths, video
from fkd.errors import FkdError, UnwritableError
from fkd.pipeline.clip import ClipOptions, process_clip
from fkd.pipeline.expression import expression_columns
from fkd.pipeline.recording import Recording
from fkd.pipeline.track import TrackedFace, TrackOptions
from fkd.pipeline.write import PhotoFaces, open_writer, video_columns
from fkd.progress import listening
from fkd.schema import IBUG68
from fkd.video import Frame, VideoInfo, open_video_writer, read_frames, video_info
from fkd.weights import LoadedModel, load_model
from tests.clips import (
    CODECS,
    REGULAR_S,
    corner_frame,
    cut_short,
    moving_face,
    write_clip,
    write_sound,
)

IRREGULAR_S = [0.0, 0.04, 0.05, 0.2, 0.5, 0.533, 1.4, 1.45]


def read_all(path: Path) -> tuple[list[Frame], list[str]]:
    damages: list[str] = []
    return list(read_frames(path, damages.append)), damages


def red_corner(image_rgb_u8: np.ndarray) -> tuple[bool, bool]:
    """Whether the red quarter is at the bottom, and at the right."""
    rows, columns = np.nonzero((image_rgb_u8[..., 0] > 150) & (image_rgb_u8[..., 1] < 90))
    height, width = image_rgb_u8.shape[:2]
    assert 0.15 < len(rows) / (height * width) < 0.35
    return bool(rows.mean() > height / 2), bool(columns.mean() > width / 2)


# Reading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", list(CODECS))
@pytest.mark.parametrize("sound", [False, True])
def test_every_container_gives_all_frames_in_time(tmp_path: Path, ending: str, sound: bool) -> None:
    path = write_clip(tmp_path / f"clip{ending}", sound=sound)
    frames, damages = read_all(path)
    assert len(frames) == 25
    assert not damages
    np.testing.assert_allclose(np.diff([frame.time_s for frame in frames])[1:], 0.04, atol=0.0011)
    assert all(frame.image_rgb_u8.shape == (64, 96, 3) and frame.image_rgb_u8.dtype == np.uint8 for frame in frames)
    assert red_corner(frames[0].image_rgb_u8) == (False, False)
    info = video_info(path)
    assert (info.width, info.height, info.has_sound) == (96, 64, sound)
    assert info.fps == pytest.approx(25, rel=0.05)
    assert info.duration_s == pytest.approx(1.0, abs=0.1)
    assert info.frames == pytest.approx(25, abs=2)


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_videos_of_phones_are_upright(tmp_path: Path, rotation_deg: int, mirrored: bool) -> None:
    path = write_clip(tmp_path / "phone.mp4", rotation_deg=rotation_deg, mirrored=mirrored)
    expected = np.rot90(corner_frame(), rotation_deg // 90)
    expected = expected[:, ::-1] if mirrored else expected
    frames, _ = read_all(path)
    assert frames[0].image_rgb_u8.shape == expected.shape
    assert red_corner(frames[0].image_rgb_u8) == red_corner(expected)
    assert (video_info(path).height, video_info(path).width) == expected.shape[:2]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_times_are_the_files_own(tmp_path: Path, ending: str) -> None:
    path = write_clip(tmp_path / f"uneven{ending}", [corner_frame()] * len(IRREGULAR_S), IRREGULAR_S)
    frames, damages = read_all(path)
    np.testing.assert_allclose([frame.time_s for frame in frames], IRREGULAR_S, atol=0.0011)
    assert not damages


def test_a_clock_that_begins_late_is_set_back(tmp_path: Path) -> None:
    frames, _ = read_all(write_clip(tmp_path / "late.mkv", sound=True, start_s=7.0))
    np.testing.assert_allclose([frame.time_s for frame in frames], REGULAR_S, atol=0.03)


def test_times_increase_where_the_file_has_none_that_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a recording whose clock stood still."""
    path = write_clip(tmp_path / "clip.mkv")
    whole = video._Reader._decode

    def stuck(reader):
        for number, frame in enumerate(whole(reader)):
            frame.pts = None if number == 3 else min(frame.pts, 200)
            yield frame

    monkeypatch.setattr(video._Reader, "_decode", stuck)
    times = [frame.time_s for frame in read_all(path)[0]]
    assert len(times) == 25
    assert (np.diff(times) > 0).all()


def test_pixels_become_square(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.mp4", pixel_aspect=Fraction(4, 3))
    assert read_all(path)[0][0].image_rgb_u8.shape == (64, 128, 3)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    path = write_clip(tmp_path / "long.mp4", [image] * 400, [n / 25 for n in range(400)])
    tracemalloc.start()
    assert sum(1 for _ in read_frames(path)) == 400
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * image.nbytes


# Damage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".mkv", ".webm", ".avi"])
def test_half_a_file_gives_its_frames_and_says_so(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (25, 64, 96, 3), dtype=np.uint8)
    path = cut_short(write_clip(tmp_path / f"half{ending}", list(noise)), 0.5)
    frames, damages = read_all(path)
    assert 5 <= len(frames) <= 15
    (sentence,) = damages
    assert sentence.startswith(f"{path} is damaged or cut short: {len(frames)} frames up to ")
    with pytest.warns(UserWarning, match="cut short"):
        list(read_frames(path))


def test_bits_that_flipped_cost_some_frames_only(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (25, 64, 96, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "flipped.mkv", list(noise))
    content = bytearray(path.read_bytes())
    for place in np.random.default_rng(1).integers(2000, len(content), 40):
        content[place] ^= 0x5A
    path.write_bytes(content)
    frames, damages = read_all(path)
    assert frames
    assert len(frames) == 25 or damages


def write_playlist(path: Path) -> Path:
    """A text that FFmpeg, left to itself, takes for the video that it names."""
    write_clip(path.with_name("secret.mp4"))
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    return path


def write_nothing(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    return path


def write_bytes(content: bytes):
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path, r"does not exist"),
        (write_bytes(b""), r"is empty \(0 bytes\)"),
        (write_bytes(b"\x00\x01 no video" * 99), r"is damaged or not a video"),
        (write_nothing, r"is damaged or not a video"),
        (lambda path: cut_short(write_clip(path), 0.3), r"is damaged or not a video"),
        (write_sound, r"has no picture, only sound"),
        (write_playlist, r"is damaged or not a video"),
        (lambda path: (path.mkdir(), path)[1], r"cannot be read|is damaged or not a video"),
    ],
    ids=["absent", "empty", "other", "no frames", "no index", "sound only", "playlist", "folder"],
)
def test_what_is_no_video_is_told_in_one_sentence(tmp_path: Path, make, told: str) -> None:
    path = make(tmp_path / "clip.mp4")
    for read in (video_info, lambda path: list(read_frames(path))):
        with pytest.raises(FkdError, match=told) as error:
            read(path)
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)


def test_enormous_frames_are_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    monkeypatch.setattr(video, "MAX_PIXELS", 5000)
    with pytest.raises(FkdError, match="96 x 64 pixels in a frame; scale it down"):
        video_info(path)


def patched(path: Path, old: bytes, new: bytes) -> Path:
    """A file with other bytes, as many, in the place of some."""
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def test_a_picture_that_nothing_can_decode_is_told(tmp_path: Path) -> None:
    path = patched(write_clip(tmp_path / "clip.mkv"), b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XXX")
    with pytest.raises(FkdError, match="is damaged or not a video that can be read"):
        video_info(path)


def test_sound_that_nothing_can_decode_is_none(tmp_path: Path) -> None:
    path = patched(write_clip(tmp_path / "clip.mkv", sound=True), b"A_OPUS", b"A_XXXX")
    assert not video_info(path).has_sound
    assert len(rewrite(path, tmp_path / "drawn.mp4")) == 25


@pytest.mark.parametrize("tag", [b"N/A", b"1:2", b"-00"])
def test_a_length_that_is_none_is_not_believed(tmp_path: Path, tag: bytes) -> None:
    path = patched(write_clip(tmp_path / "clip.mkv"), b"00:00:01.000", tag.ljust(12, b" "))
    frames, damages = read_all(path)
    assert (len(frames), damages) == (25, [])
    assert video_info(path).duration_s == pytest.approx(1.0)


def test_frames_that_are_enormous_with_square_pixels_are_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "wide.mp4", pixel_aspect=Fraction(4, 3))
    monkeypatch.setattr(video, "MAX_PIXELS", 7000)
    with pytest.raises(FkdError, match="128 x 64 pixels in a frame; scale it down"):
        video_info(path)


def test_a_frame_that_cannot_be_converted_is_damage_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the place to write to that is at fault."""
    source = write_clip(tmp_path / "clip.mp4")
    whole = video._Reader._decode

    def fail(**_: object) -> np.ndarray:
        raise av.error.InvalidDataError(1, "planted")

    def unconvertible_at_first(reader):
        decoded = whole(reader)
        next(decoded)
        yield SimpleNamespace(time=0.0, width=96, height=64, to_ndarray=fail)
        yield from decoded

    info, damages = video_info(source), list[str]()
    monkeypatch.setattr(video._Reader, "_decode", unconvertible_at_first)
    with open_video_writer(tmp_path / "drawn.mp4", info) as writer:
        for time_s, image in read_frames(source, damages.append):
            writer.write(time_s, image)
    assert "24 frames up to" in damages[0]


# Writing -------------------------------------------------------------------------------------------


def rewrite(source: Path, target: Path) -> list[Frame]:
    with open_video_writer(target, video_info(source), sound_of=source) as writer:
        for time_s, image in read_frames(source):
            writer.write(time_s, image)
    return read_all(target)[0]


@pytest.mark.parametrize("encoder", [name for name in video._ENCODERS if name in av.codecs_available])
def test_a_written_video_keeps_pictures_and_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    monkeypatch.setattr(video, "_ENCODERS", (encoder,))
    images = [np.full((63, 95, 3), 10 * number, np.uint8) for number in range(len(IRREGULAR_S))]
    info = VideoInfo(95, 63, 12.5, None, None, False)
    with open_video_writer(tmp_path / "new" / "drawn.mp4", info) as writer:
        for time_s, image in zip(IRREGULAR_S, images, strict=True):
            writer.write(time_s, image)
    frames, damages = read_all(tmp_path / "new" / "drawn.mp4")
    assert not damages
    np.testing.assert_allclose([frame.time_s for frame in frames], IRREGULAR_S, atol=1e-4)
    assert frames[0].image_rgb_u8.shape == (64, 96, 3)  # H.264 has pairs of rows and columns
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_allclose(frame.image_rgb_u8[:63, :95].astype(int), image, atol=6)
    with av.open(str(tmp_path / "new" / "drawn.mp4")) as container:
        length_s = float(container.streams.video[0].duration * container.streams.video[0].time_base)
    assert length_s == pytest.approx(1.45 + 1 / 12.5, abs=0.01)  # the last frame is shown as long as most


@pytest.mark.parametrize("ending", list(CODECS))
def test_sound_goes_along(tmp_path: Path, ending: str) -> None:
    source = write_clip(tmp_path / f"talk{ending}", sound=True)
    frames = rewrite(source, tmp_path / "drawn.mp4")
    assert len(frames) == 25
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        (sound,) = container.streams.audio
        assert float(sound.duration * sound.time_base) == pytest.approx(1.0, abs=0.1)
        loud = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(sound)])
    loud = loud / (1 if loud.dtype.kind == "f" else 32768)
    crossings = (np.diff(np.signbit(loud[4800:-4800])) != 0).sum() / 2 / (len(loud[4800:-4800]) / 48_000)
    assert crossings == pytest.approx(440, rel=0.03)


def test_sound_that_changes_its_kind_midway_ends_there_and_the_picture_goes_on(tmp_path: Path) -> None:
    parts = []
    for layout in ("stereo", "mono"):  # as a recording from television may
        parts.append(tmp_path / f"{layout}.ts")
        with av.open(str(parts[-1]), "w") as container:
            picture = container.add_stream("mpeg2video", rate=25)
            picture.width, picture.height, picture.pix_fmt = 96, 64, "yuv420p"
            track = container.add_stream("mp2", rate=48_000, layout=layout)
            for number in range(25):
                shown = av.VideoFrame.from_ndarray(corner_frame(), format="rgb24").reformat(format="yuv420p")
                shown.pts, shown.time_base = number, Fraction(1, 25)
                quiet = np.zeros((1, 1920 * (2 if layout == "stereo" else 1)), np.int16)
                heard = av.AudioFrame.from_ndarray(quiet, format="s16", layout=layout)
                heard.sample_rate, heard.pts, heard.time_base = 48_000, number * 1920, Fraction(1, 48_000)
                container.mux([*picture.encode(shown), *track.encode(heard)])
            container.mux([*picture.encode(), *track.encode(None)])
    source = tmp_path / "recording.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(rewrite(source, tmp_path / "drawn.mp4")) == len(list(read_frames(source))) > 30
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        assert len(container.streams.audio) == 1


@pytest.mark.parametrize("sound_hz", [4000, 192_000])
def test_sound_that_aac_has_no_rate_for_goes_along(tmp_path: Path, sound_hz: int) -> None:
    source = tmp_path / "talk.mkv"
    with av.open(str(source), "w") as container:
        picture = container.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 96, 64, "yuv420p"
        track = container.add_stream("pcm_s16le", rate=sound_hz, layout="mono")
        for number in range(25):
            shown = av.VideoFrame.from_ndarray(corner_frame(), format="rgb24").reformat(format="yuv420p")
            shown.pts, shown.time_base = number, Fraction(1, 25)
            heard = av.AudioFrame.from_ndarray(np.zeros((1, sound_hz // 25), np.int16), format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = sound_hz, number * sound_hz // 25, Fraction(1, sound_hz)
            container.mux([*picture.encode(shown), *track.encode(heard)])
        container.mux([*picture.encode(), *track.encode(None)])
    assert len(rewrite(source, tmp_path / "drawn.mp4")) == 25
    with av.open(str(tmp_path / "drawn.mp4")) as container:
        (sound,) = container.streams.audio
        assert float(sound.duration * sound.time_base) == pytest.approx(1.0, abs=0.1)


def test_sound_that_breaks_off_ends_and_the_picture_goes_on(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", sound=True)
    broken = cut_short(write_clip(tmp_path / "broken.mkv", sound=True), 0.6)
    with open_video_writer(tmp_path / "drawn.mp4", video_info(whole), sound_of=broken) as writer:
        for time_s, image in read_frames(whole):
            writer.write(time_s, image)
    assert len(read_all(tmp_path / "drawn.mp4")[0]) == 25


def test_an_interrupted_video_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "new" / "drawn.mp4"
    with (
        pytest.raises(KeyboardInterrupt),
        open_video_writer(target, VideoInfo(96, 64, 25, None, None, False)) as writer,
    ):
        writer.write(0.0, corner_frame())
        raise KeyboardInterrupt
    assert not list(target.parent.iterdir())


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    info = VideoInfo(96, 64, 25, None, None, False)
    with (
        pytest.raises(UnwritableError, match="cannot be written"),
        open_video_writer(tmp_path / "file" / "a.mp4", info),
    ):
        raise AssertionError("not reached")


# Whole clips ---------------------------------------------------------------------------------------

needs_weights = pytest.mark.skipif(
    not (paths.weights_root() / "ibug68.safetensors").is_file(), reason="needs the weights ibug68"
)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model("ibug68", threads=1)


@pytest.fixture(scope="module")
def face_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "face.mp4", moving_face(25), sound=True)


@needs_weights
def test_a_face_is_followed_through_a_clip(face_clip: Path, model: LoadedModel, tmp_path: Path) -> None:
    drawn, shares, frames = tmp_path / "drawn.mp4", list[float](), list[PhotoFaces]()
    summary = process_clip(face_clip, model, frames.append, drawn=drawn, progress=shares.append)
    assert (summary.frames, summary.frames_with_faces, summary.faces, summary.damage) == (25, 25, 1, None)
    assert [frame.frame for frame in frames] == list(range(25))
    assert [frame.time_s for frame in frames] == pytest.approx(REGULAR_S, abs=1e-3)
    assert {face.id for frame in frames for face in frame.faces} == {1}
    middles = [frame.faces[0].points_px[:, 0].mean() for frame in frames]
    assert np.ptp(middles) == pytest.approx(20 * (1 + np.abs(np.sin(np.arange(25) / 8)).max()) / 2, abs=12)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    annotated = read_all(drawn)[0]
    assert len(annotated) == 25
    assert video_info(drawn).has_sound
    originals = read_all(face_clip)[0]
    difference = np.abs(annotated[12].image_rgb_u8.astype(int) - originals[12].image_rgb_u8)
    assert (difference > 60).sum() > 200


@needs_weights
def test_work_that_is_stopped_leaves_no_files(face_clip: Path, model: LoadedModel, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(what: str, share: float) -> None:
        if share > 0.3:
            raise Stopped

    with (
        pytest.raises(Stopped),
        listening(stop),
        open_writer(tmp_path / "points.csv", IBUG68, video_columns(IBUG68)) as writer,
    ):
        process_clip(face_clip, model, writer.write, drawn=tmp_path / "drawn.mp4")
    assert not list(tmp_path.iterdir())


@needs_weights
def test_a_damaged_clip_is_worked_on_as_far_as_it_goes(model: LoadedModel, tmp_path: Path) -> None:
    path = cut_short(write_clip(tmp_path / "face.mkv", moving_face(25)), 0.9)
    frames: list[PhotoFaces] = []
    summary = process_clip(path, model, frames.append, ClipOptions(TrackOptions(max_faces=1)))
    assert 0 < summary.frames == len(frames) < 25
    assert "cut short" in str(summary.damage)


@pytest.mark.long
@needs_weights
def test_ten_minutes_take_less_than_a_gigabyte(tmp_path: Path) -> None:
    images = moving_face(50)
    count = 10 * 60 * 25
    path = write_clip(
        tmp_path / "long.mp4", [images[n % 50] for n in range(count)], [n / 25 for n in range(count)], sound=True
    )
    out = tmp_path / "points.parquet"
    command = [sys.executable, "-m", "fkd", "predict", str(path), "--out", str(out), "--draw", str(tmp_path / "drawn")]
    subprocess.run(command, cwd=paths.PROJECT_ROOT, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    assert peak < 1e9
    table = pd.read_parquet(out)
    assert table["frame"].nunique() > 0.99 * count
    assert table["face"].nunique() == 1


@needs_weights
def test_frames_become_lines_and_rows(face_clip: Path, model: LoadedModel, tmp_path: Path) -> None:
    for name in ("points.csv", "points.parquet", "points.jsonl"):
        with open_writer(tmp_path / name, IBUG68, video_columns(IBUG68)) as writer:
            process_clip(face_clip, model, writer.write, name="my clip.mp4")
    tables = pd.read_csv(tmp_path / "points.csv"), pd.read_parquet(tmp_path / "points.parquet")
    records = [json.loads(line) for line in (tmp_path / "points.jsonl").read_text("utf-8").splitlines()]
    for table in tables:
        assert tuple(table.columns) == video_columns(IBUG68)
        assert len(table) == 25 * 68
        assert table["frame"].tolist() == np.repeat(range(25), 68).tolist()
        assert table["time_s"].unique() == pytest.approx([record["time_s"] for record in records])
        assert set(table["face"]) == {1}
    assert list(records[3]) == ["image", "frame", "time_s", "width", "height", "faces"]
    assert (records[3]["image"], records[3]["frame"], records[3]["width"]) == ("my clip.mp4", 3, 320)
    assert records[3]["faces"][0]["id"] == 1
    assert np.allclose(tables[0][tables[0].frame == 3][["x", "y"]], records[3]["faces"][0]["points"])


@needs_weights
def test_files_tell_of_each_face_what_a_live_recording_tells(
    face_clip: Path, model: LoadedModel, tmp_path: Path
) -> None:
    frames: list[PhotoFaces] = []
    process_clip(face_clip, model, frames.append)
    recording = Recording(IBUG68)
    for name in ("points.csv", "points.parquet", "points.jsonl"):
        with open_writer(tmp_path / name, IBUG68, video_columns(IBUG68)) as writer:
            for frame in frames:
                writer.write(frame)
    for frame in frames:
        faces = [face for face in frame.faces if isinstance(face, TrackedFace)]
        recording.add(frame.time_s or 0.0, faces, frame.expressions)
    told = list(expression_columns(IBUG68))
    recorded = pd.read_csv(io.StringIO(recording.csv_text()))[told]
    assert {"yaw_deg", "left_eye_opening", "mouth_width", "blinks"} < set(recorded)
    assert recorded["yaw_deg"].nunique() > 1
    for table in (pd.read_csv(tmp_path / "points.csv"), pd.read_parquet(tmp_path / "points.parquet")):
        once = table[told][::68].reset_index(drop=True)
        pd.testing.assert_frame_equal(once, recorded, check_dtype=False)
    lines = [json.loads(line) for line in (tmp_path / "points.jsonl").read_text("utf-8").splitlines()]
    records = [face for line in lines for face in line["faces"]]
    assert list(records[0]) == ["id", "box", "score", "points", "point_scores", *told]
    assert [[face[name] for name in told] for face in records] == recorded.to_numpy().tolist()
