"""Two looks side by side at the same layer and on the same scale: two weights, or the face before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from fkd.crop import transform
from fkd.disturb import DISTURBANCES, turn_matrix
from fkd.errors import FkdError
from fkd.inspect import Layer
from fkd.mosaic import mosaic, order_of, scale_limits
from fkd.schema import PREDICTION_COLOUR
from fkd.ui.features.looks import Look
from fkd.ui.features.maps import choose_look, offer_files, show_map_scale
from fkd.ui.pictures import with_points
from fkd.weights import Card, all_weights, read_card

_DISTURBED, _OTHER = "The face disturbed", "Other weights"


@dataclass(frozen=True)
class _Other:
    """What the look is compared with.

    Attributes:
        look: the other one.
        titles: what the two are called above their pictures.
        expected_px: (k, 2) where its points would lie if nothing but what was meant to move had moved.
    """

    look: Look
    titles: tuple[str, str]
    expected_px: np.ndarray


def show_comparison(look: Look, layer: Layer) -> None:
    """Choose what to compare with; how far the points moved, both faces, and both grids."""
    what = st.segmented_control(
        "Compare with", [_DISTURBED, _OTHER], default=_DISTURBED, required=True, key="features.compare"
    )
    other = _disturbed(look) if what == _DISTURBED else _in_other_weights(look)
    if other is None:
        return
    options = choose_look()
    theirs = _choose_layer(other.look, layer) if what == _OTHER else layer.name
    ours_maps, their_maps = look.activations(layer.name), other.look.activations(theirs)
    _say_difference(look, other, ours_maps, their_maps)
    limits = _common_limits(ours_maps, their_maps, options.scale)
    same = limits is not None
    if not same:
        st.info("These layers differ in shape: each grid has its own scale.", icon=":material/info:")
    channels = order_of(ours_maps, options.order) if same else None
    columns = st.columns(2, gap="medium")
    for place, (shown, name, maps) in enumerate(((look, layer.name, ours_maps), (other.look, theirs, their_maps))):
        with columns[place]:
            st.markdown(f"**{other.titles[place]}** · {name}")
            _show_crop(shown)
            picture = mosaic(maps, options, limits, channels)
            st.image(picture.rgb_u8, width="stretch", output_format="PNG", alt=f"Channels of {name} in {shown.weights}")
            show_map_scale(maps, options, limits)
            offer_files(picture, {"activations": maps}, f"{other.titles[place]}_{name}")


def _disturbed(look: Look) -> _Other:
    """The same face and network after a disturbance."""
    left, right = st.columns([1, 2])
    kind = left.selectbox(
        "Disturbance", DISTURBANCES, format_func=lambda name: DISTURBANCES[name].label, key="features.disturbance"
    )
    disturbance = DISTURBANCES[kind]
    amount = right.slider(
        f"Amount ({disturbance.unit})",
        float(disturbance.low),
        float(disturbance.high),
        float(disturbance.usual),
        key=f"features.amount.{kind}",
    )
    # The crop shows the face with a margin on each side; the amounts are meant for the face itself.
    size = look.crop_gray_u8.shape[0]
    margin = (size - size / look.model.card.crop.scale) / 2
    box = np.array([margin, margin, size - margin, size - margin])
    crop_gray_u8 = disturbance.apply(look.crop_gray_u8, box, amount, np.random.default_rng(0))
    turned_px = transform(look.points_px, turn_matrix(box, amount)) if kind == "turn" else look.points_px
    titles = (f"{look.weights}, as it is", f"{look.weights}, {disturbance.label.lower()} {amount:g}")
    return _Other(Look(look.weights, crop_gray_u8), titles, turned_px)


def _in_other_weights(look: Look) -> _Other | None:
    """The same face in other weights that take crops of the same size, so that both see the very same picture."""
    names = [name for name in _comparable(look.model.card) if name != look.weights]
    names.sort(key=lambda name: _run_of(name) != _run_of(look.weights))  # the other epochs of a run come first
    if not names:
        st.info(
            "There are no other weights with the same points, crop and size; train a run with keep_every=10 on the "
            "Train page to compare its epochs.",
            icon=":material/info:",
        )
        return None
    other = Look(st.selectbox("Weights", names, key="features.other"), look.crop_gray_u8)
    if not other.layers:
        st.info(f"{other.weights} has no layers to look into; choose others.", icon=":material/info:")
        return None
    return _Other(other, (look.weights, other.weights), look.points_px)


def _run_of(weights: str) -> str:
    """What weights share with the snapshots of their run."""
    return weights.partition("@")[0]


def _comparable(card: Card) -> list[str]:
    """All weights, snapshots of runs too, that give the same points from the same crops."""
    return [name for name in all_weights() if _fits(name, card)]


def _fits(name: str, card: Card) -> bool:
    try:
        other = read_card(name)
    except FkdError:  # damaged, or deleted meanwhile
        return False
    return (other.schema, other.input_size, other.crop) == (card.schema, card.input_size, card.crop)


def _choose_layer(other: Look, layer: Layer) -> str:
    """The layer of the other network: the one of the same name, or else one that is to be chosen."""
    names = [row.name for row in other.layers]
    if layer.name in names:
        return layer.name
    return st.selectbox(
        f"Its layer, as it has no {layer.name}",
        names,
        index=nearest_layer(layer, other.layers),
        key=f"features.theirs.{other.weights}.{layer.name}",
    )


def nearest_layer(layer: Layer, others: list[Layer]) -> int:
    """Place of the first of the layers most alike: of the same shape, else of the nearest stride, else dense too."""

    def unlikeness(other: Layer) -> tuple[bool, bool, float]:
        apart = abs(np.log2(layer.stride / other.stride)) if layer.stride and other.stride else 0.0
        return other.output_shape != layer.output_shape, (other.stride is None) != (layer.stride is None), apart

    return min(range(len(others)), key=lambda place: unlikeness(others[place]))


def _common_limits(ours: np.ndarray, theirs: np.ndarray, scale: str) -> np.ndarray | None:
    """(c, 2) limits of both layers together, so that the same colour is the same value; None for other shapes."""
    if ours.shape != theirs.shape:
        return None
    both = np.stack([scale_limits(ours, scale), scale_limits(theirs, scale)])
    return np.stack([both[..., 0].min(axis=0), both[..., 1].max(axis=0)], axis=1)


def _show_crop(look: Look) -> None:
    points = with_points(look.crop_gray_u8, look.points_px, [PREDICTION_COLOUR] * len(look.points_px), 280, 2)
    st.image(points, width=280, alt=f"The face with the points of {look.weights}")


def _say_difference(ours: Look, other: _Other, our_maps: np.ndarray, their_maps: np.ndarray) -> None:
    """How far the points lie apart, and how alike the maps are."""
    apart = np.linalg.norm(other.expected_px - other.look.points_px, axis=1)
    furthest = int(apart.argmax())
    name = ours.model.card.schema.keypoints[furthest].replace("_", " ")
    one, two, three = st.columns(3)
    helped = "In pixels of the crop; points of a turned face are compared with points turned likewise."
    one.metric("Points apart, mean", f"{apart.mean():.2f} px", help=helped)
    two.metric(f"Furthest: {name}", f"{apart[furthest]:.2f} px")
    if our_maps.shape == their_maps.shape:
        told = "–"  # where one side is the same everywhere
        if np.ptp(our_maps) and np.ptp(their_maps):
            told = f"{np.corrcoef(our_maps.ravel(), their_maps.ravel())[0, 1]:.3f}"
        three.metric("Likeness of the maps", told, help="Correlation of all cells; 1 is the same.")
