"""Seeds of the random numbers of each update: functions of the run's seed and the update, and of nothing else."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["seed_generator", "seed_of"]


def seed_of(seed: int, update: int) -> int:
    """Return the seed of an update's random numbers, in [0, 2^63).

    It is a hash, so that the seeds of neighbouring updates are unrelated. Update −1 is the initialisation of weights.
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {update}".encode()).digest()[:8], "big") >> 1


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the generator that a model on `device` draws from.

    On a CPU only that one: torch.manual_seed also seeds every accelerator, which costs a noticeable part of a small
    update.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
