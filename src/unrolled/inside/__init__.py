"""Looking inside: what a model does with an input, as named tensors."""

from unrolled.inside.example import Example, Source
from unrolled.inside.names import NAMES, Name, find
from unrolled.inside.observe import observe
from unrolled.inside.trace import FORMAT_VERSION, Header, Trace

__all__ = ["FORMAT_VERSION", "NAMES", "Example", "Header", "Name", "Source", "Trace", "find", "observe"]
