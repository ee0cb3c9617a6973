"""Sessions: each answers with the bits of its lone run, whatever the others do; forks, rewinds, files, ends."""

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import torch

import unrolled
from served import RUNS, Service, events, folder_of, serving
from small import pictures
from unrolled.data.encoding.tokenizers import BOS
from unrolled.serve.rows import initial

ALL = ("classify", "regress", "labels", "tag-forward", "generate", "gpt", "translate", "transformer", "images")
EXACT = ("classify", "regress", "labels", "tag-forward", "generate", "translate", "images")
"""Recurrent models, whose answers have the bits of the lone run."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(*ALL, "tag", "feedforward") as client:
        yield client


def opened(client: httpx.Client, name: str, **body: Any) -> dict[str, Any]:
    if RUNS[name]().config.task == "translate":
        body = {"source": "abcde", **body}
    got = client.post(f"/v1/runs/{name}/sessions", json=body)
    assert got.status_code == 201, got.text
    card: dict[str, Any] = got.json()
    return card


def step(client: httpx.Client, session: str, **body: Any) -> Any:
    got = client.post(f"/v1/sessions/{session}/steps", json=body)
    assert got.status_code == 200, got.text
    return got.json()["replies"]


def some(name: str, draw: random.Random) -> dict[str, Any]:
    """Inputs of a session, of a random length."""
    count = draw.choice([1, 1, 2, 3, 7, 70])
    if name == "images":
        return {"features": [[draw.uniform(-1, 1) for _ in range(5)] for _ in range(count)]}
    if name == "tag-forward":
        return {"text": " ".join(draw.choices(["the", "film", "is", "fine", "no1"], k=count)), "top": 2}
    if name in ("classify", "regress", "labels"):
        return {"text": " ".join(draw.choices(["the", "film", "fine", "dull", "plot"], k=count))}
    if name in ("translate", "transformer"):
        return {"text": "".join(draw.choices("ABCDEFGH", k=min(count, 7))), "top": 3}
    return {"text": "".join(draw.choices("the film ca", k=count)), "top": 3}


@pytest.mark.parametrize("name", ALL)
def test_interleaved_sessions_are_their_lone_runs(service: Service, name: str) -> None:
    """Many sessions at once, from many threads, with steps of different lengths; then each alone."""
    scripts = [[some(name, random.Random(100 * k + i)) for i in range(5)] for k in range(12)]

    def play(script: list[dict[str, Any]]) -> list[Any]:
        session = opened(service, name)["session"]
        return [step(service, session, **body) for body in script]

    found: list[Any] = [None] * len(scripts)

    def work(index: int) -> None:
        found[index] = play(scripts[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(scripts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = [play(script) for script in scripts]
    if name in EXACT:
        assert found == alone
    else:
        assert_near(found, alone)


def assert_near(found: Any, expected: Any) -> None:
    """Equal words, and numbers within 1e-4: attention sums in an order that depends on the batch."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-4)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            if key == "next":  # of tokens with nearly equal probabilities either may come first
                assert_near(*([each["probability"] for each in some[key]] for some in (found, expected)))
            else:
                assert_near(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_near(one, other)
    else:
        assert found == expected


def test_replies_of_a_language_model_are_the_models(service: Service) -> None:
    run: Any = RUNS["generate"]()
    text, ids = "the film", run.ids("the film")
    with torch.inference_mode():
        logits, _ = run.model(torch.tensor([[BOS, *ids]]))
    p = logits[0].double().softmax(1).numpy()
    session = opened(service, "generate", top=2)
    assert [each["probability"] for each in session["next"]] == sorted(p[0, 5:].tolist(), reverse=True)[:2]
    replies = step(service, session["session"], text=text, top=1)
    assert [each["token"] for each in replies] == list(text)
    for number, reply in enumerate(replies):
        assert reply["nats"] == pytest.approx(-np.log(p[number, ids[number]]), rel=1e-12)
        assert reply["next"][0]["probability"] == p[number + 1, 5:].max()


@pytest.mark.parametrize("name", ["classify", "regress"])
def test_a_session_that_has_read_a_text_answers_as_decode(service: Service, name: str) -> None:
    (answer,) = unrolled.decode(folder_of(name), "the film fine")
    session = opened(service, name)["session"]
    step(service, session, text="the")
    (reply,) = step(service, session, text="film fine")
    expected = answer.to_dict()
    assert {key: reply[key] for key in reply if key != "step"} == {
        key: expected[key] for key in expected if key != "text"
    }


def test_words_of_a_tagger(service: Service) -> None:
    (answer,) = unrolled.decode(folder_of("tag-forward"), "the film is fine")
    session = opened(service, "tag-forward")["session"]
    replies = step(service, session, text="the film") + step(service, session, words=["is", "fine"])
    found = [{key: reply[key] for key in reply if key != "step"} for reply in replies]
    assert found == answer.to_dict()["words"] or found == [*answer.to_dict()["words"]]


def test_features_of_an_image(service: Service) -> None:
    run: Any = RUNS["images"]()
    images, _ = pictures(1, seed=9)
    steps, _ = run.sequences(run._read(images)).pad(torch.tensor([0]))
    session = opened(service, "images")["session"]
    for vector in steps[0, :-1].tolist():
        step(service, session, features=[vector])
    (reply,) = step(service, session, features=[steps[0, -1].tolist()])
    (answer,) = run.decode(images)
    assert reply["probabilities"] == answer.probabilities


@pytest.mark.parametrize("name", ["generate", "gpt"])
def test_writing_continues_a_session(service: Service, name: str) -> None:
    options = {"length": 9, "temperature": 0.8, "seed": 5}
    whole = service.ask(f"/v1/runs/{name}/decode", {"inputs": "the ", **options})["answers"][0]["text"]
    session = opened(service, name)["session"]
    step(service, session, text="the ")
    wrote = service.ask(f"/v1/sessions/{session}/write", options)
    assert (wrote["text"], wrote["tokens"], wrote["ended"], wrote["steps"]) == (whole, 9, "length", 14)
    other = opened(service, name)["session"]
    step(service, other, text=f"the {whole}")
    if name == "generate":
        assert step(service, session, text="a") == step(service, other, text="a")
    else:
        assert_near(step(service, session, text="a"), step(service, other, text="a"))


def test_streams_of_a_session(service: Service) -> None:
    one, two = (opened(service, "generate")["session"] for _ in range(2))
    got = events(service.post(f"/v1/sessions/{one}/steps", json={"text": "the film", "stream": True}).text)
    replies = step(service, two, text="the film")
    assert [data for kind, data in got if kind == "step"] == replies
    assert got[-1] == ("answer", {"steps": 9})
    body = {"length": 8, "temperature": 0}
    got = events(service.post(f"/v1/sessions/{one}/write", json={**body, "stream": True}).text)
    wrote = service.ask(f"/v1/sessions/{two}/write", body)
    assert "".join(data["text"] for kind, data in got if kind == "text") == wrote["text"]
    assert got[-1] == ("answer", wrote)


@pytest.mark.parametrize("name", ALL)
def test_forks_rewinds_and_files(service: Service, name: str) -> None:
    draw = random.Random(3)
    first, left, right = (some(name, draw) for _ in range(3))
    session = opened(service, name)["session"]
    step(service, session, **first)
    service.ask(f"/v1/sessions/{session}/mark", {"mark": "here"})
    fork = service.post(f"/v1/sessions/{session}/fork", json={}).json()["session"]
    data = service.get(f"/v1/sessions/{session}/file").content
    was = step(service, session, **left)
    went_right = step(service, fork, **right)
    assert step(service, session, **right) != went_right or name in ("regress",)
    service.ask(f"/v1/sessions/{session}/rewind", {"mark": "here"})
    again = step(service, session, **left)
    got = service.post(f"/v1/runs/{name}/sessions", content=data, headers={"Content-Type": "application/octet-stream"})
    assert got.status_code == 201, got.text
    moved = step(service, got.json()["session"], **left)
    service.ask(f"/v1/sessions/{fork}/rewind", {"mark": "here"})
    forked = step(service, fork, **left)
    for other in (again, moved, forked):
        if name in EXACT:
            assert other == was
        else:
            assert_near(other, was)
    if name == "generate":
        assert len(data) < 4_000


def test_a_window_that_is_full_reads_its_last_half_again(service: Service) -> None:
    """GPT with a window of 16: 60 tokens, one at a time and at once, and as `decode` reads them."""
    text = "the film the cat a plot it the story film the cat the scene"
    one, two = (opened(service, "gpt")["session"] for _ in range(2))
    single = [step(service, one, text=character)[0] for character in text]
    at_once = step(service, two, text=text)
    assert_near(at_once, single)
    options = {"length": 40, "temperature": 0}
    (whole,) = unrolled.decode(folder_of("gpt"), "", **options)
    wrote = service.ask(f"/v1/sessions/{opened(service, 'gpt')['session']}/write", options)
    assert wrote["text"] == whole.text


def test_a_damaged_or_foreign_file_is_refused(service: Service) -> None:
    draw = random.Random(0)
    session = opened(service, "generate")["session"]
    step(service, session, text="the")
    data = service.get(f"/v1/sessions/{session}/file").content
    kind = {"Content-Type": "application/octet-stream"}
    for _ in range(200):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        got = service.post("/v1/runs/generate/sessions", content=bytes(changed), headers=kind)
        assert got.status_code == 422, got.text
    for other in (data[: len(data) // 2], b"", data + b"x", b"\xff" * 100):
        assert service.post("/v1/runs/generate/sessions", content=other, headers=kind).status_code == 422
    got = service.post("/v1/runs/tag-forward/sessions", content=data, headers=kind)
    assert got.status_code == 422
    assert "another run" in got.json()["error"]


BAD: list[tuple[str, str, dict[str, Any], int]] = [
    ("generate", "steps", {}, 422),
    ("generate", "steps", {"text": ""}, 422),
    ("generate", "steps", {"text": "ŧ"}, 422),
    ("generate", "steps", {"text": 3}, 422),
    ("generate", "steps", {"tokens": [1]}, 422),
    ("generate", "steps", {"tokens": [10**9]}, 422),
    ("generate", "steps", {"tokens": [True]}, 422),
    ("generate", "steps", {"tokens": "the"}, 422),
    ("generate", "steps", {"words": ["the"]}, 422),
    ("generate", "steps", {"text": "a", "tokens": [5]}, 422),
    ("generate", "steps", {"features": [[1.0]]}, 422),
    ("generate", "steps", {"text": "a", "top": 0}, 422),
    ("generate", "steps", {"text": "a", "stream": 1}, 422),
    ("generate", "write", {"length": -1}, 422),
    ("generate", "write", {"beam": 2}, 422),
    ("generate", "mark", {}, 422),
    ("generate", "mark", {"mark": ""}, 422),
    ("generate", "rewind", {"mark": "nowhere"}, 404),
    ("generate", "fork", {"mark": "x"}, 422),
    ("tag-forward", "steps", {"words": ["a\tb"]}, 422),
    ("tag-forward", "steps", {"words": []}, 422),
    ("tag-forward", "write", {}, 422),
    ("images", "steps", {"features": [[1, 2]]}, 422),
    ("images", "steps", {"features": [[1e300] * 5]}, 422),
    ("images", "steps", {"features": []}, 422),
    ("images", "steps", {"features": [[1] * 5, [1]]}, 422),
    ("images", "steps", {"text": "a"}, 422),
]


@pytest.mark.parametrize(("name", "verb", "body", "status"), BAD, ids=lambda value: str(value)[:30])
def test_bad_requests_change_nothing(service: Service, name: str, verb: str, body: Any, status: int) -> None:
    session = opened(service, name)["session"]
    before = service.get(f"/v1/sessions/{session}").json()
    service.refused(f"/v1/sessions/{session}/{verb}", body, status)
    assert service.get(f"/v1/sessions/{session}").json() == before


def test_unknown_and_closed_sessions(service: Service) -> None:
    service.refused("/v1/sessions/nothing/steps", {"text": "a"}, 404)
    session = opened(service, "generate")["session"]
    assert service.delete(f"/v1/sessions/{session}").json() == {"session": session, "ended": "closed"}
    refused = service.refused(f"/v1/sessions/{session}/steps", {"text": "a"}, 410)
    assert "its client has closed it" in refused["error"]
    service.refused("/v1/runs/tag/sessions", {}, 422)  # it reads in both directions
    service.refused("/v1/runs/translate/sessions", {}, 422)
    service.refused("/v1/runs/generate/sessions", {"source": "a"}, 422)


def test_sessions_are_evicted_and_expire_with_an_event() -> None:
    with serving("generate", sessions=3, session_seconds=1.0) as client:
        got: list[tuple[str, dict[str, Any]]] = []

        def listen() -> None:
            with client.stream("GET", "/v1/events") as stream:
                for line in stream.iter_lines():
                    if line.startswith("data: "):
                        got.append(("ended", json.loads(line[6:])))

        thread = threading.Thread(target=listen)
        thread.start()
        time.sleep(0.2)
        names = [opened(client, "generate")["session"] for _ in range(3)]
        step(client, names[0], text="a")
        opened(client, "generate")  # evicts names[1], used least recently
        refused = client.refused(f"/v1/sessions/{names[1]}/steps", {"text": "a"}, 410)
        assert "evicted" in refused["error"]
        assert step(client, names[2], text="a")
        deadline = time.monotonic() + 10
        while len(got) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [data["reason"].partition(":")[0] for _, data in got] == ["evicted", "expired", "expired", "expired"]
        assert got[0][1]["session"] == names[1]
        assert "expired" in client.refused(f"/v1/sessions/{names[2]}/steps", {"text": "a"}, 410)["error"]
        assert 'unrolled_sessions_ended_total{reason="expired"} 3' in client.get("/metrics").text
        client.server.loop.call_soon_threadsafe(client.server.stop)
        thread.join(20)
        assert not thread.is_alive()


def test_the_bytes_of_all_sessions_are_bounded() -> None:
    with serving("generate", session_bytes=1_500) as client:
        names = [opened(client, "generate")["session"] for _ in range(20)]
        bytes_each = client.get(f"/v1/sessions/{names[-1]}").json()["bytes"]
        alive = [name for name in names if client.get(f"/v1/sessions/{name}").status_code == 200]
        assert alive == names[-(1_500 // bytes_each) :]
        assert 0 < len(alive) < 20


def test_a_busy_session_is_refused_and_a_client_that_leaves_changes_nothing(service: Service) -> None:
    session = opened(service, "generate")["session"]
    before = service.get(f"/v1/sessions/{session}").json()
    with service.stream("POST", f"/v1/sessions/{session}/write", json={"length": 4_000, "stream": True}) as stream:
        lines = stream.iter_lines()  # kept: its end would close the connection
        assert next(lines) == "event: text"
        refused = service.refused(f"/v1/sessions/{session}/steps", {"text": "a"}, 409)
        assert "another request" in refused["error"]
    deadline = time.monotonic() + 5
    while service.get(f"/v1/sessions/{session}/file").status_code == 409 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert service.get(f"/v1/sessions/{session}").json() == before
    assert step(service, session, text="a")


def test_the_initial_state_is_that_of_nothing_read() -> None:
    for name in ("generate", "gpt", "tag-forward"):
        model: Any = RUNS[name]().model
        ids = torch.tensor([[5, 6, 7]])
        with torch.inference_mode():
            expected, got = model(ids)[0], model(ids, initial(model))[0]
        assert torch.equal(expected, got) or torch.allclose(expected, got, atol=1e-5)
