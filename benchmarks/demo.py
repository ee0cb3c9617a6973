"""The output of `make demo`, word for word, and its seconds once all is installed.

python benchmarks/demo.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from record import save

PROGRAM = Path(sys.prefix, "bin", "unrolled")


def main() -> None:
    """Run the demo as make does, and save its output."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    typed = os.path.relpath(PROGRAM)
    began = time.perf_counter()
    done = subprocess.run(
        [typed, "demo"], stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "COLUMNS": "100"}
    )
    print(save("demo", {"seconds": round(time.perf_counter() - began, 1), "said": done.stdout}))


if __name__ == "__main__":
    main()
