import pytest
import torch

from modules import CELLS, D, H, both
from unrolled.cells import GRUCell, LSTMCell
from unrolled.layers import Bidirectional, Layer, Recurrent, Stacked, set_backend


def test_recurrent_dropout_is_one_mask_a_call_and_only_in_training() -> None:
    torch.manual_seed(0)
    cell = GRUCell(D, 400)
    with torch.no_grad():  # a cell whose gates show what of h reached them
        cell.weight_x.zero_()
        cell.weight_h.copy_(torch.cat([torch.zeros(800, 400), torch.eye(400)]))
        cell.bias.zero_()
        cell.bias[:400], cell.bias[400:800] = 200.0, -200.0  # r = 1, z = 0: h = tanh(h · mask)
    layer = Recurrent(cell, recurrent_dropout=0.5)
    start = cell.State(torch.full((2, 400), 0.1))
    y, _ = layer(torch.zeros(2, 3, D), start)
    dropped = y == 0
    assert torch.equal(dropped[:, 0], dropped[:, 1])  # the same units at every step
    assert torch.equal(dropped[:, 0], dropped[:, 2])
    assert not torch.equal(dropped[0], dropped[1])  # another mask for every sequence
    assert 0.4 < float(dropped.float().mean()) < 0.6
    kept = y[:, 0][~dropped[:, 0]]
    torch.testing.assert_close(kept, torch.full_like(kept, 0.2).tanh())  # scaled by 1 / (1 − rate)
    other, _ = layer(torch.zeros(2, 3, D), start)
    assert not torch.equal(other, y)  # another mask at the next call
    torch.testing.assert_close(layer.eval()(torch.zeros(2, 3, D), start)[0][:, 0], start.h.tanh())


def test_the_mask_follows_from_the_seed() -> None:
    layer = Recurrent(GRUCell(D, H), recurrent_dropout=0.5)
    x, outputs = torch.randn(2, 3, D), []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outputs.append(layer(x)[0])
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("name", CELLS)
def test_the_summary_of_both_directions_is_both_final_states(name: str) -> None:
    torch.manual_seed(0)
    layer, lengths = both(CELLS[name]), torch.tensor([4, 2])
    y, state = layer(torch.randn(2, 4, D), None, lengths)
    summary = layer.summary(state)
    for b, length in enumerate(lengths.tolist()):
        assert torch.equal(summary[b, :H], y[b, length - 1, :H])  # forward's last
        assert torch.equal(summary[b, H:], y[b, 0, H:])  # backward's first


def test_a_stack_feeds_each_layer_to_the_next() -> None:
    torch.manual_seed(0)
    lower, upper = Recurrent(GRUCell(D, H)), Recurrent(LSTMCell(H, 4))
    stack, x = Stacked([lower, upper]), torch.randn(2, 3, D)
    y, state = stack(x)
    expected, upper_state = upper(lower(x)[0])
    assert torch.equal(y, expected)
    assert torch.equal(stack.summary(state), upper_state.h)
    assert (stack.input_size, stack.output_size) == (D, 4)


def test_dropout_stands_between_layers_and_not_after_the_last() -> None:
    torch.manual_seed(0)
    one = Stacked([Recurrent(GRUCell(D, H))], dropout=0.9)
    x = torch.randn(2, 3, D)
    assert torch.equal(one(x)[0], one.layers[0](x)[0])
    two = Stacked([Recurrent(GRUCell(D, H)), Recurrent(GRUCell(H, H))], dropout=0.9)
    assert not torch.equal(two(x)[0], two(x)[0])
    two.eval()
    assert torch.equal(two(x)[0], two(x)[0])


def test_a_stack_is_causal_when_all_its_layers_are() -> None:
    assert Stacked([Recurrent(GRUCell(D, H)), Recurrent(GRUCell(H, H))]).causal
    assert not Stacked([Recurrent(GRUCell(D, H)), Recurrent(GRUCell(H, H), reverse=True)]).causal
    assert not Bidirectional(Recurrent(GRUCell(D, H)), Recurrent(GRUCell(D, H), reverse=True)).causal


def test_set_backend_reaches_every_recurrent_layer() -> None:
    stack = Stacked([both(GRUCell), Recurrent(LSTMCell(2 * H, H))])
    assert set_backend(stack, "reference") == 3
    assert [part.backend for part in stack.modules() if isinstance(part, Recurrent)] == ["reference"] * 3
    assert "backend='reference'" in repr(stack)


def test_a_layer_without_its_methods_says_which() -> None:
    layer = Layer(2, 3, causal=True)
    with pytest.raises(NotImplementedError, match="forward"):
        layer(torch.zeros(1, 1, 2))
    with pytest.raises(NotImplementedError, match="no summary"):
        layer.summary(())
