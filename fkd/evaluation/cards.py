"""Cards: what a reader should know of weights before using them, as Markdown made from what is stored.

    python -m fkd card ibug68               write weights/ibug68.md
    python -m fkd card ibug68 --measure     after measuring everything on it anew

The header of the weights, `results/weights/NAME.json` and `results/folds/NAME.npz` hold every figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fkd.data import is_drawn
from fkd.data.kaggle import SIDE
from fkd.data.splits import BY_FOLD, FOLDS
from fkd.disturb import DISTURBANCES, Disturbance
from fkd.evaluation.assessment import Assessment, find_assessment, measure_command
from fkd.evaluation.leaderboard import against_floor, rows_of, train_command
from fkd.evaluation.standing import Standing, held_out, standing
from fkd.models import MODELS
from fkd.paths import written_aside
from fkd.schema import KAGGLE15, Schema
from fkd.training.recipes import RECIPES
from fkd.weights import Card, find_weights, load_torch_model, read_card

NO_SCORES = "from how well a picture and its mirror image agree, which cannot tell a face from a pattern"
_GROUPS = "person, photo or cluster of near-duplicates"  # by what the dataset tells of its faces
DATA_TERMS = {
    "youtube_faces": "YouTube Faces frames with 68 points (Udacity's archive): research use, by its terms",
    "portraits68": "portraits of LFPW and HELEN with the 300-W annotation: research only, no commercial use",
    "kaggle": "Kaggle's Facial Keypoints Detection: the competition's rules",
    "synthetic15": "synthetic faces drawn by fkd: no restriction",
    "synthetic68": "synthetic faces drawn by fkd: no restriction",
}
_HELD_OUT, _KEYPOINTS_IN_A_ROW = "held out", 3
_TEXTS = ("", "boxes", "folds", "keypoint")  # heads of columns without numbers
_SEEN_FAILING = (
    "Of real faces, the worst are seen from the side, have closed eyes, mouths open in the dark, headphones, or hands "
    "before them. The detector misses some profiles and tilted heads before the network sees them."
)


def data_terms(card: Card) -> list[str]:
    """One line for each dataset that the weights were trained on, or those that they started from, and so on."""
    lines, training, before = [], card.training, ""
    while training:
        data = training.get("config", {}).get("data", "").split("+")
        told = [DATA_TERMS.get(name, f"your own dataset `{name}`, under its own terms") for name in data if name]
        lines += [before + line for line in told]
        start = training.get("start", {})
        training, before = start.get("training", {}), f"before, as `{start.get('weights')}`: "
    return lines


def render_card(name_or_path: str | Path, pictures: bool = True) -> str:
    """The card of weights as Markdown; its pictures lie beside the weights, or are left out."""
    card, found = read_card(name_or_path), find_assessment(str(name_or_path))
    parts = [
        [f"# {card.name}"],
        _table(("", ""), _facts(card, find_weights(name_or_path), name_or_path).items()),
        _purpose(card),
        ["## Trained on", "", *(f"- {terms}" for terms in data_terms(card))],
        ["The weights inherit these terms."],
    ]
    reached = standing(name_or_path)
    if reached:
        parts += _accuracy(card, reached, held_out(name_or_path), found)
    if found is not None:
        parts += [_disturbances(card, found), _scores(card, found), _speed(found), _failures(card, found, pictures)]
    elif reached:
        parts += [[f"Disturbed faces, scores and speed have not been measured yet: `{measure_command(card.name)}`"]]
    parts += [_reproduction(card, found)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def picture_path(name_or_path: str | Path) -> Path:
    """Where the picture of known failures stands: beside the card."""
    return find_weights(name_or_path).with_suffix(".jpg")


def write_card(name: str) -> Path:
    """Write the card beside the weights."""
    path = find_weights(name).with_suffix(".md")
    with written_aside(path) as aside:
        aside.write_text(render_card(name), encoding="utf-8")
    return path


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; all columns hold numbers but the first and those of `_TEXTS`."""
    rule = "|---" + "".join("|---" if head in _TEXTS else "|---:" for head in heads[1:]) + "|"
    return ["| " + " | ".join(heads) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]


def _facts(card: Card, path: Path, name_or_path: str | Path) -> dict[str, str]:
    parameters = sum(p.numel() for p in load_torch_model(name_or_path).network.parameters())
    return {
        "Points": f"{len(card.schema)} (`{card.schema.name}`)",
        "Network": f"`{card.model}`, {parameters / 1e6:.2f} M parameters, {path.stat().st_size / 1e6:.1f} MB",
        "Input": f"{card.input_size}x{card.input_size} grey in [0, 1], {card.crop.scale:.2f} times the tight box",
        "Trained": _trained(card),
        "Scores": "learned" if MODELS[card.model].gives_scores else NO_SCORES,
        "Held out": _held_out(card),
    }


