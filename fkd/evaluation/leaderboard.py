"""The table of all recipes and weights, from one committed file for each: `results/<name>.json`.

    python -m fkd leaderboard --add RUN     measure a run and write its file
    rows = read_results()                   what stands in the table

A file holds all that a reader needs to trust a row and to make it again: metrics on the held-out
faces, those of the constant mean shape on the same faces, the full configuration with its hash, the
command, the fingerprint of the data, versions, and the course of the training.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from fkd.errors import FkdError
from fkd.paths import results_root, written_aside

if TYPE_CHECKING:
    from fkd.bench.predict import Side
    from fkd.training.run import RunFolder
    from fkd.weights import Card

FLOOR_MODEL, IS_FLOOR = "mean_shape", "the floor"
_KEPT_COLUMNS = ("epoch", "learning_rate")  # and all that begin with train_ or validation_
_FLOOR_METRICS = ("rmse_px", "nme", "fr8", "argmax_accuracy")


@dataclass(frozen=True)
class Row:
    """What one training reached on the held-out faces of one dataset.

    Attributes:
        name: the run's, and that of its file.
        weights: the shipped weights that it made; empty for none.
        recipe: what it was trained by.
        data: the dataset measured on; a run trained on two has two rows.
        faces: how many were measured, all with every label.
        rmse_px: in pixels of Kaggle's picture, or of a face scaled to 96 pixels.
        nme: mean point error in percent of the distance of the outer eye corners.
        fr8: percentage of faces with an NME above 8 %.
        argmax_accuracy: percentage of faces whose largest predicted coordinate is the largest true one.
        parameters: numbers that the network learned.
        epochs: epochs run.
        minutes: time they took.
        images_per_s: trained faces in each second, the median over epochs.
        mean_shape_rmse_px: what the constant mean shape scores on the same faces.
        mean_shape_nme: likewise.
        mean_shape_argmax_accuracy: likewise.
        verdict: `beaten` where RMSE and NME are below the mean shape's, `not beaten`, or `the floor` where the
            weights are a mean shape themselves.
        milliseconds: processor time that torch needs for one crop on one thread; None where it was not measured.
        schema: which points.
        config_hash: tells configurations apart.
        command: what makes the run again.
    """

    name: str
    weights: str
    recipe: str
    data: str
    faces: int
    rmse_px: float
    nme: float
    fr8: float
    argmax_accuracy: float
    parameters: int
    epochs: int
    minutes: float
    images_per_s: float
    mean_shape_rmse_px: float
    mean_shape_nme: float
    mean_shape_argmax_accuracy: float
    verdict: str
    milliseconds: float | None
    schema: str
    config_hash: str
    command: str


SORTABLE = tuple(field.name for field in fields(Row))
_LARGER_IS_BETTER = ("argmax_accuracy", "images_per_s", "faces")


def read_results() -> list[Row]:
    """All rows: by dataset, the best RMSE first; empty without results.

    Raises:
        FkdError: a file is damaged.
    """
    shipped = _shipped()
    rows = [row for name in result_names() for row in _rows(read_result(name), shipped)]
    return sorted(rows, key=lambda row: (row.schema, row.data, row.rmse_px))


def _shipped() -> dict[tuple[str, str], str]:
    """Run and hash of its configuration to the name of the weights that were made of it."""
    from fkd.weights import list_weights, read_card

    names = {}
    for name in list_weights():
        with suppress(FkdError):  # damaged weights are no reason to show no table
            training = read_card(name).training
            names[training.get("run", ""), config_hash(training.get("config", {}))] = name
    return names


def result_names() -> list[str]:
    """Names of the files, sorted."""
    return sorted(path.stem for path in results_root().glob("*.json"))


def read_result(name: str) -> dict[str, Any]:
    """All that is stored of one training; `FkdError` where there is nothing, or a damaged file."""
    path = results_root() / f"{Path(name).name}.json"
    try:
        stored = json.loads(path.read_text("utf-8"))
        _rows(stored, {})
    except FileNotFoundError:
        known = ", ".join(result_names()) or "none"
        raise FkdError(f"There is no result {name!r}; in {results_root()} there are: {known}.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise FkdError(f"{path} is damaged ({reason}); take it from the repository again, or add the run.") from None
    return stored


def _rows(stored: dict[str, Any], shipped: dict[tuple[str, str], str]) -> list[Row]:
    same = {key: stored[key] for key in ("name", "recipe", "schema", "parameters", "epochs", "minutes")}
    same |= {key: stored[key] for key in ("images_per_s", "config_hash", "command")}
    same["milliseconds"] = stored.get("milliseconds")
    same["weights"] = shipped.get((stored["name"], stored["config_hash"]), "")
    rows = []
    for data, measured in stored["measured"].items():
        metrics, floor = measured["metrics"], measured["mean_shape"]
        figures = {key: metrics[key] for key in ("faces", "rmse_px", "nme", "fr8", "argmax_accuracy")}
        figures |= {f"mean_shape_{key}": floor[key] for key in ("rmse_px", "nme", "argmax_accuracy")}
        rows.append(Row(data=data, verdict=against_floor(stored["model"], metrics, floor), **same, **figures))
    return rows


def against_floor(model: str, metrics: dict[str, Any], floor: dict[str, Any]) -> str:
    """`beaten`, `not beaten` or `the floor`: a kind of network and its metrics against those of the mean shape."""
    if model == FLOOR_MODEL:
        return IS_FLOOR
    return "beaten" if all(metrics[key] < floor[key] for key in ("rmse_px", "nme")) else "not beaten"


def sort_rows(rows: Sequence[Row], column: str) -> list[Row]:
    """By one column, the best first; `FkdError` names the columns."""
    if column not in SORTABLE:
        raise FkdError(f"There is no column {column!r} to sort by; there are {', '.join(SORTABLE)}.")
    known = [row for row in rows if getattr(row, column) is not None]
    known.sort(key=lambda row: getattr(row, column), reverse=column in _LARGER_IS_BETTER)
    return known + [row for row in rows if getattr(row, column) is None]


def add_result(folder: RunFolder) -> Path:
    """Measure a run's best weights on the faces held out from it, and write its file.

    Raises:
        FkdError: the run has no weights yet, or its data is missing.
    """
    return _write_result(_measured(folder))


def add_times() -> list[Path]:
    """Measure how long every result's network and all shipped weights take for one crop; write their files and cards.

    All take turns on this machine, so that the table and the cards can be compared.
    """
    from fkd.bench.predict import one_crop, time_in_turns
    from fkd.evaluation.assess import megabytes_of, processor, runtimes_of
    from fkd.evaluation.assessment import find_assessment, write_assessment
    from fkd.evaluation.cards import write_card
    from fkd.weights import list_weights

    results = {name: read_result(name) for name in result_names()}
    assessments = {name: found for name in list_weights() if (found := find_assessment(name))}
    sides: dict[tuple[str, str], Side] = {(name, ""): _untrained(result) for name, result in results.items()}
    sides |= {(name, runtime): one_crop(name, runtime) for name in assessments for runtime in runtimes_of(name)}
    spent = time_in_turns(sides)
    written = [_write_result({**result, "milliseconds": spent[name, ""]}) for name, result in results.items()]
    for name, found in assessments.items():
        milliseconds = {**{runtime: spent[name, runtime] for runtime in runtimes_of(name)}, "processor": processor()}
        written.append(write_assessment(replace(found, milliseconds=milliseconds, megabytes=megabytes_of(name))))
        written.append(write_card(name))
    return written


def _untrained(result: dict[str, Any]) -> Side:
    """Predicts one crop with the network of a result, whose weights need not be here."""
    from fkd.bench.predict import one_crop_untrained

    config = result["config"]
    return one_crop_untrained(config["model"], result["schema"], config["input_size"], config["model_args"])


def _write_result(result: dict[str, Any]) -> Path:
    path = results_root() / f"{result['name']}.json"
    with written_aside(path) as aside:
        aside.write_text(_to_json(result), encoding="utf-8")
    return path


def _measured(folder: RunFolder) -> dict[str, Any]:
    from fkd.bench.predict import time_in_turns
    from fkd.data import load_dataset
    from fkd.training.provenance import fingerprint
    from fkd.weights import load_torch_model

    epochs = folder.read_epochs()
    if not epochs or not folder.weights.is_file():
        raise FkdError(f"The run {folder.name!r} has no weights yet; wait for its first epoch.")
    model, made_with = load_torch_model(folder.weights), folder.read_made_with()
    config = folder.read_config()
    result = {
        "name": folder.name,
        "recipe": config["recipe"],
        "schema": model.card.schema.name,
        "model": config["model"],
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "epochs": epochs[-1]["epoch"],
        "best_epoch": model.card.training["epoch"],
        "minutes": round(epochs[-1]["seconds"] / 60, 1),
        "images_per_s": round(median(epoch["images_per_s"] for epoch in epochs if epoch["epoch"]), 1),
        "device": folder.read_status().get("device", "cpu"),
        "command": train_command(folder.name, config),
        "config": config,
        "config_hash": config_hash(config),
        "data_hash": made_with.get("data_hash") or fingerprint(load_dataset(config["data"])),
        "commit": made_with.get("commit"),
        "versions": model.card.training["versions"],
        "measured": {data: _measure(model, data) for data in config["data"].split("+")},
        "history": history_of(epochs),
    }
    return {**result, "milliseconds": time_in_turns({"": _untrained(result)})[""]}


def _measure(model: Any, data: str) -> dict[str, Any]:
    """Metrics of weights on the held-out faces of one dataset, and the mean shape's on the same faces."""
    from fkd.data import load_dataset
    from fkd.evaluation.evaluate import evaluate, mean_shape_summary

    dataset = load_dataset(data)
    outcome = evaluate(model, dataset, box_errors=False)
    floor = mean_shape_summary(model, dataset, outcome.rows)
    return {"metrics": outcome.summary, "mean_shape": {key: floor[key] for key in _FLOOR_METRICS}}


