"""Data-parallel training in one process, over gloo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel

from transforms.sides import FEW, transform
from transforms.with_autograd import leaves, total


@contextmanager
def group() -> Iterator[None]:
    """Join a group of one process."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def steps(model: nn.Module, x: Tensor) -> Any:
    """Train for two updates and return every output."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    found = []
    for _ in range(2):
        y = model(x)
        optimizer.zero_grad()
        total(y).backward()
        optimizer.step()
        found.append([leaf.detach() for leaf in leaves(y)])
    with torch.no_grad():
        return [*found, leaves(model(x))]


@transform("DistributedDataParallel", on=FEW)
def ddp(m: nn.Module, x: Tensor) -> Any:
    with group():
        return steps(DistributedDataParallel(m), x)


@transform("DistributedDataParallel, static graph, buckets as views", on=FEW)
def ddp_static(m: nn.Module, x: Tensor) -> Any:
    with group():
        return steps(DistributedDataParallel(m, static_graph=True, gradient_as_bucket_view=True), x)


@transform("FSDP", on=FEW)
def fsdp(m: nn.Module, x: Tensor) -> Any:
    with group():
        return steps(FullyShardedDataParallel(m, device_id=torch.device("cpu")), x)


@transform("FSDP, original parameters", on=FEW)
def fsdp_original(m: nn.Module, x: Tensor) -> Any:
    with group():
        return steps(FullyShardedDataParallel(m, device_id=torch.device("cpu"), use_orig_params=True), x)


@transform("fully_shard", on=FEW)
def sharded(m: nn.Module, x: Tensor) -> Any:
    with group():
        mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
        return steps(fully_shard(m, mesh=mesh), x)


@transform("fully_shard, state_dict", on=FEW)
def sharded_state(m: nn.Module, x: Tensor) -> Any:
    with group():
        mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
        m = fully_shard(m, mesh=mesh)
        return [[type(t).__name__, t.full_tensor()] for t in m.state_dict().values()], repr(m)


@transform("DTensor as parameters", on=FEW)
def dtensor(m: nn.Module, x: Tensor) -> Any:
    with group():
        mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
        values = {name: distributed.tensor.distribute_tensor(p.detach(), mesh) for name, p in m.named_parameters()}
        with torch.no_grad():
            y = torch.func.functional_call(m, values, (distributed.tensor.distribute_tensor(x, mesh),))
        return [leaf.full_tensor() for leaf in leaves(y)]
