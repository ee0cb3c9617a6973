"""Turkish tags in two minutes of two cores: a model over three seeds; baseline: the most frequent tag of each word.

    python benchmarks/tags.py lstm             a line of the README's table; also feedforward, elman, gru
    python benchmarks/tags.py lstm --search    the effect of each default, on the valid split

Settings are the defaults of the task. All figures are of the test split (495 sentences, 8,244
words, a fifth of them not in the training split) unless they say valid.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from record import SINCE_BY_DATA, save_part

import unrolled
from unrolled.lineage import architectures_for

SEEDS = (0, 1, 2)
TRIALS: list[dict[str, Any]] = [
    {},
    {"whole_words": 0},
    {"tokenizer": "character"},
    {"tokenizer": "word", "vocabulary_size": 20_000, "whole_words": 0},
    {"bidirectional": False},
]


def figures(name: str, settings: dict[str, Any], seeds: tuple[int, ...]) -> dict[str, Any]:
    """Return the figures of a model over the seeds."""
    runs = [
        unrolled.train("sample:tags", task="tag", model=name, seed=seed, **SINCE_BY_DATA["tag"] | settings)
        for seed in seeds
    ]
    valid = [run.evaluate("sample:tags/valid") for run in runs]
    tests = [run.test for run in runs]
    records = [run.record for run in runs]
    return {
        "model": name,
        "settings": settings,
        "seeds": seeds,
        "accuracy": statistics.mean(result.accuracy for result in tests),
        "accuracy_by_seed": [result.accuracy for result in tests],
        "interval_of_first": list(tests[0].accuracy_interval),
        "unseen_accuracy": statistics.mean(result.unseen_accuracy for result in tests),
        "unseen_accuracy_by_seed": [result.unseen_accuracy for result in tests],
        "unseen_interval_of_first": list(tests[0].unseen_interval),
        "baseline_accuracy": tests[0].baseline_accuracy,
        "baseline_unseen_accuracy": tests[0].baseline_unseen_accuracy,
        "valid_accuracy": statistics.mean(result.accuracy for result in valid),
        "valid_unseen_accuracy": statistics.mean(result.unseen_accuracy for result in valid),
        "parameters": records[0]["parameters"],
        "seconds_by_seed": [round(record["training"]["total_seconds"], 1) for record in records],
        "tokens_per_second": round(statistics.median(record["training"]["tokens_per_second"] for record in records)),
    }


def show(measured: dict[str, Any], *, held_out: bool) -> None:
    """Print the figures in one line."""
    split = "" if held_out else "valid_"
    print(
        f"{measured['model']:<12} {split}accuracy {measured[f'{split}accuracy']:.2%}, unseen words "
        f"{measured[f'{split}unseen_accuracy']:.2%}, seconds {measured['seconds_by_seed']}, {measured['settings']}",
        flush=True,
    )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=[architecture.name for architecture in architectures_for("tag")])
    parser.add_argument("--search", action="store_true", help="change the defaults one by one")
    options = parser.parse_args()
    if not options.search:
        measured = figures(options.model, {}, SEEDS)
        show(measured, held_out=True)
        print(save_part("tags", options.model, measured))
        return
    trials = []
    for trial in TRIALS:
        trials.append(figures(options.model, trial, SEEDS[:1]))
        show(trials[-1], held_out=False)
        print(save_part("tags_search", options.model, {"trials": trials}))


if __name__ == "__main__":
    main()
