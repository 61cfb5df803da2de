"""The manifests against their schemas, against each other, and against the code that they run."""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import mlflow.environment_variables
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

from ladd.config import load_suite
from requirements.lock import read_lock
from tests.infra.manifests import (
    INFRA,
    KUBECTL,
    KUBERNETES,
    REPOSITORY,
    Manifest,
    containers,
    kustomized,
    load,
    pods,
    ray_spec,
    ray_templates,
    written,
)

VERSIONS = ("1.31", "1.37")  # of Kubernetes, the oldest and the newest that we name
MANIFESTS = written()
RAY = {name: manifest for name, manifest in MANIFESTS.items() if manifest["apiVersion"] == "ray.io/v1"}
SECRETS = {
    "postgres": {"POSTGRES_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "PREFECT_DATABASE_PASSWORD"},
    "object-store": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    "ray-token": {"auth_token"},
    "logins": {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"},
}
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


@cache
def ray_schemas() -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "tests/infra/kuberay.yaml").read_text())


def validate(manifest: Manifest) -> None:
    """Against the schema of its kind, unknown fields being errors."""
    if manifest["apiVersion"] == "ray.io/v1":
        Draft202012Validator(ray_schemas()[manifest["kind"]]).validate(manifest)
        for template in ray_templates(manifest):
            validate({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template})
        return
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_is_valid(name):
    validate(MANIFESTS[name])


def broken(name: str, path: list[str | int], value: Any) -> Manifest:
    """A manifest with one value more or another."""
    manifest = copy.deepcopy(next(manifest for title, manifest in MANIFESTS.items() if title.endswith(name)))
    place: Any = manifest
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return manifest


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("Service/mlflow", ["spec", "portz"], []),
        ("Deployment/mlflow", ["spec", "replicas"], "one"),
        ("Deployment/prefect", ["spec", "template", "spec", "containers", 0, "imagePullPolizy"], "Always"),
        ("RayCluster/ladd", ["spec", "workerGroups"], []),
        ("RayCluster/ladd", ["spec", "authOptions", "mode"], "none"),
        ("RayCluster/ladd", ["spec", "workerGroupSpecs", 0, "replicas"], "2"),
        ("RayCluster/ladd", ["spec", "headGroupSpec", "template", "spec", "nodeSelektor"], {}),
        ("RayJob/owt-", ["spec", "retries"], 3),
        ("RayJob/owt-", ["spec", "clusterSelector"], {"ray.io/cluster": "ladd"}),
    ],
)
def test_mistake_would_be_found(name, path, value):
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        validate(broken(name, path, value))


@needs_kubectl
def test_kustomize_gives_valid_manifests_and_leaves_none_out():
    made = kustomized(KUBERNETES)
    for manifest in made.values():
        validate(manifest)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "ladd"
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    expected = {name.split(" ")[1] for name in MANIFESTS if name.split(" ")[0] in listed}
    assert {name for name in made if not name.startswith("ConfigMap/databases-")} == expected
    by_hand = {name.split(" ")[0] for name in MANIFESTS} - set(listed)
    assert by_hand == {"checkout.yaml", "rayjob.yaml"}  # created per use


