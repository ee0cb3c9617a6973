"""Traces of a model's inner values as named tensors, and the attribution of its answers to its inputs."""

from unrolled.inside.example import Example, Source
from unrolled.inside.gradient import by_distance
from unrolled.inside.intervene import Edit, Effect, intervene
from unrolled.inside.names import NAMES, Name, find
from unrolled.inside.observe import explain
from unrolled.inside.torch_modules import of_module
from unrolled.inside.trace import FORMAT_VERSION, Header, Trace

__all__ = [
    "FORMAT_VERSION",
    "NAMES",
    "Edit",
    "Effect",
    "Example",
    "Header",
    "Name",
    "Source",
    "Trace",
    "by_distance",
    "explain",
    "find",
    "intervene",
    "of_module",
]
