"""The cost of checkpoints at their default interval, and of the loop outside forward, backward and optimiser.

    python benchmarks/checkpoints.py [--time-limit 60s]

A small and a large GRU are trained on film sentences, each for the time limit, into a folder, as `unrolled train` does.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from record import save

import unrolled
from unrolled.cli.demo import SEARCHED

CASES: dict[str, dict[str, Any]] = {
    "GRU of 128": {},
    "GRU of 384": {"hidden_size": 384, "embedding_size": 384, "batch_tokens": 1024},
    "2 GRUs of 1024": {"hidden_size": 1024, "embedding_size": 512, "num_layers": 2},
}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time-limit", default="60s", help="for each case")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for name, settings in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            run = unrolled.train(
                "sample:films", out=out, time_limit=options.time_limit, patience=0, **SEARCHED, **settings
            )
        training = run.record["training"]
        seconds, total = training["seconds"], training["total_seconds"]
        inside = sum(seconds[phase] for phase in ("forward", "backward", "optimizer"))
        outside = 1 - inside / (total - seconds["evaluation"] - seconds["checkpoint"])
        figures[name] = {
            "parameters": run.record["parameters"],
            "updates": training["updates"],
            "total_seconds": round(total, 1),
            "fraction_of_checkpoints": round(seconds["checkpoint"] / total, 4),
            "fraction_of_evaluations": round(seconds["evaluation"] / total, 4),
            "milliseconds_an_update": round(1000 * (total - seconds["evaluation"]) / training["updates"], 2),
            "outside_forward_backward_optimizer": round(outside, 4),
        }
        print(name, figures[name])
    path = save("checkpoints", {"case": "sample:films, checkpoints by default", "trainings": figures})
    print(path)


if __name__ == "__main__":
    main()