@needs_kubectl
def test_overlay_of_the_docs_changes_what_clusters_differ_in(tmp_path):
    text = (REPOSITORY / "docs/SCALING.md").read_text()
    (snippet,) = re.findall(r"<!-- test: overlay -->\n```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "infra").symlink_to(INFRA)
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(snippet)
    before, after = kustomized(KUBERNETES), kustomized(overlay)
    assert before.keys() == after.keys()
    images = {container["image"] for _, pod in pods(after) for container in containers(pod)}
    assert not {image for image in images if image.startswith("ladd")}
    assert after["PersistentVolumeClaim/workspace"] != before["PersistentVolumeClaim/workspace"]
    assert after["ConfigMap/object-store"] != before["ConfigMap/object-store"]
    for manifest in after.values():
        validate(manifest)


def test_job_and_cluster_have_the_same_nodes():
    cluster, job = ((ray_spec(manifest), ray_templates(manifest)) for manifest in RAY.values())
    (head, gpu), (job_head, job_gpu) = cluster[1], job[1]
    assert gpu == job_gpu
    assert head["spec"]["containers"][0] == job_head["spec"]["containers"][0]
    for key in ("securityContext", "volumes", "terminationGracePeriodSeconds", "nodeSelector", "tolerations"):
        assert head["spec"][key] == job_head["spec"][key]
    for key in ("rayVersion", "authOptions"):
        assert cluster[0][key] == job[0][key]
    assert cluster[0]["headGroupSpec"]["rayStartParams"] == job[0]["headGroupSpec"]["rayStartParams"]


@pytest.mark.parametrize("name", RAY)
def test_ray_reads_the_resources_that_are_meant(name):
    manifest = copy.deepcopy(RAY[name])
    (group,) = ray_spec(manifest)["workerGroupSpecs"]
    read = _derive_autoscaling_config_from_ray_cr(
        {"metadata": {"name": "ladd", "namespace": "ladd"}, "spec": ray_spec(manifest)}
    )["available_node_types"]
    head, workers = read["headgroup"], read[group["groupName"]]
    assert head["resources"]["CPU"] == 0  # drivers only
    assert head["resources"]["GPU"] == 0  # although its container has one, which is the driver's
    assert workers["resources"]["GPU"] == 8
    assert (workers["min_workers"], workers["max_workers"]) == (group["minReplicas"], group["maxReplicas"])


@pytest.mark.parametrize("name", RAY)
def test_every_container_that_runs_stages_has_a_gpu(name):
    head, _ = (template["spec"] for template in ray_templates(RAY[name]))
    expected = {"RayCluster": ["ray-head", "prefect-worker"], "RayJob": ["ray-head"]}[RAY[name]["kind"]]
    assert [container["name"] for container in head["containers"]] == expected
    for container in head["containers"]:
        for kind in ("requests", "limits"):  # Kubernetes wants them equal
            assert container["resources"][kind]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("name", RAY)
def test_ray_nodes_are_h100_and_every_node_has_the_workspace_and_memory_to_share(name):
    head, gpu = (template["spec"] for template in ray_templates(RAY[name]))
    for pod in (head, gpu):
        assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
        assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["workspace"] == {"name": "workspace", "persistentVolumeClaim": {"claimName": "workspace"}}
        assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
        for container in pod["containers"]:
            mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounted == {"workspace": "/workspace", "ray": "/tmp/ray", "shm": "/dev/shm"}


@pytest.mark.parametrize("name", RAY)
def test_ray_has_the_version_of_the_image_and_asks_for_a_token(name):
    spec = ray_spec(RAY[name])
    assert spec["rayVersion"] == read_lock()["ray"]
    assert spec["authOptions"] == {"mode": "token", "secretName": "ray-token"}


def test_job_runs_a_suite_that_there_is():
    (job,) = (manifest for manifest in RAY.values() if manifest["kind"] == "RayJob")
    command = r"python -m ladd\.launch\.ready (/workspace/ladd/(\S+)) && dvc --cd \1 repro"
    entry = re.fullmatch(command, job["spec"]["entrypoint"])
    suite = load_suite(REPOSITORY / entry.group(2) / "params.yaml")
    assert suite.compute.device == "cuda"
    assert job["metadata"]["generateName"].startswith(suite.suite)


def test_claims_and_settings_that_pods_name_are_there():
    config_maps = {manifest["metadata"]["name"] for manifest in MANIFESTS.values() if manifest["kind"] == "ConfigMap"}
    config_maps |= {"databases"}  # of the kustomization
    claims = {m["metadata"]["name"] for m in MANIFESTS.values() if m["kind"] == "PersistentVolumeClaim"}
    for name, pod in pods(MANIFESTS):
        declared = {volume["name"] for volume in pod.get("volumes", [])}
        if name == "postgres.yaml StatefulSet/postgres":
            declared |= {claim["metadata"]["name"] for claim in MANIFESTS[name]["spec"]["volumeClaimTemplates"]}
        for volume in pod.get("volumes", []):
            assert volume.get("configMap", {"name": "databases"})["name"] in config_maps
            assert volume.get("persistentVolumeClaim", {"claimName": "workspace"})["claimName"] in claims
        for container in containers(pod):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= declared
            for source in container.get("envFrom", []):
                reference = source.get("configMapRef") or source["secretRef"]
                assert reference["name"] in (config_maps if "configMapRef" in source else SECRETS)
            for variable in container.get("env", []):
                if "valueFrom" in variable:
                    secret = variable["valueFrom"]["secretKeyRef"]
                    assert secret["key"] in SECRETS[secret["name"]]


def test_secrets_are_made_by_hand_as_the_docs_say_and_are_in_no_file():
    assert not [name for name, manifest in MANIFESTS.items() if manifest["kind"] == "Secret"]
    text = (REPOSITORY / "docs/SCALING.md").read_text()
    made = {
        name: set(re.findall(r"--from-literal=(\w+)=", arguments))
        for name, arguments in re.findall(r"kubectl create secret generic (\S+)((?:.*\\\n)*.*\n)", text)
    }
    assert made == SECRETS
    for name, pod in pods(MANIFESTS):
        for container in containers(pod):
            for variable in container.get("env", []):
                secret = re.search("PASSWORD|TOKEN|SECRET|AUTH_STRING", variable["name"])
                assert ("valueFrom" in variable) == bool(secret), f"{name}: {variable['name']}"


def test_servers_ask_for_a_password_and_their_clients_have_it():
    variables = {
        name: {each["name"]: each for each in pod["containers"][0]["env"]}
        for name, pod in pods({title: m for title, m in MANIFESTS.items() if m["kind"] == "Deployment"})
    }
    prefect = variables["prefect.yaml Deployment/prefect"]
    assert prefect["PREFECT_SERVER_API_AUTH_STRING"]["valueFrom"]["secretKeyRef"]["name"] == "logins"
    assert prefect["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"]["value"] == "true"
    assert "*" not in prefect["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"]["value"]
    mlflow_server = variables["mlflow.yaml Deployment/mlflow"]
    assert mlflow_server["MLFLOW_TRACKING_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "logins"
    assert "*" not in mlflow_server["MLFLOW_SERVER_ALLOWED_HOSTS"]["value"].replace(":*", "")
    for manifest in RAY.values():
        head, workers = ray_templates(manifest)
        for container in head["spec"]["containers"]:
            assert {"secretRef": {"name": "logins"}} in container["envFrom"]
        assert workers["spec"]["automountServiceAccountToken"] is False


def test_pods_run_as_somebody_and_give_up_privileges():
    for name, pod in pods(MANIFESTS):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_services_lead_to_their_pods_and_clients_to_the_services():
    services = {m["metadata"]["name"]: m["spec"] for m in MANIFESTS.values() if m["kind"] == "Service"}
    workloads = {
        m["metadata"]["name"]: m["spec"]["template"]
        for m in MANIFESTS.values()
        if m["kind"] in ("Deployment", "StatefulSet")
    }
    assert services.keys() == workloads.keys()
    for name, service in services.items():
        assert service["selector"].items() <= workloads[name]["metadata"]["labels"].items()
        ports = {port["containerPort"] for port in workloads[name]["spec"]["containers"][0]["ports"]}
        assert {port["port"] for port in service["ports"]} == ports
    (clients,) = (m["data"] for m in MANIFESTS.values() if m["metadata"].get("name") == "clients")
    for key in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        host, port = re.fullmatch(r"http://(\w+):(\d+)(?:/api)?", clients[key]).groups()
        assert {"port": int(port), "name": "http"} in services[host]["ports"]


def test_only_mlflow_and_prefect_reach_the_database():
    policies = {m["metadata"]["name"]: m["spec"] for m in MANIFESTS.values() if m["kind"] == "NetworkPolicy"}
    # Policies add up: the one for all pods must leave the database out.
    (rule,) = policies["own-namespace"]["podSelector"]["matchExpressions"]
    assert rule == {"key": "app.kubernetes.io/name", "operator": "NotIn", "values": ["postgres"]}
    (expression,) = policies["postgres"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"]
    assert set(expression["values"]) == {"mlflow", "prefect"}
    assert policies["postgres"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "postgres"}


def settings() -> set[str]:
    """Names of the variables of all pods and of the compose file."""
    found = {key for manifest in MANIFESTS.values() if manifest["kind"] == "ConfigMap" for key in manifest["data"]}
    for _, pod in pods(MANIFESTS):
        found |= {variable["name"] for container in containers(pod) for variable in container.get("env", [])}
    for service in yaml.safe_load((INFRA / "compose.yaml").read_text())["services"].values():
        found |= service["environment"].keys()
    return found


@pytest.mark.parametrize("name", sorted(name for name in settings() if name.startswith("LADD_")))
def test_setting_of_ours_is_read_by_the_code(name):
    code = "".join(path.read_text() for folder in ("ladd", "flows") for path in (REPOSITORY / folder).rglob("*.py"))
    assert f'"{name}"' in code


@pytest.mark.parametrize("name", sorted(name for name in settings() if name.startswith("MLFLOW_")))
def test_setting_of_mlflow_is_one(name):
    package = Path(mlflow.environment_variables.__file__).parent
    options = "".join((package / file).read_text() for file in ("cli/__init__.py", "utils/cli_args.py"))
    assert hasattr(mlflow.environment_variables, name) or f'envvar="{name}"' in options or name in SECRETS["postgres"]


@pytest.mark.parametrize("name", sorted(name for name in settings() if name.startswith("PREFECT_")))
def test_setting_of_prefect_is_one(name):
    assert name in _get_settings_fields(Settings) or name in SECRETS["postgres"]


def test_yaml_uses_nothing_that_kubectl_reads_otherwise():
    """Anchors are resolved by every reader; a key that stands twice is not an error to all of them."""
    for file in KUBERNETES.glob("*.yaml"):
        assert load(file.read_text())
        for node in yaml.compose_all(file.read_text()):
            check_keys(node, file.name)


def check_keys(node: yaml.Node | None, where: str) -> None:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), (where, keys)
        for _, value in node.value:
            check_keys(value, where)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            check_keys(value, where)
