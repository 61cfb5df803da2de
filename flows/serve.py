"""Serve the flows, so that they can be launched in the browser: `python -m flows.serve`, a part of `make ui`."""

import argparse
import asyncio
import contextlib
import os
from pathlib import Path

import psutil
from prefect.deployments.runner import EntrypointType
from prefect.logging import get_logger
from prefect.runner import Runner

from flows.ablation import ablation
from flows.pipeline import pipeline
from flows.stage import GRACE
from flows.suite import bury_the_dead
from ladd.files import write_json

DEPLOYMENT = "local"
PATIENCE = 3 * GRACE  # seconds in which a flow has ended its stages
POLL_SECONDS = 1.0  # a launch waits that long at most


class FlowRunner(Runner):
    """A runner that ends its flow runs when it is ended."""

    def handle_sigterm(self, *_: object) -> None:
        """Prefect's own handler calls `astop` without awaiting it, and leaves the processes of flows behind."""
        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(self._end()))

    async def serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.start()

    async def _end(self) -> None:
        """Cancel the flow runs; without a server to tell, end their processes, which end their stages."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):  # Prefect tells a dead server for minutes
                await self.astop()
                return
        await asyncio.to_thread(end_children)
        os._exit(1)


def end_children() -> None:
    """End child processes, and wait until they have ended their own."""
    children = psutil.Process().children()
    for child in children:
        child.terminate()
    _, left = psutil.wait_procs(children, timeout=2 * GRACE)
    for child in left:
        child.kill()


def main() -> None:
    """Serve until a signal comes; one launch runs at a time, later ones wait for it."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description=__doc__)
    parser.add_argument("--ready", type=Path, help="file that gets the ids of the deployments once they are served")
    ready = parser.parse_args().ready
    for name in bury_the_dead():
        get_logger("ladd").warning("flow run %s was left running by a process that is gone: marked as crashed", name)
    runner = FlowRunner(name=DEPLOYMENT, limit=1, query_seconds=POLL_SECONDS, pause_on_shutdown=False)
    identifiers = {
        flow.name: str(
            runner.add_flow(
                flow,
                name=DEPLOYMENT,
                description=flow.description,
                enforce_parameter_schema=True,
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
        )
        for flow in (pipeline, ablation)
    }
    if ready is not None:
        write_json(ready, identifiers)
    asyncio.run(runner.serve())


if __name__ == "__main__":
    main()
