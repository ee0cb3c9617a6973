"""Python, the command line and HTTP answer one question with the same bytes; all refuse the same options."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from served import JSON, RUNS, Service, events, folder_of, serving
from small import pictures, write_idx
from unrolled.cli.main import run
from unrolled.errors import ConfigError
from unrolled.serve.asking import decode_options
from unrolled.serve.openapi import example_input

QUESTIONS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("classify", ["the film fine", "a plot, dull", "x y z"], {}),
    ("classify", ["the film fine"] * 3, {"top": 1}),
    ("feedforward", ["the film fine", "the"], {}),
    ("labels", ["the film fine", "superb warm story"], {"threshold": 0.4}),
    ("regress", ["the film fine", "dull"], {}),
    ("tag", ["the film is fine", "a"], {"top": 2}),
    ("tag-forward", ["the film is fine", "a plot no1"], {}),
    ("translate", ["abc", "hgfedc", "a"], {}),
    ("translate", ["abc", "hgfedc"], {"beam": 3, "n_best": 2}),
    ("translate", ["abc"], {"temperature": 0.7, "seed": 4, "length": 9, "min_length": 2}),
    ("transformer", ["abc", "hgfedc"], {"beam": 2}),
    ("generate", ["the ", "a film", ""], {"length": 30, "seed": 7}),
    ("generate", ["the "], {"length": 40, "temperature": 0}),
    ("generate", ["the ", "cat"], {"length": 40, "top_k": 5, "top_p": 0.9, "stop": ["e", "x"]}),
    ("generate", ["the "], {"length": 30, "temperature": 0.5, "no_repeat_ngram": 2, "repetition_penalty": 1.3}),
    ("generate", ["the "], {"length": 0}),
    ("gpt", ["the "], {"length": 12, "temperature": 0}),
    ("classify", ["the film fine", "a plot"], {"precision": "int8"}),
    ("generate", ["the ", "a"], {"length": 20, "precision": "int8"}),
]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(*RUNS) as client:
        yield client


def flags(options: dict[str, Any]) -> list[str]:
    found = []
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            found += [f"--{name.replace('_', '-')}", str(one)]
    return found


def test_every_task_is_asked() -> None:
    assert {RUNS[name]().config.task for name, *_ in QUESTIONS} >= {
        "classify",
        "regress",
        "tag",
        "translate",
        "generate",
    }


@pytest.mark.parametrize(("name", "inputs", "options"), QUESTIONS, ids=lambda value: str(value)[:40])
def test_python_command_line_and_http_answer_the_same_bytes(
    service: Service, name: str, inputs: list[str], options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(name)
    python = unrolled.decode(folder, inputs, **options)
    lines = "".join(json.dumps(answer.to_dict(), ensure_ascii=False) + "\n" for answer in python)
    arguments = [word for text in inputs for word in ("--prompt", text)] if name in ("generate", "gpt") else inputs
    assert run(["decode", str(folder), *flags(options), "--json", "--threads", "1", *arguments]) == 0
    assert capsys.readouterr().out == lines
    got = service.post(
        f"/v1/runs/{name}/decode", json={"inputs": inputs, **options}, headers={"Accept": "application/jsonl"}
    )
    assert got.text == lines
    plain = service.ask(f"/v1/runs/{name}/decode", {"inputs": inputs, **options})
    assert plain == {"answers": [json.loads(line) for line in lines.splitlines()]}


def test_images(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, _ = pictures(3, seed=5)
    folder = folder_of("images")
    python = [answer.to_dict() for answer in unrolled.decode(folder, images)]
    assert service.ask("/v1/runs/images/decode", {"inputs": images.tolist()}) == {"answers": python}
    path = write_idx(tmp_path / "three-images-idx3-ubyte", images)
    assert run(["decode", str(folder), "--file", str(path), "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{**answer, "image": ""} for answer in printed] == [{**answer, "image": ""} for answer in python]
    one = service.ask("/v1/runs/images/decode", {"inputs": images[1].tolist()})["answers"]
    assert one[0]["probabilities"] == python[1]["probabilities"]


@pytest.mark.parametrize("name", ["generate", "gpt", "translate", "transformer"])
def test_a_stream_has_the_text_of_decode(service: Service, name: str) -> None:
    text = example_input(RUNS[name]())
    options = {"length": 12}
    (answer,) = service.ask(f"/v1/runs/{name}/decode", {"inputs": text, **options})["answers"]
    got = service.post(f"/v1/runs/{name}/stream", json={"input": text, **options})
    assert got.headers["content-type"].startswith("text/event-stream")
    found = events(got.text)
    pieces = "".join(data["text"] for kind, data in found if kind == "text")
    assert [kind for kind, _ in found].index("answer") == len(found) - 1
    target = answer if "text" in answer else answer["targets"][0]
    last = found[-1][1]
    assert (pieces, last["text"], last["tokens"], last["ended"]) == (
        target["text"],
        target["text"],
        target["tokens"],
        target["ended"],
    )


DATA: dict[str, Any] = {
    "classify": [["the film fine", "pos"], ["a plot", "neg"]],
    "labels": [["the film fine", ["pos"]], ["a plot", []]],
    "regress": [["the film fine", 30], ["a plot", 12.5], ["dull", 11]],
    "tag": [[["the", "film"], ["DET", "NOUN"]], [["a", "plot"], ["DET", "NOUN"]]],
    "translate": [["abc", "CBA"], ["ha", "AH"]],
}


@pytest.mark.parametrize("name", DATA)
def test_evaluate(service: Service, name: str) -> None:
    data = [tuple(pair) for pair in DATA[name]]
    expected = unrolled.evaluate(folder_of(name), data).to_dict()
    got = service.post(f"/v1/runs/{name}/evaluate", json={"data": DATA[name]})
    assert got.text == json.dumps(expected, ensure_ascii=False)


def test_evaluate_a_text_and_images(service: Service, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the film the cat\nthe plot", encoding="utf-8")
    expected = unrolled.evaluate(folder_of("generate"), tmp_path / "a.txt").to_dict()
    assert service.ask("/v1/runs/generate/evaluate", {"data": "the film the cat\nthe plot"}) == expected
    images, labels = pictures(8, seed=3)
    expected = unrolled.evaluate(folder_of("images"), (images, labels)).to_dict()
    body = {"data": {"images": images.tolist(), "labels": labels}}
    assert service.ask("/v1/runs/images/evaluate", body) == json.loads(json.dumps(expected))


def test_options_are_refused_in_the_words_of_python(service: Service) -> None:
    for name, options in (
        ("classify", {"topp": 3}),
        ("classify", {"top": 0}),
        ("generate", {"temperature": 0, "seed": 3}),
        ("translate", {"beam": 2, "temperature": 1}),
        ("tag", {"beam": 2}),
    ):
        with pytest.raises(ConfigError) as error:
            RUNS[name]().decode("the", **options)
        refused = service.refused(f"/v1/runs/{name}/decode", {"inputs": "the", **options}, 422)
        assert refused["error"] == str(error.value)
        assert refused["field"] in options


BAD: list[tuple[str, Any, int, str | None]] = [
    ("classify", b"[", 400, None),
    ("classify", b"[]", 400, None),
    ("classify", b'{"inputs": NaN}', 400, None),
    ("classify", b'{"inputs": -Infinity}', 400, None),
    ("classify", b'{"inputs": "\xff"}', 400, None),
    ("classify", b'{"inputs": "\\ud800"}', 422, None),
    ("classify", b"[" * 100_000, 400, None),
    ("classify", b'{"inputs": "a", "top": ' + b"9" * 10_000 + b"}", 400, None),
    ("classify", {"inputs": 3}, 422, "inputs"),
    ("classify", {}, 422, "inputs"),
    ("classify", {"inputs": ["a", None]}, 422, "inputs[1]"),
    ("classify", {"inputs": ["a", ["b"]]}, 422, "inputs[1]"),
    ("classify", {"inputs": ["a", " "]}, 422, "inputs[1]"),
    ("classify", {"inputs": "a", "top": 1e400}, 400, None),
    ("classify", {"inputs": "a" * 200_000}, 413, "inputs[0]"),
    ("classify", {"inputs": ["a"] * 2_000}, 413, "inputs"),
    ("tag", {"inputs": [[]]}, 422, "inputs[0]"),
    ("tag", {"inputs": [["a\tb"]]}, 422, "inputs[0]"),
    ("generate", {"inputs": "ŧ"}, 422, "inputs[0]"),
    ("generate", {"inputs": "the", "length": 1_000_000}, 422, "length"),
    ("translate", {"inputs": "!!"}, 422, "inputs[0]"),
    ("translate", {"inputs": "abc", "prefix": "!"}, 422, None),
    ("translate", {"inputs": "abc", "beam": 100}, 422, "beam"),
    ("images", {"inputs": "/etc/passwd"}, 422, "inputs"),
    ("images", {"inputs": ["/etc/passwd"]}, 422, "inputs"),
    ("images", {"inputs": [[1, 2], [3]]}, 422, "inputs"),
    ("images", {"inputs": [[1, 2], [3, 4]]}, 422, "inputs"),
    ("images", {"inputs": [[[0] * 5] * 5 + [[256] * 5]]}, 422, "inputs"),
    ("images", {"inputs": [[10**30] * 5] * 6}, 422, "inputs"),
]


@pytest.mark.parametrize(("name", "body", "status", "field"), BAD, ids=lambda value: str(value)[:30])
def test_bad_bodies(service: Service, name: str, body: Any, status: int, field: str | None) -> None:
    if isinstance(body, dict):
        body = json.dumps(body).replace("Infinity", "1e400").encode()
        status = 422 if b"1e400" in body else status  # JSON allows it, the option does not
    refused = service.refused(f"/v1/runs/{name}/decode", body, status)
    assert field is None or refused["field"] == field
    assert "Traceback" not in refused["error"]


def test_evaluation_data_are_never_files(service: Service) -> None:
    for name in ("classify", "tag", "translate", "labels"):
        for data in ("/etc/passwd", ["/etc/passwd"], {}, None, [], "sample:films", "-"):
            service.refused(f"/v1/runs/{name}/evaluate", {"data": data}, 422)
    for data in ("/etc/passwd", {"images": "/etc", "labels": []}):
        service.refused("/v1/runs/images/evaluate", {"data": data}, 422)


def test_addresses(service: Service) -> None:
    names = [card["name"] for card in service.get("/v1/runs").json()["runs"]]
    assert names == [*RUNS]
    card = service.get("/v1/runs/classify").json()
    assert card["labels"] == ["neg", "pos"]
    text = service.get("/v1/runs").text
    assert "/tmp" not in text
    assert unrolled.__version__ not in text
    assert service.get("/v1/runs/classify/metrics").json()["events"]
    for path, status in (("/v1/runs/nothing", 404), ("/", 404), ("/v1/runs/classify/decode", 405), ("/v1", 404)):
        got = service.get(path)
        assert (got.status_code, got.json().keys()) == (status, {"error", "field", "hint"})
    refused = service.refused("/v1/runs/clasify/decode", {"inputs": "a"}, 404)
    assert refused["hint"] == 'did you mean "classify"?'
    assert service.get("/livez").json() == {"state": "alive"}
    assert service.get("/readyz").json() == {"state": "ready"}
    metrics = service.get("/metrics").text
    assert re.search(r'unrolled_requests_total\{route="run",status="200"\} [1-9]', metrics)
    got = service.post("/v1/runs/classify/decode", content='{"inputs": "a"}', headers={"Content-Type": "text/plain"})
    assert got.status_code == 415


def test_every_example_of_the_document_is_answered(service: Service) -> None:
    document = service.get("/openapi.json").json()
    paths, asked = document["paths"], 0
    assert "/v1/runs/translate/stream" in paths
    assert "/v1/runs/classify/stream" not in paths
    for path, operations in paths.items():
        for method, operation in operations.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                if "example" in content and "{" not in path:
                    got = service.request(method, path, json=content["example"], headers={"Content-Type": kind})
                    assert got.status_code in (200, 201), (path, got.text)
                    asked += 1
    assert asked >= 2 * len(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_the_document_has_the_options_of_the_schema(service: Service, name: str) -> None:
    document = service.get("/openapi.json").json()
    body = document["paths"][f"/v1/runs/{name}/decode"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"].keys() == {"inputs", *decode_options(RUNS[name]()).model_fields}


def test_head_of_http() -> None:
    with serving("classify") as client:
        got = client.post("/v1/runs/classify/decode", content=b'{"inputs": "a"}', headers=JSON)
        assert not {"server", "date", "x-powered-by"} & {name.lower() for name in got.headers}
        assert got.headers["x-content-type-options"] == "nosniff"
        assert np.isfinite(got.json()["answers"][0]["probability"])


def test_a_server_has_a_precision() -> None:
    (expected,) = unrolled.decode(folder_of("classify"), "the film fine", precision="int8")
    (written,) = unrolled.decode(folder_of("generate"), "the", length=12, precision="int8")
    (plain,) = unrolled.decode(folder_of("classify"), "the film fine")
    assert expected != plain
    with serving("classify", "generate", settings={"precision": "int8"}) as client:
        assert client.ask("/v1/runs/classify/decode", {"inputs": "the film fine"})["answers"] == [expected.to_dict()]
        body = {"inputs": "the film fine", "precision": "float32"}
        assert client.ask("/v1/runs/classify/decode", body)["answers"] == [plain.to_dict()]
        body = {"inputs": "the", "length": 12}
        assert client.ask("/v1/runs/generate/decode", body)["answers"] == [written.to_dict()]
