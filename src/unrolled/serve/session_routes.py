"""The endpoints of sessions.

POST /v1/runs/RUN/sessions             open; or import a file (application/octet-stream)
GET  /v1/sessions/SESSION              steps, marks, bytes        DELETE: close
POST /v1/sessions/SESSION/steps        read text, words, tokens or features, and reply at each step
POST /v1/sessions/SESSION/write        write text, and go on behind it
POST /v1/sessions/SESSION/fork         another session with the same value
POST /v1/sessions/SESSION/mark /rewind name the present value; go back to a named one
GET  /v1/sessions/SESSION/file         the value as a file
GET  /v1/events                        the ends of sessions, as events
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from unrolled.models import Pairs
from unrolled.runs.generation import GenerationRun
from unrolled.runs.translation import TranslationRun
from unrolled.serve.asking import checked_options, single_input, stream_options
from unrolled.serve.bodies import json_of, only, read
from unrolled.serve.events import Channel, EventStream, event
from unrolled.serve.points import from_bytes, to_bytes
from unrolled.serve.refusals import RequestError
from unrolled.serve.replies import next_tokens
from unrolled.serve.service import Service, answered, json_response
from unrolled.serve.session_work import beginning, inputs_of, opening, reading, rereading, writing
from unrolled.serve.sessions import Session, Sessions, named

__all__ = ["SessionRoutes"]

FILE = "application/octet-stream"


class SessionRoutes:
    """The endpoints of sessions.

    Args:
        service: the parts of the server.
    """

    def __init__(self, service: Service) -> None:
        self.service, self.limits = service, service.limits

    @property
    def sessions(self) -> Sessions:
        """All sessions."""
        sessions: Sessions = self.service.sessions
        return sessions

    async def open(self, request: Request) -> Response:
        """Open a session, or import one."""
        served, limits = self.service.served(request), self.limits
        run = served.run
        if not served.has_sessions:
            raise RequestError(
                422,
                f"model {run.config.model.name} of this run reads its whole input at once, and cannot have sessions",
                field="run",
                hint="use /decode",
            )
        if request.headers.get("content-type", "").partition(";")[0] == FILE:
            data = await read(request, limits)
            constant = served.constant
            point = from_bytes(data, run.model, served.fingerprint, served.start, constant=constant)
            if not constant:
                if (point.context or point.ids) and not (isinstance(run.model.inputs, Pairs) and not point.source):
                    ((point, _),) = await answered(served, request, rereading(served, point, limits.seconds))
                else:
                    raise RequestError(
                        422, "the file of a session is damaged: it has no ids", hint="export the session again"
                    )
            return self._card(self.sessions.open(served, point), 201)
        body = await json_of(request, limits)
        only(body, ("source", "truncate", "top") if isinstance(run, TranslationRun) else ("top",))
        source = None
        if isinstance(run, TranslationRun):
            truncate = body.get("truncate")
            if truncate is not None and not isinstance(truncate, bool):
                raise RequestError(422, "truncate must be true or false", field="truncate")
            text = single_input(run, body.get("source"), limits, "source", truncate=truncate)
            source = run.source_ids(text, truncate=truncate)
        top = _top(body)
        if isinstance(run, GenerationRun | TranslationRun):
            ((point, _),) = await answered(served, request, opening(served, source, limits.seconds))
        else:
            point = beginning(served)
        return self._card(self.sessions.open(served, point), 201, top)

    async def get(self, request: Request) -> Response:
        """Describe a session."""
        return self._card(self.sessions.find(request.path_params["session"]))

    async def close(self, request: Request) -> Response:
        """Close a session."""
        session = self.sessions.find(request.path_params["session"])
        self.sessions.close(session, "closed: its client has closed it")
        return json_response({"session": session.name, "ended": "closed"})

    async def steps(self, request: Request) -> Response:
        """Read inputs, and reply at each step; with "stream": true as events."""
        with self.sessions.using(request.path_params["session"]) as session:
            served, body = session.served, await json_of(request, self.limits)
            only(body, ("text", "words", "tokens", "features", "top", "stream"))
            inputs, top = inputs_of(served.run, body, self.limits), _top(body)
            self._check_length(session, len(inputs[0]))
            if _flag(body, "stream"):
                return self._stream(
                    session,
                    lambda emit: reading(
                        served, session.point, inputs, top=top, emit=emit, seconds=self.limits.seconds
                    ),
                    "step",
                )
            work = reading(served, session.point, inputs, top=top, emit=None, seconds=self.limits.seconds)
            ((point, replies),) = await answered(served, request, work)
            self.sessions.move(session, point)
            return json_response({"steps": point.steps, "replies": replies})

    async def write(self, request: Request) -> Response:
        """Write text, and go on behind it; with "stream": true as events."""
        with self.sessions.using(request.path_params["session"]) as session:
            served, body = session.served, await json_of(request, self.limits)
            run = served.run
            schema = stream_options(run)
            if schema is None or session.point.logits is None:
                raise RequestError(
                    422, f"runs of task {run.config.task} do not write", field="session", hint="use /steps"
                )
            stream = _flag(body, "stream")
            body.pop("stream", None)
            for name in ("prefix", "truncate", "min_length"):
                if body.get(name) is not None:
                    raise RequestError(422, f"a session does not use {name}: leave it out", field=name)
            _, options = checked_options(run, schema, body, self.limits)
            length = self._check_length(session, 0, options.length or self.limits.length)

            def work(emit: Any) -> Any:
                return writing(served, session.point, options, emit, length=length, seconds=self.limits.seconds)

            if stream:
                return self._stream(session, work, "text")
            ((point, answer),) = await answered(served, request, work(lambda piece: None))
            self.sessions.move(session, point)
            return json_response({"steps": point.steps, **answer})

    async def fork(self, request: Request) -> Response:
        """Open another session with the same value and marks."""
        with self.sessions.using(request.path_params["session"]) as session:
            only(await json_of(request, self.limits), ())
            return self._card(self.sessions.open(session.served, session.point, session.marks), 201)

    async def mark(self, request: Request) -> Response:
        """Give the present value a name."""
        with self.sessions.using(request.path_params["session"]) as session:
            body = await json_of(request, self.limits)
            only(body, ("mark",))
            marks = {**session.marks, named(body.get("mark")): session.point}
            if len(marks) > self.limits.marks:
                raise RequestError(
                    422, f"a session has at most {self.limits.marks} marks", field="mark", hint="use a name again"
                )
            self.sessions.move(session, session.point, marks)
            return self._card(session)

    async def rewind(self, request: Request) -> Response:
        """Go back to a named value."""
        with self.sessions.using(request.path_params["session"]) as session:
            body = await json_of(request, self.limits)
            only(body, ("mark",))
            name = named(body.get("mark"))
            if name not in session.marks:
                known = ", ".join(session.marks) or "none"
                raise RequestError(404, "there is no mark of this name", field="mark", hint=f"marks: {known}")
            self.sessions.move(session, session.marks[name])
            return self._card(session)

    async def file(self, request: Request) -> Response:
        """Return the value as a file."""
        with self.sessions.using(request.path_params["session"]) as session:
            served = session.served
            data = to_bytes(session.point, served.fingerprint, constant=served.constant)
            return Response(data, media_type=FILE)

    async def events(self, request: Request) -> Response:
        """Send the ends of sessions; with ?session=SESSION those of one."""
        name, channel = request.query_params.get("session"), Channel()

        async def run() -> None:
            try:
                if name is not None:
                    self.sessions.find(name)
                self.sessions.watch(channel, name)
                channel.push(b": watching\n\n")
                await asyncio.Event().wait()
            except RequestError as refused:
                channel.push(event("error", refused.to_dict()))
            finally:
                self.sessions.unwatch(channel)
                channel.close()

        return EventStream(channel, run)

    def _card(self, session: Session, status: int = 200, top: int | None = None) -> Response:
        card = session.card()
        run, logits = session.served.run, session.point.logits
        if logits is not None and isinstance(run, GenerationRun | TranslationRun):
            card["next"] = next_tokens(run, logits, top or 1)
        return json_response(card, status)

    def _check_length(self, session: Session, new: int, wanted: int = 0) -> int:
        """Refuse inputs beyond the length of a state that grows; return the number of tokens that may be written."""
        served = session.served
        if served.constant or served.run.model.max_length is not None:
            return wanted
        room = self.limits.length - session.point.steps
        model, source = served.run.model, session.point.source
        if source:
            import torch

            room = min(room, int(model.remaining_length(torch.tensor([len(source)]))) - session.point.steps)
        if new > room or (wanted and room < 1):
            raise RequestError(
                422, f"the session has read {session.point.steps:,} steps, and may read {max(0, room):,} more"
            )
        return min(wanted, room)

    def _stream(self, session: Session, make: Any, kind: str) -> EventStream:
        """Return the events of a work on a session, whose value is taken at its end."""
        served, channel = session.served, Channel()

        def emit(found: Any) -> None:
            pieces = [{"text": found}] if isinstance(found, str) else found
            served.batcher.emit(channel.push, b"".join(event(kind, piece) for piece in pieces))

        work = make(emit)

        def pause(paused: bool) -> None:
            work.paused = paused
            if not paused:
                served.batcher.wake()

        channel.pause = pause

        async def run() -> None:
            try:
                with self.sessions.using(session.name):
                    ((point, answer),) = await served.batcher.answer(work)
                    self.sessions.move(session, point)
                own = (
                    answer
                    if isinstance(answer, dict)
                    else {"replies": answer}
                    if kind == "step" and answer and "step" in answer[-1] and served.run.model.answer == "once"
                    else {}
                )
                channel.push(event("answer", {"steps": point.steps, **own}))
            except RequestError as refused:
                channel.push(event("error", refused.to_dict()))
            finally:
                channel.close()

        return EventStream(channel, run)


def _top(body: dict[str, Any]) -> int | None:
    top = body.get("top")
    if top is not None and (not isinstance(top, int) or isinstance(top, bool) or not 1 <= top <= 1_000):
        raise RequestError(422, "top must be from 1 to 1,000", field="top")
    return top


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestError(422, f"{name} must be true or false", field=name)
    return bool(value)
