"""The strip at the top of the Explore page: what is there, what is missing, what looks wrong."""

from __future__ import annotations

import numpy as np
import streamlit as st

from fkd.ui.explore import choice, keys
from fkd.ui.explore.source import Source

_CARD_PX = 158


def show_strip(source: Source) -> None:
    """Six figures, each with a button that opens the faces behind it."""
    with st.container(horizontal=True, gap="small"):
        for label, value, show, sort, meaning in figures(source):
            with st.container(border=True, width=_CARD_PX, gap="xsmall"):
                st.metric(label, value, help=meaning)
                st.button(
                    "Show faces",
                    key=f"strip.{show}",
                    type="tertiary",
                    icon=":material/arrow_forward:",
                    icon_position="right",
                    disabled=value in ("0", "–"),
                    on_click=keys.open_faces,
                    args=(show, sort, choice.HIGHEST) if sort else (show,),
                )


def figures(source: Source) -> list[tuple[str, str, str, str | None, str]]:
    """For each figure its label, value, filter, measure to sort by, and what it means."""
    faces, quality = source.faces, source.quality
    k = len(faces.schema)
    missing = int((~np.isfinite(faces.points_px).all(axis=2)).sum())
    several_splits = len(np.unique(faces.published_split)) > 1
    shared = f"{len(choice.shared_between_splits(source)):,}" if several_splits else "–"
    near, suspects = (int(quality.flagged(check).sum()) for check in ("near duplicate", "suspected error"))
    return [
        (
            "Faces",
            f"{len(faces):,}",
            choice.ALL,
            None,
            f"{len(np.unique(faces.groups)):,} people or groups of alike faces.",
        ),
        ("Complete", f"{int(faces.complete.sum()):,}", choice.COMPLETE, None, f"Faces with all {k} points."),
        ("Labels missing", f"{missing:,}", "missing labels", "missing", f"Of {len(faces) * k:,} labels in all."),
        ("Duplicates", f"{near:,}", "near duplicate", "likeness", "Faces that nearly equal another one."),
        (
            "Suspected errors",
            f"{suspects:,}",
            "suspected error",
            "suspicion",
            f"Labels far from where they are expected, judged by {_judge(source)}; the most suspicious first.",
        ),
        (
            "Shared",
            shared,
            choice.SHARED,
            None,
            "People, or groups of alike faces, that are in more than one of the published splits "
            f"({', '.join(sorted(set(faces.published_split.tolist())))}): a test on them tells too little.",
        ),
    ]


def _judge(source: Source) -> str:
    judge = source.quality.judge
    return "a regression learnt from the dataset itself" if judge == "regression" else f"the weights {judge}"
