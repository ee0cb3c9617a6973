"""Sessions (placeholder)."""

from __future__ import annotations

from typing import Any


class Sessions:
    """All sessions."""

    def __init__(self, limits: Any, metrics: Any) -> None:
        return

    def begin(self) -> None:
        """Begin."""

    def end(self) -> None:
        """End."""
