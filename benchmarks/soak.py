"""The promises of `unrolled serve` under load, hostile requests and interruptions; bounded in count and time.

python benchmarks/soak.py                    # all parts, in full: about an hour of two cores
python benchmarks/soak.py sessions --scale 0.1 --seconds 120

requests   100,000 requests made from the document, mutated, raw: 0 answers of 500, the server lives
load       1×, 2×, 5×, 10× the measured capacity: goodput, refusals, memory
leavers    10,000 clients that leave early, 1,000 slow ones: queue empty within 1 s, good clients' p99
sigterm    100 SIGTERM under load: no accepted request lost
markers    100,000 concurrent requests with a marker each: none answered with another's answer, same bits
sessions   10,000 interleaved sessions, 1,000,000 steps, forks, drops, files, restarts: 0 differ by a bit

Results go to benchmarks/results/soak.json, a part each. A part that breaks its promise ends with exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import record
from serve_client import Asker, percentile, served

import unrolled
from serve import classifier, language_model, texts

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hostilerequests import framing, mutated, requests


class Bound:
    """A bound of a part, whose time begins with the first look at it: when the server answers.

    Args:
        scale: fraction of the full counts.
        seconds: maximum time.
    """

    def __init__(self, scale: float, seconds: float) -> None:
        self.scale, self.seconds = scale, seconds
        self.until: float | None = None

    def of(self, count: int) -> int:
        """Return a count at this scale, at least one."""
        return max(1, round(count * self.scale))

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        if self.until is None:
            self.until = time.monotonic() + self.seconds
        return time.monotonic() > self.until


def memory_of(pid: int) -> int:
    """Return the resident memory of a process in kB."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])


def part_requests(folder: Path, bound: Bound) -> tuple[dict[str, Any], bool]:
    """Send hostile requests."""
    lm = language_model(folder, "gru", embedding_size=16, hidden_size=16)
    draw, codes = random.Random(0), Counter[int]()
    with served(f"films={classifier(folder)}", f"lm={lm}", arguments=("--length", "50")) as (server, port):

        async def ask(asker: Asker, count: int, good: list[Any]) -> None:
            for _ in range(count):
                if bound.over:
                    return
                method, path, body, headers = mutated(draw, draw.choice(good))
                try:
                    answer = await asker.ask(path, body, method=method, kind=headers.get("Content-Type", "text/plain"))
                    codes[answer.status] += 1
                except (OSError, asyncio.IncompleteReadError, UnicodeError, ValueError):
                    asker.close()
                    codes[0] += 1

        async def all_of_them() -> None:
            async with Asker(port) as first:
                good = requests((await first.ask("/openapi.json", method="GET")).json)
            count = bound.of(90_000) // 16
            await asyncio.gather(*(ask(Asker(port), count, good) for _ in range(16)))

        asyncio.run(all_of_them())
        for _ in range(bound.of(10_000)):
            if bound.over:
                break
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.settimeout(15)
                connection.sendall(framing(draw))
                connection.shutdown(socket.SHUT_WR)
                try:
                    line = connection.recv(1 << 16)
                    codes[int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else 0] += 1
                except OSError:
                    codes[0] += 1
        alive = server.poll() is None
    return {"codes": {str(code): count for code, count in sorted(codes.items())}, "alive": alive}, alive and not codes[
        500
    ]


