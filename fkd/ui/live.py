"""The Live mode of the Detect page: the camera's picture with its keypoints, while it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import streamlit as st
from streamlit_webrtc import WebRtcMode, WebRtcStreamerContext, webrtc_streamer
from streamlit_webrtc.config import Translations
from streamlit_webrtc.webrtc import SignallingTimeoutError

from fkd.ice import ice_servers
from fkd.pipeline.clip import ClipOptions
from fkd.pipeline.expression import Expression
from fkd.pipeline.live import STEPS, LiveFigures, LiveSession, LiveSettings
from fkd.runtime import LoadedModel
from fkd.ui import camera, kept, settings, sources
from fkd.ui.photos import shared_model

PRIVACY = (
    ":material/lock: The picture goes from your browser to the machine that runs this app and back. "
    "None of it is written to disk."
)
_STREAM, _SESSION, _ATTEMPT, _RECORDS = "live.stream", "live.session", "live.attempt", "live.records"
_LOOK_EVERY_S = 0.5
_PATIENCE_S, _SILENCE_S = 10.0, 5.0
_PICTURE = {"width": {"ideal": 640}, "height": {"ideal": 480}, "frameRate": {"ideal": 30}, "facingMode": "user"}
_WORDS = Translations(
    start="Start",
    stop="Stop",
    select_device="Choose a camera",
    select_camera="Camera",
    device_ask_permission="Allow this page to use your camera.",
    device_not_available="This camera cannot be used; another program may hold it.",
    device_access_denied="The camera is blocked; allow it with the symbol beside the address.",
    media_api_not_available=camera.TROUBLE["insecure"].replace("`", ""),
)
_NOT_CONNECTED = (
    "The picture does not come through. Between two networks, `FKD_ICE_SERVERS` has to name a server that helps them "
    "find each other; on one machine, a firewall or VPN may be in the way."
)
_STOPPED_COMING = "No picture has come for some seconds. Press Stop, then Start."
_ENDED = "The stream has ended. Press Stop, then Start."
# Streamlit-webrtc gives up a stream for one frame that takes longer.
_LONGEST_S = 10.0
_TOO_SLOW = (
    "One picture took {seconds:.0f} seconds to work on, and that ends a stream. This machine is busy: close what else "
    "it does, or choose smaller weights. Then press {press}."
)
_BROKE_OFF = (
    "The stream has ended because no picture came any more: the camera was taken away, another program took it, or the "
    "connection broke. Look after the camera, then press {press}."
)
_MEASURES: dict[str, Callable[[Expression], str]] = {
    "Yaw": lambda face: f"{face.yaw_deg:+.0f}°",
    "Pitch": lambda face: f"{face.pitch_deg:+.0f}°",
    "Roll": lambda face: f"{face.roll_deg:+.0f}°",
    "Right eye open": lambda face: f"{face.right_eye_opening:.2f}",
    "Left eye open": lambda face: f"{face.left_eye_opening:.2f}",
    "Blinks": lambda face: f"{face.blinks}",
    "Mouth open": lambda face: f"{face.mouth_opening:.2f}",
    "Mouth width": lambda face: f"{face.mouth_width:.2f}",
}
_MEASURES_HELP = (
    "Angles are those of the head before the camera, not of its mirror image: yaw is positive to the right of the "
    "camera's picture, pitch upwards, roll clockwise. Openings are heights over widths; the mouth's width is in "
    "distances of the outer eye corners. All of it is read from points that are not smoothed."
)


@dataclass
class _Attempt:
    """A press of Start, and what became of it as long as the page stays open.

    Attributes:
        began_s: when.
        frames: how many the session had seen before.
        ended_s: when the stream was over, or None.
    """

    began_s: float
    frames: int
    ended_s: float | None = None

    def has_failed(self, figures: LiveFigures) -> bool:
        """Whether no picture came for longer than that may take; who stops it sooner has other reasons."""
        waited_s = (self.ended_s or time.monotonic()) - self.began_s
        return figures.frames == self.frames and waited_s > _PATIENCE_S

    def has_ended(self, figures: LiveFigures) -> bool:
        """Whether there was a picture and the stream is over."""
        return figures.frames > self.frames and math.isinf(figures.idle_s)

    def close(self) -> None:
        """Nothing is held."""


def show() -> None:
    """The whole mode, sidebar included."""
    weights, options = settings.choose_clip_settings()
    mirror = st.toggle(
        "Mirror", True, key="live.mirror", persist_state="session", help="Show the picture as mirrors do."
    )
    # A first frame that takes over ten seconds ends the stream unnoticed, so the network is loaded and warm before.
    session = _session(shared_model(weights), options, mirror)
    trouble = camera.trouble()
    if trouble and not _is_running():
        _say_trouble(trouble)
        return
    picture, told = st.columns([3, 2], gap="medium")
    with picture:
        stream = _stream(session)
        if stream is None:
            _say_trouble(_NOT_CONNECTED)
            return
        st.fragment(_offer_files)(stream, session)
    runs = _is_running()
    attempt = _attempt(runs, session)
    with told:
        st.fragment(_show_state, run_every=_LOOK_EVERY_S if runs else None)(runs, attempt, session, trouble)


def stop() -> None:
    """End a stream that is no longer shown; where another page is opened, it ends by itself."""
    kept.drop(_ATTEMPT)
    context = st.session_state.get(_STREAM)  # it stays: the browser may still tell it something
    worker = context._get_worker() if context else None  # the component offers no other way to it
    if worker:
        worker.stop()


def _session(model: LoadedModel, options: ClipOptions, mirror: bool) -> LiveSession:
    """The session of one browser window, with the settings that hold from now on."""
    chosen = LiveSettings(model, options, mirror)
    session = st.session_state.setdefault(_SESSION, LiveSession(chosen))
    session.settings = chosen
    return session


def _is_running() -> bool:
    context = st.session_state.get(_STREAM)
    return bool(context and (context.state.playing or context.state.signalling))


def _stream(session: LiveSession) -> WebRtcStreamerContext | None:
    """The picture with its buttons; None where browser and server did not come to terms."""
    try:
        return webrtc_streamer(
            key=_STREAM,
            mode=WebRtcMode.SENDRECV,
            rtc_configuration={"iceServers": ice_servers()},
            media_stream_constraints={"video": _PICTURE, "audio": False},
            video_frame_callback=session.on_frame,
            on_video_ended=session.end_stream,
            async_processing=True,
            sendback_audio=False,
            media_toggle_controls=False,
            video_html_attrs={"autoPlay": True, "muted": True, "controls": False, "style": {"width": "100%"}},
            translations=_WORDS,
        )
    except SignallingTimeoutError:
        stop()
        return None


def _say_trouble(sentence: str) -> None:
    """Why there is no live picture, and other ways to the points of a face."""
    st.warning(sentence, icon=":material/videocam_off:")
    with st.container(horizontal=True):
        clicked = sources.offer_source("Take a still photo", sources.CAMERA, ":material/photo_camera:", primary=True)
        clicked |= sources.offer_source("Add photos", sources.FILES, ":material/add_photo_alternate:")
        clicked |= sources.offer_source("Add a video", sources.VIDEO, ":material/movie:")
    if clicked:  # in a fragment, the rest of the page would stay
        st.rerun()


def _attempt(runs: bool, session: LiveSession) -> _Attempt | None:
    """The latest try to get a picture."""
    attempt = cast(_Attempt | None, kept.kept(_ATTEMPT))
    if runs and (attempt is None or attempt.ended_s is not None):
        attempt = _Attempt(time.monotonic(), session.figures().frames)
        kept.keep(_ATTEMPT, attempt)
    elif attempt and not runs and attempt.ended_s is None:
        attempt.ended_s = time.monotonic()
        session.end_stream()  # after a frame that took too long nobody else says so
    return attempt


def _show_state(runs: bool, attempt: _Attempt | None, session: LiveSession, trouble: str | None) -> None:
    """What the stream does at this moment, or why it does nothing."""
    figures = session.figures()
    press = "Stop, then Start" if runs else "Start"
    if attempt and attempt.has_failed(figures):
        _say_trouble(_NOT_CONNECTED)
    elif attempt and attempt.has_ended(figures) and (reason := _why_it_ended(figures, press)):
        _say_trouble(reason)
    elif not runs:
        _say_how_to_start()
    elif math.isinf(figures.idle_s):
        has_ended = attempt is not None and attempt.has_ended(figures)
        st.info(_ENDED if has_ended else "Connecting to your camera …", icon=":material/videocam:")
    else:
        if figures.idle_s > _SILENCE_S:
            reason = trouble or _why_it_ended(figures, press) or _STOPPED_COMING
            st.warning(reason, icon=":material/videocam_off:")
        _show_figures(figures)
    _show_recording(session)
    if runs and not math.isinf(figures.idle_s):
        _show_expressions(figures)


def _why_it_ended(figures: LiveFigures, press: str) -> str | None:
    """Why a stream is over that nobody stopped, and which buttons to press; None where somebody did."""
    if figures.slowest_s > _LONGEST_S:
        return _TOO_SLOW.format(seconds=figures.slowest_s, press=press)
    # On a busy machine, pictures come seldom, and a press of Stop takes a while.
    is_silent = figures.silence_s > max(_SILENCE_S, 2 * figures.slowest_s)
    return _BROKE_OFF.format(press=press) if is_silent else None


def _say_how_to_start() -> None:
    with st.container(border=True, gap="xsmall"):
        st.markdown("**The camera is off**")
        st.caption(
            "Press Start and allow the camera. Each face is followed with a number of its own; weights and all that "
            "is drawn can be changed while it runs."
        )
        if sources.offer_source("Take a still photo instead", sources.CAMERA, ":material/photo_camera:"):
            st.rerun()


def _show_figures(figures: LiveFigures) -> None:
    with st.container(horizontal=True, gap="small"):
        st.metric("Frames/s", f"{figures.frames_per_s:.0f}", width="content", help="Frames worked on in a second.")
        st.metric(
            "Work", f"{figures.frame_ms:.0f} ms", width="content", help="Mean time of a frame, all steps together."
        )
        st.metric(
            "Delay",
            f"{figures.delay_ms:.0f} ms",
            width="content",
            help="From when a frame could have come at the earliest until it leaves again: waiting, work, and the wait "
            "for the camera's next frame, with which it is sent. What browser and network take comes on top.",
        )
    if figures.failures:
        failed = f"{figures.failures:,} of {figures.frames:,} frames could not be worked on"
        st.warning(f"{failed}; the last because of {figures.failure}.", icon=":material/error:")
    badges = (f":gray-badge[{label} {figures.milliseconds[step]:.1f} ms]" for step, label in STEPS.items())
    st.markdown(" ".join(badges))


def _show_expressions(figures: LiveFigures) -> None:
    """A column for each face: pose, openings and blinks, or the score where points do not tell them."""
    if figures.prints:
        one, several = "1 face that keeps still is taken for a print", "faces that keep still are taken for prints"
        which = one if figures.prints == 1 else f"{figures.prints} {several}"
        st.caption(
            f":material/wallpaper: {which} and left out; *Skip prints* under *Following faces* switches that off."
        )
    if not figures.faces:
        st.caption("No face is in the picture.")
        return
    heads = [f"Face {face.id}" for face in figures.faces]
    rows = {"Score": [f"{face.score:.2f}" for face in figures.faces]}
    told = [figures.expressions.get(face.id) for face in figures.faces]
    if all(told):
        rows |= {name: [say(face) for face in told if face] for name, say in _MEASURES.items()}
    lines = [["", *heads], ["---", *["---:"] * len(heads)], *([name, *values] for name, values in rows.items())]
    st.markdown("\n".join(f"| {' | '.join(line)} |" for line in lines), help=_MEASURES_HELP if all(told) else None)


def _show_recording(session: LiveSession) -> None:
    """How long the recording is; where it has ended by itself, the buttons are drawn anew."""
    recording = session.recording
    if recording is None:
        return
    state = ":material/fiber_manual_record: Recording" if session.is_recording else "Recorded"
    end = " It is as long as it may be." if recording.is_full else ""
    st.caption(f"{state}: {recording.seconds:.0f} s, {len(recording):,} rows.{end}")
    if st.session_state.get(_RECORDS) and not session.is_recording:
        st.session_state[_RECORDS] = False
        st.rerun()


def _offer_files(stream: WebRtcStreamerContext, session: LiveSession) -> None:
    """The picture of this moment, and the points of a while.

    A fragment without a timer: a download that is still being made would be lost when it is drawn again.
    """
    recording, playing = session.recording, stream.state.playing
    st.session_state[_RECORDS] = session.is_recording
    with st.container(horizontal=True):
        if playing or session.figures().frames:
            st.download_button(
                "Snapshot",
                session.snapshot_png,
                "snapshot.png",
                "image/png",
                on_click="ignore",
                icon=":material/photo_camera:",
                help="The picture as it is shown, as PNG.",
            )
        if session.is_recording:
            st.button("Stop recording", icon=":material/stop_circle:", on_click=session.stop_recording)
        elif playing:
            st.button(
                "Record points",
                icon=":material/fiber_manual_record:",
                on_click=session.start_recording,
                help="Points, scores, angles and openings of each face and frame, as CSV.",
            )
        if recording and len(recording) and not session.is_recording:
            st.download_button(
                "Recording as CSV",
                lambda: recording.csv_text().encode(),
                "points.csv",
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
            )
