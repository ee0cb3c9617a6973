"""Timing of calls in turn, and growth of memory."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path


def in_turn(
    calls: dict[str, Callable[[], object]], seconds: float, *, burst: int = 1, pause: float = 0.0
) -> dict[str, list[float]]:
    """Return the seconds of each call; the calls take turns, round by round.

    Two libraries with threads of their own go in bursts with a pause before each: a thread that has just worked spins
    for a while, and would take a core from the next call.
    """
    for call in calls.values():
        call()
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while len(times[next(iter(times))]) < 5 or (time.perf_counter() < end and len(times[next(iter(times))]) < 2000):
        for name, call in calls.items():
            if pause:
                time.sleep(pause)
                call()
            for _ in range(burst):
                begin = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - begin)
    return times


def against(times: dict[str, list[float]], name: str) -> float:
    """Return the median of the named call's time over ours, pair by pair."""
    return statistics.median(a / b for a, b in zip(times[name], times["ours"], strict=True))


def growth(call: Callable[[], object]) -> float | None:
    """Return the largest growth of this process during a call, in MB; None where Linux does not report it."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        return None

    def now(field: str) -> int:
        return int(status.read_text(encoding="utf-8").split(f"{field}:")[1].split()[0])

    call()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # free memory goes back, so that growth into it is counted
    reset.write_text("5")
    before = now("VmRSS")
    call()
    return (now("VmHWM") - before) / 1024
