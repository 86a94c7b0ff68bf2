"""The Train page without a browser: a place of its own with a few faces, and nobody who starts another process."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fkd.paths import PROJECT_ROOT
from fkd.training import launch
from fkd.ui.train import setup
from tests.drawn import drawn_faces, write_noise_faces

PATIENCE_S = 60


def furnish(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty folders, thirty faces of 15 points called `few`, synthetic ones soon drawn, and no worker ever."""
    for name in ("runs", "data", "cache", "weights", "results"):
        monkeypatch.setenv(f"FKD_{name.upper()}", str(root / name))
    write_noise_faces(root / "data" / "few")
    monkeypatch.setattr(launch, "_spawn", lambda name, device: None)
    monkeypatch.setattr(setup, "run_apart", lambda function, **arguments: function(**arguments))
    monkeypatch.setattr("fkd.data.synthetic.synthetic_dataset", lambda schema: drawn_faces(8))
    st.cache_resource.clear()
    st.cache_data.clear()


def open_page(**address: str) -> AppTest:
    """The page at that address, already drawn; the frame round the pages has tests of its own."""
    app = AppTest.from_file(str(PROJECT_ROOT / "pages" / "train.py"), default_timeout=PATIENCE_S)
    app.session_state["frame.is_up"] = True
    app.query_params.update(address)
    app.run()
    assert not app.exception
    return app
