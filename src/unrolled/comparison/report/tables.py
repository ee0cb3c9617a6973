"""The tables of a report, as rows of texts; the first row is the header. All forms of the report are made from them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from unrolled.comparison.budget import spaced
from unrolled.comparison.report.figures import Unit, bytes_of, compact, pair, unit_of, validation
from unrolled.strings import counted

__all__ = ["Table", "tables"]

Report = dict[str, Any]


class Table(NamedTuple):
    """A table with its title, a sentence below it, and rows, of which the first is the header.

    spare: index of the column that is left out where a terminal has no room for all.
    """

    title: str
    rows: list[list[str]]
    note: str = ""
    spare: int = -1


def tables(found: Report) -> list[Table]:
    """Return all tables that the results fill."""
    unit = unit_of(found["figure"])
    made = [_quality(found, unit), _differences(found, unit), _cost(found), _search(found), _lengths(found, unit)]
    made += [_disagreements(found, unit), _commands(found)]
    return [each for each in made if len(each.rows) > 1]


def _ranked(found: Report) -> list[Report]:
    sign = -1 if found["greater_is_better"] else 1
    known = [each for each in found["models"] if each["mean"] is not None]
    return sorted(known, key=lambda each: sign * each["mean"]) + [m for m in found["models"] if m["mean"] is None]


def _quality(found: Report, unit: Unit) -> Table:
    rows = [["", unit.name, "95 % interval", "seeds"]]
    rows += [
        [each["label"], unit.value(each["mean"]), unit.interval(each["interval"]), str(len(each["means"]))]
        for each in _ranked(found)
    ]
    rows += [[f"baseline: {each['name']}", unit.value(each["mean"]), "", ""] for each in found["baselines"]]
    better = "more" if found["greater_is_better"] else "less"
    note = f"On {found['examples']:,} test examples; {better} is better."
    note += " The interval is for other seeds and other examples."
    if any(len(each["means"]) == 1 for each in found["models"]):
        note += " With one seed there is none: the variation between trainings is not known."
    return Table("Quality", rows, note)


def _differences(found: Report, unit: Unit) -> Table:
    rows = [["", "difference", "95 % interval", "p (Holm)", "verdict"]]
    for each in found["differences"]:
        verdict = ""
        if each["tested"]:
            verdict = "no interval" if each["p"] is None else "shown" if each["shown"] else "difference not shown"
        p = f"{each['p_holm']:.3f}" if each["tested"] and each["p"] is not None else ""
        written = pair(found, each)
        rows.append([written, unit.difference(each["mean"]), unit.interval(each["interval"]), p, verdict])
    better = "first" if found["greater_is_better"] else "second"
    return Table(
        "Differences",
        rows,
        "Paired over the seeds that both have, and over examples. The best model is tested against each of the others, "
        "with Holm's correction for their number, which the intervals do not have; the other pairs have an interval "
        f"and no verdict. Above 0 the {better} model is better.",
        spare=3,
    )


def _cost(found: Report) -> Table:
    header = ["", "hidden size", "parameters", "tables, head", "operations an update", "state", "updates"]
    header += ["tokens/s", "ms a token", "peak memory"]
    rows = [header]
    for each in found["models"]:
        measured = found["measured"]["models"].get(each["label"], {})
        token = measured.get("token_milliseconds")
        rows.append([
            each["label"], f"{each['hidden_size']:,}", f"{each['parameters']:,}", f"{each['tables']:,}",
            compact(each["flops"]), bytes_of(each["state"]), f"{each['updates']:,}",
            compact(measured.get("tokens_per_second")), "–" if token is None else f"{token:.3g}",
            bytes_of(measured.get("peak_bytes")),
        ])  # fmt: skip
    match, plan = found["plan"]["match"], found["plan"]
    said = "Nothing was matched: each model has its own size."
    trained = [each for each in found["models"] if not each["runs"]]
    if match is not None and trained:
        off = [f"{each['label']} ({each['note']})" for each in found["models"] if each["matched"] is False]
        said = f"Matched by {match}, within 2 %." + (f" Not matched: {'; '.join(off)}." if off else "")
    said += " Trained runs are compared as they are." if 0 < len(trained) < len(found["models"]) else ""
    said += f" The budget of a training was {spaced(plan['budget'])}." if plan["budget"] else ""
    machine = found["measured"]["machine"]
    return Table(
        "Cost",
        rows,
        f"{said} Parameters are those outside token tables and output heads. Times on {machine['processor']}, "
        f"{counted(machine['threads'], 'thread')}, {found['measured']['date']}.",
    )


def _search(found: Report) -> Table:
    name, sign = validation(found)
    rows = [["", "trials", "pruned", "failed", "learning rate", "dropout", name]]
    for each in found["models"]:
        trials, best = each["trials"], each["best"]
        if not trials:
            continue
        counts = [str(sum(one["state"] == state for one in trials)) for state in ("pruned", "failed")]
        figures = [one["figure"] for one in trials if one["figure"] is not None and one["state"] == "complete"]
        chosen = [f"{best['learning_rate']:.3g}", f"{best['dropout']:.2f}"] if best else ["–", "–"]
        rows.append(
            [each["label"], str(len(trials)), *counts, *chosen, f"{sign * max(figures):.4g}" if figures else "–"]
        )
    note = (
        "The first trials are the same for all models; the best on the validation split is kept. The last column is "
        "its figure there."
    )
    if found["measured"]["joined"]:
        note += " Several processes shared the trainings, in no fixed order: which trials were pruned may depend on it."
    return Table("Search", rows, note, spare=2)


def _lengths(found: Report, unit: Unit) -> Table:
    models = [each for each in found["models"] if len(each["by_length"]) > 1]
    if not models:
        return Table("Quality by length", [[]])
    bins = models[0]["by_length"]
    rows = [["tokens", *(f"{one['shortest']} to {one['longest']}" for one in bins)]]
    rows.append(["examples", *(f"{one['examples']:,}" for one in bins)])
    rows += [[each["label"], *(unit.value(one["mean"]) for one in each["by_length"])] for each in models]
    return Table("Quality by length", rows)


def _disagreements(found: Report, unit: Unit) -> Table:
    if not found["disagreements"]:
        return Table("", [[]])
    labels = list(found["disagreements"][0]["models"])
    rows = [["example", "truth", *labels]]
    for each in found["disagreements"]:
        answers = (f"{one['answer']} ({unit.value(one['score'])})" for one in each["models"].values())
        rows.append([each["input"], each["truth"], *answers])
    return Table(
        "Examples on which they disagree most",
        rows,
        "The answer is that of the first seed. In brackets is the mean score over all seeds; its mean over all "
        f"examples is the {unit.name}.",
    )


def _commands(found: Report) -> Table:
    rows = [["", "seed", "weights (SHA-256)", "evaluates it again"]]
    for each in found["models"]:
        for one in each["seeds"]:
            if one["state"] == "complete":
                command = f"unrolled evaluate {shlex.quote(one['run'])}"
                rows.append([each["label"], str(one["seed"]), one["sha256"][:12], command])
            else:
                rows.append([each["label"], str(one["seed"]), "–", f"failed: {one['error']}"])
        rows += [[each["label"], "", "–", f"unrolled evaluate {shlex.quote(run)}"] for run in each["runs"]]
    command = found["plan"]["command"]
    note = f"In the folder of the comparison. The whole of it again: `{command}`." if command else ""
    return Table("Runs", rows, note)


def escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return cells that cannot break a table of Markdown."""
    return [[cell.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for cell in row] for row in rows]