def find_history(name_or_path: str | Path, card: Card) -> dict[str, list[float | None]] | None:
    """The course of the training that made weights: beside a run's, else from its result; None without both."""
    from fkd.training.run import RunFolder
    from fkd.weights import find_weights

    if epochs := RunFolder(find_weights(name_or_path).parent).read_epochs():
        return history_of(epochs)
    stored = _result_of(card)
    return stored["history"] if stored else None


def rows_of(card: Card) -> list[Row]:
    """The rows of the training that made weights, one for each dataset; none where it is not in the table."""
    stored = _result_of(card)
    return _rows(stored, {}) if stored else []


def _result_of(card: Card) -> dict[str, Any] | None:
    run = card.training.get("run", card.name)
    stored = read_result(run) if run in result_names() else {}
    same = stored.get("config_hash") == config_hash(card.training.get("config", {}))
    return stored if same else None


def history_of(epochs: Sequence[dict[str, Any]]) -> dict[str, list[float | None]]:
    """The course of a training as columns, from the lines of its metrics; None where a line lacks a figure."""
    kept = [key for key in epochs[-1] if key in _KEPT_COLUMNS or key.startswith(("train_", "validation_"))]
    return {key: [_rounded(epoch.get(key)) for epoch in epochs] for key in kept}


def _rounded(value: float | None) -> float | None:
    """To five digits, which is finer than any curve; whole numbers stay."""
    return value if value is None or isinstance(value, int) else float(f"{value:.5g}")


