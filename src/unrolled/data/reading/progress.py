"""Log of a read: the way in which rows are read, where it was recognised, and the progress of a long read."""

from __future__ import annotations

import logging
import time

from unrolled.data.reading.rows import Row, Rows

__all__ = ["watched"]

FIRST, LONGEST = 2.0, 30.0  # seconds before the first message, and at most between two
EVERY = 4_096  # rows between two readings of the clock

log = logging.getLogger("unrolled")


def watched(rows: Rows, source: str) -> Rows:
    """Yield the rows; log their note, and from time to time the number so far and an estimate of the total."""
    began = time.monotonic()
    pause, due, unsaid = FIRST, began + FIRST, True
    for read, row in enumerate(rows, start=1):
        if unsaid and isinstance(row, Row):
            unsaid = False
            if row.location.note:
                log.info("%s: %s", source, row.location.note)
        yield row
        if read % EVERY == 0 and isinstance(row, Row) and (now := time.monotonic()) >= due:
            log.info("%s: %s", source, _message(read, now - began, row))
            pause = min(2 * pause, LONGEST)
            due = now + pause


def _message(read: int, seconds: float, row: Row) -> str:
    fraction = row.location.fraction_read() if row.location.fraction_read else 0.0
    so_far = f"{read:,} rows read in {seconds:.0f} s"
    if not fraction:
        return so_far
    total, remaining = read / fraction, seconds * (1 / fraction - 1)
    return f"{so_far}, {fraction:.0%} of all; about {total:,.0f} in total, {remaining:.0f} s remaining"
