"""The setting that names ICE servers."""

from __future__ import annotations

import pytest

from fkd.errors import FkdError
from fkd.ice import VARIABLE, ice_servers


def test_without_the_setting_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HF_TOKEN", "some-token")
    assert ice_servers() == []


def test_the_servers_of_the_setting_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, '[{"urls": "turn:turn.example.org", "username": "me", "credential": "secret"}]')
    assert ice_servers() == [{"urls": "turn:turn.example.org", "username": "me", "credential": "secret"}]


@pytest.mark.parametrize("text", ["stun:stun.example.org", '{"urls": "stun:x"}', '[{"url": "stun:x"}]', '["stun:x"]'])
def test_anything_else_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(FkdError, match=VARIABLE):
        ice_servers()
