"""Questions over HTTP: the body of a request to the inputs and options of `run.decode`, for every task.

The options are those of `decoding/options.py`, so that JSON, flags and keyword arguments are validated by one schema.
Strings are texts and never names of files: a run that reads images takes arrays only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from unrolled.decoding.options import OPTIONS, ClassOptions, MultiLabelOptions, Options
from unrolled.errors import DataError, UnrolledError
from unrolled.runs.generation import GenerationRun
from unrolled.runs.images import ImageRun
from unrolled.runs.run import Run
from unrolled.runs.tagging import TaggingRun
from unrolled.runs.texts import TextRun, listed
from unrolled.runs.translation import TranslationRun
from unrolled.serve.limits import Limits
from unrolled.serve.refusals import RequestError, option_refused, refusal

__all__ = ["checked_options", "decode_options", "evaluation_data", "inputs_of", "single_input", "stream_options"]


def decode_options(run: Run) -> type[Options]:
    """Return the schema of the options of `decode` of a run."""
    if run.config.task == "classify":
        return MultiLabelOptions if run.config.data.multi_label else ClassOptions
    return OPTIONS["decode"][run.config.task]


def stream_options(run: Run) -> type[Options] | None:
    """Return the schema of the options of `stream`; None for a task that does not stream."""
    return OPTIONS["stream"].get(run.config.task)


def checked_options(
    run: Run, schema: type[Options], values: Mapping[str, Any], limits: Limits
) -> tuple[dict[str, Any], Any]:
    """Return the options of a request as keyword arguments, and validated.

    Args:
        run: the run.
        schema: their schema.
        values: options by name; null stands for a default.
        limits: limits of the server.

    Raises:
        RequestError: an option is unknown, out of range or beyond a limit.
    """
    given = {name: value for name, value in values.items() if value is not None}
    task = run.config.task
    defaults = (
        {"length": run.default_length()} if isinstance(run, TranslationRun) and "length" in schema.model_fields else {}
    )
    if "length" in schema.model_fields and "length" not in given and task == "generate":
        given["length"] = min(limits.length, schema.model_fields["length"].default or limits.length)
    try:
        parsed: Any
        parsed = schema.parse(given, task=task, defaults=defaults) if given or defaults else _defaults(schema, task)
    except UnrolledError as error:
        raise option_refused(error, given) from None
    for name, most in (("length", limits.length), ("min_length", limits.length), ("beam", limits.beam)):
        value = getattr(parsed, name, None)
        if value is not None and value > most and name in given:
            raise RequestError(422, f"{name} must be at most {most:,} on this server: got {value:,}", field=name)
    return given, parsed


@cache
def _defaults(schema: type[Options], task: str) -> Options:
    """Return the options of a request that names none."""
    return schema.parse({}, task=task)


def inputs_of(run: Run, value: Any, limits: Limits, **reading: Any) -> list[Any] | np.ndarray[Any, Any]:
    """Return the inputs of a request: one or a list of texts (task tag: or of lists of words), or images as arrays.

    Args:
        run: the run.
        value: the inputs, as JSON values.
        limits: limits of the server.
        reading: options that decide which inputs can be read, such as truncate.

    Raises:
        RequestError: a wrong type, too many, too long, or an input that the run cannot read.
    """
    if isinstance(run, ImageRun):
        return _images(run, value, limits)
    inputs = [value] if isinstance(value, str) else value
    if not isinstance(inputs, list):
        raise RequestError(422, f"inputs must be a text or a list of texts: got {_kind(value)}", field="inputs")
    if len(inputs) > limits.inputs:
        raise RequestError(
            413,
            f"a request has at most {limits.inputs:,} inputs on this server: got {len(inputs):,}",
            field="inputs",
            hint="send several requests",
        )
    return [single_input(run, each, limits, f"inputs[{number}]", **reading) for number, each in enumerate(inputs)]


def single_input(run: Run, value: Any, limits: Limits, field: str, **reading: Any) -> Any:
    """Return one text, or of task tag one list of words; see `inputs_of`."""
    words = isinstance(run, TaggingRun) and isinstance(value, list)
    if not isinstance(value, str) and not (words and all(isinstance(word, str) for word in value)):
        words_too = " or a list of words" if isinstance(run, TaggingRun) else ""
        raise RequestError(422, f"an input must be a text{words_too}: got {_kind(value)}", field=field)
    length = len(value) if isinstance(value, str) else sum(map(len, value))
    if length > limits.characters:
        raise RequestError(
            413,
            f"an input has at most {limits.characters:,} characters on this server: got {length:,}",
            field=field,
            hint="shorten it, or send it in parts",
        )
    try:
        if isinstance(run, TextRun):
            listed([value])
        else:
            run.refuse(value, **reading)
    except DataError as error:
        raise refusal(error, field=field) from None
    return value


def evaluation_data(run: Run, value: Any, limits: Limits) -> Any:
    """Return posted examples as `evaluate` takes them; those of task generate are one text.

    Raises:
        RequestError: a wrong type, or too many.
    """
    if isinstance(run, GenerationRun):
        if not isinstance(value, str) or not value:
            raise RequestError(422, f"data must be a text, which is not empty: got {_kind(value)}", field="data")
        return value
    if isinstance(run, ImageRun):
        if not isinstance(value, dict) or set(value) != {"images", "labels"} or not isinstance(value["labels"], list):
            raise RequestError(422, 'data must be {"images": […], "labels": […]}', field="data")
        images = _images(run, value["images"], limits)
        if len(images) != len(value["labels"]) or not all(isinstance(label, str) for label in value["labels"]):
            raise RequestError(
                422, f"there must be one label, a text, for each of {len(images):,} images", field="data.labels"
            )
        return images, value["labels"]
    if not isinstance(value, list) or not value:
        raise RequestError(422, f"data must be a list of pairs, at least one: got {_kind(value)}", field="data")
    if len(value) > limits.inputs:
        raise RequestError(413, f"at most {limits.inputs:,} examples: got {len(value):,}", field="data")
    for number, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise RequestError(422, f"an example must be a pair: got {_kind(pair)}", field=f"data[{number}]")
    return [tuple(pair) for pair in value]


def _images(run: ImageRun, value: Any, limits: Limits) -> np.ndarray[Any, Any]:
    """Return images (N, H, W, C) from nested lists of pixels; one image or several."""
    H, W, C = run.pixels.shape
    shape = "×".join(map(str, (H, W) if C == 1 else (H, W, C)))
    expected = f"images of {shape} pixels as nested lists of {run.pixels.dtype} numbers"
    if not isinstance(value, list):
        raise RequestError(422, f"inputs must be {expected}: got {_kind(value)}", field="inputs")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        array = np.empty(0, dtype=object)
    dtype = np.dtype(run.pixels.dtype)
    integers = np.issubdtype(dtype, np.integer)
    if array.dtype.kind not in ("iu" if integers else "iuf") or array.ndim not in (2, 3, 4):
        raise RequestError(422, f"inputs must be {expected}", field="inputs")
    if integers and array.size and (array.min() < 0 or array.max() > np.iinfo(dtype).max):
        raise RequestError(422, f"a pixel must be from 0 to {np.iinfo(dtype).max}", field="inputs")
    if array.shape in ((H, W), (H, W, C)):
        array = array[None]
    if array.shape[1:] not in ((H, W, C), *(((H, W),) if C == 1 else ())):
        raise RequestError(422, f"inputs must be {expected}: got the shape {list(array.shape)}", field="inputs")
    if len(array) > limits.inputs:
        raise RequestError(413, f"a request has at most {limits.inputs:,} inputs: got {len(array):,}", field="inputs")
    return array.reshape(len(array), H, W, C).astype(dtype)


def _kind(value: Any) -> str:
    """Return the type of a JSON value in words."""
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", dict: "an object"}
    if isinstance(value, str):
        return "an empty text" if not value else "a text"
    if isinstance(value, Sequence):
        return "an empty list" if not value else "a list"
    return names.get(type(value), "another type")
