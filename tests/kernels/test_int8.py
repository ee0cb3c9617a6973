"""int8 products: the same integers on every instruction set, the equations in float64, and refusals."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unrolled.cells import LayerNormGRUCell
from unrolled.config import ModelConfig
from unrolled.errors import BackendError
from unrolled.kernels import freeze, native
from unrolled.layers import Recurrent
from unrolled.layers.mlp import Linear
from unrolled.models import Ids
from unrolled.runs.build import build
from unrolled.scan import frozen

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

SETS = [(name, vnni) for name, here in native.isas().items() if here for vnni in (True, False)]
SIZES = [(1, 1, 1), (1, 7, 5), (2, 64, 33), (9, 65, 130), (70, 130, 67), (1, 1030, 200), (3, 3000, 17), (0, 5, 6)]


def product(isa: str, vnni: bool, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    assert native.kernels is not None
    packed = native.kernels.FrozenLinear(list(native.isas()).index(isa), weight, bias, 1 if vnni else 2)
    y = torch.full((len(x), len(weight)), torch.nan)
    packed.forward(2, x, y)
    return y


def quantised(rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return q and the scales by the equations, with numpy's rounding to even."""
    values = rows.numpy()
    largest = np.abs(values).max(axis=1, keepdims=True)
    inverse = np.float32(127) / largest
    return np.rint(values * inverse).astype(np.int64), largest / np.float32(127)


@pytest.mark.parametrize(("isa", "vnni"), SETS)
@pytest.mark.parametrize(("N", "D", "V"), SIZES)
@pytest.mark.parametrize("signs", ["same", "opposite", "mixed"])
def test_sums_are_the_integers(isa: str, vnni: bool, N: int, D: int, V: int, signs: str) -> None:
    # ±127 everywhere: the scales are 1, so y is the int32 sum, rounded once to float32. A saturating instruction
    # (127 · 127 · 2 of an unsigned and a signed byte is close to 2¹⁵) would give another number.
    x, weight = torch.full((N, D), 127.0), torch.full((V, D), 127.0)
    if signs == "opposite":
        weight = -weight
    elif signs == "mixed":
        x, weight = (t * (torch.randint(0, 2, t.shape) * 2 - 1) for t in (x, weight))
    exact = (x.double() @ weight.double().T).float()
    assert torch.equal(product(isa, vnni, x, weight, None), exact)


@pytest.mark.parametrize(("isa", "vnni"), SETS)
@pytest.mark.parametrize(("N", "D", "V"), SIZES[:-1])
def test_outputs_are_those_of_the_equations(isa: str, vnni: bool, N: int, D: int, V: int) -> None:
    x, weight, bias = torch.randn(N, D), torch.randn(V, D) * 0.1, torch.randn(V)
    (qx, sx), (qw, sw) = quantised(x), quantised(weight)
    expected = (qx @ qw.T) * (sx.astype(np.float64) * sw.T) + bias.double().numpy()
    # Three roundings of the product (of the sum, of the scales, of their product), one of the bias.
    size = np.abs(qx @ qw.T) * (sx.astype(np.float64) * sw.T) + np.abs(expected)
    error = np.abs(product(isa, vnni, x, weight, bias).numpy() - expected)
    assert (error <= 4 * np.finfo(np.float32).eps * size).all()


@pytest.mark.parametrize(("isa", "vnni"), SETS)
def test_a_row_has_its_bits_in_any_batch(isa: str, vnni: bool) -> None:
    x, weight, bias = torch.randn(75, 50), torch.randn(40, 50), torch.randn(40)
    whole = product(isa, vnni, x, weight, bias)
    assert torch.equal(whole, torch.cat([product(isa, vnni, row[None], weight, bias) for row in x]))
    assert torch.equal(whole[3:8], product(isa, vnni, x[3:8], weight, bias))


