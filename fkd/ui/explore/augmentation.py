"""What augmentation makes of one face: before and after, the points following the picture."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import streamlit as st
import torch

from fkd.augment import Augmentation, change_light, cover, draw_maps, warp_images, warp_points
from fkd.data.dataset import Dataset
from fkd.schema import Schema
from fkd.ui.explore import keys
from fkd.ui.explore.source import Source
from fkd.ui.grid import grid
from fkd.ui.pictures import with_points

# Strong enough to be seen; training has its own values.
STRENGTHS = Augmentation(rotation_deg=25, scale=0.2, shift=0.1, mirror=True, light=0.5, noise=0.08, blur=1.0, cover=1.0)
SWITCHES = tuple(item.name for item in fields(Augmentation))
LEFT_COLOUR, RIGHT_COLOUR, MIDDLE_COLOUR = "#56B4E9", "#E69F00", "#FFFFFF"
_SIDE_PX = 384
_LEAST_PX = 240  # on the page: four side by side on a wide screen
_DRAWS = 3


def show_augmentation(source: Source) -> None:
    """One face as it is and drawn three times, under the transforms that are switched on."""
    faces = source.faces
    row = _choose_face(faces)
    on = st.pills(
        "Transforms",
        SWITCHES,
        selection_mode="multi",
        default=["rotation_deg", "mirror"],
        format_func=_readable,
        key="explore.transforms",
        persist_state="session",
    )
    with st.container(horizontal=True):
        everything = {"explore.transforms": list(SWITCHES)}
        st.button("All of them", on_click=st.session_state.update, args=(everything,))
        st.button("None", on_click=st.session_state.update, args=({"explore.transforms": []},))
        seed = st.session_state.setdefault("explore.seed", 0)
        again = {"explore.seed": seed + 1}
        st.button("Draw again", icon=":material/casino:", on_click=st.session_state.update, args=(again,))
    st.caption(
        "Subject's left :blue-badge[blue], right :orange-badge[orange]: a mirrored face keeps its colours on the "
        "side where they belong, because partners change places."
    )
    settings = replace(Augmentation(), **{name: getattr(STRENGTHS, name) for name in on})
    with grid("explore-augmented", _LEAST_PX, 16):
        image, points_px = faces.images_u8[row], faces.points_px[row]
        st.image(draw_sides(image, points_px, faces.schema), width="stretch", caption="Before", output_format="JPEG")
        for number in range(_DRAWS):
            changed, moved_px, mirrored = augment_face(faces, row, settings, seed * _DRAWS + number)
            told = "After, mirrored" if mirrored else "After"
            drawn = draw_sides(changed, moved_px, faces.schema)
            st.image(drawn, width="stretch", caption=told, output_format="JPEG")


def augment_face(faces: Dataset, row: int, settings: Augmentation, seed: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """The (s, s) uint8 picture, (k, 2) points in its pixels, and whether it is mirrored; as training draws them."""
    size = min(faces.images_u8.shape[1:])
    generator = torch.Generator().manual_seed(seed)
    image = torch.from_numpy(faces.images_u8[row].copy())[None, None].float() / 255
    points = torch.from_numpy(faces.points_px[row].astype(np.float32))[None]
    maps, mirrored = draw_maps(1, size, settings, generator)
    moved = warp_points(points, maps, mirrored, torch.as_tensor(faces.schema.mirror_partners))
    changed = change_light(warp_images(image, maps, size), settings, generator)
    changed, _ = cover(changed, moved, settings, generator)
    pixels = (changed[0, 0] * 255).round().to(torch.uint8).numpy()
    return pixels, moved[0].numpy(), bool(mirrored[0])


def draw_sides(image_gray_u8: np.ndarray, points_px: np.ndarray, schema: Schema) -> np.ndarray:
    """RGB, enlarged, with the points coloured by the subject's side."""
    colours = [
        LEFT_COLOUR if "left" in name else RIGHT_COLOUR if "right" in name else MIDDLE_COLOUR
        for name in schema.keypoints
    ]
    return with_points(image_gray_u8, points_px, colours, _SIDE_PX, 5.0 if len(schema) < 30 else 3.0)


def _choose_face(faces: Dataset) -> int:
    """The face of the browser, when one is open there, else any by its place in the dataset."""
    opened = keys.shown_face(len(faces))
    if opened is not None:
        st.caption(f"The face that is open under {keys.FACES}: {faces.rows[opened]}")
        return opened
    return int(
        st.number_input("Face", 0, len(faces) - 1, 0, key="explore.augmented", persist_state="session", width=160)
    )


def _readable(name: str) -> str:
    return name.removesuffix("_deg").replace("_", " ").capitalize()
