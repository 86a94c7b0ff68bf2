"""`python -m fkd predict INPUT...`: the keypoints of every face in photos, videos, and folders of them."""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fkd import DEFAULT_WEIGHTS, LIVE_WEIGHTS
from fkd.errors import FkdError, UnwritableError, counted

if TYPE_CHECKING:
    import numpy as np

    from fkd.pipeline.clip import ClipOptions
    from fkd.pipeline.predict import Pipeline
    from fkd.pipeline.write import Writer
    from fkd.runtime import LoadedModel
    from fkd.schema import Schema

HELP = "find the faces in photos and videos and their keypoints"
_EPILOG = """exit status: 0 if at least one input gave a result, the others being named and counted at the end; 1 if
none did, or on another failure; 2 on wrong use. In JSON lines an input without a result has an "error"; in a table,
whose rows are keypoints, it has none. Until its end, --out has another name, so that an interrupted command leaves
nothing behind."""

_BOX_COLUMNS = ("image", "x0", "y0", "x1", "y1")
_FARTHEST_PX, _LEAST_PX = 1_000_000, 0.1  # single precision tells such boxes from points


@dataclass(frozen=True)
class Input:
    """A photo or video to read: its path, and its name below the folder it was found in."""

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        """Whether the name ends like a video's."""
        from fkd.video import SUFFIXES

        return self.path.suffix.lower() in SUFFIXES


@dataclass
class Tally:
    """What a command has come to so far."""

    photos: int = 0
    videos: int = 0
    frames: int = 0
    faces: int = 0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    almost: dict[str, float] = field(default_factory=dict)  # photos without a face: their likeliest spot's score
    doubtful: dict[str, float] = field(default_factory=dict)  # photos with a box in which hardly a face is seen
    used_boxes: set[str] = field(default_factory=set)  # the names of those photos in the file of boxes
    began_s: float = field(default_factory=time.monotonic)

    def sentence(self, out: Path | None, drawn: Path | None) -> str:
        """As in `12 photos and 1 video of 65 frames: 14 faces, 1 failure, 3.2 s; wrote faces.csv and drawn/`."""
        read = [counted(self.photos, "photo")] if self.photos or not self.videos else []
        if self.videos:
            read.append(f"{counted(self.videos, 'video')} of {counted(self.frames, 'frame')}")
        failures = f", {counted(len(self.errors), 'failure')}" if self.errors else ""
        seconds = time.monotonic() - self.began_s
        written = " and ".join([str(out)] * bool(out) + [f"{drawn}{os.sep}"] * bool(drawn))
        wrote = f"; wrote {written}" if written else ""
        return f"{' and '.join(read)}: {counted(self.faces, 'face')}{failures}, {seconds:.1f} s{wrote}"


def _almost_sentence(almost: dict[str, float]) -> str:
    """What to do about photos whose spots are all less sure than asked for."""
    best = max(almost.values())
    which = f"The likeliest spot of {next(iter(almost))} scores {best:.2f}"
    if len(almost) > 1:
        least = min(almost.values())
        which = f"The likeliest spots of {len(almost):,} photos without a face score {least:.2f} to {best:.2f}"
    lower = int(best * 20) / 20
    return f"{which}, less than the minimum face score; --min-face-score {lower:g} lets the likeliest pass."


