"""Explore: what a dataset holds, what is missing, what looks wrong, and which faces to look at."""

import streamlit as st

from fkd.ui import frame
from fkd.ui.explore import augmentation, browse, cloud, distributions, health, keys, labels, table
from fkd.ui.explore.notes import notes_of
from fkd.ui.explore.source import choose_source

frame.enter(__file__)

st.title("Explore a dataset", anchor=False)
source = choose_source()
notes = notes_of(source)
health.show_top(source)

section = st.segmented_control(
    "Section",
    keys.SECTIONS,
    default=keys.FACES,
    required=True,
    key=keys.SECTION,
    bind="query-params",
    label_visibility="collapsed",
)
match section:
    case keys.LABELS:
        labels.show_labels(source)
    case keys.KEYPOINTS:
        cloud.show_cloud(source)
    case keys.FACES:
        browse.show_browser(source, notes)
    case keys.AUGMENTATION:
        augmentation.show_augmentation(source)
    case keys.DISTRIBUTIONS:
        distributions.show_distributions(source)
    case keys.TABLE:
        table.show_table(source)
