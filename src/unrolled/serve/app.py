"""The application: routes that parse, call, and reply.

GET  /livez  /readyz  /metrics  /openapi.json
GET  /v1/runs  /v1/runs/RUN  /v1/runs/RUN/metrics
POST /v1/runs/RUN/decode  /stream  /evaluate
     and those of `inside_routes.py` and `session_routes.py`
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from unrolled.errors import UnrolledError
from unrolled.runs.generation import GenerationRun
from unrolled.runs.images import ImageRun
from unrolled.runs.run import Run
from unrolled.serve.asking import (
    checked_options,
    decode_options,
    evaluation_data,
    inputs_of,
    single_input,
    stream_options,
)
from unrolled.serve.bodies import ClientGoneError, json_of
from unrolled.serve.continuing import continuation, target
from unrolled.serve.events import Channel, EventStream, event
from unrolled.serve.inside_routes import InsideRoutes
from unrolled.serve.metrics import CONTENT_TYPE
from unrolled.serve.openapi import MARK, NOTHING, STEPS, WRITE, document, documented
from unrolled.serve.refusals import RequestError, refusal
from unrolled.serve.service import JSON_LINES, Endpoint, Service, answered, as_json, json_response
from unrolled.serve.session_routes import SessionRoutes
from unrolled.serve.work import Questions, Stepping

__all__ = ["make_app"]


def make_app(service: Service, *, begin: Any = None, end: Any = None) -> FastAPI:
    """Return the application of a service.

    Args:
        service: the parts that its routes share.
        begin, end: coroutine functions that are called before the first request and after the last.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if begin is not None:
            await begin()
        yield
        if end is not None:
            await end()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    def route(method: str, path: str, endpoint: Endpoint, summary: str, **description: Any) -> None:
        documented(app, path, method, summary, **description)
        app.add_route(path, endpoint, methods=[method])

    answers = Answers(service)
    route("GET", "/livez", answers.livez, "The process lives.")
    route("GET", "/readyz", answers.readyz, "All runs are loaded, and the server does not end.")
    route("GET", "/metrics", answers.metrics, "Counters in the text format of Prometheus.")
    route("GET", "/openapi.json", lambda request: json_response(document(app, service.runs)), "This document.")
    route("GET", "/v1/runs", answers.runs, "The runs that are served.")
    route("GET", "/v1/runs/{run}", answers.run, "A run: its task, model, labels and result.")
    route("GET", "/v1/runs/{run}/metrics", answers.training, "The events of a run's training.")
    route("POST", "/v1/runs/{run}/decode", answers.decode, "Answers for one input or many.", body="decode")
    route("POST", "/v1/runs/{run}/stream", answers.stream, "An answer as it is written.", body="stream", events=True)
    route("POST", "/v1/runs/{run}/evaluate", answers.evaluate, "Figures on posted examples.", body="evaluate")
    inside = InsideRoutes(service)
    route("POST", "/v1/runs/{run}/explain", inside.explain, "A trace of an answer, or a picture.", body="explain")
    route("POST", "/v1/runs/{run}/intervene", inside.intervene, "Answers with values set.", body="intervene")
    route("POST", "/v1/runs/{run}/branch", inside.branch, "Texts behind the next tokens.", body="branch")
    sessions = SessionRoutes(service)
    own = "/v1/sessions/{session}"
    route("POST", "/v1/runs/{run}/sessions", sessions.open, "Open a session, or import one.", body="session")
    route("GET", own, sessions.get, "A session: its steps, marks and size.")
    route("DELETE", own, sessions.close, "Close a session.")
    route("POST", f"{own}/steps", sessions.steps, "Read inputs, and reply at each step.", body=STEPS)
    route("POST", f"{own}/write", sessions.write, "Write text, and go on behind it.", body=WRITE)
    route("POST", f"{own}/fork", sessions.fork, "Open another session with the same value.", body=NOTHING)
    route("POST", f"{own}/mark", sessions.mark, "Give the present value a name.", body=MARK)
    route("POST", f"{own}/rewind", sessions.rewind, "Go back to a named value.", body=MARK)
    route("GET", f"{own}/file", sessions.file, "The value as a file.", produces="application/octet-stream")
    route("GET", "/v1/events", sessions.events, "The ends of sessions.", events=True)
    app.add_exception_handler(RequestError, _refused)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(UnrolledError, _ours)  # type: ignore[arg-type]
    app.add_exception_handler(ClientGoneError, _gone)
    app.add_exception_handler(Exception, _bug)
    return app


