"""What every benchmark keeps beside its numbers: the command, the machine, the versions and the date."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unrolled import machine

RESULTS = Path(__file__).parent / "results"


def save(name: str, figures: dict[str, Any], *packages: str) -> Path:
    """Write benchmarks/results/<name>.json and return its path."""
    path = RESULTS / f"{name}.json"
    kept = {
        "command": f"python benchmarks/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}".strip(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "versions": machine.versions(*packages),
        **figures,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
