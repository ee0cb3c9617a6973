"""The machine's name, and memory that a process keeps."""

import torch

from unrolled import machine


def test_it_says_what_a_number_was_measured_on() -> None:
    about = machine.describe()
    assert about["processor"]
    assert about["threads"] == torch.get_num_threads()
    assert machine.versions()["torch"] == torch.__version__


def test_memory_is_kept_and_given_back() -> None:
    with machine.retain_memory():
        for _ in range(3):
            assert float(torch.ones(1 << 22).sum()) == 1 << 22
    assert float(torch.ones(1 << 22).sum()) == 1 << 22
