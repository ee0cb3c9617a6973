"""Gradients with respect to hidden states, compared with autograd through a loop that is written out."""

import copy
from typing import Any

import pytest
import torch

import small
from unrolled.inside import by_distance
from unrolled.inside.gradient import gradient
from unrolled.inside.observe import observe
from unrolled.inside.trace import Header


def test_it_is_the_derivative_through_all_paths() -> None:
    """Two layers of a GRU, step by step by hand: each h is a leaf that is added to."""
    torch.manual_seed(0)
    run = small.text_run("gru", num_layers=2)
    model = copy.deepcopy(run.model).double()
    _, example = observe(model, run.example("the film"), Header())
    found = gradient(model, example)
    T, cells = example.inputs.shape[1], [layer.cell for layer in model.layers.layers]
    nudges = [
        [torch.zeros(1, cell.hidden_size, dtype=torch.float64, requires_grad=True) for _ in range(T)] for cell in cells
    ]
    x = model.embedding(example.inputs)
    states: list[Any] = [cell.initial(x) for cell in cells]
    nats = []
    for t in range(T):
        below = x[:, t]
        for depth, cell in enumerate(cells):
            y, _ = cell.advance(cell.gates(cell.project(below), states[depth]), states[depth])
            below = y + nudges[depth][t]
            states[depth] = cell.State(below)
        nats.append(model.head(below).log_softmax(dim=1)[0, example.answers[t]])
    for a in range(T):
        for depth in range(2):
            slopes = torch.autograd.grad(
                nats[a], nudges[depth], retain_graph=True, allow_unused=True, materialize_grads=True
            )
            expected = torch.stack([slope.norm() for slope in slopes])
            torch.testing.assert_close(found[f"gru.l{depth}.gradient"][a], expected.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", ["attention", "encoder_decoder"])
def test_a_decoder_s_top_layer_moves_later_answers_through_its_state(name: str, num_layers: int) -> None:
    torch.manual_seed(0)
    run = small.translation_run(name, cell="lstm", num_layers=num_layers)
    model = copy.deepcopy(run.model).double()
    _, example = observe(model, run.example(("abcd", "DCBA")), Header())
    found = gradient(model, example)
    names = [f"decoder.lstm.l{i}.gradient" for i in range(num_layers)]
    assert {name for name in found if name.startswith("decoder.")} == set(names)
    begun, cut = model.encode(example.source.ids), 2
    with torch.no_grad():
        _, state = model(example.inputs[:, :cut], begun)
    layers = state.decoder.layers if name == "attention" else state.decoder
    h = layers[-1].h.clone().requires_grad_()
    layers = (*layers[:-1], layers[-1]._replace(h=h))
    decoder = state.decoder._replace(layers=layers) if name == "attention" else layers
    logits, _ = model(example.inputs[:, cut:], state._replace(decoder=decoder))
    for a in range(cut, example.inputs.shape[1]):
        (slope,) = torch.autograd.grad(logits[0, a - cut].log_softmax(0)[example.answers[a]], h, retain_graph=True)
        torch.testing.assert_close(found[names[-1]][a, cut - 1], slope.norm(), rtol=1e-9, atol=1e-12)
    assert (found[names[-1]].triu(1) == 0).all(), "nothing moves an answer that came before it"


def test_the_top_layer_s_own_step_is_the_head_s_gradient() -> None:
    run = small.translation_run("attention", cell="lstm", num_layers=2)
    model = copy.deepcopy(run.model).double()
    _, example = observe(model, run.example(("abcd", "DCBA")), Header())
    found = gradient(model, example)["decoder.lstm.l1.gradient"]
    with torch.no_grad():
        logits, _ = model(example.inputs, model.encode(example.source.ids))
    p = logits[0].softmax(dim=1)
    weight = model.head.weight.detach()
    for a, answer in enumerate(example.answers.tolist()):
        torch.testing.assert_close(found[a, a], (weight[answer] - p[a] @ weight).norm(), rtol=1e-9, atol=1e-12)


def test_backends_and_hooks_are_as_they_were() -> None:
    run = small.text_run("gru")
    before = [layer.backend for layer in run.model.layers.layers]
    run.explain("the", gradient=True, attribution=False)
    assert [layer.backend for layer in run.model.layers.layers] == before


def test_by_distance_is_the_mean_over_answers() -> None:
    values = torch.tensor([[1.0, 9.0, 9.0], [2.0, 3.0, 9.0], [4.0, 5.0, 6.0]])
    found = by_distance(values, torch.arange(3))
    torch.testing.assert_close(found, torch.tensor([(1 + 3 + 6) / 3, (2 + 5) / 2, 4.0]))
    assert by_distance(values[2:], torch.tensor([2])).tolist() == [6.0, 5.0, 4.0]
