"""Wait until the Ray cluster of RAY_ADDRESS has so many nodes: `python wait_for_nodes.py NODES SECONDS`.

Exit code 75, a temporary failure, where it does not have them in that time.
"""

import logging
import sys
import time

import ray

POLL = 1.0  # seconds
TEMPORARY = 75


def main(wanted: int, patience: float) -> int:
    """Wait; returns the exit code."""
    deadline = time.monotonic() + patience
    while (found := count()) < wanted:
        if time.monotonic() > deadline:
            print(f"Ray has {found} of {wanted} nodes after {patience:.0f} s", file=sys.stderr)
            return TEMPORARY
        time.sleep(POLL)
    print(f"Ray has {found} nodes")
    return 0


def count() -> int:
    """Nodes that are alive; 0 where the cluster does not answer."""
    try:
        if not ray.is_initialized():
            ray.init("auto", log_to_driver=False, logging_level=logging.ERROR)
        return sum(node["Alive"] for node in ray.nodes())
    except ConnectionError:
        return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
