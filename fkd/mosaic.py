"""Many small maps as one picture: the channels of a layer, or the weights of its filters.

picture = mosaic(activations(model, crop_gray_u8, "stem"), order="peak")
picture.rgb_u8, picture.channels
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fkd.options import check, option

_WIDTH_PX = 1200
_GAP_SHARE = 0.05  # of a tile
_SMALLEST_TILE, _LARGEST_TILE = 24, 240
_NUMBER_ASPECT = 2  # width by height of the cell that shows one number
_NOT_EXTREME = 0.995  # of all weights; the others have the colours of the ends
_GAP_GREY = 128  # seen on light and dark pages, and between dark and bright tiles
_COLOURS = {"viridis": cv2.COLORMAP_VIRIDIS, "magma": cv2.COLORMAP_MAGMA, "grey": None}
_DIVERGING = ("#2166AC", "#F7F7F7", "#B2182B")  # below zero, zero, above


@dataclass(frozen=True)
class MosaicOptions:
    """How maps are shown; values out of their choices raise `ValueError`."""

    scale: str = option(
        "channel",
        "Bring each channel to its own darkest and brightest, or all of the layer to common ones.",
        choices=("channel", "layer"),
    )
    order: str = option("index", "What the channels are sorted by.", choices=("index", "mean", "peak"))
    colours: str = option("viridis", "The colours from low to high.", choices=tuple(_COLOURS))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Mosaic:
    """One picture of many maps.

    Attributes:
        rgb_u8: (h, w, 3) uint8.
        channels: (c,) which channel each tile shows, row by row from the upper left.
        columns: tiles in each row.
        tile_px: width and height of a tile with its gap.
        gap_px: between tiles.
    """

    rgb_u8: np.ndarray
    channels: np.ndarray
    columns: int
    tile_px: tuple[int, int]
    gap_px: int

    @property
    def centres_px(self) -> np.ndarray:
        """(c, 2) centres of the tiles in pixels of the picture."""
        row, column = np.divmod(np.arange(len(self.channels)), self.columns)
        return np.stack([column, row], axis=1) * np.array(self.tile_px) + (np.array(self.tile_px) - self.gap_px - 1) / 2


def mosaic(
    maps: np.ndarray,
    options: MosaicOptions | None = None,
    limits: np.ndarray | None = None,
    channels: np.ndarray | None = None,
) -> Mosaic:
    """Maps side by side.

    Args:
        maps: (c, h, w) float, or (c,) from a dense layer, whose numbers are shown as one cell each.
        options: scale, order and colours.
        limits: (c, 2) values of the darkest and the brightest colour, where pictures are to be compared;
            those of `scale_limits` otherwise.
        channels: which maps to show, one after the other, where pictures are to be compared; all of them in
            the order of the options otherwise.
    """
    options = options or MosaicOptions()
    channels = order_of(maps, options.order) if channels is None else channels
    limits = scale_limits(maps, options.scale) if limits is None else limits
    maps = maps.astype(np.float32)
    if maps.ndim == 1:
        maps = np.broadcast_to(maps[:, None, None], (len(maps), 1, _NUMBER_ASPECT))
    tiles = [colourise(maps[i], options.colours, (float(limits[i, 0]), float(limits[i, 1]))) for i in channels]
    return _assemble(tiles, channels)


def scale_limits(maps: np.ndarray, scale: str) -> np.ndarray:
    """(c, 2) least and greatest value of each of (c, h, w) maps, or of all of them; always of all of (c,) numbers."""
    flat = maps.reshape(len(maps), -1)
    if scale == "layer" or flat.shape[1] == 1:
        flat = flat.reshape(1, -1)
    return np.broadcast_to(np.stack([flat.min(axis=1), flat.max(axis=1)], axis=1), (len(maps), 2))


def signed_mosaic(maps: np.ndarray) -> Mosaic:
    """(c, h, w) weights side by side, blue below zero and red above, on one scale that a few extremes exceed."""
    limit = float(np.quantile(np.abs(maps), _NOT_EXTREME))
    return _assemble([colourise_signed(weights, limit) for weights in maps], np.arange(len(maps)))


def order_of(maps: np.ndarray, order: str) -> np.ndarray:
    """(c,) indices of maps (c, h, w) or numbers (c,) by `index`, or by falling `mean` or `peak`."""
    if order == "index":
        return np.arange(len(maps))
    flat = maps.reshape(len(maps), -1)
    values = flat.mean(axis=1) if order == "mean" else flat.max(axis=1)
    return np.argsort(-values, kind="stable")


def dead_channels(maps: np.ndarray) -> np.ndarray:
    """(c,) bool: maps (c, h, w) or numbers (c,) that are zero everywhere, so that they tell nothing of this face."""
    return (maps.reshape(len(maps), -1) == 0).all(axis=1)


def colourise(values: np.ndarray, colours: str = "viridis", limits: tuple[float, float] | None = None) -> np.ndarray:
    """A (h, w) map as (h, w, 3) uint8 RGB; without limits from its own least value to its greatest."""
    low, high = limits or (float(values.min()), float(values.max()))
    grey = np.clip((values - low) / (high - low or 1.0) * 255, 0, 255).astype(np.uint8)
    table = _COLOURS[colours]
    if table is None:
        return np.repeat(grey[..., None], 3, axis=2)
    return cv2.cvtColor(cv2.applyColorMap(grey, table), cv2.COLOR_BGR2RGB)


def colourise_signed(values: np.ndarray, limit: float) -> np.ndarray:
    """A (h, w) map as (h, w, 3) uint8 RGB: blue at `-limit`, nearly white at 0, red at `limit`."""
    share = np.clip(values / (limit or 1.0), -1, 1)
    ends = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in _DIVERGING], np.float64)
    channels = [np.interp(share, (-1, 0, 1), ends[:, i]) for i in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def overlay(
    image_gray_u8: np.ndarray, heat_rgb_u8: np.ndarray, opacity: float, strength: np.ndarray | None = None
) -> np.ndarray:
    """A map in colours, brought to the size of the picture and laid over it.

    Args:
        image_gray_u8: (s, s) uint8.
        heat_rgb_u8: (h, w, 3) uint8 RGB.
        opacity: 0 shows the picture, 1 the map.
        strength: (h, w) where the map is to hide the picture by how much it has to say there; the picture
            shows unchanged where it is least.

    Returns:
        (s, s, 3) uint8 RGB.
    """
    size = image_gray_u8.shape[::-1]
    large = cv2.resize(heat_rgb_u8, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    alpha = np.full((*image_gray_u8.shape, 1), opacity, np.float32)
    if strength is not None:
        low, high = float(strength.min()), float(strength.max())
        share = (strength.astype(np.float32) - low) / (high - low or 1.0)
        alpha *= cv2.resize(share, size, interpolation=cv2.INTER_LINEAR).clip(0, 1)[..., None]
    return np.round(large * alpha + image_gray_u8[..., None] * (1 - alpha)).astype(np.uint8)


def _assemble(tiles: list[np.ndarray], channels: np.ndarray) -> Mosaic:
    height, width = tiles[0].shape[:2]
    columns = _columns(len(tiles), width)
    step = int(np.clip(_WIDTH_PX // columns, _SMALLEST_TILE, _LARGEST_TILE))
    gap = max(2, round(_GAP_SHARE * step))
    size = (step - gap, max(1, round((step - gap) * height / width)))
    # Small maps are enlarged cell by cell, so that each cell stays a square of one colour.
    method = cv2.INTER_NEAREST if size[0] >= width else cv2.INTER_AREA
    tile_px = (step, size[1] + gap)
    rows = -(-len(tiles) // columns)
    picture = np.full((rows * tile_px[1] - gap, columns * tile_px[0] - gap, 3), _GAP_GREY, np.uint8)
    for place, tile in enumerate(tiles):
        y, x = (part * length for part, length in zip(divmod(place, columns), tile_px[::-1], strict=True))
        picture[y : y + size[1], x : x + size[0]] = cv2.resize(tile, size, interpolation=method)
    return Mosaic(picture, channels, columns, tile_px, gap)


def _columns(tiles: int, width: int) -> int:
    """About half as many rows as columns, as wide as a page is, and the last row filled where that can be.

    Of two numbers that suit as well the greater one is taken, so that the picture fits on a screen, but for
    tiles `width` cells wide that would lose more than half of their cells.
    """
    wanted = np.sqrt(2 * tiles)
    near = range(max(int(wanted / 1.5), 1), max(int(wanted * 1.5), 4) + 1)

    def badness(columns: int) -> tuple[int, float, bool, int]:
        too_small = columns * width > 2 * _WIDTH_PX
        return -tiles % columns, round(abs(float(np.log(columns / wanted))), 1), too_small, -columns

    return min(tiles, min(near, key=badness))
