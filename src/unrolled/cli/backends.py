"""`unrolled backends`: the backends of this machine."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from unrolled.cli.output import Json, print_json
from unrolled.strings import counted

__all__ = ["command"]


def command(*, measure: Annotated[bool, Parameter(negative="")] = False, json: Json = False) -> None:
    """Print the backends of this machine: their conditions, the cells they run, and the choices of auto.

    unrolled backends --measure

    Elsewhere than on x86-64, auto takes torch until --measure has shown, on that machine, that the kernels are faster.

    Parameters
    ----------
    measure
        Time each cell on the kernels and on torch first (10 seconds), and keep the ratios in the user's cache folder,
        until the machine or a version changes.
    json
        Print JSON.
    """
    from unrolled import api

    report = api.backends(measure=measure)
    if json:
        print_json(report)
        return
    _print_backends(report)
    _print_kernels(report["kernels"])
    if report["measurement"] is not None:
        _print_measurement(report["measurement"])
    print("\nauto uses " + ", ".join(f"{backend} for {cell}" for cell, backend in report["auto"].items()))
    if reason := _reason(report):
        print(reason)


def _print_backends(report: dict[str, Any]) -> None:
    machine = report["machine"]
    threads = counted(machine["threads"], "thread")
    print(f"{machine['processor']}, {threads}, {machine['capability']}; device {report['device']}\n")
    for name, backend in report["backends"].items():
        print(f"{name:<10} runs {', '.join(backend['cells']) or 'nothing here'}")
        for condition in backend["needs"]:
            print(f"           {'has' if condition['holds'] else 'lacks'} {condition['needs']}")


def _print_kernels(kernels: dict[str, Any]) -> None:
    from unrolled.kernels import native

    if not native.compiled():
        print(f"\n{native.NO_KERNELS}")
        return
    names = [f"{name}{'' if available else ' (not on this processor)'}" for name, available in kernels["isas"].items()]
    print(f"\nkernels compiled by {kernels['compiler']} for {', '.join(names)}; {kernels['isa']} in use")


def _print_measurement(measurement: dict[str, Any]) -> None:
    threads = counted(measurement["threads"], "thread")
    print(f"\ntime of torch / time of the kernels, measured on {measurement['date']} with {threads}:")
    print(f"{'cell':<6} {'B':>3} {'T':>4} {'H':>4} {'inference':>10} {'training':>9}")
    for timing in measurement["timings"]:
        print("{cell:<6} {B:>3} {T:>4} {H:>4} {inference:>10.2f} {training:>9.2f}".format(**timing))


def _reason(report: dict[str, Any]) -> str | None:
    """Return the reason for the choices of auto, where one is to be given."""
    if report["kernels"]["compiler"] is None:
        return None
    if not report["auto_is_measured"]:
        return None if report["measurement"] is None else "On x86-64 auto does not depend on the measurement."
    if report["measurement"] is None:
        return (
            "torch is first until `unrolled backends --measure` has shown on this machine that the kernels are faster."
        )
    return "The kernels are first for the cells for which the measurement shows them to be faster (geometric mean)."
