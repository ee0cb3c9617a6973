"""The same trainings with each backend in turn: tokens a second, loss at equal updates and at equal seconds.

    python benchmarks/backends.py [films-elman films-lstm films-gru shakespeare-gru] [--seeds 0,1,2]

The models on film sentences as `unrolled demo` and benchmarks/films.py train them, and a language model by character.
Losses are of the validation split.
"equal updates" is after the last update; "equal seconds" is the last evaluation that each backend had done when the
fused one had finished, reading and evaluating counted (— where it had done none).
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from record import save_part

import unrolled
from unrolled.cli.demo import RECIPES
from unrolled.training import Event

BACKENDS = ("fused", "torch", "reference")
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    f"films-{name}": ("sample:films", {"model": name, "evaluate_every": 20, **RECIPES[name]})
    for name in ("elman", "lstm", "gru")
}
CASES["shakespeare-gru"] = (
    "sample:shakespeare",
    {
        "task": "generate", "model": "gru", "hidden_size": 384, "embedding_size": 64, "streams": 16, "chunk": 64,
        "updates": 300, "evaluate_every": 50, "patience": 0,
    },
)  # fmt: skip


def train(data: str, settings: dict[str, Any], backend: str, seed: int) -> dict[str, Any]:
    """Train once; return tokens a second, updates, and (seconds, loss) of every evaluation."""
    curve: list[tuple[float, float]] = []
    began = time.perf_counter()

    def report(event: Event) -> None:
        if event.valid is not None:
            curve.append((time.perf_counter() - began, event.valid.loss_nats))

    run = unrolled.train(data, backend=backend, seed=seed, report=report, **settings)
    record = run.record["training"]
    return {"tokens_per_second": record["tokens_per_second"], "updates": record["updates"], "curve": curve}


def measure(data: str, settings: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """Train with all backends in turn, for each seed."""
    runs: dict[str, list[dict[str, Any]]] = {backend: [] for backend in BACKENDS}
    train(data, {**settings, "updates": 1}, "fused", 0)  # the ids on disk are made here, outside the timed trainings
    for seed in seeds:
        for backend in BACKENDS:
            runs[backend].append(train(data, settings, backend, seed))
            last = runs[backend][-1]
            print(f"  {backend:<10} seed {seed}: {last['tokens_per_second']:,.0f} tokens/s", flush=True)
    limits = [run["curve"][-1][0] for run in runs["fused"]]
    measured: dict[str, Any] = {
        "data": data, "settings": settings, "seeds": seeds, "updates": runs["fused"][0]["updates"],
        "equal_seconds": [round(limit, 2) for limit in limits], "backends": {},
    }  # fmt: skip
    for backend, trained in runs.items():
        at_equal_seconds = [
            next((loss for seconds, loss in reversed(run["curve"]) if seconds <= limit), None)
            for run, limit in zip(trained, limits, strict=True)
        ]
        measured["backends"][backend] = {
            "tokens_per_second": round(statistics.median(run["tokens_per_second"] for run in trained)),
            "seconds": round(statistics.median(run["curve"][-1][0] for run in trained), 2),
            "loss_nats_at_equal_updates": [run["curve"][-1][1] for run in trained],
            "loss_nats_at_equal_seconds": at_equal_seconds,
        }
    return measured


def lines_of(case: str, measured: dict[str, Any]) -> str:
    """Return the figures of a case as a few lines."""
    lines = [f"{case}: {measured['updates']} updates"]
    for backend, figures in measured["backends"].items():
        updates, seconds = (
            " ".join("—" if loss is None else f"{loss:.4f}" for loss in figures[f"loss_nats_at_equal_{budget}"])
            for budget in ("updates", "seconds")
        )
        lines.append(
            f"  {backend:<10} {figures['tokens_per_second']:>8,} tokens/s {figures['seconds']:>6.1f} s"
            f"  loss at equal updates {updates}  at equal seconds {seconds}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    for case in options.cases:
        data, settings = CASES[case]
        measured = measure(data, settings, [int(seed) for seed in options.seeds.split(",")])
        print(lines_of(case, measured), flush=True)
        path = save_part("backends", case, measured)
    print(f"saved in {path}")


if __name__ == "__main__":
    main()
