"""What is set before Prefect is imported, and how processes of a checkout find each other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flows.environment
from flows.environment import apply, running_servers, serving, stage_environment
from ladd.errors import BusyError


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(flows.environment, "HOME", tmp_path / "home")
    return tmp_path / "home"


def test_nothing_calls_home(home):
    settings: dict[str, str] = {}
    apply(settings)
    assert settings["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert settings["MLFLOW_DISABLE_TELEMETRY"] == settings["DO_NOT_TRACK"] == "true"
    assert settings["DVC_NO_ANALYTICS"] == "1"


def test_servers_answer_no_other_page_and_nobody_without_the_password(home):
    settings: dict[str, str] = {}
    apply(settings)  # also for the temporary server of a flow on the command line
    password = (home / "auth").read_text().strip()
    assert settings["PREFECT_SERVER_API_AUTH_STRING"] == settings["PREFECT_API_AUTH_STRING"] == password
    assert settings["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"
    assert settings["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:0"


def test_server_of_somebody_else_is_not_told_the_password(home):
    settings = {"PREFECT_API_URL": "http://server/api"}
    apply(settings)
    assert "PREFECT_API_AUTH_STRING" not in settings
    assert not (home / "auth").exists()


def test_stages_are_not_told_the_password(monkeypatch):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ladd:secret")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "ladd:secret")
    assert [name for name, value in stage_environment("some-id").items() if "secret" in value] == []


def test_what_the_user_set_stays(home):
    settings = {"PREFECT_HOME": "/elsewhere", "PREFECT_API_URL": "http://server/api"}
    with serving() as file:
        file.write_text(json.dumps({"prefect": "http://127.0.0.1:1"}))
        apply(settings)
    assert (settings["PREFECT_HOME"], settings["PREFECT_API_URL"]) == ("/elsewhere", "http://server/api")


def test_settings_come_before_prefect_is_imported():
    code = "import flows.pipeline, os, prefect.settings as s; print(s.PREFECT_HOME.value() == flows.environment.HOME)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "True\n"


def test_flow_reports_to_the_server_of_the_checkout_while_that_runs(home):
    settings: dict[str, str] = {}
    with serving() as file:
        assert running_servers() is None  # it is starting
        file.write_text(json.dumps({"prefect": "http://127.0.0.1:1", "mlflow": "http://127.0.0.1:2"}))
        apply(settings)
    assert settings["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    after: dict[str, str] = {}
    apply(after)
    assert "PREFECT_API_URL" not in after


def test_addresses_of_a_killed_server_are_not_believed(home):
    home.mkdir()
    (home / "ui.lock").touch()
    (home / "ui.json").write_text(json.dumps({"prefect": "http://127.0.0.1:1"}))
    assert running_servers() is None
    with serving() as file:
        assert not file.exists()


def test_second_holder_gets_nothing(home):
    with serving() as first, pytest.raises(BusyError), serving():
        pass
    assert first == home / "ui.json"
    with serving() as again:
        assert again == home / "ui.json"


def test_stages_run_this_code_with_this_interpreter(monkeypatch):
    monkeypatch.setenv("PATH", "/somewhere")
    monkeypatch.setenv("KEPT", "yes")
    settings = stage_environment("some-id")
    assert settings["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert settings["PYTHONPATH"] == str(Path(flows.environment.__file__).parents[1])
    assert (settings["LADD_FLOW_RUN_ID"], settings["KEPT"]) == ("some-id", "yes")
