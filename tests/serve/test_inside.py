"""Explanations, interventions and branches over HTTP, and interventions in Python."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import safetensors.torch
import torch

import unrolled
from served import RUNS, Service, folder_of, serving
from small import pictures
from unrolled.errors import ConfigError, TraceError
from unrolled.inside import Edit, intervene
from unrolled.pictures import draw
from unrolled.serve.openapi import example_input


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(*RUNS) as client:
        yield client


@pytest.mark.parametrize("name", RUNS)
def test_explain_gives_the_tensors_of_python(service: Service, name: str) -> None:
    given: Any = pictures(1)[0] if name == "images" else example_input(RUNS[name]())
    trace = unrolled.explain(folder_of(name), given, attribution=False)
    body = {"input": given.tolist() if name == "images" else given, "attribution": False}
    got = service.ask(f"/v1/runs/{name}/explain", {**body, "tensors": ["*"]})
    assert got["tensors"].keys() == set(trace)
    for tensor, value in trace.items():
        assert got["tensors"][tensor]["shape"] == list(value.shape)
    assert got["answers"] == list(trace.about.answers)
    file = service.post(f"/v1/runs/{name}/explain", json={**body, "format": "safetensors"})
    assert file.status_code == 200, file.text
    data = file.content
    loaded = safetensors.torch.load(data)
    assert loaded.keys() == set(trace)
    assert all(torch.equal(loaded[tensor], trace[tensor]) for tensor in trace)
    assert not any("values" in each for each in service.ask(f"/v1/runs/{name}/explain", body)["tensors"].values())


def test_pictures(service: Service) -> None:
    trace = unrolled.explain(folder_of("classify"), "the film fine", attribution=False)
    body = {"input": "the film fine", "attribution": False, "format": "svg", "picture": "gates", "unit": 2}
    got = service.post("/v1/runs/classify/explain", json=body)
    assert got.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in got.headers["content-security-policy"]
    assert got.text.replace("<", "")[:100] == draw("gates", [trace], unit=2).replace("<", "")[:100]


def effect(name: str, text: Any, *edits: Edit, tokens: dict[int, int] | None = None) -> Any:
    run: Any = RUNS[name]()
    return intervene(run.model, run.example(text), edits, tokens)


def test_a_clamped_gate_is_the_networks_own_equation() -> None:
    """With z = 1 at every step of a GRU, h stays 0: the answer is that of the head's bias."""
    run: Any = RUNS["classify"]()
    found = effect("classify", "the film fine", Edit("gru.l0.z", 1.0))
    expected = run.model.head.bias.double().log_softmax(0)[found.answers]
    assert torch.allclose(found.after, expected, atol=1e-6)
    assert not torch.allclose(found.before, found.after)


def test_a_gate_at_one_step_changes_only_later_answers() -> None:
    found = effect("generate", "the film", Edit("gru.l0.r", 0.0, step=4))
    assert torch.allclose(found.before[:4], found.after[:4], atol=1e-6)
    assert not torch.allclose(found.before[4:], found.after[4:], atol=1e-6)
    one = effect("generate", "the film", Edit("gru.l0.z", 0.5, step=2, unit=3))
    assert not torch.allclose(one.before, one.after, atol=1e-7)


def test_a_replaced_token_is_another_text() -> None:
    run: Any = RUNS["generate"]()
    found = effect("generate", "the film", tokens={3: run.ids("a")[0]})
    other = run.example("tha film")
    with torch.no_grad():
        logits, _ = run.model(other.inputs)
    expected = logits[0, found.answers.new_tensor(range(9))].double().log_softmax(1)
    assert torch.allclose(found.after, expected.gather(1, found.answers[:, None])[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("translate", "attention.weights"),
        ("transformer", "decoder.transformer.l0.weights"),
        ("transformer", "decoder.transformer.l0.cross.weights"),
        ("transformer", "encoder.transformer.l0.weights"),
        ("gpt", "transformer.l0.weights"),
    ],
)
def test_attention_weights(name: str, tensor: str) -> None:
    text: Any = ("abcd", "DCBA") if name in ("translate", "transformer") else "the film"
    trace = RUNS[name]().explain(text, attribution=False)
    weights = trace[tensor]
    step = weights.shape[-2] - 1
    own = weights[..., step, 0].flatten()[0].item()
    same = effect(name, text, Edit(tensor, own, step=step, source=0, head=0 if weights.dim() == 3 else None))
    assert torch.allclose(same.before, same.after, atol=1e-5), "a weight that is set to its own value changes nothing"
    found = effect(name, text, Edit(tensor, 1.0, source=0))
    assert not torch.allclose(found.before, found.after, atol=1e-6)


