"""Loading a run and answering with it need neither the trainer nor traces nor pictures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "format_2"
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
PROGRAM = """
import json, sys
import numpy as np
import unrolled

folder, case = sys.argv[1], json.loads(sys.argv[2])
inputs = np.zeros((2, 4, 4), np.uint8) if case["asked"] == "zeros" else case["asked"]
answers = unrolled.load(folder).decode(inputs, **case["options"])
assert len(answers) == len(case["answers"])
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize("name", EXPECTED)
def test_loading_and_answering_import_no_trainer_and_no_pictures(name: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(FOLDER / name), json.dumps(EXPECTED[name])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    rooms = {module.split(".")[1] for module in modules if module.startswith("unrolled.")}
    assert "runs" in rooms
    assert "torch._dynamo" not in modules, "0.9 s: an initial value was drawn on the device meta"
    assert "sympy" not in modules
    assert not rooms & {"training", "tasks", "pictures", "inside"}
