"""The endpoints that look inside a run: explain, intervene, branch.

POST /v1/runs/RUN/explain     tensors of a trace by pattern, as JSON or safetensors; a picture as SVG
POST /v1/runs/RUN/intervene   clamp a gate, set an attention weight, replace a token: the answers before and after
POST /v1/runs/RUN/branch      the most probable next tokens, and the text that each leads to
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

import safetensors.torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from torch import Tensor

from unrolled.data.encoding.tokenizers import SPECIAL
from unrolled.decoding.generation import Writer
from unrolled.decoding.sampling import Sampling
from unrolled.inside import Edit, Trace, find, intervene
from unrolled.runs.generation import GenerationRun
from unrolled.runs.images import ImageRun
from unrolled.runs.run import MAX_LENGTH, Run
from unrolled.runs.tagging import TaggingRun
from unrolled.runs.translation import TranslationRun
from unrolled.serve.asking import checked_options, inputs_of, single_input, stream_options
from unrolled.serve.bodies import json_of
from unrolled.serve.continuing import ended
from unrolled.serve.points import Point
from unrolled.serve.refusals import RequestError
from unrolled.serve.registry import Served
from unrolled.serve.replies import next_tokens, tokenizer_of
from unrolled.serve.rows import Row
from unrolled.serve.service import Service, answered, json_response
from unrolled.serve.session_work import opening, reading
from unrolled.serve.work import Stepping
from unrolled.serve.writing import TargetWriter, Writing

__all__ = ["EXPLAIN", "INTERVENE", "InsideRoutes"]

MOST_NUMBERS = 2_000_000
"""Maximum number of numbers in an answer as JSON."""
WIDEST = 16
"""Maximum number of branches."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    input: Any = Field(description="the input, as /decode takes it")
    target: str | None = Field(None, description="target of the translation; default: the run's own")
    max_length: int = Field(MAX_LENGTH, ge=1, le=MAX_LENGTH, description="maximum number of tokens to read")


class Explanation(_Body):
    """The body of explain."""

    attribution: bool = Field(True, description="whether to attribute the answers to the inputs, which takes longest")
    gradient: bool = Field(False, description="whether to compute the gradients of the answers by state")
    tensors: list[str] = Field(
        [], max_length=1_000, description='patterns of names, such as "gru.*"; none: names alone'
    )
    format: str = Field(
        "json", pattern="^(json|safetensors|svg)$", description="json, safetensors, or svg for a picture"
    )
    picture: str | None = Field(None, description="name of the picture")
    layer: str | None = None
    unit: int | None = None
    step: int | None = None
    head: int | None = None
    gate: str | None = None
    width: int | None = Field(None, ge=320, le=4_000)


class TokenEdit(BaseModel):
    """A token that is replaced."""

    model_config = ConfigDict(extra="forbid")

    step: int = Field(ge=0)
    token: str


class ValueEdit(BaseModel):
    """A gate or weight that is set; see `unrolled.inside.Edit`."""

    model_config = ConfigDict(extra="forbid")

    tensor: str = Field(max_length=200)
    value: float = Field(ge=-1e6, le=1e6)
    step: int | None = Field(None, ge=0)
    unit: int | None = Field(None, ge=0)
    source: int | None = Field(None, ge=0)
    head: int | None = Field(None, ge=0)


class Intervention(_Body):
    """The body of intervene."""

    edits: list[ValueEdit | TokenEdit] = Field(min_length=1, max_length=100)


class Branches(BaseModel):
    """The fields of branch, next to the options of stream."""

    width: int = Field(3, ge=1, le=WIDEST)


EXPLAIN = Explanation.model_json_schema()
INTERVENE = Intervention.model_json_schema()


