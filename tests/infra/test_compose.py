"""The compose file against its schema, and against the settings that it needs."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from importlib.resources import files

import pytest
import yaml
from jsonschema import ValidationError, validators

from tests.infra.manifests import INFRA, REPOSITORY, images, written

FILE = INFRA / "compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]


def validate(compose: dict) -> None:
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    validators.validator_for(schema)(schema).validate(compose)


def test_file_is_valid():
    validate(COMPOSE)


@pytest.mark.parametrize(("service", "key", "value"), [("mlflow", "port", []), ("postgres", "healthcheck", "wget")])
def test_mistake_would_be_found(service, key, value):
    compose = copy.deepcopy(COMPOSE)
    compose["services"][service][key] = value
    with pytest.raises(ValidationError):
        validate(compose)


def test_passwords_come_from_a_file_that_git_ignores():
    asked = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    offered = dict(line.split("=", 1) for line in (INFRA / "env.example").read_text().splitlines() if "=" in line)
    assert asked == offered.keys()
    assert set(offered.values()) == {""}
    # An empty or missing one is an error, no default.
    assert not re.findall(r"\$\{\w+(?!:\?|\w)", FILE.read_text())
    ignored = subprocess.run(["git", "check-ignore", "--quiet", "infra/.env"], cwd=REPOSITORY)
    assert ignored.returncode == 0
    assert not re.search(r"(?i)(password|secret\w*):\s+(?!\$)\S", FILE.read_text())


def test_nothing_listens_beyond_this_machine():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3  # the database is for the servers alone
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_servers_ask_for_a_password_and_give_up_privileges():
    prefect, mlflow = (SERVICES[name]["environment"] for name in ("prefect", "mlflow"))
    assert prefect["PREFECT_SERVER_API_AUTH_STRING"] == "${PREFECT_API_AUTH_STRING:?see env.example}"
    assert prefect["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"
    assert "*" not in prefect["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"]
    assert mlflow["MLFLOW_TRACKING_PASSWORD"] == "${MLFLOW_TRACKING_PASSWORD:?see env.example}"
    assert "mlflow_server.py" in SERVICES["mlflow"]["command"][-1]
    for name in ("prefect", "mlflow", "buckets"):
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


def test_images_are_pinned_and_those_of_the_cluster():
    used = {service["image"] for service in SERVICES.values()}
    assert all(re.fullmatch(r"[\w/-]+:v?\d+\.\d+[\w.-]*", image) for image in used)
    assert used - {"versity/versitygw:v1.8.0"} <= images(written())


def test_services_wait_for_healthy_ones_and_all_servers_are_checked():
    for name, service in SERVICES.items():
        one_shot = name == "buckets"
        assert ("healthcheck" in service) != one_shot
        assert (service.get("restart") == "unless-stopped") != one_shot
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == ("service_completed_successfully" if other == "buckets" else "service_healthy")


def test_compose_and_cluster_set_the_servers_up_alike():
    """Settings of the same name have the same value, but for addresses."""
    for name in ("mlflow", "prefect"):
        pods = yaml.safe_load_all((INFRA / "kubernetes" / f"{name}.yaml").read_text())
        (deployment,) = (manifest for manifest in pods if manifest["kind"] == "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        there = {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}
        here = SERVICES[name]["environment"]
        shared = there.keys() & here.keys() - {"MLFLOW_SERVER_ALLOWED_HOSTS"}
        assert len(shared) >= 3
        assert {key: there[key] for key in shared} == {key: here[key] for key in shared}
