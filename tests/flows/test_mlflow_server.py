"""What the guard of MLflow's server lets through."""

import asyncio
import base64
from typing import Any

import pytest

from flows.mlflow_server import Guard

AUTH = "ladd:secret"
HOST = "127.0.0.1:5000"
PASSWORD = {"authorization": f"Basic {base64.b64encode(AUTH.encode()).decode()}"}


def ask(headers: dict[str, str], method: str = "POST", path: str = "/api/2.0/mlflow/runs/create") -> list[Any]:
    """What the guard sends; ["through"] where the request reaches MLflow."""
    sent: list[Any] = []

    async def app(scope, receive, send):
        sent.append("through")

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(Guard(app, AUTH, ["127.0.0.1:5000", "localhost:*"])(scope, None, send))
    return sent


def status(headers: dict[str, str], **request: str) -> int:
    return ask(headers, **request)[0]["status"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": f"http://{HOST}"},
        {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
        {"host": "localhost:5001", "origin": "http://localhost:5001"},
    ],
)
def test_owner_and_his_pages_get_through(headers):
    assert ask({"host": HOST} | PASSWORD | headers) == ["through"]


def test_link_of_another_page_gets_through():
    link = {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}
    assert ask({"host": HOST} | PASSWORD | link, method="GET", path="/") == ["through"]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic %%%",
        "Bearer bGFkZDpzZWNyZXQ=",
        "Basic " + base64.b64encode(b"ladd:secre").decode(),
        "Basic " + base64.b64encode(b"ladd:secret ").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
    ],
)
def test_others_are_asked_for_a_password(header):
    (start, body) = ask({"host": HOST, "authorization": header})
    assert start["status"] == 401
    assert dict(start["headers"])[b"www-authenticate"].startswith(b"Basic")
    assert b"password" in body["body"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:8000"},  # a page of another user of this machine
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
        {"host": "evil.example"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"host": ""},
    ],
)
def test_pages_of_other_servers_are_refused_even_with_the_password_that_a_browser_adds(headers):
    assert status({"host": HOST} | PASSWORD | headers) == 403


def test_health_alone_is_open():
    assert ask({}, method="GET", path="/health") == ["through"]
    assert status({"host": HOST}, method="GET", path="/health/x") == 401
    assert status({"host": HOST}, method="POST", path="/health") == 401


def test_websockets_are_closed():
    sent: list[Any] = []

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(None, AUTH, [HOST])({"type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