def _doubtful_sentence(doubtful: dict[str, float]) -> str:
    """What to do about given boxes that seem to hold no face."""
    where = next(iter(doubtful)) if len(doubtful) == 1 else f"{len(doubtful):,} photos"
    return f"Hardly a face is seen in a box of {where} (score {min(doubtful.values()):.2f}); see that it is in pixels."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those of the detector are made from `HaarOptions`."""
    from fkd.options import add_flags
    from fkd.pipeline.detect import HaarOptions
    from fkd.pipeline.predict import MIN_FACE_SCORE
    from fkd.pipeline.smooth import SmoothOptions
    from fkd.pipeline.track import TrackOptions
    from fkd.weights import RUNTIMES

    parser.usage = "%(prog)s INPUT [INPUT ...] [options, of which --help tells]"  # they would fill a screen
    parser.epilog = _EPILOG
    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="photos, videos, or folders of them")
    parser.add_argument(
        "--weights",
        help=f"a shipped name, run:NAME, or a path (default: {DEFAULT_WEIGHTS} for photos; for videos {LIVE_WEIGHTS}, "
        "where it is there)",
    )
    parser.add_argument(
        "--out", type=_results_file, metavar="FILE", help=".jsonl, .csv or .parquet; JSON lines to the screen otherwise"
    )
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="CSV",
        help="known faces of photos instead of detection: columns image,x0,y0,x1,y1; tight round the points",
    )
    parser.add_argument("--draw", type=Path, metavar="DIR", help="folder to write annotated photos and videos to")
    parser.add_argument(
        "--min-face-score",
        type=_share,
        default=MIN_FACE_SCORE,
        metavar="SCORE",
        help="detections in photos that the network scores lower are dropped (default: %(default)s)",
    )
    parser.add_argument(
        "--style",
        metavar="DATASET",
        help="place points as in this one of the datasets that the weights learned from (default: their first)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="auto", help="what computes; auto is the faster one (default)"
    )
    add_flags(parser, HaarOptions, "detection in photos")
    add_flags(parser, TrackOptions, "following faces in videos", "track_")
    add_flags(parser, SmoothOptions, "steady points in videos")


def run(args: argparse.Namespace) -> int:
    """Predict every input; 0 if at least one gave a result."""
    from fkd.options import from_flags
    from fkd.pipeline.clip import ClipOptions
    from fkd.pipeline.detect import HaarOptions
    from fkd.pipeline.predict import Pipeline
    from fkd.pipeline.smooth import SmoothOptions
    from fkd.pipeline.track import TrackOptions

    tally = Tally()
    inputs = collect_inputs(args.inputs)
    boxes = None if args.boxes is None else read_boxes(args.boxes)
    if boxes is not None and any(item.is_video for item in inputs):
        raise FkdError("--boxes is for photos; in videos faces are found and followed, so predict them without it.")
    drawings = None if args.draw is None else plan_drawings(args.draw, inputs)
    photos, videos = _load_models(args, inputs)
    pipeline = Pipeline(photos, from_flags(args, HaarOptions), args.min_face_score)
    clip_options = ClipOptions(from_flags(args, TrackOptions, "track_"), from_flags(args, SmoothOptions))
    _predict_all(_Work(pipeline, videos, clip_options, boxes), inputs, args.out, drawings, tally)
    if len(tally.errors) == len(inputs):
        none = f"None of {len(inputs)} inputs gave a result: {tally.errors[0]}"
        raise FkdError(tally.errors[0] if len(inputs) == 1 else none)
    told = [_almost_sentence(tally.almost)] if tally.almost else []
    told += [_doubtful_sentence(tally.doubtful)] if tally.doubtful else []
    if boxes is not None and (unused := [name for name in boxes if name not in tally.used_boxes]):
        told.append(f"{args.boxes} has boxes of {counted(len(unused), 'photo')} not given here, such as {unused[0]}.")
    for sentence in (*tally.warnings, *told, *tally.errors):
        print(f"fkd: {sentence}", file=sys.stderr)
    print(f"fkd: {tally.sentence(args.out, args.draw)}", file=sys.stderr)
    return 0


def _load_models(args: argparse.Namespace, inputs: list[Input]) -> tuple[LoadedModel, LoadedModel]:
    """The networks for photos and for videos: one for both where weights are named or one kind of input is given."""
    from fkd.weights import live_weights, load_model

    names = [args.weights or (live_weights() if item.is_video else DEFAULT_WEIGHTS) for item in inputs]
    models = {name: load_model(name, args.device, args.runtime) for name in dict.fromkeys(names)}
    if args.style:
        models = {name: model.in_style(args.style) for name, model in models.items()}
    of_kind = {item.is_video: models[name] for item, name in zip(inputs, names, strict=True)}
    either = models[names[0]]
    return of_kind.get(False, either), of_kind.get(True, either)


def collect_inputs(paths: list[Path]) -> list[Input]:
    """What to read: files as given, and whatever is called like a picture or a video in folders.

    Raises:
        FkdError: a folder holds neither.
    """
    from fkd.images import FORMATS_IN_WORDS, SUFFIXES, list_images
    from fkd.video import SUFFIXES as VIDEO_SUFFIXES

    inputs, suffixes = [], SUFFIXES | VIDEO_SUFFIXES
    for path in paths:
        found = [Input(file, file.relative_to(path)) for file in list_images(path, suffixes)] if path.is_dir() else None
        if found == []:
            read = f"pictures in {FORMATS_IN_WORDS} and videos in MP4, MOV, MKV, AVI or WebM are read"
            raise FkdError(f"The folder {path} holds no pictures and no videos; {read}.")
        inputs += found or [Input(path, Path(path.name))]
    return inputs


def read_boxes(path: Path) -> dict[str, list[tuple[float, ...]]]:
    """Tight boxes from a CSV file with the columns `image,x0,y0,x1,y1`, by normalised path.

    The same box of the same image again is one face: the tables that fkd writes repeat it with each point.

    Raises:
        FkdError: names the column or line that is wrong.
    """
    boxes: dict[str, list[tuple[float, ...]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            columns = [column.strip().lower() for column in next(csv.reader([header], delimiter=delimiter), [])]
            rows = csv.DictReader(file, columns, delimiter=delimiter, skipinitialspace=True)
            absent = [column for column in _BOX_COLUMNS if column not in columns]
            if absent:
                raise FkdError(f"{path} lacks the column {absent[0]!r}; its header should be {','.join(_BOX_COLUMNS)}.")
            for row in rows:
                box = _box(row, f"{path}, line {1 + rows.line_num}")
                of_image = boxes.setdefault(os.path.normpath(row["image"]), [])
                if box not in of_image:
                    of_image.append(box)
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FkdError(f"The boxes {path} cannot be read ({reason}); give a CSV file.") from None
    except UnicodeDecodeError:
        raise FkdError(f"The boxes {path} are no CSV; write them as one, with {','.join(_BOX_COLUMNS)}.") from None
    return boxes


def _box(row: dict[str, str], place: str) -> tuple[float, ...]:
    try:
        x0, y0, x1, y1 = (float(row[column]) for column in _BOX_COLUMNS[1:])
    except (TypeError, ValueError):
        raise FkdError(f"{place}: a box needs four numbers x0,y0,x1,y1.") from None
    if not row["image"]:
        raise FkdError(f"{place}: a box needs the name of its image.")
    if not all(abs(side) <= _FARTHEST_PX for side in (x0, y0, x1, y1)):
        raise FkdError(f"{place}: a box needs four numbers in pixels, none beyond {_FARTHEST_PX:,}.")
    if not (x1 - x0 >= _LEAST_PX and y1 - y0 >= _LEAST_PX):
        raise FkdError(f"{place}: a box needs x0 < x1 and y0 < y1.")
    return x0, y0, x1, y1


def plan_drawings(folder: Path, inputs: list[Input]) -> list[Path]:
    """A PNG or MP4 in `folder` for each photo or video, in the same subfolders, no two alike.

    Raises:
        FkdError: `folder` is a file, or a drawing would overwrite an input.
    """
    if folder.exists() and not folder.is_dir():
        raise FkdError(f"{folder} is a file, and drawings need a folder; name another with --draw.")
    sources = {item.path.resolve() for item in inputs}
    drawings: dict[Path, None] = {}
    for item in inputs:
        ending = ".mp4" if item.is_video else ".png"
        target, number = folder / item.name.with_suffix(ending), 1
        while target in drawings:
            number += 1
            target = folder / item.name.with_name(f"{item.name.stem}-{number}{ending}")
        if target.resolve() in sources:
            raise FkdError(f"Drawing to {folder} would overwrite {target}; name another folder.")
        drawings[target] = None
    return list(drawings)


@dataclass(frozen=True)
class _Work:
    """What every input is predicted with."""

    pipeline: Pipeline
    video_model: LoadedModel
    clip_options: ClipOptions
    boxes: dict[str, list[tuple[float, ...]]] | None


def _predict_all(work: _Work, inputs: list[Input], out: Path | None, drawings: list[Path] | None, tally: Tally) -> None:
    """Write each input's faces as they come, and a line for those that have none to offer."""
    from fkd.pipeline.write import PhotoFaces
    from fkd.progress import listening, report

    has_videos = any(item.is_video for item in inputs)
    shows_itself = out is None and sys.stdout.isatty()  # the faces go by on the terminal, and would meet the progress
    heard = listening(lambda what, share: None) if shows_itself else nullcontext()
    with _writer(out, work.pipeline.model.card.schema, has_videos) as writer, heard:
        for number, item in enumerate(inputs):

            def progress(share: float, done: int = number) -> None:
                report("predicting", (done + share) / len(inputs))

            drawing = None if drawings is None else drawings[number]
            try:
                if item.is_video:
                    _predict_video(work, item, writer, drawing, tally, progress)
                else:
                    _predict_photo(work, item, writer, drawing, tally)
            except UnwritableError:
                raise
            except FkdError as error:
                tally.errors.append(str(error))
                writer.write(PhotoFaces(str(item.path), error=str(error)))
            progress(1.0)


