"""How a browser elsewhere finds this machine for a live picture: the ICE servers that may be asked, by default none.

FKD_ICE_SERVERS='[{"urls": "stun:stun.example.org"}]' python -m streamlit run app.py
"""

from __future__ import annotations

import json
import os
from typing import Any

from fkd.errors import FkdError

VARIABLE = "FKD_ICE_SERVERS"
_EXAMPLE = '[{"urls": "stun:stun.example.org"}]'


def ice_servers() -> list[dict[str, Any]]:
    """The servers of `FKD_ICE_SERVERS`, a JSON list of objects with `urls` and, for TURN, `username` and `credential`.

    Raises:
        FkdError: it is something else.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return []  # a browser on the same machine or network needs none, and no one else is told of it
    try:
        servers = json.loads(text)
    except json.JSONDecodeError as error:
        raise FkdError(f"{VARIABLE} is no JSON ({error.msg}); write it as {_EXAMPLE}.") from None
    if not isinstance(servers, list) or not all(isinstance(each, dict) and "urls" in each for each in servers):
        raise FkdError(f"{VARIABLE} should be a list of objects with `urls`, such as {_EXAMPLE}.")
    return servers
