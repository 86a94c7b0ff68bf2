"""Detect: photos, a camera's live picture or videos in, faces with their keypoints out."""

import streamlit as st

from fkd.ui import clips, downloads, frame, live, missing, results, settings, sources
from fkd.ui.features import face
from fkd.ui.photos import Analysis, analyse_all, shared_model


def show_photos(source: str) -> None:
    chosen, drawing = settings.choose_settings()
    schema = shared_model(chosen.weights).card.schema
    photos = sources.choose_photos(source)
    answers = analyse_all(photos, chosen, missing.given_boxes())

    for answer in answers:
        if isinstance(answer, str):
            st.error(answer, icon=":material/error:")

    pairs = [(photo, answer) for photo, answer in zip(photos, answers, strict=True) if isinstance(answer, Analysis)]
    if not pairs:
        return
    index = results.choose_photo(pairs) if len(pairs) > 1 else 0
    photo, analysis = pairs[index]
    missing.say_what_was_found(photo, analysis)
    results.show_photo(photo, analysis, schema, drawing)
    with st.container(horizontal=True):
        downloads.offer_photo(photo, analysis, schema, drawing)
        if len(pairs) > 1:
            downloads.offer_zip(pairs, schema, drawing)
        if analysis.faces:
            face.offer_look(chosen)
    results.show_faces(analysis, schema)
    if analysis.faces:
        missing.box_by_numbers(photo, analysis)


frame.enter(__file__)

st.title("Detect keypoints", anchor=False)
privacy = st.empty()
source = sources.choose_source()
if source != sources.LIVE:
    live.stop()
if source == sources.LIVE:
    privacy.caption(live.PRIVACY)
    live.show()
elif source == sources.VIDEO:
    privacy.caption(clips.PRIVACY)
    clips.show()
else:
    privacy.caption(
        ":material/lock: Photos stay in this machine's memory: they never leave it, and none is written to disk."
    )
    show_photos(source)