class Answers:
    """The endpoints about runs.

    Args:
        service: the parts of the server.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    async def livez(self, request: Request) -> Response:
        """Say that the process lives."""
        return json_response({"state": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Say whether requests are welcome."""
        if self.service.ready and not self.service.draining:
            return json_response({"state": "ready"})
        raise RequestError(
            503, "the server ends" if self.service.draining else "runs are being loaded", hint="ask again later"
        )

    async def metrics(self, request: Request) -> Response:
        """Return the counters."""
        for name, served in self.service.runs.items():
            self.service.metrics.waiting.labels(name).set(served.batcher.waiting)
        return Response(self.service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def runs(self, request: Request) -> Response:
        """List the runs."""
        return json_response({"runs": [served.card() for served in self.service.runs.values()]})

    async def run(self, request: Request) -> Response:
        """Describe a run."""
        return json_response(self.service.runs[request.path_params["run"]].card())

    async def training(self, request: Request) -> Response:
        """Return the events of a run's training."""
        return json_response({"events": self.service.runs[request.path_params["run"]].metrics()})

    async def decode(self, request: Request) -> Response:
        """Answer inputs: {"inputs", options} -> {"answers"}, or with Accept: application/jsonl an answer a line."""
        served, limits = self.service.served(request), self.service.limits
        run, body = served.run, await json_of(request, limits)
        value = body.pop("inputs", "" if isinstance(run, GenerationRun) else None)
        options, parsed = checked_options(run, decode_options(run), body, limits)
        reading = {"truncate": parsed.truncate} if hasattr(parsed, "truncate") else {}
        inputs = inputs_of(run, value, limits, **reading)
        seconds = limits.seconds
        if isinstance(run, GenerationRun):
            works = [
                continuation(served, prompt, parsed, lambda piece: None, length=parsed.length, seconds=seconds)
                for prompt in inputs
            ]
            found = await answered(served, request, *works)
        elif len(inputs):
            work = Questions(seconds, inputs, options, shared=not isinstance(run, ImageRun))  # type: ignore[arg-type]
            ((found),) = await answered(served, request, work)
        else:
            found = []
        lines = [as_json(answer) for answer in found]
        if request.headers.get("accept", "") == JSON_LINES:
            return Response(b"".join(b"%b\n" % line for line in lines), media_type=JSON_LINES)
        return Response(b'{"answers": [%b]}' % b", ".join(lines), media_type="application/json")

    async def stream(self, request: Request) -> Response:
        """Write an answer as events: `text` with each piece, and at last `answer` or `error`."""
        served, limits = self.service.served(request), self.service.limits
        run, body = served.run, await json_of(request, limits)
        schema = stream_options(run)
        if schema is None:
            raise RequestError(422, f"runs of task {run.config.task} answer at once: use /decode", field="run")
        value = body.pop("input", "" if isinstance(run, GenerationRun) else None)
        _, options = checked_options(run, schema, body, limits)
        reading = {"truncate": options.truncate} if hasattr(options, "truncate") else {}
        text = single_input(run, value, limits, "input", **reading)
        channel = Channel()
        batcher = served.batcher

        def emit(piece: str) -> None:
            batcher.emit(channel.push, event("text", {"text": piece}))

        work: Stepping
        if isinstance(run, GenerationRun):
            length = options.length or limits.length
            work = continuation(served, text, options, emit, length=length, seconds=limits.seconds)
        else:
            work = target(served, text, options, emit, seconds=limits.seconds)
        return streaming(served, channel, work)

    async def evaluate(self, request: Request) -> Response:
        """Evaluate on posted examples: {"data", options} -> the figures."""
        served, limits = self.service.served(request), self.service.limits
        body = await json_of(request, limits)
        data = evaluation_data(served.copy, body.pop("data", None), limits)
        options, _ = checked_options(served.run, served.run.EVALUATE_OPTIONS, body, limits)
        options = {"precision": served.batcher.precision, **options}
        return json_response(await served.long(lambda: _evaluated(served.copy, data, options)))


def streaming(served: Any, channel: Channel, work: Stepping) -> EventStream:
    """Return the events of a row that writes, which pauses while its client does not read."""

    def pause(paused: bool) -> None:
        work.paused = paused
        if not paused:
            served.batcher.wake()

    channel.pause = pause

    async def run() -> None:
        try:
            (answer,) = await served.batcher.answer(work)
            channel.push(event("answer", answer if isinstance(answer, dict) else answer.to_dict()))
        except RequestError as refused:
            channel.push(event("error", refused.to_dict()))
        finally:
            channel.close()

    return EventStream(channel, run)


def _evaluated(run: Run, data: Any, options: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(run, GenerationRun):
        result: dict[str, Any] = run.evaluate(data, **options).to_dict()
        return result
    with tempfile.TemporaryDirectory() as folder:  # a language model reads texts from files
        path = Path(folder) / "text.txt"
        path.write_text(data, encoding="utf-8", newline="")
        own: dict[str, Any] = run.evaluate(path, cache=folder, **options).to_dict()
        return own


async def _refused(request: Request, refused: RequestError) -> Response:
    response = json_response(refused.to_dict(), refused.status)
    response.headers.update(refused.headers)
    if refused.status in (408, 413):  # the rest of the body is not read
        response.headers["Connection"] = "close"
    return response


async def _http(request: Request, error: HTTPException) -> Response:
    words = {404: "there is no such address", 405: "this address has another method"}
    refused = RequestError(
        error.status_code,
        words.get(error.status_code, "the request cannot be answered"),
        hint="GET /openapi.json lists all addresses",
        headers=error.headers,
    )
    return await _refused(request, refused)


async def _ours(request: Request, error: UnrolledError) -> Response:
    return await _refused(request, refusal(error))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _bug(request: Request, error: Exception) -> Response:
    return await _refused(request, RequestError(500, "the server has a fault; its log says more"))
