"""The tensors of a trainer: with its progress, all that its future depends on.

Their names are `group/name`. The groups: `model` (weights and buffers), `step`, `exp_avg` and `exp_avg_sq` (AdamW),
`best` (weights of the best evaluation), `best_0`, … (of each of the best ones, with average_best), `average` (averaged
weights), `carried` (state that a stream carries over).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from unrolled.errors import CheckpointError
from unrolled.state import State, join, leaves, like, mapped
from unrolled.training.loop import Trainer
from unrolled.training.optimizer import moments, moments_like, set_moments
from unrolled.training.progress import Progress

__all__ = ["replicated_tensors", "restore", "state_tensors"]


def state_tensors(trainer: Trainer) -> dict[str, Tensor]:
    """Return the tensors that a training continues from, by name. They are not copied.

    With many processes all of them call it: each has the carried states of its shards.
    """
    tensors = replicated_tensors(trainer)
    if trainer.states and trainer.next_batch().continues:
        ours = list(leaves(join([trainer.states[shard] for shard in sorted(trainer.states)])))
        parts = zip(*trainer.processes.gathered(ours), strict=True)
        tensors |= {f"carried/{i}": torch.cat(leaf) for i, leaf in enumerate(parts)}
    return tensors


def replicated_tensors(trainer: Trainer) -> dict[str, Tensor]:
    """Return the tensors of `state_tensors` that all processes have alike: those of all groups but `carried`."""
    groups = {"model": trainer.model.state_dict(), **moments(trainer.optimizer, trainer.model)}
    if trainer.progress.highest is not None:
        groups["best"] = trainer.best_weights
    if trainer.best_models is not None:
        groups |= trainer.best_models.tensors()
    if trainer.average is not None:
        groups["average"] = trainer.average.tensors()
    return {f"{group}/{name}": value for group, tensors in groups.items() for name, value in tensors.items()}


def restore(trainer: Trainer, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
    """Set a trainer to the point at which `state_tensors` was called.

    Args:
        trainer: a trainer of the same model and settings.
        progress: the progress at that point. It becomes the trainer's own.
        tensors: the result of `state_tensors`.

    Raises:
        CheckpointError: the tensors are not those of this model and these settings.
    """
    groups: dict[str, dict[str, Tensor]] = {"carried": {}}
    for name, value in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = value.to(trainer.device)
    carried = groups.pop("carried")
    _refuse_other_tensors(groups, trainer, progress)
    if progress.index >= (batches := trainer.loader.count(progress.epoch)):
        raise CheckpointError(
            f"the checkpoint is not one of these data: batch {progress.index:,} of an epoch of {batches:,}"
        )
    trainer.progress = progress
    trainer.model.load_state_dict(groups["model"])
    trainer.best_weights = groups.get("best") or copy.deepcopy(trainer.model.state_dict())
    if trainer.best_models is not None:
        trainer.best_models.weights = [groups[f"best_{place}"] for place in range(len(progress.ranking))]
    set_moments(trainer.optimizer, trainer.model, groups)
    if trainer.average is not None:
        trainer.average.restore(groups["average"])
    trainer.states = _carried_states(trainer, [carried[str(i)] for i in range(len(carried))]) if carried else {}


def _refuse_other_tensors(groups: Mapping[str, Mapping[str, Tensor]], trainer: Trainer, progress: Progress) -> None:
    """Refuse tensors whose names, shapes or dtypes are not those of the trainer at this progress."""
    weights, trained = trainer.model.state_dict(), dict(trainer.model.named_parameters())
    expected = {"model": weights}
    if progress.highest is not None:
        expected["best"] = weights
    expected |= {f"best_{place}": weights for place in range(len(progress.ranking))}
    if trainer.average is not None:
        expected["average"] = trained
    if progress.update:
        expected |= moments_like(trained)
    if different := _shapes(groups) ^ _shapes(expected):
        raise CheckpointError(f"the checkpoint is not one of this model with these settings: see {min(different)[0]}")


def _shapes(groups: Mapping[str, Mapping[str, Tensor]]) -> set[tuple[str, str]]:
    """Return the name of every tensor, with its shape and dtype."""
    return {
        (f"{group}/{name}", f"{tuple(value.shape)} {value.dtype}")
        for group, tensors in groups.items()
        for name, value in tensors.items()
    }


def _carried_states(trainer: Trainer, tensors: list[Tensor]) -> dict[int, State]:
    """Return the tensors as states of the shards of this process: all have equally many sequences, in order."""
    carried = _carried_state(trainer, tensors)
    size = len(tensors[0]) // trainer.shards
    return {
        shard: mapped(lambda leaf, first=shard * size: leaf[first : first + size].clone(), carried)
        for shard in range(*trainer.processes.owned(trainer.shards))
    }


def _carried_state(trainer: Trainer, tensors: list[Tensor]) -> State:
    """Return the tensors as a state of the trainer's model, which one step through it shows the structure of."""
    trainer.model.eval()
    with torch.no_grad():
        _, state = trainer.model(trainer.next_batch().inputs[:, :1])
    try:
        carried = like(state, tensors)
    except ValueError as error:
        raise CheckpointError(f"the checkpoint is not one of this model with these settings: {error}") from None
    for number, (ours, theirs) in enumerate(zip(leaves(state), tensors, strict=True)):
        if _form(ours) != _form(theirs):
            raise CheckpointError(
                f"the checkpoint is not one of this model with these settings: carried/{number} is {_form(theirs)}, "
                f"not {_form(ours)}"
            )
    return carried


def _form(leaf: Tensor) -> tuple[tuple[int, ...], torch.dtype]:
    """Return the shape and dtype of a leaf of a state."""
    return tuple(leaf.shape), leaf.dtype
