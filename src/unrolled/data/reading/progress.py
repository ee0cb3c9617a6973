"""Progress of what takes long to read, in the log: how far it is, and an early estimate of the whole."""

from __future__ import annotations

import logging
import time

from unrolled.data.reading.rows import Row, Rows

__all__ = ["watched"]

FIRST, LONGEST = 2.0, 30.0  # seconds before the first word, and at most between two
LOOK = 4_096  # rows between two looks at the clock

log = logging.getLogger("unrolled")


def watched(rows: Rows, source: str) -> Rows:
    """Yield the rows, and say now and then how many there were, and how many there may be in all."""
    began = time.monotonic()
    pause, due = FIRST, began + FIRST
    for read, row in enumerate(rows, start=1):
        yield row
        if read % LOOK == 0 and isinstance(row, Row) and (now := time.monotonic()) >= due:
            log.info("%s: %s", source, _said(read, now - began, row))
            pause = min(2 * pause, LONGEST)
            due = now + pause


def _said(read: int, seconds: float, row: Row) -> str:
    share = row.place.share() if row.place.share else 0.0
    so_far = f"{read:,} rows read in {seconds:.0f} s"
    if not share:
        return so_far
    return f"{so_far}, {share:.0%} of all; in all about {read / share:,.0f}, {seconds * (1 / share - 1):.0f} s more"
