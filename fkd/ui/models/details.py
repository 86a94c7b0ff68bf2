"""What was measured of one choice of weights: curves, keypoints, disturbances, scores, and its card."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
import streamlit as st

from fkd.errors import FkdError
from fkd.evaluation.assessment import Assessment, find_assessment, measure_command
from fkd.evaluation.cards import disturbance_rows, picture_path, render_card
from fkd.evaluation.standing import Standing, held_out, hold_out_the_same, standing
from fkd.schema import Schema
from fkd.ui.models import board, figures
from fkd.ui.plots import bar_for
from fkd.weights import list_weights, read_card

_FIRST = "ibug68"
_WEIGHTS, _FOLLOWED = "weights", "models.followed"  # in the session: what is chosen, and the dataset it followed last


def choose_weights(data: str) -> str | None:
    """The shipped weights to look into, kept in the address; None where there are none.

    Args:
        data: the dataset that the board shows. Weights that were measured on it come first, and when it has just
            been chosen, the first of them replace others that were not.
    """
    names = sorted(list_weights(), key=lambda name: (not _is_measured(name, data), name != _FIRST, name))
    if not names:
        st.info("There are no weights yet; train a recipe and promote its run.")
        return None
    state = st.session_state
    if state.get(_FOLLOWED, data) != data and not _is_measured(state[_WEIGHTS], data):
        state[_WEIGHTS] = names[0]
    state[_FOLLOWED] = data
    return st.selectbox("Weights", names, key=_WEIGHTS, bind="query-params", width=260)


def _is_measured(weights: str, data: str) -> bool:
    with suppress(FkdError):  # damaged weights can still be chosen, and then say so
        return data in (board.EVERY, *standing(weights))
    return False


def choose_data(weights: str, reached: dict[str, Standing], shown: str) -> str:
    """One of the datasets that the weights were measured on, at first the one that the board shows.

    It is asked only where there are several.
    """
    names = list(reached)
    if len(names) == 1:
        return names[0]
    first = shown if shown in names else names[0]
    return st.segmented_control("Measured on", names, default=first, required=True, key=f"measured.{weights}.{shown}")


def show_figures(weights: str, of: Standing) -> None:
    """The headline figures of weights on one dataset."""
    seen = "as whole pictures" if read_card(weights).takes_whole_picture else "in true boxes"
    if of.folds > 1:
        told = f"Over {of.folds} folds, {of.faces:,} faces {seen}, each predicted by a network that has not seen it"
        st.caption(f"{told}, as are the errors of keypoints. All else here is of the held-out fold alone.")
    else:
        st.caption(f"On the held-out fold, {of.faces:,} faces {seen}.")
    with st.container(horizontal=True):
        for key, label, form in (
            ("nme", "NME", "{:.2f} %"),
            ("rmse_px", "RMSE", "{:.2f} px"),
            ("fr8", "FR@8", "{:.2f} %"),
            ("auc8", "AUC@8", "{:.1f} %"),
        ):
            deviation = f"± {form.format(of.deviation[key])}" if of.deviation else None
            st.metric(label, form.format(of.mean[key]), deviation, delta_color="off", delta_arrow="off", width=150)


def show_curves(weights: str, schema: Schema, data: str) -> None:
    """Cumulative error curves of all weights that hold the same faces of the dataset out, on these faces."""
    st.subheader("Cumulative error", anchor=False)
    curves: dict[str, list[float]] = {}
    for name in list_weights():
        try:
            measured = read_card(name).schema is schema and hold_out_the_same(name, weights)
            if measured and (of := held_out(name).get(data)) and of.curve:
                curves[name] = of.curve
        except FkdError:  # damaged results of others are no reason to show nothing
            continue
    if not curves:
        st.info(f"No curve is stored; measure with: `{measure_command(weights)}`")
        return
    figure = figures.cumulative_figure(curves, weights)
    st.plotly_chart(figure, key="curves", config=bar_for("cumulative_error"), alt="Cumulative error curves")
    st.caption(f"On the {held_out(weights)[data].faces:,} held-out faces, the same for all of these weights.")


def show_keypoints(schema: Schema, of: Standing, found: Assessment) -> None:
    """Each keypoint's error on the mean face."""
    st.subheader("Error of each keypoint", anchor=False)
    figure = figures.keypoint_figure(schema, np.array(found.mean_face), found.eyes, of.mean["nme_by_keypoint"])
    st.plotly_chart(figure, key="keypoints", config=bar_for("keypoint_errors"), alt="Errors on the mean face")
    st.caption("Each circle is the mean error, true to the scale of the mean face. Hover for the figure.")


def show_disturbances(found: Assessment, data: str) -> None:
    """The table of disturbances."""
    st.subheader("Disturbed faces", anchor=False)
    measured = found.data[data]["disturbed"]
    table = pd.DataFrame(
        [
            {"Disturbance": f"{d.label}: {d.usual:g} {d.unit}", "NME, %": of[data][0], "Growth, %": of[data][1]}
            for d, of in disturbance_rows(found)
        ]
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        column_config={
            "Disturbance": st.column_config.TextColumn(width=205),
            "NME, %": number(format="%.2f", width=65),
            "Growth, %": number(format="%+.0f", width=82),
        },
    )
    st.caption(
        f"Growth is over {measured['clean']:.2f} % on the same {measured['faces']:,} faces as they are. All are "
        "predicted as in photos, cut out by true boxes and looked at again where points contradict these, so that even "
        "faces as they are can come out other than above."
    )


def show_scores(found: Assessment, data: str) -> None:
    """How much the scores of points and faces are worth."""
    st.subheader("Scores", anchor=False)
    scores, covered = found.data[data]["scores"], found.data[data]["covered"]
    st.caption(
        f"Dropping the 10 % of points with the lowest scores gains {scores['gain']:.0f} % of what dropping the truly "
        f"worst would. Covered points score lower than visible ones in {covered['within']:.0f} % of pairs. The score "
        f"of a face tells faces from others with an AUC of {found.face_score['auc'] / 100:.4f}."
    )
    left, right = st.columns(2, gap="medium")
    dropping = figures.dropping_figure(scores["dropped"], scores["by_score"], scores["ideal"])
    left.plotly_chart(dropping, key="dropping", config=bar_for("dropped_points"), alt="Error without the worst points")
    ranking = figures.score_figure(scores["bins"])
    right.plotly_chart(ranking, key="scores", config=bar_for("score_and_error"), alt="Error against score")


def find_measured(weights: str) -> Assessment | None:
    """What is stored of the weights; where nothing is, the command that makes it is shown."""
    found = find_assessment(weights)
    if found is None:
        st.info(f"Disturbed faces and scores of {weights} are not measured yet: `{measure_command(weights)}`")
    return found


def show_card(weights: str) -> None:
    """The card, folded away, with its picture of known failures."""
    card = st.expander("Card of these weights", on_change="rerun")
    if card.open:
        with card:
            st.markdown(render_card(weights, pictures=False))
            if find_assessment(weights) is not None and picture_path(weights).is_file():  # else it is of others
                st.image(str(picture_path(weights)), caption="Known failures, on synthetic faces")