def part_load(folder: Path, bound: Bound) -> tuple[dict[str, Any], bool]:
    """Offer multiples of the measured capacity."""
    path, found = "/v1/runs/gru/decode", {}
    with served(f"gru={classifier(folder)}", arguments=("--queue", "64")) as (server, port):

        async def offer(rate: float, seconds: float) -> dict[str, Any]:
            good, refused, other = list[float](), list[float](), Counter[str]()
            idle: list[Asker] = []

            async def one(text: str) -> None:
                asker = idle.pop() if idle else Asker(port)
                try:
                    answer = await asker.ask(path, {"inputs": text})
                except (OSError, asyncio.IncompleteReadError) as error:
                    other[type(error).__name__] += 1
                    return
                if answer.status == 200:
                    good.append(answer.seconds)
                elif answer.status == 503:
                    refused.append(answer.seconds)
                else:
                    other[str(answer.status)] += 1
                idle.append(asker)

            some, tasks, begun = texts(1_000), set[asyncio.Task[None]](), time.perf_counter()
            sent = 0
            while (now := time.perf_counter() - begun) < seconds:
                while sent < now * rate and len(tasks) < 1_500:
                    task = asyncio.ensure_future(one(some[sent % 1_000]))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    sent += 1
                await asyncio.sleep(0.001)
            took = time.perf_counter() - begun
            await asyncio.gather(*tasks)
            for asker in idle:
                asker.close()
            return {
                "goodput": round(len(good) / took),
                "refused": len(refused),
                "refused_p99_ms": round(1e3 * percentile(refused, 0.99), 2) if refused else None,
                "good_p99_ms": round(1e3 * percentile(good, 0.99), 2),
                "other": dict(other),
            }

        seconds = max(2.0, 30 * bound.scale)
        capacity = asyncio.run(offer(1e9, 3))["goodput"]  # as much as there can be
        asyncio.run(offer(capacity, 2))
        before = memory_of(server.pid)
        for times in (1, 2, 5, 10):
            found[f"{times}x"] = asyncio.run(offer(times * capacity, seconds))
        growth = memory_of(server.pid) / before - 1
    least = min(found[each]["goodput"] for each in found) / found["1x"]["goodput"]
    slowest = max((found[each]["refused_p99_ms"] or 0) for each in found)
    figures = {"capacity": capacity, **found, "least_goodput": round(least, 3), "memory_growth": round(growth, 3)}
    good = least >= 0.9 and slowest < 50 and growth < 0.05 and not any(found[each]["other"] for each in found)
    return figures, good


