"""`unrolled backends`: the backends of this machine."""

from __future__ import annotations

from unrolled.cli.output import Json, print_json
from unrolled.strings import counted

__all__ = ["command"]


def command(*, json: Json = False) -> None:
    """Print the backends of this machine: their conditions, the cells they run, and the choices of auto.

    Parameters
    ----------
    json
        Print JSON.
    """
    from unrolled import api
    from unrolled.kernels import native

    report = api.backends()
    if json:
        print_json(report)
        return
    machine = report["machine"]
    threads = counted(machine["threads"], "thread")
    print(f"{machine['processor']}, {threads}, {machine['capability']}; device {report['device']}\n")
    for name, backend in report["backends"].items():
        print(f"{name:<10} runs {', '.join(backend['cells']) or 'nothing here'}")
        for condition in backend["needs"]:
            print(f"           {'has' if condition['holds'] else 'lacks'} {condition['needs']}")
    if not native.compiled():
        print(f"\n{native.NO_KERNELS}")
    print("\nauto uses " + ", ".join(f"{backend} for {cell}" for cell, backend in report["auto"].items()))
