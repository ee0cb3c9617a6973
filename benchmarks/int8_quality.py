"""The price of int8 in quality: the samples, each with models that train in half a minute, over three seeds.

    python benchmarks/int8_quality.py [CASE …] [--seconds 25]

Every model is trained in float32 for so many seconds and evaluated on its test split in float32 and in int8: the figure
of its task in both, and the share of answers (examples, words, sources, or the most probable token at each place) that
stay the same. Less than 20 minutes of one core. Each case into benchmarks/results/int8_quality.json, and the means.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

import torch
from record import RESULTS, save_part

import unrolled
from unrolled.runs.precision import PrecisionCost

SEEDS = (0, 1, 2)
PRICES = {"accuracy": 100.0, "micro_f1": 100.0, "word_edit_rate": 100.0, "bleu": 1.0, "bits_per_character": 1.0}
"""Figures, with the factor that makes them points."""
BETTER_IF_SMALLER = ("word_edit_rate", "bits_per_character")
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {  # name: data, figure, settings
    "films, elman": ("sample:films", "accuracy", {"model": "elman"}),
    "films, gru": ("sample:films", "accuracy", {"model": "gru"}),
    "films, lstm": ("sample:films", "accuracy", {"model": "lstm"}),
    "films, transformer": ("sample:films", "accuracy", {"model": "transformer"}),
    "products, gru": ("sample:products", "accuracy", {"model": "gru"}),
    "fashion, lstm": ("sample:fashion", "accuracy", {"model": "lstm"}),
    "tags, lstm": ("sample:tags", "accuracy", {"task": "tag", "model": "lstm"}),
    "letters, attention": ("sample:letters", "word_edit_rate", {"task": "translate", "model": "attention"}),
    "verses, transformer": ("sample:verses", "bleu", {"task": "translate", "model": "transformer"}),
    "shakespeare, gru": ("sample:shakespeare", "bits_per_character", {"task": "generate", "model": "gru"}),
    "shakespeare, gpt": ("sample:shakespeare", "bits_per_character", {"task": "generate", "model": "gpt"}),
}


def price(cost: PrecisionCost, figure: str) -> float:
    """Return by how many points the figure is worse in int8."""
    here, there = (PRICES[figure] * result.to_dict()[figure] for result in (cost.result, cost.float32))
    return float(here - there if figure in BETTER_IF_SMALLER else there - here)


def measure(name: str, seconds: int) -> dict[str, Any]:
    """Return the figures of a case over the seeds."""
    data, figure, settings = CASES[name]
    costs = []
    for seed in SEEDS:
        run = unrolled.train(data, seed=seed, time_limit=f"{seconds}s", threads=1, **settings)
        costs.append(run.cost_of("int8"))
    found = {
        "data": data,
        "settings": settings,
        "seeds": SEEDS,
        "training_seconds": seconds,
        "figure": figure,
        "float32": [cost.float32.to_dict()[figure] for cost in costs],
        "int8": [cost.result.to_dict()[figure] for cost in costs],
        "price_by_seed": [round(price(cost, figure), 4) for cost in costs],
        "price": round(statistics.mean(price(cost, figure) for cost in costs), 4),
        "answers": costs[0].answers,
        "unchanged_by_seed": [round(cost.unchanged, 5) for cost in costs],
        "unchanged": round(statistics.mean(cost.unchanged for cost in costs), 5),
    }
    print(f"{name:<20} {figure} {found['float32']} -> {found['int8']}; unchanged {found['unchanged']:.2%}", flush=True)
    return found


def means() -> dict[str, Any]:
    """Return the mean price of each kind of figure over all cases that were measured, and of unchanged answers."""
    saved = json.loads((RESULTS / "int8_quality.json").read_text(encoding="utf-8"))
    cases = [saved[name] for name in CASES if name in saved]
    kinds = {case["figure"] for case in cases}
    prices = {kind: statistics.mean(case["price"] for case in cases if case["figure"] == kind) for kind in kinds}
    return {"prices": prices, "unchanged": statistics.mean(case["unchanged"] for case in cases), "cases": len(cases)}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--seconds", type=int, default=25, help="of each training")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.cases if name not in CASES]:
        parser.error(f"no case {unknown[0]!r}")
    torch.set_num_threads(1)
    for name in arguments.cases or CASES:
        save_part("int8_quality", name, measure(name, arguments.seconds))
    found = means()
    save_part("int8_quality", "means", found)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