def _trained(card: Card) -> str:
    """When, and how much of the training made these weights, which are those of its best epoch."""
    made = card.training
    most, torch = made.get("config", {}).get("epochs"), made.get("versions", {}).get("torch")
    reached = f"weights of epoch {made.get('epoch')} of at most {most}, reached after {made.get('minutes')} minutes"
    if made.get("epoch") == 0:
        reached = f"the weights it started from, as no epoch of {most} was better"
    return f"{made.get('date')}: {reached}; torch {torch}"


def _held_out(card: Card) -> str:
    config = card.training.get("config", {})
    if not _is_by_fold(card):
        return f"the test faces of its split by {config['split']}"
    if config.get("fold", 0) < 0:
        return "nothing: every face was trained on or watched"
    return f"fold {config.get('fold')} of five, by {_GROUPS}"


def _is_by_fold(card: Card) -> bool:
    return card.training.get("config", {}).get("split", BY_FOLD) == BY_FOLD


def _purpose(card: Card) -> list[str]:
    return [
        "## What for, and what not",
        "",
        f"For finding {len(card.schema)} keypoints of faces in photos and videos: research, teaching, and trying "
        "things out, within the terms of the data below.",
        "",
        "Not for telling people apart, guessing who or what somebody is, medicine, or safety: none of it was tested. "
        "Faces seen from the side are rare in the data. Nobody has measured whether errors differ between groups of "
        "people.",
    ]


_COLUMNS = {
    "nme": ("NME %", "{:.2f}"),
    "nme_median": ("median", "{:.2f}"),
    "nme_p90": ("P90", "{:.2f}"),
    "fr8": ("FR@8 %", "{:.2f}"),
    "auc8": ("AUC@8 %", "{:.1f}"),
    "rmse_px": ("RMSE px", "{:.3f}"),
    "argmax_accuracy": ("argmax accuracy %", "{:.2f}"),
}


def _by_this_training(card: Card) -> str:
    """What is not known of weights that started from others, of faces of one's own: whether these had seen them."""
    start = card.training.get("start", {})
    if not start or set(card.trained_on) <= set(DATA_TERMS):
        return ""
    return f" in this training; the weights that it started from, `{start['weights']}`, may have seen them elsewhere"


def _accuracy(
    card: Card, reached: dict[str, Standing], alone: dict[str, Standing], found: Assessment | None
) -> list[list[str]]:
    """Overall figures, then NME by group and by keypoint."""
    folds = max(of.folds for of in reached.values())
    which = f"{folds} folds" if folds == FOLDS else f"{folds} of {FOLDS} folds, the others not being measured yet"
    several = (
        f"Mean ± standard deviation over {which}: each face was predicted by a network trained without its "
        f"{_GROUPS}. These weights are the network of the fold that they hold out, on which they were measured by "
        "themselves too."
    )
    single = (
        f"Measured on {_held_out(card)}, which was held out: no face of it was trained on or watched"
        f"{_by_this_training(card)}. Five folds of these weights are not stored, so there is no deviation over folds."
    )
    rows = [row for data, of in reached.items() for row in _rows_of(data, of, alone.get(data), card, found)]
    heads = ["data", "boxes", "folds", "faces", *(head for head, _ in _COLUMNS.values())]
    whole = card.schema is KAGGLE15  # whose pictures show a face each, and are all of one size
    frame = f"in pixels of the {SIDE}x{SIDE} pictures" if whole else f"with the face scaled to {SIDE} px"
    boxes = (
        "Whole pictures are taken without a box"
        if card.takes_whole_picture
        else "True boxes lie round the labelled points, and so tell where these end"
    )
    detectors = "" if found is None else "; the detector's are those of photos, and faces that it misses are left out"
    explained = (
        "NME is the mean point error in percent of the distance of the outer eye corners; FR@8 the share of faces "
        f"above 8 %; AUC@8 the area under the cumulative error curve up to 8 %; RMSE is over all coordinates, {frame}. "
        f"{boxes}{detectors}."
    )
    parts = [["## Accuracy", "", several if folds > 1 else single], _table(heads, rows), [explained]]
    if against := _against_mean_shape(card):
        parts.append([" ".join(against)])
    growth = {data: card.metrics[data].get("box_error_growth") for data in reached if data in card.metrics}
    told = ", ".join(f"{value:+.1f} % on {data}" for data, value in growth.items() if value is not None)
    if told:
        cut_out, looks = "", "a second look where points contradict the box"
        if card.takes_whole_picture:
            cut_out, looks = ", by which they are then cut out,", "second looks as in photos"
        parts.append(
            [
                f"With the true boxes of faces{cut_out} shifted by 10 % and scaled by 15 %, and {looks}, NME grows by "
                f"{told}."
            ]
        )
    datasets = list(reached)
    by_group = [[group, *(_group_cells(reached, group))] for group in card.schema.groups]
    parts.append(["NME % by group:", "", *_table(["group", *datasets], by_group)])
    for data, of in reached.items():
        parts.append([f"NME % by keypoint on {data}:", "", *_keypoints(of, card.schema)])
    return parts


