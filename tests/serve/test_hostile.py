"""Hostile requests: made from the document, mutated, and raw bytes. No answer is a 500, and the server still answers.

`python benchmarks/soak.py requests` sends a hundred thousand; here are a few thousand.
"""

import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostilerequests import framing, mutated, requests
from served import JSON, RUNS, Service, serving

SOME = ("classify", "labels", "regress", "tag", "generate", "gpt", "translate", "images")
MORE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(*SOME, read_seconds=2.0, length=64) as client:
        yield client


def check(client: Service, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    got = client.request(method, path, content=body, headers=headers)
    assert got.status_code < 500 or got.status_code == 503, (path, body[:200], got.text)
    if got.status_code >= 400:
        assert got.json().keys() == {"error", "field", "hint"}, (path, got.text)
        assert "Traceback" not in got.text
    return got.status_code


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["the", "abc", "../../etc/passwd", "sample:films", "-", "hub:x", "\x00", "<script>", "${x}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["inputs", "input", "data", "top", "length", "stop", "beam", "seed", "edits", "tensors", "prefix"]
)


@MORE
@given(
    run=st.sampled_from([*SOME, "nothing"]),
    verb=st.sampled_from(["decode", "stream", "evaluate", "explain", "intervene", "branch", "sessions"]),
    body=st.dictionaries(FIELDS | st.text(max_size=5), VALUES, max_size=4),
)
def test_any_json(service: Service, run: str, verb: str, body: dict[str, Any]) -> None:
    data = json.dumps(body).encode("utf-8", "replace")
    check(service, "POST", f"/v1/runs/{run}/{verb}", data, JSON)


@MORE
@given(body=st.binary(max_size=200))
def test_any_bytes(service: Service, body: bytes) -> None:
    for path in ("/v1/runs/classify/decode", "/v1/runs/generate/sessions"):
        check(service, "POST", path, body, JSON)
    check(service, "POST", "/v1/runs/generate/sessions", body, {"Content-Type": "application/octet-stream"})


def test_mutations_of_good_requests(service: Service) -> None:
    draw = random.Random(0)
    good = requests(service.get("/openapi.json").json())
    codes = [check(service, *mutated(draw, draw.choice(good))) for _ in range(1_000)]
    assert 200 in codes
    assert sum(code >= 400 for code in codes) > 300


def test_raw_framing(service: Service) -> None:
    draw = random.Random(1)
    port = service.base_url.port
    for _ in range(150):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(5)
            connection.sendall(framing(draw))
            connection.shutdown(socket.SHUT_WR)
            try:
                received = connection.recv(1 << 16)
            except ConnectionResetError:
                continue
            assert not received.startswith(b"HTTP/1.1 500"), received
    assert service.ask("/v1/runs/classify/decode", {"inputs": "the film"})


HOSTILE = (
    "<script>alert(1)</script>",
    "</text><script>x</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202eabc",
    "a\x1bb",
)


def test_nothing_hostile_is_an_element_of_a_picture(service: Service) -> None:
    for text in HOSTILE:
        for name, picture in (("classify", "text"), ("classify", "gates"), ("tag", "text")):
            body = {"input": f"the {text.replace(chr(9), '')} film", "format": "svg", "picture": picture}
            got = service.post(f"/v1/runs/{name}/explain", json={**body, "attribution": picture == "text"})
            assert got.status_code in (200, 404, 422), got.text
            assert "<script" not in got.text
            assert "<img" not in got.text
            assert got.headers["content-type"] in ("image/svg+xml", "application/json")
            assert got.headers["x-content-type-options"] == "nosniff"


def test_every_run_still_answers(service: Service) -> None:
    from unrolled.serve.openapi import example_input

    for name in SOME:
        assert service.ask(f"/v1/runs/{name}/decode", {"inputs": example_input(RUNS[name]())})
