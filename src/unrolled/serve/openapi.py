"""The OpenAPI document: the addresses of every run, with the options of its task from `decoding/options.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI

from unrolled.decoding.options import Options
from unrolled.layers import Recurrent
from unrolled.runs.generation import GenerationRun
from unrolled.runs.images import ImageRun
from unrolled.runs.run import Run
from unrolled.runs.tagging import TaggingRun
from unrolled.runs.translation import TranslationRun
from unrolled.serve.asking import decode_options, stream_options

__all__ = ["document", "documented", "example_input"]

Schema = dict[str, Any]
ERROR: Schema = {
    "type": "object",
    "required": ["error", "field", "hint"],
    "properties": {
        "error": {"type": "string", "description": "the problem"},
        "field": {"type": ["string", "null"], "description": "path of the field it is about"},
        "hint": {"type": ["string", "null"], "description": "the remedy"},
    },
}
TEXT: Schema = {"type": "string"}


def documented(app: FastAPI, path: str, method: str, summary: str, **description: Any) -> None:
    """Note a route for the document.

    Args:
        app: the application.
        path, method, summary: of the route.
        description: body, the name of its schema in `BODIES`, or the schema itself; events, whether it answers with
            events; produces, the type of another answer than JSON.
    """
    if not hasattr(app.state, "documented"):
        app.state.documented = []
    app.state.documented.append((path, method, summary, description))


def document(app: FastAPI, runs: Mapping[str, Any]) -> Schema:
    """Return the OpenAPI document of an application, with the addresses of each run."""
    paths: Schema = {}
    for path, method, summary, description in app.state.documented:
        if "{run}" not in path:
            _add(paths, path, method, summary, description, None)
            continue
        for name, served in runs.items():
            if _serves(served, description.get("body")):
                _add(paths, path.replace("{run}", name), method, summary, description, served.run)
    return {
        "openapi": "3.1.0",
        "info": {"title": "unrolled", "version": "1", "description": "Answers of trained sequence models."},
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _serves(served: Any, body: Any) -> bool:
    if body in ("stream", "branch"):
        return stream_options(served.run) is not None
    return not (isinstance(body, str) and body.startswith("session")) or served.has_sessions


def _add(paths: Schema, path: str, method: str, summary: str, description: Schema, run: Run | None) -> None:
    kind = "text/event-stream" if description.get("events") else description.get("produces", "application/json")
    error = {
        "description": "refused",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    operation: Schema = {
        "summary": summary,
        "responses": {"200": {"description": "the answer", "content": {kind: {}}}, "default": error},
    }
    parameters = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    if parameters:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": TEXT} for name in parameters
        ]
    body = description.get("body")
    if isinstance(body, str):
        body = BODIES[body](run)
    if body is not None:
        schema, example = body
        content = {"schema": schema, **({} if example is None else {"example": example})}
        operation["requestBody"] = {
            "required": True,
            "content": {description.get("takes", "application/json"): content},
        }
    paths.setdefault(path, {})[method.lower()] = operation


def _decode(run: Any) -> tuple[Schema, Schema]:
    name = "inputs"
    return _with_options({name: _inputs(run)}, [] if isinstance(run, GenerationRun) else [name], decode_options(run)), {
        name: example_input(run)
    }


def _stream(run: Any) -> tuple[Schema, Schema]:
    schema = stream_options(run)
    assert schema is not None
    required = [] if isinstance(run, GenerationRun) else ["input"]
    return _with_options({"input": TEXT}, required, schema), {"input": example_input(run), "length": 5}


def _evaluate(run: Any) -> tuple[Schema, Schema]:
    pair: Schema = {"type": "array", "items": {"type": "array", "minItems": 2, "maxItems": 2}}
    data = TEXT if isinstance(run, GenerationRun) else {"type": "object"} if isinstance(run, ImageRun) else pair
    return _with_options({"data": data}, ["data"], run.EVALUATE_OPTIONS), {"data": _example_data(run)}


def _session(run: Any) -> tuple[Schema, Schema]:
    properties: Schema = {"top": TOP}
    if isinstance(run, TranslationRun):
        properties |= {"source": TEXT, "truncate": {"type": "boolean"}}
        return _object(properties, ["source"]), {"source": example_input(run)}
    return _object(properties), {}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    return {"type": "object", "properties": properties, "required": required or [], "additionalProperties": False}


TOP: Schema = {"type": "integer", "minimum": 1, "maximum": 1_000, "description": "number of answers in a reply"}
STREAM: Schema = {"type": "boolean", "description": "reply with events"}
IDS: Schema = {"type": "array", "items": {"type": "integer"}}
VECTORS: Schema = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
STEPS = (
    _object(
        {
            "text": TEXT,
            "words": {"type": "array", "items": TEXT},
            "tokens": IDS,
            "features": VECTORS,
            "top": TOP,
            "stream": STREAM,
        }
    ),
    {"text": "a text"},
)
WRITE = ({"type": "object", "properties": {"stream": STREAM, "length": {"type": "integer"}}}, {"length": 20})
MARK = (_object({"mark": TEXT}, ["mark"]), {"mark": "here"})
NOTHING: tuple[Schema, Schema] = (_object({}), {})
"""Bodies of the addresses of a session, with examples."""


def _explain(run: Any) -> tuple[Schema, Schema]:
    from unrolled.serve.inside_routes import EXPLAIN

    return EXPLAIN, {"input": example_input(run), "tensors": ["*log*", "answers"], "attribution": False}


def _intervene(run: Any) -> tuple[Schema, Schema | None]:
    from unrolled.serve.inside_routes import INTERVENE

    layer = next((module for module in run.model.modules() if isinstance(module, Recurrent)), None)
    if layer is None or isinstance(run, TranslationRun):
        return INTERVENE, None
    gate = next(iter(layer.cell.gate_meanings), None)
    edit = {"tensor": f"{layer.cell.name}.l0.{gate}", "unit": 0, "value": 0.0}
    return INTERVENE, None if gate is None else {"input": example_input(run), "edits": [edit]}


def _branch(run: Any) -> tuple[Schema, Schema]:
    schema, example = _stream(run)
    width: Schema = {"type": "integer", "minimum": 1, "maximum": 16, "description": "number of branches"}
    return {**schema, "properties": {**schema["properties"], "width": width}}, {**example, "width": 2}


BODIES: dict[str, Callable[[Any], tuple[Schema, Schema | None]]] = {
    "decode": _decode,
    "stream": _stream,
    "evaluate": _evaluate,
    "session": _session,
    "explain": _explain,
    "intervene": _intervene,
    "branch": _branch,
}
"""The schema of a body and an example, of a run."""


def _inputs(run: Any) -> Schema:
    if isinstance(run, ImageRun):
        return {"type": "array", "description": "an image, or several, as nested lists of pixels"}
    one: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]} if isinstance(run, TaggingRun) else TEXT
    return {"anyOf": [TEXT, {"type": "array", "items": one}]}


def _with_options(properties: Schema, required: list[str], options: type[Options]) -> Schema:
    """Return the schema of a body: its own fields, and the options."""
    own = options.model_json_schema()
    return {
        "type": "object",
        "properties": {**properties, **own.get("properties", {})},
        "required": required,
        "additionalProperties": False,
    }


def example_input(run: Any) -> Any:
    """Return an input that a run can answer, from its own vocabulary where it knows no other."""
    if isinstance(run, ImageRun):
        H, W, C = run.pixels.shape
        row: Any = [0] * W if C == 1 else [[0] * C] * W
        return [row] * H
    if isinstance(run, TranslationRun):
        return run.tokenizers.source.decode([5, 6, 7])
    if isinstance(run, GenerationRun):
        return run.tokenizer.decode([5, 6, 7])
    return "a text of your own"


def _example_data(run: Any) -> Any:
    text = example_input(run)
    if isinstance(run, GenerationRun):
        return text * 3
    if isinstance(run, ImageRun):
        return {"images": [text], "labels": [run.labels[0]]}
    if isinstance(run, TaggingRun):
        return [[["a", "text"], [run.labels[0]] * 2]]
    if isinstance(run, TranslationRun):
        return [[text, run.tokenizers.target.decode([5, 6])]]
    label: Any = 1.5 if run.config.task == "regress" else run.labels[0]
    return [[text, [label] if run.config.data.multi_label else label]]
