"""Tasks: what the data are and how samples of them are measured, one file or folder each (see `ladd.tasks.base`)."""

import torch

from ladd.config.suite import Suite
from ladd.tasks.base import HeldOut, Task

__all__ = ["HeldOut", "Task", "task_of"]


def task_of(suite: Suite, data: str, device: str | torch.device = "cpu") -> Task:
    """The task of a data set.

    Args:
        suite: settings; its folder is the working directory where something is read.
        data: key of the data set.
        device: where sequences go and models that measure run.
    """
    return suite.data[data].task(suite, data, device)
