"""A task in which the first token decides how the rest is read: what Elman, LSTM and GRU learn, and their gradients.

python benchmarks/long_lag.py      into benchmarks/results/long_lag.json, in three minutes of one core

A text is P or N, then LAG tokens a or b, drawn at random. The answer to P is whether most are a, to N whether most are
b. So a network has to keep the first token while it counts. Three orders of the data, each with weights of its own.
"""

from __future__ import annotations

import random
from typing import Any

from record import save

import unrolled

LAG = 41  # odd: there is always a majority
ORDERS = (0, 1, 2)
FAR = (1, 10, 20, 30, 40)
SETTINGS: dict[str, Any] = {
    "embedding_size": 16, "hidden_size": 24, "epochs": 20, "learning_rate": 5e-3, "patience": 0, "baseline": False,
    "seed": 1,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {"elman": {}, "lstm": {"forget_bias": 3.0}, "gru": {}}


def make(order: int = 0, count: int = 3_000) -> list[tuple[str, str]]:
    """Return texts with their labels, yes or no. order: the seed of the draws."""
    draw, rows = random.Random(order), []
    for _ in range(count):
        first, rest = draw.choice("PN"), draw.choices("ab", k=LAG)
        most = rest.count("a") > LAG / 2
        rows.append((" ".join([first, *rest]), "yes" if most == (first == "P") else "no"))
    return rows


def measure() -> dict[str, Any]:
    """Train each model on each order; return scores and the fraction of the gradient that is left at each distance."""
    models: dict[str, Any] = {}
    for name, own in MODELS.items():
        for order in ORDERS:
            run = unrolled.train(make(order), model=name, **SETTINGS, **own)
            trace = run.explain(make(order)[0][0], gradient=True)
            slopes = trace[f"{name}.l0.gradient"][0]
            left = {str(back): float(slopes[-1 - back] / slopes[-1]) for back in FAR}
            accuracy = run.test.accuracy
            print(
                f"{name:6} order {order} accuracy {accuracy:.3f}", {d: f"{v:.0e}" for d, v in left.items()}, flush=True
            )
            models.setdefault(name, []).append({"order": order, "accuracy": accuracy, "left": left})
    return {"lag": LAG, "settings": SETTINGS, "own": MODELS, "models": models}


if __name__ == "__main__":
    print(save("long_lag", measure()))
