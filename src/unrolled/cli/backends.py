"""`unrolled backends`: what computes here."""

from __future__ import annotations

from unrolled.cli.output import Json, print_json

__all__ = ["command"]


def command(*, json: Json = False) -> None:
    """Say what computes here: each backend, what it needs, the cells it runs, and what auto takes.

    Parameters
    ----------
    json
        Print JSON.
    """
    from unrolled import api

    found = api.backends()
    if json:
        print_json(found)
        return
    machine = found["machine"]
    print(f"{machine['processor']}, {machine['threads']} threads, {machine['capability']}; device {found['device']}\n")
    for name, backend in found["backends"].items():
        print(f"{name:<10} runs {', '.join(backend['cells']) or 'nothing here'}")
        for condition in backend["needs"]:
            print(f"           {'has' if condition['holds'] else 'lacks'} {condition['needs']}")
    print("\nauto takes " + ", ".join(f"{backend} for {cell}" for cell, backend in found["auto"].items()))
