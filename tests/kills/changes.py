"""Changes of files and of the tracking database that a process makes: counted, and one of them its last."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

CALLS = {
    *("os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"),
    *("shutil.copyfile", "shutil.copytree", "shutil.move", "shutil.rmtree"),
}
WRITING = ("INSERT", "UPDATE", "DELETE")


def changed_path(call: str, arguments: tuple[Any, ...]) -> str | None:
    """The path that an audited call is about to change; None where it changes none."""
    if call == "open":
        path, _, flags = arguments
        if not isinstance(path, str | bytes | os.PathLike) or not flags & (os.O_WRONLY | os.O_RDWR):
            return None
    elif call in CALLS:
        path = arguments[0]
    else:
        return None
    return os.path.abspath(os.fsdecode(path))


class Killer:
    """Kills this process right before one of its changes below a folder, or before a commit of the database.

    What is written through file handles, and by libraries without Python, lies between two such changes.

    Args:
        folder: changes elsewhere do not count.
        at: number of the change, from 1; None for no end.
        report: file descriptor that gets a line for each change.
    """

    def __init__(self, folder: Path, at: int | None, report: int):
        self.folder, self.at, self.report = f"{folder.resolve()}{os.sep}", at, report
        self.count, self.written = 0, False

    def install(self) -> None:
        """For the rest of the process's life."""
        sys.addaudithook(self._audit)
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", self._commit)

    def _audit(self, call: str, arguments: tuple[Any, ...]) -> None:
        path = changed_path(call, arguments)
        if path is not None and path.startswith(self.folder):
            self._change(f"{call} {path.removeprefix(self.folder)}")

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.written |= statement.lstrip().upper().startswith(WRITING)

    def _commit(self, _connection: Any) -> None:
        if self.written:
            self.written = False
            self._change("commit")

    def _change(self, what: str) -> None:
        self.count += 1
        os.write(self.report, f"{what}\n".encode())
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
