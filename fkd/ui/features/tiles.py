"""A mosaic on the page: as wide as there is room, and a click, or an arrow key, chooses a tile."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fkd.mosaic import Mosaic
from fkd.ui.pictures import data_uri

_LEAST_PX = 22  # of a tile on the screen, so that a finger can meet it; what is wider than a phone is scrolled
_HTML = '<div class="room"><div class="board" tabindex="0"><img><i class="over"></i><i class="chosen"></i></div></div>'
_HTML += "<p></p>"
_CSS = """
.room { overflow-x: auto; }
.board { position: relative; cursor: pointer; outline-offset: 2px; border-radius: 4px; }
.board:focus-visible { outline: 2px solid var(--st-primary-color); }
img { display: block; width: 100%; image-rendering: pixelated; border-radius: 4px; }
i { position: absolute; box-sizing: border-box; pointer-events: none; border-radius: 2px; display: none; }
.chosen { border: 2px solid #d0006f; box-shadow: inset 0 0 0 2px #fff; }
.over { border: 2px solid #fff; }
p { margin: 4px 0 0; min-height: 1.4em; font: 0.85rem var(--st-font); color: var(--st-text-color); opacity: 0.7; }
"""
_JS = """
export default function ({ data, parentElement, setStateValue }) {
  const [room, board, image, over, chosen, told] =
    [".room", ".board", "img", ".over", ".chosen", "p"].map((name) => parentElement.querySelector(name));
  const { numbers, tips, columns, size, tile, gap } = data;
  image.src = data.picture;
  board.setAttribute("role", "img");
  board.setAttribute("aria-label", data.about);
  board.style.minWidth = `${columns * data.leastPx}px`;
  const place = () => Math.max(numbers.indexOf(board.number ?? numbers[0]), 0);
  const frame = (mark, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    Object.assign(mark.style, {
      display: "block",
      left: `${(100 * column * tile[0]) / size[0]}%`,
      top: `${(100 * row * tile[1]) / size[1]}%`,
      width: `${(100 * (tile[0] - gap)) / size[0]}%`,
      height: `${(100 * (tile[1] - gap)) / size[1]}%`,
    });
    told.textContent = tips[at];
  };
  const choose = (at) => {
    if (at < 0 || at >= numbers.length) return;
    board.number = numbers[at];
    frame(chosen, at);
    setStateValue("number", numbers[at]);
  };
  const under = (event) => {
    const box = board.getBoundingClientRect();
    const column = Math.floor((((event.clientX - box.left) / box.width) * size[0]) / tile[0]);
    const row = Math.floor((((event.clientY - box.top) / box.height) * size[1]) / tile[1]);
    return column >= 0 && column < columns && row >= 0 ? row * columns + column : -1;
  };
  board.onclick = (event) => choose(under(event));
  board.onmousemove = (event) => {
    const at = under(event);
    if (at >= 0 && at < numbers.length) frame(over, at);
  };
  board.onmouseleave = () => {
    over.style.display = "none";
    frame(chosen, place());
  };
  board.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(place() + step);
  };
  frame(chosen, place());
}
"""


_board = st.components.v2.component("fkd.tiles", html=_HTML, css=_CSS, js=_JS)


def choose_tile(picture: Mosaic, tips: Sequence[str], key: str, about: str) -> int:
    """The mosaic, and the number of the channel whose tile is chosen; the first tile until another one is.

    Args:
        picture: what is shown.
        tips: what is told of each tile, in the order of the tiles.
        key: of the choice, which is kept while this mosaic is shown, also in another order or other colours.
        about: what the picture shows, for those who do not see it.
    """
    height, width = picture.rgb_u8.shape[:2]
    data = {
        "picture": data_uri(picture.rgb_u8),
        "numbers": [int(channel) for channel in picture.channels],
        "tips": list(tips),
        "columns": picture.columns,
        "size": (width, height),
        "tile": picture.tile_px,
        "gap": picture.gap_px,
        "leastPx": _LEAST_PX,
        "about": about,
    }
    chosen = _board(key=key, data=data, on_number_change=lambda: None).get("number")
    return int(picture.channels[0] if chosen is None else chosen)
