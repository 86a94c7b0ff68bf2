"""What a run predicts: the same faces after each epoch, the error of each keypoint, and the worst faces."""

from __future__ import annotations

from functools import partial
from itertools import repeat

import cv2
import numpy as np
import plotly.graph_objects as go
import streamlit as st

from fkd.pipeline.draw import draw_points
from fkd.schema import GROUP_COLOURS, PREDICTION_COLOUR, SCHEMAS, TRUTH_COLOUR, Schema
from fkd.training.run import RunFolder
from fkd.training.samples import Samples
from fkd.ui.pictures import picture_figure, with_points
from fkd.ui.plots import GRID_COLOUR, bar_for, tidy

_EPOCH, _NEWEST = "train.samples.epoch", "train.samples.newest"
_SIDE_PX, _COLUMNS = 300, 4
_WORST_PX = 124  # eight fit beside each other, and two on a phone
_BARS, _ON_THE_FACE = "Bars", "On the face"


def show_samples(folder: RunFolder) -> None:
    """All of it after one epoch, which a slider chooses."""
    samples = folder.samples
    faces, epochs = samples.faces(), samples.epochs()
    if faces is None or not epochs:
        st.info(
            "After the first epoch, validation faces with their predicted points stand here.", icon=":material/face:"
        )
        return
    schema = _schema_of(faces.points_px.shape[1])
    epoch = _choose_epoch(folder.name, epochs)
    picture = mosaic(faces.images_u8, faces.points_px, samples.predicted_px(epoch))
    # On a phone the halves stand below each other: in one piece the faces would be tiny.
    halves = np.split(picture, 2, axis=1) if len(faces.images_u8) >= _COLUMNS else [picture]
    for column, half in zip(st.columns(len(halves), gap=None), halves, strict=True):
        column.image(
            half, width="stretch", alt=f"Validation faces after epoch {epoch}, truth green, prediction magenta"
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("The truth is green, the prediction magenta.", width="content")
        _offer_png(picture, f"{folder.name}_epoch_{epoch}")
    st.subheader(f"Error of each keypoint after epoch {epoch}", anchor=False)
    _show_keypoints(folder, schema, samples.keypoint_nme(epoch), faces.images_u8, faces.points_px)
    _show_worst(samples)


def mosaic(images_u8: np.ndarray, true_px: np.ndarray, predicted_px: np.ndarray) -> np.ndarray:
    """The faces beside and below each other as one RGB picture, uint8.

    Args:
        images_u8: (n, s, s) grey crops.
        true_px: (n, k, 2) in crop pixels, drawn in green; NaN ones left out.
        predicted_px: likewise, in magenta over them.
    """
    drawn = list(map(_compared, images_u8, true_px, predicted_px, repeat(_SIDE_PX)))
    drawn += [np.zeros_like(drawn[0])] * (-len(drawn) % min(_COLUMNS, len(drawn)))
    columns = min(_COLUMNS, len(drawn))
    rows = [np.concatenate(drawn[i : i + columns], axis=1) for i in range(0, len(drawn), columns)]
    return np.concatenate(rows)


def keypoint_bars(schema: Schema, nme: np.ndarray) -> go.Figure:
    """A bar for each keypoint in the order of the schema, in the colours of the groups.

    Args:
        schema: which points they are.
        nme: (k,) errors in percent of the eye distance; NaN where no face has the label.
    """
    figure = go.Figure()
    for group, members in schema.groups.items():
        names = [schema.keypoints[i] for i in members]
        figure.add_bar(
            x=names,
            y=nme[list(members)],
            name=group,
            marker={"color": GROUP_COLOURS[group]},
            hovertemplate="%{x}: %{y:.2f} %<extra></extra>",
        )
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    tidy(figure, 340, bargap=0.15, legend=legend)
    figure.update_xaxes(
        categoryorder="array",
        categoryarray=schema.keypoints,
        showticklabels=len(schema) < 30,
        tickangle=-50,
        tickfont={"size": 11},
        ticks="",
    )
    return figure.update_yaxes(title="% of eye distance", gridcolor=GRID_COLOUR, zeroline=False, rangemode="tozero")


def keypoint_circles(schema: Schema, nme: np.ndarray, image_u8: np.ndarray, points_px: np.ndarray) -> go.Figure:
    """A circle at each keypoint of one face, the larger the worse the keypoint is predicted on all faces.

    Args:
        schema: which points they are.
        nme: (k,) errors in percent of the eye distance.
        image_u8: (s, s) grey crop of the face.
        points_px: (k, 2) its true points in crop pixels.
    """
    figure = picture_figure(image_u8, height=480)
    largest = float(np.nanmax(nme)) if np.isfinite(nme).any() else 1.0
    figure.add_scatter(
        x=points_px[:, 0],
        y=points_px[:, 1],
        mode="markers",
        customdata=nme,
        text=schema.keypoints,
        marker={
            "size": 4 + 36 * np.sqrt(np.nan_to_num(nme) / max(largest, 1e-9)),
            "color": schema.colours,
            "opacity": 0.75,
            "line": {"width": 1, "color": "#18181C"},
        },
        hovertemplate="%{text}: %{customdata:.2f} %<extra></extra>",
    )
    return figure


def _choose_epoch(run: str, epochs: list[int]) -> int:
    """The slider, which follows the newest epoch until it is moved away from it."""
    state, newest = st.session_state, epochs[-1]
    run_before, newest_before = state.get(_NEWEST, (None, None))
    is_moved = run_before == run and state.get(_EPOCH) != newest_before
    if not is_moved or state.get(_EPOCH) not in epochs:  # a resumed run may have gone back
        state[_EPOCH] = newest
    state[_NEWEST] = (run, newest)
    if len(epochs) == 1:  # a slider needs two ends
        st.caption(f"After epoch {epochs[0]}")
        return epochs[0]
    return st.select_slider("After epoch", epochs, key=_EPOCH, persist_state="session")


def _show_keypoints(
    folder: RunFolder, schema: Schema, nme: np.ndarray, images_u8: np.ndarray, points_px: np.ndarray
) -> None:
    shown = st.segmented_control(
        "Shown as",
        (_BARS, _ON_THE_FACE),
        default=_BARS,
        required=True,
        key="train.samples.keypoints",
        persist_state="session",
        label_visibility="collapsed",
    )
    if shown == _BARS:
        figure = keypoint_bars(schema, nme)
    else:
        fullest = int(np.isfinite(points_px).all(axis=2).sum(axis=1).argmax())
        figure = keypoint_circles(schema, nme, images_u8[fullest], points_px[fullest])
    st.plotly_chart(
        figure, key=f"train.samples.{shown}", config=bar_for(f"{folder.name}_keypoints"), alt="Error of each keypoint"
    )
    worst = int(np.nanargmax(nme)) if np.isfinite(nme).any() else None
    if worst is not None:
        st.caption(
            f"Mean over all validation faces, in percent of the distance between the outer eye corners. "
            f"Largest: {schema.keypoints[worst]}, {nme[worst]:.1f} %."
        )


def _show_worst(samples: Samples) -> None:
    worst = samples.worst()
    if worst is None:
        return
    st.subheader("Worst faces after the last epoch", anchor=False)
    with st.container(horizontal=True, gap="small"):
        for image_u8, true_px, points_px, nme in zip(
            worst.images_u8, worst.true_px, worst.points_px, worst.nme, strict=True
        ):
            st.image(
                _compared(image_u8, true_px, points_px, 2 * _WORST_PX), width=_WORST_PX, caption=f"NME {nme:.1f} %"
            )


def _compared(image_u8: np.ndarray, true_px: np.ndarray, predicted_px: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 3) uint8 RGB: the truth in green, the prediction in magenta."""
    k = len(true_px)
    radius_px = side / (75 if k < 30 else 130)
    drawn = with_points(image_u8, true_px, [TRUTH_COLOUR] * k, side, radius_px)
    factor = side / max(image_u8.shape)
    return draw_points(drawn, (predicted_px + 0.5) * factor - 0.5, [PREDICTION_COLOUR] * k, radius_px)


def _schema_of(keypoints: int) -> Schema:
    return next(schema for schema in SCHEMAS.values() if len(schema) == keypoints)


def _offer_png(picture_rgb_u8: np.ndarray, name: str) -> None:
    st.download_button(
        "Save picture",
        partial(_png, picture_rgb_u8),
        f"{name}.png",
        "image/png",
        key="train.samples.png",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )


def _png(picture_rgb_u8: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture_rgb_u8, cv2.COLOR_RGB2BGR))[1].tobytes()
