"""`python -m fkd predict INPUT...`: the keypoints of every face in photos and folders of photos."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fkd.errors import FkdError

if TYPE_CHECKING:
    import numpy as np

    from fkd.pipeline.predict import Pipeline
    from fkd.pipeline.write import PhotoFaces, Writer
    from fkd.schema import Schema

HELP = "find the faces in photos and their keypoints"

_VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})
_BOX_COLUMNS = ("image", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Input:
    """A photo to read: its path, and its name below the folder it was found in."""

    path: Path
    name: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those of the detector are made from `HaarOptions`."""
    from fkd.options import add_flags
    from fkd.pipeline.detect import HaarOptions
    from fkd.pipeline.predict import MIN_FACE_SCORE

    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="photos, or folders of photos")
    parser.add_argument("--weights", default="ibug68", help="a shipped name, or a path (default: %(default)s)")
    parser.add_argument(
        "--out", type=_results_file, metavar="FILE", help=".jsonl, .csv or .parquet; JSON lines to the screen otherwise"
    )
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="CSV",
        help="known faces instead of detection: columns image,x0,y0,x1,y1; tight round the points",
    )
    parser.add_argument("--draw", type=Path, metavar="DIR", help="folder to write annotated photos to")
    parser.add_argument(
        "--min-face-score",
        type=_share,
        default=MIN_FACE_SCORE,
        metavar="SCORE",
        help="detections that the network scores lower are dropped (default: %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: %(default)s)")
    add_flags(parser, HaarOptions, "detection")


def run(args: argparse.Namespace) -> int:
    """Predict every input; 0 if at least one photo could be read."""
    import fkd
    from fkd.options import from_flags
    from fkd.pipeline.detect import HaarOptions

    inputs = collect_inputs(args.inputs)
    boxes = None if args.boxes is None else read_boxes(args.boxes)
    drawings = None if args.draw is None else plan_drawings(args.draw, inputs)
    haar = from_flags(args, HaarOptions)
    pipeline = fkd.load(args.weights, device=args.device, haar=haar, min_face_score=args.min_face_score)
    errors = _predict_all(pipeline, inputs, boxes, args.out, drawings)
    if len(errors) == len(inputs):
        raise FkdError(errors[0] if len(errors) == 1 else f"None of {len(inputs)} photos gave a result: {errors[0]}")
    for error in errors:
        print(f"fkd: {error}", file=sys.stderr)
    return 0


def collect_inputs(paths: list[Path]) -> list[Input]:
    """The photos to read: files as given, and whatever looks like a picture in folders.

    Raises:
        FkdError: a folder holds no pictures.
    """
    from fkd.images import list_images

    inputs = []
    for path in paths:
        found = [Input(file, file.relative_to(path)) for file in list_images(path)] if path.is_dir() else None
        if found == []:
            raise FkdError(f"The folder {path} holds no pictures; PNG, JPEG, WebP, BMP and TIFF are read.")
        inputs += found or [Input(path, Path(path.name))]
    return inputs


def read_boxes(path: Path) -> dict[str, list[tuple[float, ...]]]:
    """Tight boxes from a CSV file with the columns `image,x0,y0,x1,y1`, by normalised path.

    Raises:
        FkdError: names the column or line that is wrong.
    """
    boxes: dict[str, list[tuple[float, ...]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            absent = [column for column in _BOX_COLUMNS if column not in (rows.fieldnames or ())]
            if absent:
                raise FkdError(f"{path} lacks the column {absent[0]!r}; its header should be {','.join(_BOX_COLUMNS)}.")
            for row in rows:
                box = _box(row, f"{path}, line {rows.line_num}")
                boxes.setdefault(os.path.normpath(row["image"]), []).append(box)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FkdError(f"The boxes {path} cannot be read ({error}); give a CSV file.") from None
    return boxes


def _box(row: dict[str, str], place: str) -> tuple[float, ...]:
    from math import isfinite

    try:
        x0, y0, x1, y1 = (float(row[column]) for column in _BOX_COLUMNS[1:])
    except (TypeError, ValueError):
        raise FkdError(f"{place}: a box needs four numbers x0,y0,x1,y1.") from None
    if not (x0 < x1 and y0 < y1 and all(map(isfinite, (x0, y0, x1, y1)))):
        raise FkdError(f"{place}: a box needs x0 < x1 and y0 < y1.")
    return x0, y0, x1, y1


def plan_drawings(folder: Path, inputs: list[Input]) -> list[Path]:
    """A PNG in `folder` for each input, in the same subfolders, no two alike.

    Raises:
        FkdError: a drawing would overwrite an input.
    """
    sources = {item.path.resolve() for item in inputs}
    drawings: dict[Path, None] = {}
    for item in inputs:
        target, number = folder / item.name.with_suffix(".png"), 1
        while target in drawings:
            number += 1
            target = folder / item.name.with_name(f"{item.name.stem}-{number}.png")
        if target.resolve() in sources:
            raise FkdError(f"Drawing to {folder} would overwrite {target}; name another folder.")
        drawings[target] = None
    return list(drawings)


def _predict_all(
    pipeline: Pipeline,
    inputs: list[Input],
    boxes: dict[str, list[tuple[float, ...]]] | None,
    out: Path | None,
    drawings: list[Path] | None,
) -> list[str]:
    """Write each input's faces as they come; the sentences of those that have none to offer."""
    from tqdm import tqdm

    from fkd.pipeline.draw import draw_faces
    from fkd.pipeline.write import PhotoFaces

    errors, schema = [], pipeline.model.card.schema
    with _writer(out, schema) as writer:
        # Without a terminal no bar is drawn: a log would fill with it.
        for number, item in enumerate(tqdm(inputs, unit="photo", disable=None)):
            try:
                image_rgb_u8, photo = _predict_one(pipeline, item, boxes)
            except FkdError as error:
                errors.append(str(error))
                writer.write(PhotoFaces(str(item.path), error=str(error)))
                continue
            writer.write(photo)
            if drawings is not None:
                _save_png(drawings[number], draw_faces(image_rgb_u8, photo.faces, schema))
    return errors


def _predict_one(
    pipeline: Pipeline, item: Input, boxes: dict[str, list[tuple[float, ...]]] | None
) -> tuple[np.ndarray, PhotoFaces]:
    import numpy as np

    from fkd.images import read_image
    from fkd.pipeline.write import PhotoFaces

    if item.path.suffix.lower() in _VIDEO_SUFFIXES:
        raise FkdError(f"{item.path} is a video; only pictures are read so far.")
    given = None
    if boxes is not None:
        keys = (os.path.normpath(item.path), os.path.normpath(item.name))
        given = next((np.array(boxes[key]) for key in keys if key in boxes), None)
        if given is None:
            raise FkdError(f"{item.path} has no line in the file of boxes; add one for each of its faces.")
    image_rgb_u8 = read_image(item.path)
    height, width = image_rgb_u8.shape[:2]
    return image_rgb_u8, PhotoFaces(str(item.path), width, height, tuple(pipeline(image_rgb_u8, given)))


@contextmanager
def _writer(out: Path | None, schema: Schema) -> Iterator[Writer]:
    from fkd.pipeline.write import JsonLinesWriter, open_writer

    if out is None:
        yield JsonLinesWriter(sys.stdout)
    else:
        with open_writer(out, schema) as writer:
            yield writer


def _save_png(path: Path, image_rgb_u8: np.ndarray) -> None:
    from PIL import Image

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image_rgb_u8).save(path, compress_level=1)
    except OSError as error:
        raise FkdError(f"{path} cannot be written ({error.strerror or error}); name another folder.") from error


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
