"""What `make demo` says, word for word, and how long it takes once all is installed.

python benchmarks/demo.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from record import save

PROGRAM = Path(sys.prefix, "bin", "unrolled")


def main() -> None:
    """Run it from here, as make does."""
    typed = os.path.relpath(PROGRAM)
    began = time.perf_counter()
    said = subprocess.run(
        [typed, "demo"], stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "COLUMNS": "100"}
    )
    print(save("demo", {"seconds": round(time.perf_counter() - began, 1), "said": said.stdout}))


if __name__ == "__main__":
    main()
