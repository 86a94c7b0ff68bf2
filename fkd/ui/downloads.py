"""Files of results, made in memory at the moment somebody asks for them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from functools import partial

import cv2
import streamlit as st

from fkd.pipeline.draw import DrawOptions, draw_faces
from fkd.pipeline.write import PhotoFaces, csv_text, json_text
from fkd.schema import Schema
from fkd.ui.photos import Analysis, Photo


def offer_photo(photo: Photo, analysis: Analysis, schema: Schema, drawing: DrawOptions) -> None:
    """Buttons for the annotated photo in its own size and for the points as CSV and JSON."""
    make = {
        "Annotated photo": ("png", "image/png", partial(_png, photo, analysis, schema, drawing)),
        "Points as CSV": ("csv", "text/csv", partial(_csv, photo, analysis, schema)),
        "Points as JSON": ("json", "application/json", partial(_json, photo, analysis)),
    }
    for label, (suffix, mime, data) in make.items():
        st.download_button(
            label,
            data,
            f"{photo.stem}_keypoints.{suffix}",
            mime,
            key=f"download.{suffix}",
            on_click="ignore",
            icon=":material/download:",
        )


def offer_zip(pairs: Sequence[tuple[Photo, Analysis]], schema: Schema, drawing: DrawOptions) -> None:
    """A button for one archive with the three files of every photo."""
    st.download_button(
        f"All {len(pairs)} photos (zip)",
        partial(_zip, pairs, schema, drawing),
        "keypoints.zip",
        "application/zip",
        key="download.zip",
        on_click="ignore",
        type="primary",
        icon=":material/folder_zip:",
    )


def _png(photo: Photo, analysis: Analysis, schema: Schema, drawing: DrawOptions) -> bytes:
    drawn_rgb_u8 = draw_faces(photo.read(), list(analysis.faces), schema, drawing)
    return cv2.imencode(".png", cv2.cvtColor(drawn_rgb_u8, cv2.COLOR_RGB2BGR))[1].tobytes()


def _csv(photo: Photo, analysis: Analysis, schema: Schema) -> bytes:
    return csv_text([_photo_faces(photo, analysis)], schema).encode()


def _json(photo: Photo, analysis: Analysis) -> bytes:
    return json_text(_photo_faces(photo, analysis)).encode()


def _photo_faces(photo: Photo, analysis: Analysis) -> PhotoFaces:
    return PhotoFaces(photo.name, analysis.width, analysis.height, analysis.faces)


def _zip(pairs: Sequence[tuple[Photo, Analysis]], schema: Schema, drawing: DrawOptions) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for number, (photo, analysis) in enumerate(pairs, start=1):
            stem = f"{number:03d}_{photo.stem}"  # two photos may have the same name
            file.writestr(f"{stem}_keypoints.png", _png(photo, analysis, schema, drawing), zipfile.ZIP_STORED)
            file.writestr(f"{stem}_keypoints.csv", _csv(photo, analysis, schema))
            file.writestr(f"{stem}_keypoints.json", _json(photo, analysis))
    return archive.getvalue()
