"""Cards: what a reader should know of weights before using them, as Markdown made from the header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fkd.models import MODELS
from fkd.weights import Card, find_weights, load_torch_model, read_card

NO_SCORES = "from how well a picture and its mirror image agree, which cannot tell a face from a pattern"
DATA_TERMS = {
    "youtube_faces": "YouTube Faces frames with 68 points (Udacity's archive): research use, by its terms",
    "portraits68": "portraits of LFPW and HELEN with the 300-W annotation: research only, no commercial use",
    "kaggle": "Kaggle's Facial Keypoints Detection: the competition's rules",
    "synthetic15": "synthetic faces drawn by fkd: no restriction",
    "synthetic68": "synthetic faces drawn by fkd: no restriction",
}


def data_terms(card: Card) -> list[str]:
    """One line for each dataset that the weights were trained on."""
    return [DATA_TERMS[name] for name in trained_on(card) if name in DATA_TERMS]


def trained_on(card: Card) -> list[str]:
    """Names of the datasets in the card's configuration."""
    return str(card.training.get("config", {}).get("data", "")).split("+")


def render_card(name_or_path: str | Path) -> str:
    """The card of weights as Markdown."""
    card, path = read_card(name_or_path), find_weights(name_or_path)
    config = card.training.get("config", {})
    parameters = sum(p.numel() for p in load_torch_model(name_or_path).network.parameters())
    facts = {
        "Points": f"{len(card.schema)} (`{card.schema.name}`)",
        "Network": f"`{card.model}`, {parameters / 1e6:.2f} M parameters, {path.stat().st_size / 1e6:.1f} MB",
        "Input": f"{card.input_size}x{card.input_size} grey in [0, 1], {card.crop.scale:.2f} times the tight box",
        "Trained": f"{card.training.get('date')}, {_epochs(card)}, "
        f"{card.training.get('minutes')} minutes, torch {card.training.get('versions', {}).get('torch')}",
        "Scores": "learned" if MODELS[card.model].gives_scores else NO_SCORES,
        "Held out": f"fold {config.get('fold')} of five, by person or cluster of near-duplicates",
    }
    lines = [f"# {card.name}", "", "| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())]
    lines += ["", "## Trained on", "", *(f"- {terms}" for terms in data_terms(card))]
    lines += ["", "The weights inherit these terms. They are meant for research and for trying things out; they were "]
    lines[-1] += "not tested for telling people apart, for medicine or for safety, and must not be used for them."
    lines += ["", "## Measured on the held-out fold", "", f"`python -m fkd evaluate --weights {card.name}`", ""]
    lines += _metrics_table(card.metrics)
    lines += ["", "## Made with", "", "```", *_commands(card), "```", ""]
    return "\n".join(lines)


_COLUMNS = {
    "faces": ("faces", "{:d}"),
    "nme": ("NME %", "{:.2f}"),
    "nme_median": ("median", "{:.2f}"),
    "nme_p90": ("P90", "{:.2f}"),
    "fr8": ("FR@8 %", "{:.2f}"),
    "auc8": ("AUC@8 %", "{:.1f}"),
    "rmse_px": ("RMSE px", "{:.3f}"),
    "argmax_accuracy": ("argmax accuracy %", "{:.2f}"),
    "box_error_growth": ("NME growth with wrong boxes %", "{:+.1f}"),
}


def _metrics_table(metrics: dict[str, Any]) -> list[str]:
    """Overall figures, then NME by group, a row for each dataset."""
    heads = [head for head, _ in _COLUMNS.values()]
    lines = ["| data | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for data, m in metrics.items():
        cells = [form.format(m[key]) if key in m else "" for key, (_, form) in _COLUMNS.items()]
        lines.append(f"| {data} | " + " | ".join(cells) + " |")
    groups = list(next(iter(metrics.values()))["nme_by_group"]) if metrics else []
    lines += ["", "NME % by group:", "", "| data | " + " | ".join(groups) + " |", "|---" * (len(groups) + 1) + "|"]
    for data, m in metrics.items():
        lines.append(f"| {data} | " + " | ".join(f"{m['nme_by_group'][g]:.2f}" for g in groups) + " |")
    return lines


def _commands(card: Card) -> list[str]:
    run = card.training.get("run", "RUN")
    changes = card.training.get("changes", [])
    settings = f" --set {' '.join(changes)}" if changes else ""
    return [
        f"python -m fkd train --recipe {card.training.get('recipe')}{settings} --run {run}",
        f"python -m fkd promote {run} --name {card.name}",
    ]


def _epochs(card: Card) -> str:
    epochs = card.training.get("epoch")
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"