_VERDICTS = {
    "beaten": "these weights beat",
    "not beaten": "**these weights do not beat**",
    "the floor": "these weights are",
}


def _against_mean_shape(card: Card) -> list[str]:
    """A sentence for each dataset: of the table of results, or of what was measured when they were promoted."""
    floors = {
        data: (against_floor(card.model, metrics, floor), floor)
        for data, metrics in card.metrics.items()
        if (floor := {key: metrics.get(f"mean_shape_{key}") for key in ("nme", "rmse_px")})["nme"] is not None
    }
    for row in rows_of(card):
        floors[row.data] = row.verdict, {"nme": row.mean_shape_nme, "rmse_px": row.mean_shape_rmse_px}
    return [
        f"On {data}, {_VERDICTS[verdict]} the constant mean shape of the training faces, whose NME on the held-out "
        f"ones is {floor['nme']:.2f} %, and its RMSE {floor['rmse_px']:.2f} px."
        for data, (verdict, floor) in floors.items()
    ]


def _rows_of(data: str, of: Standing, alone: Standing | None, card: Card, found: Assessment | None) -> list[list[str]]:
    boxes = "none: whole picture" if card.takes_whole_picture else "true"
    shown = [of] if of.folds == 1 or alone is None else [of, alone]
    rows = [[data, boxes, _which_folds(which), f"{which.faces:,}", *_figures(which)] for which in shown]
    if found is not None and data in found.data:
        detect = found.data[data]["detect"]
        cells = [form.format(detect[key]) for key, (_, form) in _COLUMNS.items()]
        by_detector = f"detector's ({detect['found']:.1f} % found)"
        rows.append([data, by_detector, _HELD_OUT, f"{detect['faces']:,}", *cells])
    return rows


def _which_folds(of: Standing) -> str:
    return str(of.folds) if of.folds > 1 else _HELD_OUT


def _figures(of: Standing) -> list[str]:
    return [_figure(of, key, form) for key, (_, form) in _COLUMNS.items()]


def _figure(of: Standing, key: str, form: str) -> str:
    told = form.format(of.mean[key])
    return f"{told} ± {form.format(of.deviation[key])}" if of.deviation else told


def _group_cells(reached: dict[str, Standing], group: str) -> list[str]:
    cells = []
    for of in reached.values():
        told = f"{of.mean['nme_by_group'][group]:.2f}"
        cells.append(f"{told} ± {of.deviation['nme_by_group'][group]:.2f}" if of.deviation else told)
    return cells


def _keypoints(of: Standing, schema: Schema) -> list[str]:
    """Several keypoints in a row, as there are up to 68."""
    errors = of.mean["nme_by_keypoint"]
    cells = [cell for name in schema.keypoints for cell in (f"`{name}`", f"{errors[name]:.2f}")]
    width = 2 * _KEYPOINTS_IN_A_ROW
    rows = [cells[start : start + width] for start in range(0, len(cells), width)]
    return _table(("keypoint", "%") * _KEYPOINTS_IN_A_ROW, [(*row, *[""] * (width - len(row))) for row in rows])


def disturbance_rows(found: Assessment) -> list[tuple[Disturbance, dict[str, tuple[float, float]]]]:
    """For each disturbance, by dataset, NME and its growth over that of the faces as they are, in percent."""
    rows = []
    for key, disturbance in DISTURBANCES.items():
        of = {data: measured["disturbed"] for data, measured in found.data.items()}
        rows.append((disturbance, {data: (m[key], 100 * (m[key] / m["clean"] - 1)) for data, m in of.items()}))
    return rows


def _disturbances(card: Card, found: Assessment) -> list[str]:
    clean = {data: measured["disturbed"] for data, measured in found.data.items()}
    rows = [["none", *(f"{m['clean']:.2f}" for m in clean.values())]]
    rows += [
        [f"{d.label}: {d.usual:g} {d.unit}", *(f"{nme:.2f} ({growth:+.0f} %)" for nme, growth in of.values())]
        for d, of in disturbance_rows(found)
    ]
    faces = ", ".join(f"{m['faces']:,} of {data}" for data, m in clean.items())
    cut_out = "they are cut out by their boxes, not taken as whole pictures, and " if card.takes_whole_picture else ""
    return [
        "## Disturbed faces",
        "",
        f"NME % of held-out faces ({faces}) whose picture was spoilt, and its growth. Boxes are known, and faces are "
        f"predicted as in photos: {cut_out}one whose points contradict its box is looked at again, upright. So even "
        "faces that nothing disturbs can come out other than above.",
        "",
        *_table(["disturbance", *clean], rows),
    ]


