"""What the Detect page looks at: files, a still or the live picture of the camera, videos, or the bundled sample."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from fkd.ui import frame
from fkd.ui.photos import SHOWN, Photo, sample_photo

SOURCE = "source"
FILES, CAMERA, LIVE, VIDEO, SAMPLE = "Photos", "Camera", "Live", "Video", "Sample photo"
# On a phone the five labels share what the page's margins and their letters leave, so that they stay in one row.
_ONE_ROW = f"""<style>@media (max-width: 430px) {{
    .st-key-{SOURCE} button {{ padding-inline: calc((100vw - 272px) / 10); }}
}}</style>"""
_ASKED = "source.asked"
_UPLOADS = "source.uploads"
_NAMED = 3  # of the photos that are still here
_HEARD_WITHIN_S = 1.0
PHOTO_SUFFIXES = ["png", "jpg", "jpeg", "webp", "avif", "gif", "bmp", "tif", "tiff"]


@dataclass
class _Asked:
    """What a button has asked for, until the browser must have heard of it.

    Attributes:
        source: what is to be shown, or None.
        before: what was chosen when the button was drawn.
        answered: whether it has been chosen once.
    """

    source: str | None = None
    before: str | None = None
    answered: bool = False

    def ask(self, source: str, before: str) -> None:
        """Note a click. Without `st.session_state`: whoever touches that in a callback may be cut short."""
        self.source, self.before, self.answered = source, before, False


def choose_source() -> str:
    """The switch between the sources, which the address names: the chosen one."""
    _choose_what_was_asked()
    # What a button has chosen is the value already; a default beside it would be a second one.
    default = None if SOURCE in st.session_state else FILES
    st.html(_ONE_ROW)
    chosen = st.segmented_control(
        "Source",
        [FILES, CAMERA, LIVE, VIDEO, SAMPLE],
        default=default,
        required=True,
        key=SOURCE,
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen or FILES


def choose_photos(source: str) -> list[Photo]:
    """What a source of photos gives; says what to do while that is nothing."""
    if source == SAMPLE:
        return [sample_photo()]
    photos = _from_camera() if source == CAMERA else _from_files()
    if not photos:
        _say_how_to_start()
    return photos


def offer_source(label: str, source: str, icon: str, primary: bool = False) -> bool:
    """A button that leads to another source; whether it was pressed."""
    return st.button(
        label,
        type="primary" if primary else "secondary",
        icon=icon,
        on_click=_asked().ask,
        args=(source, st.session_state.get(SOURCE, FILES)),
    )


def _asked() -> _Asked:
    return st.session_state.setdefault(_ASKED, _Asked())


def _choose_what_was_asked() -> None:
    """Choose what a button has asked for, once more if a live picture brings back what was chosen before.

    The browser sends the state of all fields with whatever it sends. What a live picture tells of its connection may
    cross the answer to a click, and so comes with the field as it stood before; it waits until that answer is whole.
    """
    asked = _asked()
    if asked.source is None:
        return
    if not asked.answered:
        asked.answered, st.session_state[SOURCE] = True, asked.source
    elif frame.seconds_since_last_run() > _HEARD_WITHIN_S:
        asked.source = None
    elif asked.before == LIVE == st.session_state.get(SOURCE):
        st.session_state[SOURCE] = asked.source


@dataclass
class _Uploads:
    """The photos that a session was given, which the field for them forgets when another page or source is shown.

    Attributes:
        earlier: those of fields that are gone, each once.
        current: those of the field that is shown.
        field: its number; a field that was gone comes back as a new one.
    """

    earlier: list[Photo]
    current: list[Photo]
    field: int = 0

    @property
    def key(self) -> str:
        """Of the field that is shown."""
        return f"source.photos.{self.field}"

    def begin_field(self) -> None:
        """Keep the photos of a field that is gone, and begin another."""
        known = {photo.digest for photo in self.earlier}
        self.earlier += [photo for photo in self.current if photo.digest not in known]
        self.current, self.field = [], self.field + 1

    def read(self, photos: list[Photo]) -> str | None:
        """Take what the field holds now; the digest of the first photo that is new in it."""
        known = {photo.digest for photo in self.current}
        self.current = photos
        return next((photo.digest for photo in photos if photo.digest not in known), None)

    def forget_earlier(self) -> None:
        """Remove those of fields that are gone."""
        self.earlier.clear()

    @property
    def still_here(self) -> list[Photo]:
        """The earlier ones that the field does not hold again."""
        again = {photo.digest for photo in self.current}
        return [photo for photo in self.earlier if photo.digest not in again]


def _from_files() -> list[Photo]:
    uploads: _Uploads = st.session_state.setdefault(_UPLOADS, _Uploads([], []))
    if uploads.key not in st.session_state:
        uploads.begin_field()
    files = st.file_uploader(
        "Photos", PHOTO_SUFFIXES, accept_multiple_files=True, label_visibility="collapsed", key=uploads.key
    )
    if new := uploads.read([Photo(file.name, file.getvalue()) for file in files]):
        st.session_state[SHOWN] = new
    if uploads.still_here:
        with st.container(horizontal=True, vertical_alignment="center"):
            names = ", ".join(photo.name for photo in uploads.still_here[:_NAMED])
            more = f" and {len(uploads.still_here) - _NAMED} more" if len(uploads.still_here) > _NAMED else ""
            st.caption(f"Still here from before: {names}{more}")
            st.button("Remove", icon=":material/close:", on_click=uploads.forget_earlier)
    return uploads.current + uploads.still_here


def _from_camera() -> list[Photo]:
    still = st.camera_input("Take a photo", label_visibility="collapsed")
    return [Photo("camera.jpg", still.getvalue())] if still else []


def _say_how_to_start() -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        st.image(sample_photo().content, width=88, alt="The sample: an astronaut's portrait")
        with st.container(width=280, gap="xsmall"):
            st.markdown("**No photo yet**")
            st.caption("Add your own above, or see what comes out for the sample.")
        offer_source("Try the sample photo", SAMPLE, ":material/face:", primary=True)