class InsideRoutes:
    """The endpoints that look inside.

    Args:
        service: the parts of the server.
    """

    def __init__(self, service: Service) -> None:
        self.service, self.limits = service, service.limits

    async def explain(self, request: Request) -> Response:
        """Trace a run on an input."""
        served = self.service.served(request)
        body = _parsed(Explanation, await json_of(request, self.limits))
        example = self._input(served, body)
        if body.format == "svg" and body.picture is None:
            raise RequestError(422, "a picture has a name", field="picture", hint='give "picture", such as "gates"')

        def compute() -> Response:
            from unrolled import pictures

            options = {"attribution": body.attribution, "gradient": body.gradient, "max_length": body.max_length}
            trace = served.copy.explain(example, **options)
            if body.format == "svg":
                wanted = {name: getattr(body, name) for name in ("layer", "unit", "step", "head", "gate", "width")}
                request = {name: value for name, value in wanted.items() if value is not None}
                drawn = pictures.draw(str(body.picture), [trace], **request)
                policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
                return Response(drawn, media_type="image/svg+xml", headers={"Content-Security-Policy": policy})
            chosen = {name: trace[name] for name in trace if any(fnmatchcase(name, each) for each in body.tensors)}
            if body.tensors and not chosen:
                trace[body.tensors[0]]  # names the nearest
            if body.format == "safetensors":
                header = {"trace": json.dumps(_about(trace), ensure_ascii=False)}
                some = chosen or dict(trace)
                data = safetensors.torch.save(
                    {name: value.contiguous().clone() for name, value in some.items()}, header
                )
                return Response(data, media_type="application/octet-stream")
            return json_response(_described(trace, chosen))

        response: Response = await served.long(compute)
        return response

    async def intervene(self, request: Request) -> Response:
        """Set values and compute the answers again."""
        served = self.service.served(request)
        body = _parsed(Intervention, await json_of(request, self.limits))
        run, given = served.copy, self._input(served, body)

        def compute() -> Response:
            example = run.example(given, max_length=body.max_length)
            tokens, edits = {}, []
            for number, edit in enumerate(body.edits):
                if isinstance(edit, TokenEdit):
                    tokens[edit.step] = _id_of(run, edit.token, f"edits[{number}].token")
                else:
                    edits.append(Edit(**edit.model_dump()))
            device = next(run.model.parameters()).device
            effect = intervene(run.model, example.to(device), edits, tokens)
            words, best = (example.meanings(each.tolist()) for each in (effect.answers, effect.best))
            rows = zip(words, effect.before.tolist(), effect.after.tolist(), best, strict=True)
            return json_response(
                {
                    "tokens": list(example.tokens),
                    "unit": "nats" if example.quantity.is_log_prob else "",
                    "answers": [
                        {"answer": word, "before": old, "after": new, "difference": new - old, "answer_after": now}
                        for word, old, new, now in rows
                    ],
                }
            )

        response: Response = await served.long(compute)
        return response

    async def branch(self, request: Request) -> Response:
        """Write several texts, each behind another of the most probable next tokens."""
        served, limits = self.service.served(request), self.limits
        run, body = served.run, await json_of(request, limits)
        schema = stream_options(run)
        if schema is None:
            raise RequestError(422, f"runs of task {run.config.task} do not write", field="run", hint="use /decode")
        width = _parsed(Branches, {"width": body.pop("width")} if body.get("width") is not None else {}).width
        body.pop("width", None)
        text = single_input(run, body.pop("input", "" if isinstance(run, GenerationRun) else None), limits, "input")
        for name in ("prefix", "min_length", "truncate"):
            if body.get(name) is not None:
                raise RequestError(422, f"branches do not use {name}: leave it out", field=name)
        if body.get("length") is None:
            body["length"] = min(100, limits.length)
        _, options = checked_options(run, schema, body, limits)
        source = run.source_ids(text) if isinstance(run, TranslationRun) else None
        ((point, _),) = await answered(served, request, opening(served, source, limits.seconds))
        if isinstance(run, GenerationRun) and (ids := run.ids(text)):
            work = reading(served, point, (ids, [None] * len(ids)), top=None, emit=_ignore, seconds=limits.seconds)
            ((point, _),) = await answered(served, request, work)
        assert point.logits is not None
        starts = next_tokens(run, point.logits, width)
        works = [_branch(served, point, each["id"], options, limits.seconds) for each in starts]
        found = await answered(served, request, *works)
        return json_response({"input": text, "branches": [{**a, **b} for a, b in zip(starts, found, strict=True)]})

    def _input(self, served: Served, body: _Body) -> Any:
        """Return the input to explain, as `Run.example` takes it."""
        run = served.run
        if body.target is not None and not isinstance(run, TranslationRun):
            raise RequestError(422, "target is for runs of task translate", field="target")
        if isinstance(run, ImageRun):
            images = inputs_of(run, body.input, self.limits)
            if len(images) != 1:
                raise RequestError(422, "one image is explained at a time", field="input")
            return images
        if isinstance(run, TranslationRun):
            text = single_input(run, body.input, self.limits, "input", truncate=True)
            if body.target is None:
                return text
            run.prefix_ids(body.target)
            return text, body.target
        return single_input(run, body.input, self.limits, "input")


