"""The speed of `unrolled serve`: the server on one core, the client on another.

python benchmarks/serve.py texts                      # 64 texts a request, next to the bare loop
python benchmarks/serve.py single                     # one text a request, next to an empty FastAPI route
python benchmarks/serve.py litserve --python PYTHON   # the same function behind LitServe, in an environment with it
python benchmarks/serve.py streams                    # 64 streams at once: a GRU, and a GPT of equal parameters
python benchmarks/serve.py                            # all but litserve

Needs a quiet machine with two cores. The classifier is a GRU of about a million parameters with random weights, and its
texts have 20 tokens. An environment for LitServe: pip install litserve, and this package. Results go to
benchmarks/results/serve.json, a part each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import record
from serve_client import Asker, percentile, pinned, process, served

import unrolled

WORDS = [f"w{i}" for i in range(3_000)]
PAIRS = 60


def texts(count: int, seed: int = 0) -> list[str]:
    """Return texts of 20 tokens."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=20)) for _ in range(count)]


def classifier(folder: Path) -> Path:
    """Write a GRU classifier of about a million parameters."""
    data = [(text, ("pos", "neg")[i % 2]) for i, text in enumerate(texts(1_500, seed=1))]
    size = {"embedding_size": 192, "hidden_size": 256, "min_frequency": 1, "updates": 1}
    unrolled.train(data, model="gru", baseline=False, out=folder / "gru", **size)
    return folder / "gru"


def language_model(folder: Path, name: str, **size: Any) -> Path:
    """Write a language model by characters."""
    (folder / "text.txt").write_text("\n".join(texts(400, seed=2)), encoding="utf-8")
    unrolled.train(folder / "text.txt", task="generate", model=name, out=folder / f"lm-{name}", updates=1, **size)
    return folder / f"lm-{name}"


async def timed(port: int, path: str, bodies: list[Any]) -> list[float]:
    """Return the seconds of requests, one after another."""
    async with Asker(port) as asker:
        found = []
        for body in bodies:
            answer = await asker.ask(path, body)
            assert answer.status == 200, answer.body
            found.append(answer.seconds)
        return found


def case_texts() -> None:
    """64 texts a request, next to the bare loop at batch 64 on the same core."""
    with tempfile.TemporaryDirectory() as name:
        folder = classifier(Path(name))
        asked = [texts(64, seed=i) for i in range(20)]
        ratios, ours, bare = [], [], []
        with served(f"gru={folder}") as (_, port):
            for pair in range(PAIRS):
                bodies = [{"inputs": some} for some in asked[pair % 10 : pair % 10 + 10]]
                pinned(0)
                over_http = sum(asyncio.run(timed(port, "/v1/runs/gru/decode", bodies)))
                alone = bare_loop(folder, [body["inputs"] for body in bodies])
                ratios.append(alone / over_http)
                ours.append(640 / over_http)
                bare.append(640 / alone)
        figures = {
            "parameters": unrolled.load(folder).record["parameters"],
            "texts_per_second": round(statistics.median(ours)),
            "bare_texts_per_second": round(statistics.median(bare)),
            "of_the_bare_loop": round(statistics.median(ratios), 3),
        }
        print(figures)
        record.save_part("serve", "texts", figures, "fastapi", "uvicorn")


_LOADED: dict[Path, Any] = {}


def bare_loop(folder: Path, batches: list[list[str]]) -> float:
    """Return the seconds of `decode` on batches, in this process, with one thread."""
    import torch

    torch.set_num_threads(1)
    run = _LOADED.setdefault(folder, unrolled.load(folder, device="cpu"))
    run.decode(batches[0])
    begun = time.perf_counter()
    for batch in batches:
        run.decode(batch)
    return time.perf_counter() - begun


EMPTY = """
import json, sys, socket
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
class Question(BaseModel):
    inputs: list[str] | str
    top: int | None = None
class Answer(BaseModel):
    text: str
    label: str
    probability: float
    probabilities: dict[str, float]
class Answers(BaseModel):
    answers: list[Answer]
app = FastAPI()
@app.post("/decode")
async def decode(question: Question) -> Answers:
    text = question.inputs
    return Answers(answers=[Answer(text=text, label="pos", probability=0.5, probabilities={"neg": 0.5, "pos": 0.5})])
sock = socket.socket(); sock.bind(("127.0.0.1", 0)); sock.listen(2048)
print(f"on :{sock.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[sock])
"""


