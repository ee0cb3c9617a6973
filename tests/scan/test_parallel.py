"""The parallel forms of linear cells: any chunks, any lengths, both directions, and their second derivatives."""

import pytest
import torch
from torch import Tensor

from modules import LINEAR, D, gradients, shaken
from unrolled import cells, scan
from unrolled.errors import BackendError
from unrolled.scan import parallel

H = 6


def results(name: str, backend: str, lengths: Tensor | None, reverse: bool) -> list[Tensor]:
    """Outputs, states, and all gradients, from a state that is not zero."""
    torch.manual_seed(0)
    options = {"num_heads": 2} if "num_heads" in cells.CELLS[name].options else {}
    cell = shaken(cells.CELLS[name](D, H, **options)).double()
    x = torch.randn(3, 11, D, dtype=torch.float64, requires_grad=True)
    _, before = scan.scan(cell, torch.randn(3, 4, D, dtype=torch.float64), backend="reference")
    before = cell.State(*(leaf.detach().requires_grad_() for leaf in before))
    y, after = scan.scan(cell, x, before, lengths, reverse=reverse, backend=backend)
    found = [y, *after]
    entered = [
        x,
        *(leaf for leaf, name in zip(before, before._fields, strict=True) if name != "y" or lengths is not None),
    ]
    return found + gradients(found, [*entered, *cell.parameters()])


@pytest.mark.parametrize("chunk", [1, 3, 11, 64])
@pytest.mark.parametrize("name", LINEAR)
def test_chunks_change_nothing(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "CHUNK", chunk)
    for lengths, reverse in ((None, False), (torch.tensor([11, 0, 4]), False), (torch.tensor([2, 7, 0]), True)):
        wanted = results(name, "reference", lengths, reverse)
        for got, value in zip(results(name, "torch", lengths, reverse), wanted, strict=True):
            torch.testing.assert_close(got, value, rtol=1e-9, atol=1e-10)


def test_a_recurrence_has_its_derivatives() -> None:
    torch.manual_seed(0)
    a, b = torch.rand(2, 2, 5, 3, dtype=torch.float64, requires_grad=True)
    h0 = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(parallel.recurrence, (a, b, h0))
    assert torch.autograd.gradgradcheck(parallel.recurrence, (a, b, h0))


def test_a_long_decay_neither_overflows_nor_forgets_its_place() -> None:
    """2,000 steps that decay by 0.5 each: sums of logarithms reach −1,386, far below the smallest float32."""
    S = torch.ones(1, 1, 2, 2)
    q = k = torch.ones(1, 2000, 1, 2)
    r, S = parallel.chunked(q, k, torch.ones(1, 2000, 1, 2), torch.full((1, 2000, 1), 0.5).log(), S)
    torch.testing.assert_close(S, torch.full((1, 1, 2, 2), 2.0))
    torch.testing.assert_close(r[0, -1], torch.full((1, 2), 4.0))


def test_a_linear_cell_that_is_changed_has_no_parallel_form() -> None:
    class Own(cells.MinGRUCell):
        pass

    assert scan.choose("auto", cells.MinGRUCell(D, H)) == "torch"
    assert scan.choose("auto", Own(D, H)) == "reference"
    assert scan.choose("auto", cells.MinGRUCell(D, H), edited=True) == "reference"
    with pytest.raises(BackendError, match="exactly one of .*MinGRUCell.*this is SLSTMCell"):
        scan.choose("torch", cells.SLSTMCell(D, H))