def _predict_photo(work: _Work, item: Input, writer: Writer, drawing: Path | None, tally: Tally) -> None:
    import numpy as np

    from fkd.images import read_image
    from fkd.pipeline.draw import draw_faces
    from fkd.pipeline.write import PhotoFaces

    given = None
    if work.boxes is not None:
        keys = (os.path.normpath(item.path), os.path.normpath(item.name))
        key = next((key for key in keys if key in work.boxes), None)
        if key is None:
            raise FkdError(f"{item.path} has no line in the file of boxes; add one for each of its faces.")
        given = np.array(work.boxes[key])
        tally.used_boxes.add(key)
    image_rgb_u8 = read_image(item.path)
    if given is not None:
        _check_inside(given, item.path, *image_rgb_u8.shape[1::-1])
    result, (height, width) = work.pipeline.run(image_rgb_u8, given), image_rgb_u8.shape[:2]
    photo = PhotoFaces(str(item.path), width, height, tuple(result.faces))
    writer.write(photo)
    tally.photos, tally.faces = tally.photos + 1, tally.faces + len(photo.faces)
    if result.weak_scores and not result.faces:
        tally.almost[str(item.path)] = max(result.weak_scores)
    least = min((face.score for face in result.faces), default=1.0)
    if given is not None and least < work.pipeline.min_face_score:
        tally.doubtful[str(item.path)] = least
    if drawing is not None:
        _save_png(drawing, draw_faces(image_rgb_u8, photo.faces, work.pipeline.model.card.schema))


