"""A cluster of two nodes on this machine that wants a token: python -m tests.two_nodes FOLDER, for test_cluster.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ladd.cluster import Workers, train_on_workers
from ladd.errors import ClusterError
from tests import on_workers


def train(folder: Path) -> None:
    train_on_workers(on_workers.note, (folder,), Workers(2, gpu=False), lambda: 0)


def main(folder: Path) -> None:
    if "RAY_ADDRESS" in os.environ:
        try:
            train(folder)
        except ClusterError:
            print("wrong token: refused")
        return
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        os.environ["RAY_ADDRESS"] = cluster.address
        train(folder)
        print("right token: done", flush=True)
        subprocess.run(
            [sys.executable, "-m", "tests.two_nodes", str(folder)], env=os.environ | {"RAY_AUTH_TOKEN": "1" * 64}
        )
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