@pytest.mark.parametrize(("isa", "vnni"), SETS)
def test_rows_without_a_scale(isa: str, vnni: bool) -> None:
    x, weight, bias = torch.randn(5, 37), torch.randn(20, 37), torch.randn(20)
    x[0], x[1, 36], x[2, 3], x[3] = 0, torch.nan, -torch.inf, 1e-40
    y = product(isa, vnni, x, weight, bias)
    assert torch.equal(y[0], bias)
    assert y[1:3].isnan().all()
    assert torch.equal(y[3], bias)  # far below a rounding of the bias
    assert y[4].isfinite().all()


def test_a_frozen_network_uses_int8_and_so_does_a_block_inside() -> None:
    network = nn.Sequential(Linear(40, 30), nn.ReLU(), Linear(30, 7))
    x = torch.randn(4, 6, 40)
    with torch.no_grad():
        free = network(x)
        with frozen(network, precision="int8"):
            packed = freeze.linear_of(network[0], x)
            assert packed is not None
            assert packed.int8
            y = network(x)
            with frozen(network):  # as decoding does
                assert torch.equal(network(x), y)
        assert torch.equal(network(x), free)
    assert not torch.equal(y, free)
    assert (y - free).abs().max() < 0.03 * free.abs().max()  # two layers of 1/254 of the largest number each


def test_refusals() -> None:
    network = nn.Sequential(Linear(4, 3), Linear(3, 2))
    with pytest.raises(BackendError, match="not known"), frozen(network, precision="int4"):  # type: ignore[arg-type]
        pass
    for module in (nn.ReLU(), nn.Linear(3, 4), Linear(3, 4).double(), Recurrent(LayerNormGRUCell(3, 4))):
        with pytest.raises(BackendError, match="there is no recurrence and no linear layer"), frozen(module, "int8"):
            pass
    with torch.no_grad():
        network[1].weight[1, 2] = torch.inf
    with pytest.raises(BackendError, match=r"1\.weight has an infinity or NaN"), frozen(network, precision="int8"):
        pass
    assert native.kernels is not None
    with pytest.raises(ValueError, match="133144"):
        native.kernels.FrozenLinear(0, torch.zeros(1, 133145), None, 1)
    with pytest.raises(ValueError, match="weight_x has 133145 inputs"):
        native.kernels.FrozenCell(0, 0, torch.zeros(1, 133145), torch.zeros(1, 1), None, None, 1)


def test_modules_without_an_int8_kernel_are_named_once_and_compute_in_float32(caplog: pytest.LogCaptureFixture) -> None:
    network = nn.Sequential(Linear(3, 4), nn.Linear(4, 5), Recurrent(LayerNormGRUCell(5, 6)), nn.LayerNorm(6))
    assert freeze.in_float32(network) == ["1 (Linear)", "2.cell (LayerNormGRUCell)"]
    x = torch.randn(2, 3, 5)
    with torch.no_grad(), caplog.at_level("WARNING", logger="unrolled"):
        expected, _ = network[2](x)
        for _ in range(2):
            with frozen(network, precision="int8"):
                assert torch.equal(network[2](x)[0], expected)
    (message,) = caplog.messages
    assert message.endswith("compute in float32: 1 (Linear), 2.cell (LayerNormGRUCell)")


def test_tables_of_vectors_are_no_products_and_a_tied_head_is_one() -> None:
    config = ModelConfig(name="gpt", num_layers=1, hidden_size=16, num_heads=2, embedding_size=16, tied=True)
    model = build("gpt", Ids(30), 30, config, answer="each").eval()
    assert freeze.in_float32(model) == []
    y = torch.randn(2, 3, 16)
    with torch.no_grad():
        free = model.logits(y)
        with frozen(model):
            assert torch.equal(model.logits(y), free)
        with frozen(model, precision="int8"):
            quantised = model.logits(y)
            model.embedding.weight.add_(1)
            with pytest.raises(BackendError, match="have changed"):
                model.logits(y)
    assert 0 < (quantised - free).abs().max() < 0.03 * free.abs().max()
