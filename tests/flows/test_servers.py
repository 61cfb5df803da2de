"""Server processes: whose port it is."""

import os
import socket
import sys
from pathlib import Path

from flows.ui import HOST, Server
from tests.flows.site import until

LISTENER = f"""
import socket, subprocess, sys, time
server = socket.create_server(("{HOST}", 0))
print(server.getsockname()[1], flush=True)
time.sleep(600)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def start(folder: Path, *command: str) -> Server:
    return Server("one", [sys.executable, "-c", *command], os.environ, folder, folder / "log")


def test_port_is_that_of_the_server_or_of_a_process_that_it_started(tmp_path):
    for number, command in enumerate([(LISTENER,), (PARENT, LISTENER)]):
        (tmp_path / str(number)).mkdir()
        server = start(tmp_path / str(number), *command)
        try:
            until(lambda log=server.log: log.read_text().endswith("\n"), "the port")
            assert server.listens(int(server.log.read_text()))
        finally:
            server.stop()
        assert not server.listens(int(server.log.read_text()))


def test_port_of_somebody_else_is_not_its_own(tmp_path):
    with socket.create_server((HOST, 0)) as other:
        server = start(tmp_path, "import time; time.sleep(600)")
        try:
            assert not server.listens(other.getsockname()[1])
        finally:
            server.stop()