def _parsed(schema: Any, body: Mapping[str, Any]) -> Any:
    """Return a body, validated.

    Raises:
        RequestError: names the first field that is wrong.
    """
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"] if not str(part).endswith("Edit"))
        raise RequestError(422, f"{field or 'the body'}: {first['msg']}", field=field or None) from None


def _about(trace: Trace) -> dict[str, Any]:
    """Return the header of a trace, without versions."""
    about = asdict(trace.about)
    return {name: value for name, value in about.items() if name not in ("unrolled", "format_version", "run")}


def _described(trace: Trace, chosen: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return a trace as JSON values: the header, every tensor's shape and meaning, and the values of those chosen."""
    if sum(value.numel() for value in chosen.values()) > MOST_NUMBERS:
        raise RequestError(
            413,
            f"more than {MOST_NUMBERS:,} numbers",
            field="tensors",
            hint='choose fewer tensors, or "format": "safetensors"',
        )
    tensors = {}
    for name, value in trace.items():
        spec = find(name)
        tensors[name] = {
            "shape": list(value.shape),
            "unit": trace.unit(name),
            "meaning": spec.meaning if spec else "",
            **({"values": _finite(value.tolist())} if name in chosen else {}),
        }
    return {**_about(trace), "tensors": tensors}


def _finite(values: Any) -> Any:
    """Return nested numbers with null where JSON has none: infinity, and numbers that are not defined."""
    if isinstance(values, list):
        return [_finite(each) for each in values]
    return values if values == values and abs(values) != float("inf") else None


def _id_of(run: Run, token: str, field: str) -> int:
    """Return the id of a token.

    Raises:
        RequestError: it is no single token of the vocabulary.
    """
    tokenizer = tokenizer_of(run)
    ids = tokenizer.encode_words([token])[0] if isinstance(run, TaggingRun) else tokenizer.encode([token])[0]
    if len(ids) != 1 or ids[0] < len(SPECIAL):
        raise RequestError(422, "token is not one token of the vocabulary", field=field)
    return ids[0]


def _branch(served: Served, point: Point, token: int, options: Any, seconds: float) -> Stepping:
    """Return the work of writing behind a token; its result is {"text", "tokens", "ended"}."""
    run, model, pieces = served.run, served.run.model, list[str]()
    targets = isinstance(run, TranslationRun)

    def make() -> Row:
        tokenizer = tokenizer_of(run)
        writer: Any
        writer = (
            TargetWriter(tokenizer, (), options.length) if targets else Writer(tokenizer, options.length, options.stop)
        )
        row = Writing(
            point.state,
            [],
            None if point.context is None else list(point.context),
            sampling=Sampling.from_options(options),
            writer=writer,
            emit=pieces.append,
            num_outputs=model.num_outputs,
            ends=targets,
            prompt=point.context or (),
        )
        row.accept(token)
        return row

    def result(row: Row) -> dict[str, Any]:
        assert isinstance(row, Writing)
        tokens = row.writer.tokens - (row.writer.ended == "eos")
        return {"text": "".join(pieces), "tokens": tokens, "ended": row.writer.ended}

    return Stepping(seconds, make, ended, result, options.precision)


def _ignore(replies: Any) -> None:
    return
