"""The figures of benchmarks/inside.py, as tables for docs/measured.md."""

from __future__ import annotations

from typing import Any


def cost(found: dict[str, Any]) -> str:
    """Seconds and size of a trace by model."""
    lines = [
        "| model | trace | gradient norm | occlusion | the rest | all | numbers | page |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, model in found["models"].items():
        seconds = [model[f"{step}_seconds"] for step in ("trace", "gradient_norm", "occlusion", "memory")]
        page = f"{model['page_bytes'] / 1e6:.1f} MB" if model["page_bytes"] else ""
        figures = " | ".join(f"{value:.2f} s" for value in (*seconds, sum(seconds)))
        lines.append(f"| {name} | {figures} | {model['numbers']:,} | {page} |")
    return "\n".join(lines)


def films(found: dict[str, Any]) -> str:
    """Attribution of answers to words."""
    parts = []
    for sentence in found["sentences"]:
        columns = [sentence[name] for name in ("tokens", "occlusion", "input_x_gradient", "gradient_norm")]
        rows = sorted(zip(*columns, strict=True), key=lambda row: -abs(row[1]))[:6]
        lines = [
            f"{sentence['text']} **{sentence['answer']}**",
            "",
            "| word | occlusion, bits | gradient × input, nats |",
        ]
        lines[-1] += " gradient norm, nats |"
        lines += ["|---|---|---|---|", *(f"| {w} | {a:+.3f} | {g:+.3f} | {r:.3f} |" for w, a, g, r in rows)]
        parts.append("\n".join(lines))
    agreed = ", ".join(f"of {pair} {value:.2f}" for pair, value in found["rank_correlation"].items())
    last = (
        f"On {found['texts']} held-out sentences the correlation of ranks is, {agreed}; occlusion and gradient × input"
    )
    return "\n\n".join([*parts, f"{last} put the same word first in {found['same_first_word']:.0%} of them."])


def recall(found: dict[str, Any]) -> str:
    """Gradient norm of the first symbol, untrained and trained."""
    lines = [
        "| model | accuracy | gradient norm of the symbol, untrained | trained "
        "| relative to a blank's, untrained | trained |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in found["models"].items():
        over, first = row["over_training"], str(row["first"])
        norms = [over[update]["gradient_norm"] for update in ("0", str(row["updates"]))]
        far = " | ".join(f"{values[first]:.1e}" for values in norms)
        more = " | ".join(f"{values[first] / values['1']:.2g}" for values in norms)
        lines.append(f"| {name} | {row['accuracy']:.0%} | {far} | {more} |")
    return "\n".join(lines)


def vanishing(found: dict[str, Any]) -> str:
    """Gradient by distance over training, at T = 100."""
    rows = {name: row for name, row in found["models"].items() if name.endswith("T = 100")}
    far = list(next(iter(rows.values()))["over_training"]["0"]["gradient"])
    lines = ["| model | update | " + " | ".join(f"{d} back" for d in far) + " |", "|---|---|" + "---|" * len(far)]
    for name, row in rows.items():
        updates = list(row["over_training"])
        for update in (updates[0], updates[len(updates) // 2], updates[-2], updates[-1]):
            slopes = row["over_training"][update]["gradient"].values()
            lines.append(f"| {name} | {update} | " + " | ".join(f"{slope:.1e}" for slope in slopes) + " |")
    return "\n".join(lines)


def reverse(found: dict[str, Any]) -> str:
    """Attention compared with the known alignment."""
    return (
        f"{found['exact_match']:.1%} of the held-out sequences are reversed without a mistake. Of {found['links']:,} "
        f"links the largest weight is on another position than the known one in {found['alignment_error']:.1%} (the "
        f"alignment error), more than one position off in {found['alignment_error_beyond_one_position']:.1%}; the "
        f"known position has {found['weight_on_the_known']:.0%} of the weight."
    )


def letters(found: dict[str, Any]) -> str:
    """Movement of attention from left to right."""
    return (
        f"{found['exact_match']:.1%} of the held-out words are right. In {found['words']} of them with five letters or "
        f"more the mean attended position moves on to the right in {found['steps_forward']:.1%} of the steps; the "
        f"correlation of its ranks with the phoneme's position is {found['monotonicity']:.3f}."
    )


def long_lag(found: dict[str, Any]) -> str:
    """Accuracy and the gradient that is left by distance, where the first token decides how the rest is read."""
    far = list(next(iter(found["models"].values()))[0]["left"])
    lines = ["| model | draw | accuracy | " + " | ".join(f"{d} back" for d in far) + " |"]
    lines.append("|---|---|---|" + "---|" * len(far))
    for name, rows in found["models"].items():
        for row in rows:
            left = " | ".join(f"{value:.0e}" for value in row["left"].values())
            lines.append(f"| {name} | {row['draw']} | {row['accuracy']:.0%} | {left} |")
    return "\n".join(lines)