def part_leavers(folder: Path, bound: Bound) -> tuple[dict[str, Any], bool]:
    """Clients that leave early, and slow ones, next to good ones."""
    lm = language_model(folder, "gru", embedding_size=64, hidden_size=64)
    body = json.dumps({"inputs": "w1", "length": 4_000}).encode()
    head = b"POST /v1/runs/lm/decode HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with served(f"gru={classifier(folder)}", f"lm={lm}", arguments=("--queue", "512")) as (_, port):

        async def good(seconds: float) -> float:
            found, until = list[float](), time.perf_counter() + seconds
            async with Asker(port) as asker:
                for text in texts(100_000):
                    if time.perf_counter() > until:
                        break
                    found.append((await asker.ask("/v1/runs/gru/decode", {"inputs": text})).seconds)
            return percentile(found, 0.99)

        async def leave(count: int) -> None:
            for _ in range(count):
                if bound.over:
                    return
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(whole)
                await asyncio.sleep(0.002)
                writer.close()

        async def slow() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in head[:40]:
                try:
                    writer.write(bytes([byte]))
                    await writer.drain()
                except OSError:
                    return
                await asyncio.sleep(0.25)
            writer.close()

        async def waiting() -> float:
            async with Asker(port) as asker:
                text = (await asker.ask("/metrics", method="GET")).body.decode()
            return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("unrolled_waiting"))

        async def all_of_them() -> tuple[float, float, float, float]:
            baseline = await good(3)
            leavers = [asyncio.ensure_future(leave(bound.of(10_000) // 20)) for _ in range(20)]
            beside_leavers = await good(3)
            await asyncio.gather(*leavers)
            begun = time.perf_counter()
            while await waiting() and time.perf_counter() - begun < 5:
                await asyncio.sleep(0.02)
            empty = time.perf_counter() - begun
            slow_ones = [asyncio.ensure_future(slow()) for _ in range(bound.of(1_000))]
            beside_slow = await good(5)
            for each in slow_ones:
                each.cancel()
            return baseline, beside_leavers, empty, beside_slow

        baseline, beside_leavers, empty, beside_slow = asyncio.run(all_of_them())
    figures = {
        "baseline_p99_ms": round(1e3 * baseline, 2),
        "p99_ms_next_to_leavers": round(1e3 * beside_leavers, 2),
        "p99_ms_next_to_slow_clients": round(1e3 * beside_slow, 2),
        "seconds_until_the_queue_is_empty": round(empty, 3),
    }
    return figures, empty < 1 and max(beside_leavers, beside_slow) <= 2 * baseline


def part_sigterm(folder: Path, bound: Bound) -> tuple[dict[str, Any], bool]:
    """SIGTERM under load; a request counts as accepted once its connection is."""
    path, codes, ends = classifier(folder), Counter[str](), 0
    for number in range(bound.of(100)):
        if bound.over:
            break
        with served(f"gru={path}", core=None) as (server, port):

            async def ask(stop: asyncio.Event, own: random.Random, port: int = port) -> None:
                keeps = own.random() < 0.5
                asker = Asker(port)
                while not stop.is_set():
                    try:
                        answer = await asker.ask("/v1/runs/gru/decode", {"inputs": texts(1)[0]})
                        codes[str(answer.status)] += 1
                    except ConnectionRefusedError:
                        break
                    except (OSError, asyncio.IncompleteReadError) as error:
                        codes[type(error).__name__] += 1
                        break
                    if not keeps:
                        asker.close()
                asker.close()

            async def under_load(server: Any = server, number: int = number) -> None:
                stop = asyncio.Event()
                askers = [asyncio.ensure_future(ask(stop, random.Random(16 * number + i))) for i in range(16)]
                await asyncio.sleep(0.2 + random.Random(number).random() / 2)
                server.send_signal(signal.SIGTERM)
                await asyncio.wait(askers, timeout=30)
                stop.set()

            asyncio.run(under_load())
            ends += server.wait(60) in (0, -signal.SIGTERM, 143)
    lost = sum(count for code, count in codes.items() if code != "200")
    return {"ends": ends, "answered": codes["200"], "lost": lost, "codes": dict(codes)}, not lost


def part_markers(folder: Path, bound: Bound) -> tuple[dict[str, Any], bool]:
    """Requests with a marker each, many at once; every answer is compared with the lone call."""
    path = classifier(folder)
    run, wrong, asked = unrolled.load(path, device="cpu"), 0, 0
    with served(f"gru={path}", arguments=("--queue", "1000")) as (_, port):

        async def ask(number: int, count: int) -> list[tuple[str, bytes]]:
            found = []
            async with Asker(port) as asker:
                draw = random.Random(number)
                for i in range(count):
                    if bound.over:
                        break
                    words = draw.choices(texts(1, seed=i)[0].split(), k=draw.randint(1, 40))
                    text = " ".join([f"m{number}x{i}", *words])
                    found.append((text, (await asker.ask("/v1/runs/gru/decode", {"inputs": text})).body))
            return found

        async def all_of_them() -> list[list[tuple[str, bytes]]]:
            return await asyncio.gather(*(ask(number, bound.of(100_000) // 64) for number in range(64)))

        for text, body in (each for some in asyncio.run(all_of_them()) for each in some):
            (answer,) = run.decode(text)
            asked += 1
            wrong += body.decode() != '{"answers": [' + json.dumps(answer.to_dict(), ensure_ascii=False) + "]}"
    return {"requests": asked, "wrong": wrong}, not wrong


def part_sessions(folder: Path, bound: Bound) -> tuple[dict[str, Any], bool]:
    """Interleaved sessions against the lone run of each, to the bit."""
    import torch

    path = language_model(folder, "gru", embedding_size=64, hidden_size=64)
    run: Any = unrolled.load(path, device="cpu")
    alphabet = range(5, run.tokenizer.vocabulary_size)
    totals, files = Counter[str](), dict[int, bytes]()
    histories: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    expected_steps, count = bound.of(1_000_000), bound.of(10_000)
    draw = random.Random(0)

    def differs(history: list[int], replies: list[Any]) -> bool:
        """Compare the last replies with the lone run of the whole history."""
        with torch.inference_mode():
            logits, _ = run.model(torch.tensor([[2, *history]]))
        p = logits[0].double().softmax(1)
        for reply in replies:
            best = reply["next"][0]
            if p[reply["step"], best["id"]].item() != best["probability"]:
                return True
        return False

    async def one(asker: Asker, key: int) -> None:
        act = draw.random()
        if key not in names or act < 0.01:  # a new session, or from a file, or dropped
            if key in names and act < 0.004:
                await asker.ask(f"/v1/sessions/{names.pop(key)}", method="DELETE")
                totals["drops"] += 1
            if key in files and key not in names:
                answer = await asker.ask("/v1/runs/lm/sessions", files[key], kind="application/octet-stream")
                histories[key] = histories[key][: int(files_at[key])]
                totals["imports"] += 1
            elif key not in names:
                answer = await asker.ask("/v1/runs/lm/sessions", {})
                histories[key] = []
            else:
                answer = await asker.ask(f"/v1/sessions/{names[key]}/fork", {})
                totals["forks"] += 1
            if answer.status == 201:
                names[key] = answer.json["session"]
        ids = [draw.choice(alphabet) for _ in range(draw.choice([1, 1, 2, 5, 20, 70]))]
        answer = await asker.ask(f"/v1/sessions/{names[key]}/steps", {"tokens": ids})
        if answer.status == 410:  # evicted, and said so
            names.pop(key)
            totals["evicted"] += 1
            return
        assert answer.status == 200, answer.body
        histories[key] += ids
        totals["steps"] += len(ids)
        totals["differ"] += differs(histories[key], answer.json["replies"])
        if draw.random() < 0.01:
            answer = await asker.ask(f"/v1/sessions/{names[key]}/file", method="GET")
            if answer.status == 200:
                files[key], files_at[key] = answer.body, len(histories[key])
                totals["files"] += 1

    files_at: dict[int, int] = {}

    async def play(port: int, askers: int, until: int) -> None:
        async def work(number: int) -> None:
            async with Asker(port) as asker:
                while totals["steps"] < until and not bound.over:
                    await one(asker, number + askers * draw.randrange(max(1, count // askers)))

        await asyncio.gather(*map(work, range(askers)))

    restarts = 4
    for part in range(1, restarts + 1):
        arguments = ("--sessions", str(max(20, count * 9 // 10)), "--workers", "1")
        with served(f"lm={path}", arguments=arguments) as (_, port):
            asyncio.run(play(port, 20, expected_steps * part // restarts))
        names.clear()  # the server was started again: from files, or from nothing
        totals["restarts"] += 1
        for key in [key for key in histories if key not in files]:
            histories.pop(key)
    return dict(totals), not totals["differ"]


PARTS: dict[str, Callable[[Path, Bound], tuple[dict[str, Any], bool]]] = {
    "requests": part_requests,
    "load": part_load,
    "leavers": part_leavers,
    "sigterm": part_sigterm,
    "markers": part_markers,
    "sessions": part_sessions,
}


def main() -> int:
    """Run parts, and return 1 if one has broken its promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the counts")
    parser.add_argument("--seconds", type=float, default=1_800, help="maximum time of a part")
    parser.add_argument("--no-record", action="store_true", help="write no results")
    options = parser.parse_args()
    held = True
    for name in options.parts or PARTS:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            figures, good = PARTS[name](Path(folder), Bound(options.scale, options.seconds))
        figures = {"held": good, "scale": options.scale, "seconds": round(time.perf_counter() - begun), **figures}
        print(f"{'held' if good else 'FELL'}  {name}  {json.dumps(figures)}", flush=True)
        if not options.no_record:
            record.save_part("soak", name, figures, "fastapi", "uvicorn")
        held = held and good
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
