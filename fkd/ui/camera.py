"""Whether this browser has a camera to give, known before anybody presses Start."""

from __future__ import annotations

import streamlit as st

# The state that the browser is in, and what to do about it.
TROUBLE = {
    "insecure": "A browser gives its camera only to pages on `localhost` or over https, and this page is neither. "
    "Open it as `http://localhost` on the machine that runs it, or put https before it.",
    "none": "This browser finds no camera. Plug one in, or allow it in your system's settings.",
    "blocked": "The camera is blocked for this page. Allow it with the symbol beside the address.",
}

# The state is set only when it has changed: each time it is, the page is drawn again.
_LOOK = """
export default function ({ parentElement, setStateValue }) {
  const tell = (state) => {
    if (parentElement.told !== state) {
      parentElement.told = state;
      setStateValue("camera", state);
    }
  };
  const look = async () => {
    if (!window.isSecureContext || !navigator.mediaDevices) return tell("insecure");
    const devices = await navigator.mediaDevices.enumerateDevices();
    if (!devices.some((device) => device.kind === "videoinput")) return tell("none");
    try {
      const permission = await navigator.permissions.query({ name: "camera" });
      permission.onchange = look;
      if (permission.state === "denied") return tell("blocked");
    } catch {
      // This browser does not tell beforehand.
    }
    tell("there");
  };
  look();
  navigator.mediaDevices?.addEventListener("devicechange", look);
  return () => navigator.mediaDevices?.removeEventListener("devicechange", look);
}
"""

_look = st.components.v2.component("fkd_camera", js=_LOOK)


def trouble() -> str | None:
    """A sentence that says why there can be no live picture, or None where nothing speaks against it."""
    seen = _look(key="camera", default={"camera": None}, on_camera_change=lambda: None, height=1)
    return TROUBLE.get(seen.camera)
