"""The container image, as far as it can be checked without building it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.infra.manifests import INFRA, REPOSITORY, images, written

DOCKERFILE = INFRA / "container/Dockerfile"
TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# Instructions, with continued lines joined as Docker joins them.
INSTRUCTIONS = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", TEXT)).splitlines()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>~!; ]", name)[0]).lower()


PINS = {normal(line): line.split("==")[1].strip() for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}


def tool(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).parent / name)


def test_linter_finds_nothing():
    found = subprocess.run([tool("hadolint"), "--no-color", str(DOCKERFILE)], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_linter_would_find_a_mistake(tmp_path):
    (tmp_path / "Dockerfile").write_text(TEXT.replace("--constraint constraints.txt mlflow", "mlflow"))
    found = subprocess.run([tool("hadolint"), str(tmp_path / "Dockerfile")], capture_output=True, text=True)
    assert "DL3013" in found.stdout


def test_python_is_one_that_the_package_takes_and_the_tests_run_on():
    (version,) = re.findall(r"^ARG PYTHON=(\S+)$", TEXT, re.MULTILINE)
    assert version == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_every_package_that_is_installed_is_pinned():
    installs = [line for line in INSTRUCTIONS if "pip install --constraint" in line]
    assert len(installs) == 2
    for line in installs:
        words = line.split("pip install --constraint constraints.txt")[1].replace("'", "").split()
        names = [word for word in words if not word.startswith("--") and word != "requirements.txt"]
        assert names
        assert {normal(name) for name in names} <= PINS.keys()


def test_list_of_dependencies_is_that_of_the_package(tmp_path):
    """The command that makes it, run as the shell of the image runs it."""
    (line,) = (line for line in INSTRUCTIONS if "tomllib" in line)
    command = line.removeprefix("RUN ").split(" && ")[0].replace("python -c", f"{sys.executable} -c")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    listed = (tmp_path / "requirements.txt").read_text().splitlines()
    assert listed == [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["ray"]]


def test_requirements_and_constraints_say_the_same():
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *extras["ray"], *extras["dev"]]:
        if requirement != "ladd[ray]":
            assert PINS[normal(requirement)] == requirement.split("==")[1]


def test_copied_files_exist_and_images_that_manifests_name_are_built():
    for line in INSTRUCTIONS:
        if line.startswith("COPY"):
            *sources, _ = [word for word in line.split()[1:] if not word.startswith("--")]
            assert all((REPOSITORY / source).exists() for source in sources)
    targets = set(re.findall(r"^FROM base AS (\S+)$", TEXT, re.MULTILINE))
    ours = {image for image in images(written()) if image.startswith("ladd")}
    assert {image.split(":")[0].removeprefix("ladd-") for image in ours} == targets
    assert {image.split(":")[1] for image in ours} == {PROJECT["version"]}
    named = set(re.findall(r"--tag (\S+) \.", TEXT))
    assert named == ours


def test_image_ends_as_a_user_without_privileges():
    for stage in TEXT.split("\nFROM ")[2:]:
        assert [line for line in stage.splitlines() if line.startswith("USER")][-1:] == ["USER 1000"]


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".dvc/cache/files/md5/00/aa",
        ".dvc/config.local",
        ".venv/bin/python",
        "artifacts/data/x/manifest.json",
        "suites/owt/artifacts/data/x",
        "suites/owt/.work/x",
        "infra/.env",
        ".mlflow/mlflow.db",
    ],
)
def test_history_data_and_secrets_stay_out_of_the_image(path):
    assert ignored(path)


@pytest.mark.parametrize("path", ["ladd/cli/__init__.py", "pyproject.toml", "suites/owt/params.yaml", ".dvc/config"])
def test_code_goes_into_the_image(path):
    assert (REPOSITORY / path).exists()
    assert not ignored(path)


def ignored(path: str) -> bool:
    """Whether .dockerignore names the path or a folder above it, in the patterns that ours uses."""
    patterns = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    parts = path.split("/")
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    return any(
        any(fnmatch(name, part.removeprefix("**/")) for name in (parts if part.startswith("**/") else above))
        for part in patterns
    )