def config_hash(config: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that are the same for the same settings."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]


def train_command(run: str, config: dict[str, Any]) -> str:
    """The command line that starts a training with these settings."""
    from fkd.training.recipes import changes_from_recipe

    changes = changes_from_recipe(config)
    settings = f" --set {shlex.join(changes)}" if changes else ""
    return f"python -m fkd train --recipe {config['recipe']}{settings} --run {run}"


def _to_json(result: dict[str, Any]) -> str:
    """Indented for readers, with each column of the history on one line."""
    plain = {key: value for key, value in result.items() if key != "history"}
    columns = ",\n".join(f"    {json.dumps(key)}: {json.dumps(values)}" for key, values in result["history"].items())
    return json.dumps(plain, indent=2).removesuffix("\n}") + ',\n  "history": {\n' + columns + "\n  }\n}\n"


_COLUMNS = {
    "name": ("run", "{}"),
    "weights": ("weights", "{}"),
    "recipe": ("recipe", "{}"),
    "data": ("faces of", "{}"),
    "faces": ("faces", "{}"),
    "rmse_px": ("RMSE px", "{:.2f}"),
    "nme": ("NME %", "{:.2f}"),
    "fr8": ("FR@8 %", "{:.2f}"),
    "argmax_accuracy": ("argmax %", "{:.1f}"),
    "parameters": ("parameters", "{:,}"),
    "epochs": ("epochs", "{}"),
    "minutes": ("minutes", "{:.1f}"),
    "images_per_s": ("images/s", "{:,.0f}"),
}
_NUMBERS_FROM = "faces"


def _cells(row: Row) -> list[str]:
    figures = [form.format(getattr(row, key)) for key, (_, form) in _COLUMNS.items()]
    of_mean_shape = row.verdict if row.verdict == IS_FLOOR else f"{row.mean_shape_rmse_px:.2f} px: {row.verdict}"
    return [*figures, of_mean_shape]


_HEADS = [head for head, _ in _COLUMNS.values()] + ["mean shape"]
_IS_NUMBER = [False] * list(_COLUMNS).index(_NUMBERS_FROM)
_IS_NUMBER += [True] * (len(_COLUMNS) - len(_IS_NUMBER)) + [False]


def as_text(rows: Sequence[Row]) -> str:
    """A table for the terminal."""
    lines = [_HEADS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = [">" if number else "<" for number in _IS_NUMBER]
    aligned = [[f"{c:{side}{width}}" for c, side, width in zip(line, sides, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def as_markdown(rows: Sequence[Row]) -> str:
    """A table for the README."""
    rule = ["---:" if number else "---" for number in _IS_NUMBER]
    lines = [_HEADS, rule, *([f"`{cells[0]}`", *cells[1:]] for cells in map(_cells, rows))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


MARKS = ("<!-- leaderboard -->", "<!-- end of leaderboard -->")


def put_between_marks(text: str, table: str) -> str:
    """A Markdown text with the table in place of what stood between the marks; `FkdError` without them."""
    before, first, rest = text.partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not first or not last:
        raise FkdError(f"The file has no place for the table: put {MARKS[0]} and {MARKS[1]} on lines of their own.")
    return f"{before}{first}\n\n{table}\n\n{last}{after}"