def _scores(card: Card, found: Assessment) -> list[str]:
    others = ", ".join(f"{count} {kind}" for kind, count in _kinds(found))
    lines = ["## Scores", ""]
    for data, measured in found.data.items():
        gain, covered = measured["scores"]["gain"], measured["covered"]
        lines.append(
            f"- Of a point, on {data}: dropping the 10 % with the lowest scores lowers the mean error by {gain:.0f} % "
            "of what dropping the truly worst 10 % would. Under a pasted box, a covered point scores lower than a "
            f"visible one of the same face in {covered['within']:.1f} % of {covered['pairs']:,} pairs, and lower than "
            f"without the box in {covered['fallen']:.1f} % of cases."
        )
    covered = found.covered_synthetic
    told = f"{covered['within']:.1f} % of {covered['pairs']:,} pairs"
    lines.append(f"- On synthetic faces under pasted boxes: a covered point scores lower in {told}.")
    score = found.face_score
    lines.append(
        f"- Of a face: AUC {score['auc'] / 100:.4f} in telling {score['faces']} held-out faces of "
        f"{' and '.join(score['of'])}, in boxes shifted by up to 10 % and scaled by up to 15 %, from "
        f"{sum(score['others'].values())} others in the same pictures ({others})."
    )
    return lines


def _kinds(found: Assessment) -> list[tuple[str, int]]:
    names = {"background": "piece of background", "false hit": "false hit of the cascade", "part": "part of a face"}
    plural = {"background": "pieces of background", "false hit": "false hits of the cascade", "part": "parts of a face"}
    others = found.face_score["others"]
    return [(names[kind] if count == 1 else plural[kind], count) for kind, count in others.items()]


_RUNTIMES = {"onnx": ("onnxruntime", "onnx"), "torch": ("torch, fp32", "safetensors")}


def _speed(found: Assessment) -> list[str]:
    known = [key for key in _RUNTIMES if key in found.milliseconds]
    rows = [
        [label, f"{found.milliseconds[key]:.2f}", f"{found.megabytes[file]:.1f}"]
        for key, (label, file) in ((key, _RUNTIMES[key]) for key in known)
    ]
    return [
        "## Speed and size",
        "",
        f"Processor time of one crop on one thread of {found.milliseconds['processor']}, without its mirror image, "
        "which photos are looked at too and which doubles it.",
        "",
        *_table(["runtime", "ms a face", "MB"], rows),
    ]


def _failures(card: Card, found: Assessment, pictures: bool) -> list[str]:
    real = [data for data in card.trained_on if not is_drawn(data)]
    unlike = card.schema is KAGGLE15 and real == card.trained_on  # who has learnt from such points places them likewise
    taken = " Their 15 points are taken from 68, and lie differently on lower lip and nose." if unlike else ""
    rows = [[f["condition"], f"{f['nme']:.1f}", f"{f['worst']:.1f}"] for f in found.failures]
    lines = [
        "## Known failures",
        "",
        "On synthetic faces, ten people under each condition, with known boxes; the first is for comparison." + taken,
        "",
        *_table(["condition", "mean NME %", "worst face"], rows),
    ]
    if pictures:
        lines += ["", "The worst face of each, with the truth in green and the prediction in magenta:", ""]
        lines += [f"![Synthetic faces with true and predicted points]({found.name}.jpg)"]
    looked_at = real and set(real) <= DATA_TERMS.keys()  # nobody has seen the worst faces of other people's data
    return [*lines, "", _SEEN_FAILING] if looked_at else lines


def _reproduction(card: Card, found: Assessment | None) -> list[str]:
    run, config = card.training.get("run", card.name), card.training.get("config", {})
    made = [train_command(run, config)] if config.get("recipe") in RECIPES else []
    if _is_by_fold(card) and config.get("fold", 0) < 0:
        return ["## How to reproduce", "", "Made with:", "", "```", *made, "```"]
    commands = [
        *made,
        f"python -m fkd promote {run} --name {card.name}",
        f"python -m fkd evaluate --weights {card.name}",
        f"python -m fkd evaluate --weights {card.name} --boxes detect",
        *([f"python -m fkd evaluate --weights {card.name} --folds 5 --retrain"] if _is_by_fold(card) else []),
        measure_command(card.name),
    ]
    told = ["Made, checked on the held-out fold, and measured anew with:", "", "```", *commands, "```"]
    if found is not None:
        told += [
            "",
            "Measured with " + ", ".join(f"{name} {version}" for name, version in found.versions.items()) + ".",
        ]
    return ["## How to reproduce", "", *told]
