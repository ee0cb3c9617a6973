"""Images: Fashion-MNIST and MNIST at once, by row and by pixel; each case is one command.

    python benchmarks/images.py fashion FOLDER           feedforward on Fashion-MNIST, the image at once
    python benchmarks/images.py mnist FOLDER             the same on MNIST
    python benchmarks/images.py lstm-by-row FOLDER       28 steps on MNIST; also gru-by-row
    python benchmarks/images.py lstm-by-pixel FOLDER     one pass over MNIST in 784 steps, and torch.nn's; also gru-…
    python benchmarks/images.py fashion FOLDER --search  the trials that found a case's settings

FOLDER holds the four IDX files as they are published. A tenth of the 60,000 training images, chosen by their hash, is
the validation split: settings and the best evaluation are chosen on it. The 10,000 test images are evaluated once, at
the end.

The baseline by pixel is torch.nn's layer and a Linear on its last h, in a plain loop over the same batches with the
same loss, clipping and fused AdamW; both are timed in turns in one process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from record import SINCE_BY_DATA, save_part
from torch import Tensor, nn
from torch.nn import functional as F

import unrolled
from unrolled.config import Config, from_flat
from unrolled.tasks.images import ClassifyImages
from unrolled.training import Event, Run, Score, Trainer
from unrolled.training.prepare import prepare

AT_ONCE = {
    "model": "feedforward",
    "hidden_size": 512,
    "num_layers": 2,
    "dropout": 0.3,
    "learning_rate": 2e-3,
    "batch_images": 256,
    "patience": 0,
}
BY_ROW = {"by": "row", "hidden_size": 128, "learning_rate": 3e-3, "epochs": 8, "patience": 0}
BY_PIXEL = {"by": "pixel", "hidden_size": 128, "learning_rate": 2e-3, "dropout": 0.0, "epochs": 1}
CASES: dict[str, dict[str, Any]] = {
    "fashion": {**AT_ONCE, "epochs": 24},
    "mnist": {**AT_ONCE, "epochs": 15},
    "lstm-by-row": {"model": "lstm", **BY_ROW},
    "gru-by-row": {"model": "gru", **BY_ROW},
    "lstm-by-pixel": {"model": "lstm", **BY_PIXEL},
    "gru-by-pixel": {"model": "gru", **BY_PIXEL},
}
SEEDS = (0, 1, 2)  # by pixel only the first
TRIALS: dict[str, list[dict[str, Any]]] = {  # over the case's settings, one seed each
    "fashion": [{}, {"dropout": 0.4, "hidden_size": 768}, {"learning_rate": 1e-3, "batch_images": 128}],
    "lstm-by-row": [{}, {"dropout": 0.0}, {"read": "mean"}],
}
TURNS, UPDATES = 4, 6  # of a comparison: turns, and updates a turn


def train(folder: str, settings: dict[str, Any]) -> tuple[Run, Score]:
    """Train once; return the run, and its best score on the valid split."""
    best: list[Score] = []

    def report(event: Event) -> None:
        if event.valid:
            best.extend([event.valid] if event.best else [])
            print(f"  epoch {event.epoch:.1f}  {event.valid.loss_nats:.4f} nats {event.valid.accuracy:.2%}", flush=True)

    return unrolled.train(folder, report=report, **SINCE_BY_DATA["images"] | settings), best[-1]


def figures(folder: str, settings: dict[str, Any], seeds: tuple[int, ...]) -> dict[str, Any]:
    """Return the figures of a case over the seeds."""
    trained = [train(folder, {**settings, "seed": seed}) for seed in seeds]
    runs = [run for run, _ in trained]
    spent = [run.record["training"] for run in runs]
    first = runs[0]
    return {
        "model": first.config.model.name,
        "by": first.config.data.by,
        "settings": settings,
        "seeds": seeds,
        "backend": first.record["backend"],
        "parameters": first.record["parameters"],
        "accuracy": statistics.mean(run.test.accuracy for run in runs),
        "accuracy_by_seed": [run.test.accuracy for run in runs],
        "interval_of_first": list(first.test.accuracy_interval),
        "valid_accuracy": statistics.mean(score.accuracy for _, score in trained),
        "valid_loss_nats": statistics.mean(score.loss_nats for _, score in trained),
        "seconds_by_seed": [round(training["total_seconds"], 1) for training in spent],
        "updates": spent[0]["updates"],
        "steps_per_second": round(statistics.median(training["tokens_per_second"] for training in spent)),
    }


class Plain(nn.Module):
    """A layer of torch.nn over the pixels, and a Linear on its last h."""

    def __init__(self, name: str, hidden_size: int) -> None:
        super().__init__()
        self.layer = {"lstm": nn.LSTM, "gru": nn.GRU}[name](1, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, 10) of pixels (B, T, 1)."""
        return self.head(self.layer(x)[0][:, -1])


def plain_update(trainer: Trainer, config: Config) -> Callable[[], None]:
    """Return a function that does the next update of a plain loop over the trainer's batches."""
    model = Plain(config.model.name, config.model.hidden_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.training.learning_rate, fused=True)
    index = iter(range(10**6))

    def update() -> None:
        batch = trainer.loader.batch(0, next(index))
        loss = F.cross_entropy(model(batch.inputs), batch.targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.training.clip)
        optimizer.step()
        loss.item()

    return update


def against_torch(folder: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the steps a second of our loop and of the plain one, in turns; medians over the turns."""
    config = from_flat(settings)
    task = ClassifyImages.read(folder, config)
    trainer = prepare(task, config, torch.device("cpu")).trainer
    trainer.model.train()
    updates = {"unrolled": trainer.update, "torch": plain_update(trainer, config)}
    speeds: dict[str, list[float]] = {name: [] for name in updates}
    steps = UPDATES * config.training.batch_images * task.pixels.num_steps
    for turn in range(TURNS + 1):
        for name, update in updates.items():
            began = time.perf_counter()
            for _ in range(UPDATES):
                update()
            if turn:  # the first one warms up
                speeds[name].append(steps / (time.perf_counter() - began))
    ours, plain = (statistics.median(speeds[name]) for name in updates)
    return {"in_turns": {"unrolled": round(ours), "torch": round(plain)}, "times_as_fast": ours / plain}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("folder", help="with train- and t10k-images and labels")
    parser.add_argument("--search", action="store_true", help="the trials that found the settings")
    options = parser.parse_args()
    settings = CASES[options.case]
    if not options.search:
        pixels = settings.get("by") == "pixel"
        measured = figures(options.folder, settings, SEEDS[:1] if pixels else SEEDS)
        measured |= against_torch(options.folder, settings) if pixels else {}
        print(measured)
        print(save_part("images", options.case, measured))
        return
    trials = []
    for trial in TRIALS.get(options.case, [{}]):
        trials.append(figures(options.folder, settings | trial, SEEDS[:1]))
        for unseen in ("accuracy", "accuracy_by_seed", "interval_of_first"):  # the test split chooses nothing
            del trials[-1][unseen]
        print(trials[-1], flush=True)
        print(save_part("images_search", options.case, {"trials": trials}))


if __name__ == "__main__":
    main()