def _check_inside(boxes_xyxy: np.ndarray, photo: Path, width: int, height: int) -> None:
    """`FkdError` for the first box that shares nothing with its photo."""
    outside = (boxes_xyxy[:, 2:] <= 0).any(axis=1) | (boxes_xyxy[:, :2] >= (width, height)).any(axis=1)
    if outside.any():
        box = ",".join(f"{side:g}" for side in boxes_xyxy[outside.argmax()])
        raise FkdError(f"The box {box} lies outside {photo}, which has {width}x{height} pixels; give it in these.")


def _predict_video(
    work: _Work, item: Input, writer: Writer, drawing: Path | None, tally: Tally, progress: Callable[[float], None]
) -> None:
    from fkd.pipeline.clip import process_clip

    summary = process_clip(item.path, work.video_model, writer.write, work.clip_options, drawing, progress)
    tally.videos, tally.frames = tally.videos + 1, tally.frames + summary.frames
    tally.faces += summary.faces
    if summary.damage:
        tally.warnings.append(summary.damage)


@contextmanager
def _writer(out: Path | None, schema: Schema, has_videos: bool) -> Iterator[Writer]:
    from fkd.pipeline.write import COLUMNS, JsonLinesWriter, open_writer, video_columns

    if out is None:
        yield JsonLinesWriter(sys.stdout)
    else:
        with open_writer(out, schema, video_columns(schema) if has_videos else COLUMNS) as writer:
            yield writer


def _save_png(path: Path, image_rgb_u8: np.ndarray) -> None:
    from PIL import Image

    from fkd.paths import written_aside

    with written_aside(path) as aside:
        Image.fromarray(image_rgb_u8).save(aside, format="PNG", compress_level=1)


def _results_file(text: str) -> Path:
    from fkd.pipeline.write import checked_suffix

    try:
        checked_suffix(Path(text))
    except FkdError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, received {text!r}")
    return value
