"""Feature maps: what a network sees in a face, layer by layer, and what moves each keypoint."""

import streamlit as st

from fkd.ui import frame
from fkd.ui.features import compare, face, keypoint, layers, maps, weights
from fkd.ui.features.looks import Look, torch_model
from fkd.ui.settings import choose_weights

frame.enter(__file__)

st.title("Feature maps", anchor=False)
st.caption("What a network sees in a face: choose weights and a face in the sidebar, then a layer by its row.")

face.take_over_weights()
with st.sidebar:
    st.subheader("Network", anchor=False)
    chosen = choose_weights()
    model = torch_model(chosen)
    st.subheader("Face", anchor=False)
    found = face.choose_face(chosen, model)
    if isinstance(found, face.FaceCrop):
        face.show_crop(Look(chosen, found.crop_gray_u8), found.name)

if isinstance(found, face.NoFace):
    face.show_ways_on(found)
    st.stop()

look = Look(chosen, found.crop_gray_u8)
layer = layers.choose_layer(look)
if layer is None:
    keypoint.show_keypoint(look)
    st.stop()
view = st.segmented_control(
    "View",
    ["Activations", "Filters", "Keypoint", "Compare"],
    default="Activations",
    required=True,
    key="view",
    bind="query-params",
    label_visibility="collapsed",
)
match view:
    case "Activations":
        maps.show_activations(look, layer, found.name)
    case "Filters":
        weights.show_filters(look, layer)
    case "Keypoint":
        keypoint.show_keypoint(look)
    case "Compare":
        compare.show_comparison(look, layer)
