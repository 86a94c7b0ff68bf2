"""Models: which recipes and weights there are, how good they are, and where they fail; from stored results."""

import streamlit as st

from fkd.evaluation.leaderboard import read_results
from fkd.evaluation.standing import standing
from fkd.ui import frame
from fkd.ui.models import board, details, worst
from fkd.weights import read_card

frame.enter(__file__)

st.title("Models", anchor=False)
shown = board.EVERY
if rows := read_results():
    shown = board.show_board(rows)
else:
    st.info("There are no results yet: `python -m fkd leaderboard --add RUN` measures a run.")

st.subheader("In detail", anchor=False)
choices = st.container(horizontal=True, vertical_alignment="top", gap="medium")
with choices:
    weights = details.choose_weights(shown)
if weights is None:
    st.stop()
schema, reached = read_card(weights).schema, standing(weights)
if reached:
    with choices:
        data = details.choose_data(weights, reached, shown)
    details.show_figures(weights, reached[data])
    found = details.find_measured(weights)
    left, right = st.columns(2, gap="large")
    with left:
        details.show_curves(weights, schema, data)
    if found is not None:
        with right:
            details.show_keypoints(schema, reached[data], found)
        details.show_disturbances(found, data)
        details.show_scores(found, data)
st.subheader("Worst faces", anchor=False)
worst.show_worst(weights, schema, sorted(reached, key=lambda name: name != data))
details.show_card(weights)