def test_gates_of_a_decoder_that_attends() -> None:
    found = effect("translate", ("abcd", "DCBA"), Edit("decoder.gru.l0.z", 1.0, step=2))
    assert torch.allclose(found.before[:2], found.after[:2], atol=1e-6)
    assert not torch.allclose(found.before[2:], found.after[2:], atol=1e-6)


def test_wrong_edits() -> None:
    for edit, error in (
        (Edit("gru.l0.y", 0.0), TraceError),
        (Edit("gru.l0.z", 0.0, unit=99), ConfigError),
        (Edit("gru.l0.z", 0.0, step=99), ConfigError),
    ):
        with pytest.raises(error):
            effect("generate", "the film", edit)
    run: Any = RUNS["generate"]()
    assert not any("run" in vars(module) or "forward" in vars(module) for module in run.model.modules())


def test_intervene_over_http(service: Service) -> None:
    body = {"input": "the film", "edits": [{"tensor": "gru.l0.z", "step": 4, "unit": 1, "value": 0.0}]}
    got = service.ask("/v1/runs/generate/intervene", body)
    found = effect("generate", "the film", Edit("gru.l0.z", 0.0, step=4, unit=1))
    assert [each["difference"] for each in got["answers"]] == (found.after - found.before).tolist()
    token = {"input": "the film", "edits": [{"step": 3, "token": "a"}]}
    got = service.ask("/v1/runs/generate/intervene", token)
    assert got["answers"][0]["difference"] == 0
    assert got["answers"][-1]["difference"] != 0
    for edits, status in (
        ([{"tensor": "gru.l9.z", "value": 0}], 404),
        ([{"tensor": "gru.l0.z", "unit": 99, "value": 0}], 422),
        ([{"tensor": "gru.l0.z", "step": 99, "value": 0}], 422),
        ([{"tensor": "gru.l0.z", "value": 1e300}], 422),
        ([{"step": 99, "token": "a"}], 422),
        ([{"step": 1, "token": "ŧ"}], 422),
        ([{"step": 1, "token": "two"}], 422),
        ([{}], 422),
        ([], 422),
        ("z", 422),
    ):
        service.refused("/v1/runs/generate/intervene", {"input": "the film", "edits": edits}, status)


def test_bad_explanations(service: Service) -> None:
    for body, status in (
        ({}, 422),
        ({"input": 3}, 422),
        ({"input": "the", "max_length": 0}, 422),
        ({"input": "the", "format": "html"}, 422),
        ({"input": "the", "format": "svg"}, 422),
        ({"input": "the", "format": "svg", "picture": "nothing", "attribution": False}, 422),
        ({"input": "the", "format": "svg", "picture": "gates", "unit": 99, "attribution": False}, 422),
        ({"input": "the", "tensors": ["lstm.l0.f"], "attribution": False}, 404),
        ({"input": "the", "target": "x"}, 422),
        ({"input": "the", "extra": 1}, 422),
    ):
        service.refused("/v1/runs/classify/explain", body, status)


@pytest.mark.parametrize("name", ["generate", "gpt", "translate", "transformer"])
def test_branches(service: Service, name: str) -> None:
    text = example_input(RUNS[name]())
    options = {"length": 9, "temperature": 0}
    got = service.ask(f"/v1/runs/{name}/branch", {"input": text, "width": 3, **options})
    assert len(got["branches"]) == 3
    probabilities = [each["probability"] for each in got["branches"]]
    assert probabilities == sorted(probabilities, reverse=True)
    (answer,) = service.ask(f"/v1/runs/{name}/decode", {"inputs": text, **options})["answers"]
    first = got["branches"][0]  # the greedy text begins with the most probable token
    expected = answer if "text" in answer else answer["targets"][0]
    assert (first["text"], first["tokens"], first["ended"]) == (expected["text"], expected["tokens"], expected["ended"])
    assert json.dumps(got)
    service.refused("/v1/runs/classify/branch", {"input": "a"}, 422)
    service.refused(f"/v1/runs/{name}/branch", {"input": text, "width": 99}, 422)
