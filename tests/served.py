"""A server in a thread of this process, and small runs to serve."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx

import unrolled
from small import SMALL, image_run, number_run, pairs, tag_run, text_run, trained, translation_run
from unrolled.runs.run import Run
from unrolled.serve.limits import Limits
from unrolled.serve.server import Server, Settings, listening, make_server

JSON = {"Content-Type": "application/json"}


@cache
def label_sets_run() -> Run:
    made = [(text, [label, "long"] if len(text) > 30 else []) for text, label in pairs()]
    return unrolled.train(made, multi_label=True, **SMALL)


RUNS: dict[str, Any] = {
    "classify": trained,
    "feedforward": lambda: trained("feedforward"),
    "labels": label_sets_run,
    "regress": number_run,
    "tag": tag_run,
    "tag-forward": lambda: tag_run("lstm", bidirectional=False),
    "generate": text_run,
    "gpt": lambda: text_run("gpt", num_heads=1, window=16),
    "translate": translation_run,
    "transformer": lambda: translation_run("transformer"),
    "images": lambda: image_run("lstm"),
}
"""A run of every task, by the name under which it is served."""


@cache
def folder_of(name: str) -> Path:
    path = Path(tempfile.mkdtemp(prefix="unrolled-")) / name
    RUNS[name]().save(path)
    return path


class Service(httpx.Client):
    """A client of a server in this process."""

    server: Server

    def ask(self, path: str, body: Any = None, **keywords: Any) -> Any:
        """The JSON of an answer of 200."""
        got = self.post(path, json={} if body is None else body, **keywords)
        assert got.status_code == 200, got.text
        return got.json()

    def refused(self, path: str, body: Any, status: int) -> dict[str, Any]:
        """The refusal of a request."""
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        got = self.post(path, content=data, headers=JSON)
        assert got.status_code == status, got.text
        refusal: dict[str, Any] = got.json()
        assert refusal.keys() == {"error", "field", "hint"}
        return refusal


@contextmanager
def serving(*names: str, settings: Mapping[str, Any] | None = None, **limits: Any) -> Iterator[Service]:
    """A server of some of RUNS, or of folders "NAME=FOLDER", with these limits."""
    runs = [name if "=" in name else f"{name}={folder_of(name)}" for name in names]
    chosen = Settings(runs, port=0, limits=Limits(**limits), **(settings or {}))
    sock = listening(chosen)
    port = sock.getsockname()[1]
    started = threading.Event()
    server = make_server(chosen, sock, started.set)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    assert started.wait(60)
    try:
        with Service(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            client.server = server
            yield client
    finally:
        with suppress(RuntimeError):  # a test may have ended it
            server.loop.call_soon_threadsafe(server.stop)
        thread.join(60)
        assert not thread.is_alive()


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, comments left out."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found
