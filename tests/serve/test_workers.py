"""Several processes: requests are spread, sessions stay, a lost worker ends its own and no other's."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import unrolled
from served import events, folder_of
from unrolled.runs.load import load
from unrolled.serve.shared import share_weights


@contextmanager
def process(*runs: str, arguments: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """`unrolled serve` as a process of its own."""
    command = [sys.executable, "-m", "unrolled", "serve", *runs, "--port", "0", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("serving "), server.communicate()
        with httpx.Client(base_url=line.split()[-1], timeout=60, trust_env=False) as client:
            yield server, client
    finally:
        server.terminate()
        try:
            server.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            raise


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    names = [f"{name}={folder_of(name)}" for name in ("classify", "generate")]
    with process(*names, arguments=("--workers", "2")) as server:
        yield server


def children(server: subprocess.Popen[str]) -> list[int]:
    """The processes of the workers."""
    found = []
    for path in Path(f"/proc/{server.pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return sorted(found)


def test_requests_are_spread_and_answered_as_by_python(two: Any) -> None:
    _, client = two
    texts = [f"the film no{i}" for i in range(60)]
    alone = [unrolled.load(folder_of("classify")).decode(text)[0].to_dict() for text in texts[:5]]
    with ThreadPoolExecutor(8) as pool:
        got = [*pool.map(lambda text: client.post("/v1/runs/classify/decode", json={"inputs": text}).json(), texts)]
    assert [each["answers"][0]["text"] for each in got] == texts
    assert [each["answers"][0] for each in got[:5]] == alone
    metrics = client.get("/metrics").text
    counts = re.findall(r'unrolled_requests_total\{route="decode",status="200",worker="(\d)"\} (\d+)', metrics)
    assert {number for number, _ in counts} == {"0", "1"}
    assert client.get("/readyz").json() == {"state": "ready"}
    assert client.get("/v1/runs/nothing").status_code == 404
    stream = client.post("/v1/runs/generate/stream", json={"input": "the", "length": 5})
    assert events(stream.text)[-1][0] == "answer"


def test_a_client_that_leaves_a_stream_is_not_computed(two: Any) -> None:
    _, client = two
    address = client.base_url
    for _ in range(4):
        with socket.create_connection((address.host, address.port)) as connection:
            body = b'{"input": "the", "length": 4096}'
            head = b"POST /v1/runs/generate/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            connection.recv(100)
    deadline = time.monotonic() + 2
    waiting = ["1"]
    while any(float(each) for each in waiting) and time.monotonic() < deadline:
        metrics = client.get("/metrics").text
        waiting = re.findall(r'unrolled_waiting\{run="generate",worker="\d"\} (\S+)', metrics)
        time.sleep(0.05)
    assert [*map(float, waiting)] == [0, 0]


def test_a_lost_worker_ends_its_sessions_with_an_event(two: Any) -> None:
    server, client = two
    names = []
    while len({name[0] for name in names}) < 2 or len(names) < 6:
        names.append(client.post("/v1/runs/generate/sessions", json={}).json()["session"])
    for name in names:
        assert client.post(f"/v1/sessions/{name}/steps", json={"text": "the"}).status_code == 200
    said: list[dict[str, Any]] = []

    def listen() -> None:
        with httpx.stream(
            "GET", f"{str(client.base_url).rstrip(chr(47))}/v1/events", timeout=30, trust_env=False
        ) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    said.append(json.loads(line[6:]))
                    if len(said) == expected:
                        return

    expected = sum(name.startswith("0.") for name in names)
    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(0.3)
    before = children(server)
    victims = [pid for pid in before if _number_of(pid, client)]
    os.kill(victims[0], signal.SIGKILL)
    thread.join(20)
    assert {each["session"] for each in said} == {name for name in names if name.startswith("0.")}
    for name in names:
        got = client.post(f"/v1/sessions/{name}/steps", json={"text": "a"})
        if name.startswith("0."):
            assert (got.status_code, got.json().keys()) == (410, {"error", "field", "hint"})
        else:
            assert got.json()["steps"] == 5
    deadline = time.monotonic() + 60
    while len(children(server)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(5):
        assert client.post("/v1/runs/classify/decode", json={"inputs": "the"}).status_code == 200


def _number_of(pid: int, client: httpx.Client) -> bool:
    """Whether a process is worker 0: the one that has its socket open."""
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and re.search(r"unrolled-serve-\w+/0\.\d+$", fields[7]):
            inode = f"socket:[{fields[6]}]"
            for link in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if str(link.readlink()) == inode:
                        return True
                except OSError:
                    continue
    return False


def test_the_end_of_the_front_is_that_of_all(tmp_path: Path) -> None:
    with process(f"films={folder_of('classify')}", arguments=("--workers", "2")) as (server, client):
        workers = children(server)
        assert len(workers) == 2
        codes = []
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                try:
                    got = httpx.post(
                        f"{str(client.base_url).rstrip(chr(47))}/v1/runs/films/decode",
                        json={"inputs": "the"},
                        trust_env=False,
                    )
                    codes.append(got.status_code)
                except httpx.ConnectError:
                    return

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        ended.set()
        server.wait(30)
        assert set(codes) == {200}
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_shared_weights_are_the_same() -> None:
    for name in ("classify", "gpt", "translate"):
        run, other = load(folder_of(name)), load(folder_of(name))
        assert share_weights(run) > 0.9 * sum(p.numel() * p.element_size() for p in run.model.parameters())
        for key, value in other.model.state_dict().items():
            assert torch.equal(run.model.state_dict()[key], value)
        asked: Any = {"classify": "the film", "gpt": "the", "translate": "abc"}[name]
        options = {"length": 5} if name == "gpt" else {}
        assert run.decode(asked, **options) == other.decode(asked, **options)


def test_the_command_line_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from unrolled.cli.main import run

    folder = str(folder_of("classify"))
    (tmp_path / "short").write_text("abc")
    for arguments, words in (
        ([], "name at least one run"),
        ([folder, "--host", "0.0.0.0"], "token"),
        ([folder, folder], "two runs"),
        (["a b=" + folder], "cannot be a name"),
        ([folder, "--port", "99999"], "port"),
        ([folder, "--queue", "0"], "queue"),
        ([folder, "--workers", "0"], "workers"),
        ([folder, "--token-file", str(tmp_path / "short")], "16"),
        ([folder, "--token-file", str(tmp_path / "none")], "none"),
        ([str(tmp_path / "nothing")], "nothing"),
    ):
        assert run(["serve", *arguments]) == 2
        assert words in capsys.readouterr().err