def case_single() -> None:
    """One text a request: ours, an empty FastAPI route of the same schema, and the bare model, in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = classifier(Path(name))
        added, of_model, beyond, p50, empty_p50 = [], [], [], [], []
        server = served(f"gru={folder}")
        empty = process([sys.executable, "-c", EMPTY], 1)
        with server as (_, port), empty as (_, line):
            other = int(line.rsplit(":", 1)[1])
            pinned(0)
            for pair in range(PAIRS):
                bodies = [{"inputs": text} for text in texts(100, seed=pair)]
                ours = asyncio.run(timed(port, "/v1/runs/gru/decode", bodies))
                theirs = asyncio.run(timed(other, "/decode", bodies))
                alone = bare_loop(folder, [[body["inputs"]] for body in bodies]) / len(bodies)
                p50.append(percentile(ours, 0.5))
                empty_p50.append(percentile(theirs, 0.5))
                added.append(p50[-1] - empty_p50[-1])
                of_model.append(added[-1] / alone)
                beyond.append(p50[-1] - alone)
        figures = {
            "p50_ms": round(1e3 * statistics.median(p50), 3),
            "empty_route_p50_ms": round(1e3 * statistics.median(empty_p50), 3),
            "added_over_bare_model": round(statistics.median(of_model), 3),
            "p50_beyond_the_model_ms": round(1e3 * statistics.median(beyond), 3),
        }
        print(figures)
        record.save_part("serve", "single", figures, "fastapi", "uvicorn")


LITSERVE = """
import sys
import litserve
import torch
import unrolled
class API(litserve.LitAPI):
    def setup(self, device):
        torch.set_num_threads(1)
        self.run = unrolled.load(sys.argv[1], device="cpu")
    def decode_request(self, request):
        return request["inputs"]
    def batch(self, inputs):
        return list(inputs)
    def predict(self, texts):
        return [answer.to_dict() for answer in self.run.decode(texts)]
    def unbatch(self, answers):
        return answers
    def encode_response(self, answer):
        return {"answers": [answer]}
