"""One thread and one seed for every test, and no process that is left when the last has ended."""

import pytest
import torch

from tests.leftovers import nothing_is_left_running  # noqa: F401

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)
