"""Augmentation of whole batches on the device: one affine map a sample, then photometric steps.

Every function draws from the generator it is given, so that a batch can be drawn again exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from fkd.options import option

_COOLED = 0.4  # of the turns, sizes and shifts, after the cool-down


@dataclass(frozen=True)
class Augmentation:
    """How strongly pictures are changed; the defaults change nothing."""

    rotation_deg: float = option(0.0, "Largest turn either way, in degrees", low=0, high=180)
    scale: float = option(0.0, "Largest change of size, as a share", low=0, high=0.5, label="Size")
    shift: float = option(0.0, "Largest shift, as a share of the crop", low=0, high=0.5)
    mirror: bool = option(False, "Mirror half of the pictures and swap partners")
    light: float = option(0.0, "Strength of brightness, contrast and gamma", low=0, high=1)
    noise: float = option(0.0, "Largest deviation of grey noise, of 1", low=0, high=0.3)
    blur: float = option(0.0, "Share of pictures that lose resolution", low=0, high=1, label="Blurred share")
    cover: float = option(0.0, "Share of pictures partly covered by a box", low=0, high=1, label="Covered share")

    def cooled(self) -> Augmentation:
        """Faces turned, sized and shifted less than half as much, and otherwise as before."""
        geometry = {field: getattr(self, field) * _COOLED for field in ("rotation_deg", "scale", "shift")}
        return replace(self, **geometry)


def draw_maps(
    n: int, size: int, settings: Augmentation, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random maps from the crop to be made to the crop in its true place.

    Returns:
        (n, 2, 3) float32 in crop pixels, and (n,) bool, true where the map mirrors.
    """
    device = generator.device

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(n, generator=generator, device=device) * 2 - 1) * limit

    angle = torch.deg2rad(uniform(settings.rotation_deg))
    size_factor = torch.exp(uniform(1.0) * torch.log1p(torch.tensor(settings.scale)))
    shift = torch.stack([uniform(settings.shift), uniform(settings.shift)], dim=-1) * size
    mirrored = (torch.rand(n, generator=generator, device=device) < 0.5) & settings.mirror
    sign = torch.where(mirrored, -1.0, 1.0)
    cos, sin = torch.cos(angle) * size_factor, torch.sin(angle) * size_factor
    linear = torch.stack([torch.stack([cos * sign, -sin], -1), torch.stack([sin * sign, cos], -1)], -2)
    middle = (size - 1) / 2
    offset = middle + shift - linear.sum(dim=-1) * middle
    return torch.cat([linear, offset[..., None]], dim=-1), mirrored


def compose(outer: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """(n, 2, 3) maps applied one after the other, `inner` first."""
    linear = outer[:, :, :2] @ inner[:, :, :2]
    offset = outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]
    return torch.cat([linear, offset], dim=-1)


def warp_images(images: torch.Tensor, crop_to_image: torch.Tensor, size: int) -> torch.Tensor:
    """Cut crops out of pictures.

    Args:
        images: (n, 1, h, w) float.
        crop_to_image: (n, 2, 3) from crop to picture pixels.
        size: side of the crops.

    Returns:
        (n, 1, size, size), the border repeated beyond the picture.
    """
    height, width = images.shape[2:]
    pixels = torch.arange(size, device=images.device, dtype=images.dtype)
    y, x = torch.meshgrid(pixels, pixels, indexing="ij")
    homogeneous = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, -1, 3)
    positions = homogeneous @ crop_to_image.transpose(1, 2)
    extent = torch.tensor([width - 1, height - 1], device=images.device, dtype=images.dtype)
    grid = (positions * (2 / extent) - 1).view(-1, size, size, 2)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


def warp_points(
    points_px: torch.Tensor, crop_to_image: torch.Tensor, mirrored: torch.Tensor, partners: torch.Tensor
) -> torch.Tensor:
    """Picture points (n, k, 2) in crop pixels; partners change places where the map mirrors."""
    linear = torch.linalg.inv(crop_to_image[:, :, :2])
    moved = (points_px - crop_to_image[:, None, :, 2]) @ linear.transpose(1, 2)
    return torch.where(mirrored[:, None, None], moved[:, partners], moved)


def change_light(images: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Gamma, contrast, brightness, lost resolution and noise on (n, 1, s, s) in [0, 1]."""
    n, device = len(images), images.device

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(n, 1, 1, 1, generator=generator, device=device) * (high - low) + low

    if settings.light:
        gamma = torch.exp2(uniform(-settings.light, settings.light))
        gain = torch.exp2(uniform(-2 * settings.light, 2 * settings.light))  # bright parts burn out
        images = (images.clamp_min(1e-4).pow(gamma) * gain + uniform(-0.2, 0.2) * settings.light).clamp(0, 1)
    if settings.blur:
        images = torch.where(uniform(0, 1) < settings.blur, _lose_resolution(images, generator), images)
    if settings.noise:
        noise = torch.randn(images.shape, generator=generator, device=device)
        images = (images + noise * uniform(0, 1).square() * settings.noise).clamp(0, 1)
    return images


def _lose_resolution(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One coarser resolution for the whole batch, between a quarter and three quarters."""
    size = images.shape[-1]
    share = torch.rand((), generator=generator, device=images.device).item() * 0.5 + 0.25
    small = F.interpolate(images, size=(max(int(size * share), 8),) * 2, mode="area")
    return F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)


def cover(
    images: torch.Tensor, points_px: torch.Tensor, settings: Augmentation, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cover a part of some pictures with a box of one grey, or with a part of another picture.

    Returns:
        The pictures, and (n, k) bool: points that lie under a box.
    """
    n, _, size, _ = images.shape
    device = images.device
    if not settings.cover:
        return images, torch.zeros(points_px.shape[:2], dtype=torch.bool, device=device)
    draw = torch.rand(n, 7, generator=generator, device=device)
    half = (0.05 + 0.17 * draw[:, 0:2]) * size
    centre = (0.1 + 0.8 * draw[:, 2:4]) * size
    chosen = draw[:, 4] < settings.cover
    low, high = centre - half, centre + half
    pixels = torch.arange(size, device=device)
    inside_x = (pixels >= low[:, :1]) & (pixels <= high[:, :1])
    inside_y = (pixels >= low[:, 1:]) & (pixels <= high[:, 1:])
    inside = inside_y[:, None, :, None] & inside_x[:, None, None, :] & chosen[:, None, None, None]
    plain = draw[:, 5, None, None, None].expand_as(images)
    other = torch.where(draw[:, 6, None, None, None] < 0.5, plain, images.roll(1, dims=0).flip(2))
    hidden = ((points_px >= low[:, None]) & (points_px <= high[:, None])).all(dim=-1) & chosen[:, None]
    return torch.where(inside, other, images), hidden
