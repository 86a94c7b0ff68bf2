"""Train: choose a recipe, start it, watch it learn, and see what came of the runs before."""

import streamlit as st

from fkd.ui import frame
from fkd.ui.train import actions, address, compare, keys, queue, setup, table, watch

frame.enter(__file__)

st.title("Train a network", anchor=False)
address.follow()
match keys.choose_view():
    case keys.NEW:
        setup.show_setup()
    case keys.RUNS:
        queue.show_queue()
        if name := table.choose_run():
            st.subheader(name, anchor=False)
            actions.show_actions(name)
            watch.show_run(name)
    case keys.COMPARE:
        compare.show_comparison()
