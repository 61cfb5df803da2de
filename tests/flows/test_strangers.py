"""Strangers at the servers of `make ui`: another user of the machine, a foreign page, an attacker of work pools."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.flows.checkout import make_checkout, stage
from tests.flows.site import PATIENCE, Site, processes_of, until
from tests.stages.tiny import tiny_values, write_params

pytestmark = pytest.mark.slow

NOBODY = 65534
REFUSED = (401, 403)
TYPES = ["application/json", "text/plain", "application/x-www-form-urlencoded", None]
EVIL = "https://evil.example"
PAGES = [{"Origin": EVIL}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:8000"}, {"Host": "evil.example"}, {}]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Iterator[Path]:
    folder = make_checkout(tmp_path_factory.mktemp("strangers") / "r", {"a": stage("true", out="a.out")}, code=True)
    yield folder
    for process in processes_of(folder):  # of a test that failed
        process.kill()


@pytest.fixture(scope="module")
def site(checkout) -> Iterator[Site]:
    site = Site(checkout)
    yield site
    site.stop()


@pytest.fixture(scope="module")
def evil(checkout) -> Path:
    """A suite outside of the repository, whose stage writes PWNED."""
    folder = checkout.parent / "evil"
    folder.mkdir()
    write_params(folder, tiny_values())
    (folder / "dvc.yaml").write_text(f"stages: {{a: {{cmd: 'id > {folder}/PWNED'}}}}\n")
    return folder


def ask(address: str, method: str, body: Any, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer; nothing is sent but the headers that are given."""
    place = urlsplit(address)
    with contextlib.closing(HTTPConnection(place.netloc, timeout=PATIENCE)) as connection:
        path = address.removeprefix(f"{place.scheme}://{place.netloc}")
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def requests_of(site: Site, evil: Path) -> list[tuple[str, str, Any]]:
    """What each attacker sends: launches, code for a worker, files through MLflow."""
    deployment = site.call("/api/deployments/name/pipeline/local")["id"]
    prefect, mlflow = (f"{site.addresses[name]}{path}" for name, path in (("prefect", "/api"), ("mlflow", "/api/2.0")))
    shell = [{"prefect.deployments.steps.run_shell_script": {"script": f"id > {evil}/PWNED"}}]
    return [
        (f"{prefect}/deployments/{deployment}/create_flow_run", "POST", {"parameters": {"suite": str(evil)}}),
        (f"{prefect}/deployments/{deployment}/create_flow_run", "POST", {"parameters": {"suite": "."}}),
        (f"{prefect}/deployments/{deployment}", "PATCH", {"pull_steps": shell}),
        (f"{prefect}/deployments/{deployment}", "DELETE", None),
        (f"{prefect}/work_pools/", "POST", {"name": "theirs", "type": "process"}),
        (f"{prefect}/flow_runs/filter", "POST", {}),
        (f"{prefect}/admin/settings", "GET", None),
        (f"{mlflow}/mlflow/experiments/create", "POST", {"name": "x", "artifact_location": evil.as_uri()}),
        (f"{mlflow}/mlflow-artifacts/artifacts/x", "PUT", {"a": "file"}),
        (f"{mlflow}/mlflow/experiments/search", "POST", {"max_results": 1}),
        (f"{site.addresses['mlflow']}/get-artifact?run_uuid=0&path=x", "GET", None),
        (f"{site.addresses['mlflow']}/ajax-api/3.0/mlflow/assistant/message", "POST", {"message": "hello"}),
    ]


def untouched(site: Site, evil: Path) -> bool:
    """Nothing ran, nothing is new."""
    deployment = site.call("/api/deployments/name/pipeline/local")
    found = site.call("/api/2.0/mlflow/experiments/search", {"max_results": 9}, "mlflow")["experiments"]
    return (
        not deployment["pull_steps"]
        and site.call("/api/flow_runs/filter", {}) == []
        and [pool["name"] for pool in site.call("/api/work_pools/filter", {})] == []
        and [each["name"] for each in found] == ["Default"]
        and not (evil / "PWNED").exists()
    )


USER = """
import json, sys, urllib.error, urllib.request
requests, secret = json.load(sys.stdin)
said = []
for address, method, body in requests:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    try:
        said.append(urllib.request.urlopen(request, timeout=60).status)
    except urllib.error.HTTPError as error:
        said.append(error.code)
try:
    said.append(open(secret).read())
except PermissionError:
    said.append("closed")
print(json.dumps(said))
"""


def test_another_user_of_the_machine_is_refused(site, evil, checkout):
    secret = checkout / ".prefect/auth"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert site.auth.partition(":")[2] not in site.printed  # the output is a file, which others may read
    wanted = requests_of(site, evil)
    root = os.getuid() == 0
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    process = subprocess.run(
        [python, "-I", "-c", USER],
        input=json.dumps([wanted, str(secret)]),
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=True,
        user=NOBODY if root else None,
    )
    *statuses, read = json.loads(process.stdout)
    assert {status for status in statuses if status not in REFUSED} == set()
    assert read == "closed" or not root
    assert untouched(site, evil)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: "-".join(page.values()) or "bare")
def test_page_of_another_site_is_refused(site, evil, page, kind):
    headers = page | ({"Content-Type": kind} if kind else {})
    for address, method, body in requests_of(site, evil):
        assert ask(address, method, body, headers)[0] in REFUSED, (method, address)
    assert untouched(site, evil)


def test_page_of_another_site_gets_no_leave_to_send_more(site, evil):
    for address, method, _ in requests_of(site, evil):
        preflight = {"Origin": EVIL, "Access-Control-Request-Method": method}
        asked = preflight | {"Access-Control-Request-Headers": "authorization,content-type,prefect-csrf-token"}
        status, answer = ask(address, "OPTIONS", None, asked)
        assert status >= 400, (method, address)
        assert "access-control-allow-origin" not in answer


@pytest.mark.parametrize("page", [page for page in PAGES if page], ids=lambda page: "-".join(page.values()))
def test_mlflow_refuses_other_pages_even_with_the_password_that_a_browser_adds(site, evil, page):
    for address, method, body in requests_of(site, evil):
        if address.startswith(site.addresses["mlflow"]):
            assert ask(address, method, body, site.headers | page)[0] == 403
    assert untouched(site, evil)


def test_wrong_password_is_no_password(site, evil):
    for address, method, body in requests_of(site, evil):
        headers = site.headers | {"Authorization": "Basic bGFkZDo="}
        assert ask(address, method, body, headers)[0] in REFUSED


def test_even_the_owner_runs_no_suite_from_elsewhere(site, evil, checkout):
    """Last, as it leaves flow runs: who has the password still gets no command from a folder outside."""
    (checkout / "suites").mkdir()
    (checkout / "suites/link").symlink_to(evil)
    for suite in (str(evil), "../evil", "suites/../../evil", "suites/link", str(checkout), ""):
        run = site.launch("pipeline", suite=suite)
        assert site.ended(run) == "FAILED", suite
        assert site.message(run).startswith("suite: "), suite
    assert not (evil / "PWNED").exists()
    run = site.launch("pipeline", suite=".")
    assert site.ended(run) == "COMPLETED"
    until(lambda: (checkout / "a.out").exists(), "the output of the suite")
