"""The manifests, as they are and as kustomize gives them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
INFRA = REPOSITORY / "infra"
KUBERNETES = INFRA / "kubernetes"
KUBECTL = shutil.which("kubectl")

Manifest = dict[str, Any]


def written() -> dict[str, Manifest]:
    """Every manifest of the folder, by "FILE KIND/NAME"."""
    files = sorted(set(KUBERNETES.glob("*.yaml")) - {KUBERNETES / "kustomization.yaml"})
    return {f"{file.name} {title(manifest)}": manifest for file in files for manifest in load(file.read_text())}


def kustomized(folder: Path) -> dict[str, Manifest]:
    """What `kubectl kustomize` makes of a folder, by "KIND/NAME"."""
    made = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return {title(manifest): manifest for manifest in load(made.stdout)}


def load(text: str) -> list[Manifest]:
    return [manifest for manifest in yaml.safe_load_all(text) if manifest is not None]


def title(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']}/{metadata.get('name') or metadata['generateName']}"


def ray_spec(manifest: Manifest) -> dict[str, Any]:
    """The cluster of a RayCluster or a RayJob."""
    return manifest["spec"].get("rayClusterSpec", manifest["spec"])


def ray_templates(manifest: Manifest) -> list[dict[str, Any]]:
    """Pod templates of a RayCluster or a RayJob, the head's first."""
    spec = ray_spec(manifest)
    return [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]


def pods(manifests: dict[str, Manifest]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Specifications of all pods that the manifests lead to."""
    for name, manifest in manifests.items():
        if manifest["apiVersion"].startswith("ray.io"):
            yield from ((name, template["spec"]) for template in ray_templates(manifest))
        elif "template" in manifest.get("spec", {}):
            yield name, manifest["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def images(manifests: dict[str, Manifest]) -> set[str]:
    return {container["image"] for _, pod in pods(manifests) for container in containers(pod)}
