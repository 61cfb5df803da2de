"""One thread, one seed and the default places for every test, and no process that is left when the last has ended."""

import os
import signal

import pytest
import torch

from tests.leftovers import nothing_is_left_running  # noqa: F401

torch.set_num_threads(1)
for name in ("MLFLOW_TRACKING_URI", "LADD_LAUNCH", "LADD_ASSETS"):  # of whoever runs the tests
    os.environ.pop(name, None)
# Ignored as a shell starts background jobs, and as nohup does; children inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser):
    parser.addoption(
        "--away", type=float, default=20.0, metavar="SECONDS", help="that the tracking server is away in a slow test"
    )


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)
