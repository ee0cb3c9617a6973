"""Attribution by its definitions: finite differences in float64, and one replacement at a time."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import small
from unrolled.inside import Example
from unrolled.inside.attribution import attribution
from unrolled.inside.copies import input_sequences
from unrolled.inside.observe import observe
from unrolled.inside.trace import Header
from unrolled.training import Run

SHARED = {"shared_vocabulary": True, "tied": True}
CASES: dict[str, tuple[Any, Any]] = {
    "once": (lambda: small.trained("lstm"), "the film is warm"),
    "bag": (lambda: small.trained("feedforward"), "the film is warm"),
    "number": (lambda: small.number_run("gru"), "the film is warm"),
    "image": (lambda: small.image_run("gru"), small.pictures()[0][0]),
    "tag": (lambda: small.tag_run("gru"), "the plot"),
    "text": (lambda: small.text_run("elman"), "the film"),
    "window": (lambda: small.text_run("feedforward"), "the"),
    "gpt": (lambda: small.text_run("gpt", num_layers=1), "the"),
    "pair": (lambda: small.translation_run("attention"), ("abc", "CBA")),
    "fixed": (lambda: small.translation_run("encoder_decoder"), ("abc", "CB")),
    "shared": (lambda: small.translation_run("transformer", num_layers=1, **SHARED), ("abc", "CB")),
    "one-sequence": (lambda: small.translation_run("gpt", num_layers=1), ("abc", "CB")),
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", CASES)


def prepared(name: str) -> tuple[Any, Example]:
    """A model in float64 that moved off its start, and an example with known answers."""
    make, text = CASES[name]
    run: Run = make()
    torch.manual_seed(0)
    model = copy.deepcopy(run.model).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    example = run.example(text)
    if example.inputs.is_floating_point():
        example = replace(example, inputs=example.inputs.double())
    return model, observe(model, example, Header())[1]


def log_prob(model: Any, example: Example, changed: dict[str, Tensor]) -> Tensor:
    """ln p of every answer, (A,), with other vectors: the embeddings' hooks, one model call, nothing else."""
    handles = []
    read = {each.prefix: each for each in input_sequences(model, example)}

    def say(prefix: str) -> None:
        if (vectors := changed.get(prefix)) is not None and read[prefix].embedding is not None:
            hook = lambda module, inputs, output: torch.cat([vectors[None], output[:, len(vectors) :]], dim=1)  # noqa: E731
            handles.append(read[prefix].embedding.register_forward_hook(hook))

    def done() -> None:
        while handles:
            handles.pop().remove()

    with torch.no_grad():
        say("source.")
        state = None if example.source is None else model.encode(example.source.ids)
        done()
        say("")
        inputs = changed.get("", example.inputs[0])[None] if model.embedding is None else example.inputs
        logits, _ = model(inputs, state)
        done()
    logits = logits if model.answer == "once" else logits[0, example.steps]
    if logits.shape[1] == 1:  # a number
        return small.number_run("gru").scale.restore(logits[:, 0])
    return logits.log_softmax(dim=1).gather(1, example.answers[:, None])[:, 0]


@EVERY
def test_gradients_by_finite_differences(name: str) -> None:
    model, example = prepared(name)
    found = attribution(model, example)
    step = 1e-5
    for side in input_sequences(model, example):
        slopes = torch.empty(len(example.steps), *side.vectors.shape, dtype=torch.float64)
        for index in torch.cartesian_prod(*(torch.arange(n) for n in side.vectors.shape)).tolist():
            ends = []
            for sign in (1, -1):
                vectors = side.vectors.clone()
                vectors[tuple(index)] += sign * step
                ends.append(log_prob(model, example, {side.prefix: vectors}))
            slopes[(slice(None), *index)] = (ends[0] - ends[1]) / (2 * step)
        close(found[f"{side.prefix}gradient_norm"], slopes.norm(dim=2))
        close(found[f"{side.prefix}input_x_gradient"], (slopes * side.vectors).sum(dim=2))


@EVERY
def test_occlusion_by_its_definition(name: str) -> None:
    model, example = prepared(name)
    found = attribution(model, example)
    whole = log_prob(model, example, {})
    for side in input_sequences(model, example):
        nothing = torch.zeros_like(side.vectors[0])
        if side.embedding is not None:
            nothing = side.embedding.weight[5:].mean(dim=0).detach()
        for s in range(len(side.vectors)):
            vectors = side.vectors.clone()
            vectors[s] = nothing
            lost = (whole - log_prob(model, example, {side.prefix: vectors})) / (1 if name == "number" else math.log(2))
            close(found[f"{side.prefix}occlusion"][:, s], lost)


@pytest.mark.parametrize("max_steps", [1, 7])
@pytest.mark.parametrize("name", ["once", "text", "pair", "tag", "one-sequence"])
def test_chunks_change_nothing(name: str, max_steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, example = prepared(name)
    whole = attribution(model, example)
    monkeypatch.setattr("unrolled.inside.copies.MAX_STEPS", max_steps)
    monkeypatch.setattr("unrolled.inside.attribution.MAX_STEPS", max_steps)
    for key, value in attribution(model, example).items():
        close(value, whole[key])


@pytest.mark.parametrize("is_trained", [True, False])
def test_the_model_is_left_as_it_was(is_trained: bool) -> None:
    """Also one with a parameter that is not trained."""
    run = small.text_run("gru")
    run = replace(run, model=copy.deepcopy(run.model))
    run.model.head.weight.requires_grad_(is_trained)
    wanted = [parameter.requires_grad for parameter in run.model.parameters()]
    run.explain("the", gradient=True)
    assert [parameter.requires_grad for parameter in run.model.parameters()] == wanted
    assert not any(module._forward_hooks for module in run.model.modules())
    assert all(parameter.grad is None for parameter in run.model.parameters())


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b.to(a), rtol=1e-6, atol=1e-8)
