"""Light on the surface: one lamp far away, even light from everywhere, and the shadows they leave."""

from __future__ import annotations

import cv2
import numpy as np

from fkd.data.synthetic.surface import AZIMUTHS, HEIGHTS, Surface


def shade(
    surface: Surface, towards_light: np.ndarray, towards_camera: np.ndarray, ambient: float, gloss: float
) -> tuple[np.ndarray, np.ndarray]:
    """How bright the surface is, without its colours.

    Args:
        surface: what is lit.
        towards_light: (3,) unit vector in the head's frame.
        towards_camera: (3,) likewise.
        ambient: share of the light that comes from everywhere, 0 to 1.
        gloss: strength of the highlights.

    Returns:
        (rows, columns) float32 factor for the colours, about 1, and (rows, columns) float32 white
        to be added, 0 to 1.
    """
    sin, cos = np.sin(AZIMUTHS), np.cos(AZIMUTHS)
    around, down = surface.slope[..., 0], surface.slope[..., 1]
    length = np.sqrt(1 + around**2 + down**2)
    normals = ((sin - around * cos) / length, -down / length, (-cos - around * sin) / length)
    facing = sum(n * part for n, part in zip(normals, towards_light, strict=True))
    half = towards_light + towards_camera
    half = half / np.linalg.norm(half)
    mirrored = np.maximum(sum(n * part for n, part in zip(normals, half, strict=True)), 0) ** 24
    lit = (1 - _cast_shadow(surface, towards_light)) * np.maximum(facing, 0)
    factor = _openness(surface) * (ambient + (1 - ambient) * 1.3 * lit)
    return factor.astype(np.float32), (gloss * mirrored * lit * (1 - surface.hair)).astype(np.float32)


def _openness(surface: Surface) -> np.ndarray:
    """Darker where the surface lies deeper than what surrounds it."""
    radius = surface.radius_mm
    deep = np.maximum(cv2.GaussianBlur(radius, (0, 0), 4) - radius, 0) / 14
    deep += np.maximum(cv2.GaussianBlur(radius, (0, 0), 10) - radius, 0) / 60
    return np.clip(1 - deep, 0.35, 1)


def _cast_shadow(surface: Surface, towards_light: np.ndarray) -> np.ndarray:
    """0 to 1: how much of the light is hidden by something that stands out nearby."""
    radius = surface.radius_mm
    sin, cos = np.sin(AZIMUTHS), np.cos(AZIMUTHS)
    outwards = towards_light[0] * sin - towards_light[2] * cos
    sideways = towards_light[0] * cos + towards_light[2] * sin
    columns, rows = np.meshgrid(np.arange(len(AZIMUTHS), dtype=np.float32), np.arange(len(HEIGHTS), dtype=np.float32))
    per_mm_down = 1 / (HEIGHTS[1, 0] - HEIGHTS[0, 0])
    per_radian = 1 / (AZIMUTHS[1] - AZIMUTHS[0])
    hidden = np.zeros_like(radius)
    for step_mm in (5, 9, 14, 20, 27):
        ahead_columns = columns + (step_mm * sideways * per_radian / 90).astype(np.float32)
        ahead_rows = rows + np.float32(step_mm * towards_light[1] * per_mm_down)
        there = cv2.remap(radius, ahead_columns, ahead_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        hidden = np.maximum(hidden, np.clip((there - radius - step_mm * outwards - 1) / 5, 0, 1))
    return 0.8 * cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 1.2)
