"""A store whose requests fail, hang or lose their answer, as those to a server do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

LONG = 60.0  # seconds that no test takes


class Transport:
    """What happens to requests.

    Attributes:
        away: whether they fail.
        answering: cleared, they hang.
        lose: names of requests that are carried out, and whose answer is lost, once each.
        refuse: name of a request that is refused.
        during: functions to be called, one each, within the next requests of their name, before these are carried out.
        asked: names of the requests.
    """

    def __init__(self) -> None:
        self.away = False
        self.answering = threading.Event()
        self.answering.set()
        self.lose: list[str] = []
        self.refuse = ""
        self.during: list[tuple[str, Callable[[], None]]] = []
        self.asked: list[str] = []

    def client(self, tracking_uri: str) -> Any:
        """A client of a store in a file, whose requests go this way."""
        return Client(self, MlflowClient(tracking_uri=tracking_uri))

    def carry(self, name: str, request: Callable[..., Any]) -> Callable[..., Any]:
        """A request that meets what happens to requests."""

        def carried(*arguments: Any, **options: Any) -> Any:
            self.asked.append(name)
            assert self.answering.wait(LONG), "somebody waited for the server"
            if self.away:
                raise MlflowException("connection refused")
            if name == self.refuse:
                raise MlflowException("not for you", error_code=PERMISSION_DENIED)
            if self.during and self.during[0][0] == name:
                self.during.pop(0)[1]()
            answer = request(*arguments, **options)
            if name in self.lose:
                self.lose.remove(name)
                raise MlflowException("connection reset")
            return answer

        return carried


class Client:
    """An MlflowClient behind a transport."""

    def __init__(self, transport: Transport, client: MlflowClient):
        self._transport, self._client = transport, client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._transport.carry(name, found) if callable(found) else found
