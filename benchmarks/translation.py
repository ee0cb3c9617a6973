"""Four models that write a target from a source, at about equal parameters and equal seconds of training.

    python benchmarks/translation.py letters MODEL [--seed 0] [--time 10m]  CMUdict: letters to phonemes
    python benchmarks/translation.py verses MODEL [--seed 0] [--time 10m]   English to French verses of up to 60 words

MODEL is encoder_decoder, attention, transformer or gpt, or a file of experiments/, which has all settings and the
time. Each seed of a model is a run of its own in the JSON.
Settings were chosen on the validation split; figures are of the test split, by greedy decoding and by a beam of 5. On
letters the word error rate counts answers that are none of a word's pronunciations; the phoneme error rate counts
edits to the nearest of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import PLAIN_BLOCKS, RESULTS, save_part

import unrolled
from unrolled.config import chosen
from unrolled.data.examples.pairs import load_pairs
from unrolled.training import Event, Run

CASES: dict[str, dict[str, dict[str, Any]]] = {
    "letters": {  # about 2.3 million parameters
        "encoder_decoder": {"hidden_size": 352},
        "attention": {"hidden_size": 288},
        "transformer": {"hidden_size": 160, **PLAIN_BLOCKS},
        "gpt": {"hidden_size": 192, "num_layers": 5},
    },
    "verses": {  # about 6 million
        "encoder_decoder": {"hidden_size": 384},
        "attention": {"hidden_size": 304},
        "transformer": {"hidden_size": 192, **PLAIN_BLOCKS},
    },
}
SETTINGS: dict[str, dict[str, Any]] = {
    "letters": {"patience": 0, "evaluate_every": 1_000_000},
    "verses": {"patience": 0, "evaluate_every": 1_000_000, "vocabulary_size": 4_000, "max_length": 200},
}
BEAM = 5
SAMPLES = (0, 100, 200, 300, 400)  # of the verses of the test split


def reporter(every: int = 20) -> Callable[[Event], None]:
    """Return a function that prints a line for every twentieth event and every evaluation."""
    calls = itertools.count()

    def report(event: Event) -> None:
        if event.valid or next(calls) % every == 0:
            valid = f"  valid {event.valid.loss_nats:.4f}" if event.valid else ""
            print(f"  update {event.update}  loss {event.loss_nats:.4f}{valid}", flush=True)

    return report


def measure(case: str, settings: dict[str, Any], seed: int, out: str | None) -> None:
    """Train a model and evaluate it; the runs of other seeds stay in the JSON."""
    run = unrolled.train(f"sample:{case}", seed=seed, report=reporter(), out=out, overwrite=True, **settings)
    training = run.record["training"]
    figures = {
        "seed": seed,
        "seconds": round(training["total_seconds"], 1),
        "updates": training["updates"],
        "tokens_per_second": training["tokens_per_second"],
        "greedy": run.record["result"],
        f"beam_{BEAM}": run.evaluate(beam=BEAM).to_dict(),
    }
    if case == "verses":
        figures["samples"] = samples(run)
    name = f"{settings['model']} {settings['time_limit']}"
    path = RESULTS / f"{case}.json"
    before = json.loads(path.read_text(encoding="utf-8")).get(name, {}) if path.is_file() else {}
    same = before.get("settings") == settings
    runs = [one for one in before.get("runs", []) if same and one["seed"] != seed]
    all_seeds = {
        "model": settings["model"],
        "settings": settings,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "runs": sorted([*runs, figures], key=lambda one: one["seed"]),
    }
    print({k: v for k, v in figures["greedy"].items() if isinstance(v, float)})
    print(save_part(case, name, all_seeds))


def samples(run: Run) -> list[dict[str, Any]]:
    """Return a few verses of the test split, each with one reference and the answer."""
    references = load_pairs("sample:verses/test", run.config.data).references()
    sources = [list(references)[number] for number in SAMPLES]
    return [
        {"source": source, "reference": references[source][0], "answer": answer.text}
        for source, answer in zip(sources, run.decode(sources), strict=True)
    ]


def main() -> None:
    """Measure the case that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time", default="10m")
    parser.add_argument("--out", help="folder to save the run to")
    options = parser.parse_args()
    if options.model in CASES[options.case]:
        own = {**SETTINGS[options.case], **CASES[options.case][options.model]}
        settings = {"task": "translate", "model": options.model, "time_limit": options.time, **own}
        measure(options.case, settings, options.seed, options.out)
    elif options.model and options.model.endswith(".toml"):
        measure(options.case, chosen(Path(options.model)), options.seed, options.out)
    else:
        parser.error(f"{options.case} needs a model, {', '.join(CASES[options.case])}, or a TOML file")


if __name__ == "__main__":
    main()