if __name__ == "__main__":
    api = API(max_batch_size=64, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    print(f"on :{sys.argv[2]}", flush=True)
    server.run(port=int(sys.argv[2]), host="127.0.0.1", log_level="error", generate_client_file=False)
"""


async def loaded(port: int, path: str, askers: int, seconds: float) -> tuple[float, float]:
    """Return requests a second and their p99, of so many askers at once."""
    until, found = time.perf_counter() + seconds, list[float]()

    async def ask(number: int) -> None:
        async with Asker(port) as asker:
            for body in texts(10_000, seed=number):
                if time.perf_counter() > until:
                    return
                answer = await asker.ask(path, {"inputs": body})
                assert answer.status == 200, answer.body
                found.append(answer.seconds)

    await asyncio.gather(*map(ask, range(askers)))
    return len(found) / seconds, percentile(found, 0.99)


def case_litserve(python: str) -> None:
    """Throughput at equal p99: for each p99 of LitServe, the most that ours reaches without being slower."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = classifier(Path(name)), 18_000 + os.getpid() % 10_000
        script = Path(name) / "lit.py"
        script.write_text(LITSERVE, encoding="utf-8")
        found: dict[str, dict[int, tuple[float, float]]] = {"unrolled": {}, "litserve": {}}
        server = served(f"gru={folder}")
        with server as (_, own), process([python, str(script), str(folder), str(port)], 1):
            pinned(0)
            for _ in range(120):  # until it answers
                try:
                    asyncio.run(loaded(port, "/predict", 1, 0.5))
                    break
                except (OSError, AssertionError):
                    time.sleep(1)
            for askers in (1, 2, 4, 8, 16, 32, 64):
                ours = [asyncio.run(loaded(own, "/v1/runs/gru/decode", askers, 2)) for _ in range(3)]
                theirs = [asyncio.run(loaded(port, "/predict", askers, 2)) for _ in range(3)]
                found["unrolled"][askers] = sorted(ours)[1]
                found["litserve"][askers] = sorted(theirs)[1]
        ratios = []
        for rate, p99 in found["litserve"].values():
            fits = [own_rate for own_rate, own_p99 in found["unrolled"].values() if own_p99 <= p99]
            if fits:
                ratios.append(max(fits) / rate)
        figures = {
            "by_askers": {
                who: {str(n): {"per_second": round(r), "p99_ms": round(1e3 * p, 2)} for n, (r, p) in each.items()}
                for who, each in found.items()
            },
            "throughput_at_equal_p99": round(min(ratios), 2) if ratios else None,
        }
        print(json.dumps(figures, indent=1))
        record.save_part("serve", "litserve", figures, "fastapi", "uvicorn")


def serve_measured(folder: str) -> None:
    """Serve a run with a clock in the batcher and at the socket; print the percentiles at the end."""
    from unrolled.serve import batcher, events, server

    begun: dict[int, float] = {}
    left: dict[int, int] = {}
    took: deque[float] = deque(maxlen=200_000)
    turn = [0]
    work, hand = batcher.Batcher._step, batcher.Batcher.emit
    push, following, call = events.Channel.push, events.Channel.next, events.EventStream.__call__

    def step(self: Any) -> None:
        turn[0] += 1
        begun[turn[0]] = time.perf_counter()
        work(self)

    def emit(self: Any, function: Any, *arguments: Any) -> None:
        """Note the step of an event: the thread may be in a later one when the event loop pushes it."""
        if getattr(function, "__func__", None) is push:
            left[turn[0]] = left.get(turn[0], 0) + 1
            function, arguments = pushed, (function.__self__, turn[0], *arguments)
        hand(self, function, *arguments)

    def pushed(channel: Any, number: int, data: bytes) -> None:
        channel.turns = [*getattr(channel, "turns", []), number]
        push(channel, data)

    async def called(self: Any, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            await send(message)
            now = time.perf_counter()
            for number in getattr(self.channel, "sending", ()):
                left[number] = left.get(number, 0) - 1
                if left[number] == 0 and number in begun:
                    took.append(now - begun.pop(number))
            self.channel.sending = []

        await call(self, scope, receive, sent)

    async def nexted(self: Any) -> bytes:
        data = await following(self)
        self.sending, self.turns = getattr(self, "turns", []), []
        return data

    batcher.Batcher._step, batcher.Batcher.emit = step, emit  # type: ignore[method-assign]
    events.Channel.next = nexted  # type: ignore[method-assign]
    events.EventStream.__call__ = called  # type: ignore[method-assign]
    settings = server.Settings([folder], port=0)
    server.serve(settings, report=lambda line: print(line, flush=True))
    values = [*took]
    if not values:
        raise SystemExit(
            "the clock saw no event leave: the batcher hands them out by another function than it looks for"
        )
    print(
        json.dumps(
            {"steps": len(values), "p99_ms": 1e3 * percentile(values, 0.99), "p50_ms": 1e3 * percentile(values, 0.5)}
        )
    )


async def streamed(port: int, count: int, length: int) -> float:
    """Return tokens a second of sessions that write at once, one streaming connection each."""

    async def write(asker: Asker) -> None:
        opened = await asker.ask("/v1/runs/lm/sessions", {})
        path = f"/v1/sessions/{opened.json['session']}/write"
        answer = await asker.ask(path, {"length": length, "stream": True, "temperature": 0.8})
        assert answer.body.count(b"event: text") == length, answer.body[-200:]

    askers = [Asker(port) for _ in range(count)]
    begun = time.perf_counter()
    await asyncio.gather(*map(write, askers))
    seconds = time.perf_counter() - begun
    for asker in askers:
        asker.close()
    return count * length / seconds


def case_streams() -> None:
    """64 streams at once, a session each."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {
            "gru": language_model(folder, "gru", embedding_size=256, hidden_size=256),
            "gpt": language_model(
                folder, "gpt", embedding_size=64, hidden_size=104, num_layers=3, num_heads=4, window=256
            ),
        }
        for model, path in models.items():
            found = {}
            for count in (1, 64):
                command = [sys.executable, __file__, "--serve", f"lm={path}"]
                with process(command, 1) as (server, line):
                    pinned(0)
                    port = int(line.rsplit(":", 1)[1])
                    asyncio.run(streamed(port, count, 50))
                    rates = [asyncio.run(streamed(port, count, 500)) for _ in range(5)]
                    server.terminate()
                    clock = json.loads(server.stdout.read().splitlines()[-1])  # after the lines of its end
                found[count] = {"tokens_per_second": round(statistics.median(rates)), **clock}
            gain = found[64]["tokens_per_second"] / found[1]["tokens_per_second"]
            parameters = unrolled.load(path).record["parameters"]
            figures[model] = {
                "parameters": parameters,
                "one": found[1],
                "sixty_four": found[64],
                "gain": round(gain, 2),
            }
            print(model, figures[model], flush=True)
    record.save_part("serve", "streams", figures, "fastapi", "uvicorn")


def main() -> None:
    """Measure the cases that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = {"texts": case_texts, "single": case_single, "streams": case_streams}
    parser.add_argument("cases", nargs="*", choices=[*cases, "litserve", []], default=[], metavar="CASE")
    parser.add_argument("--python", help="of an environment with litserve and this package")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_measured(options.serve)
        return
    for case in options.cases or cases:
        if case == "litserve":
            case_litserve(options.python or sys.executable)
        else:
            cases[case]()


if __name__ == "__main__":
    main()
