"""Seeds of random numbers: functions of the run's seed, the update and the shard, and of nothing else."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["seed_generator", "seed_of"]


def seed_of(seed: int, update: int, shard: int = 0) -> int:
    """Return the seed of the random numbers of an update's shard, in [0, 2^63).

    It is a hash, so that the seeds of neighbouring updates are unrelated. Update −1 is the initialisation of weights.
    """
    name = f"{seed} {update} {shard}" if shard else f"{seed} {update}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the generator that a model on `device` draws from.

    On a CPU only that one: torch.manual_seed also seeds every accelerator, which costs a noticeable part of a small
    update.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
