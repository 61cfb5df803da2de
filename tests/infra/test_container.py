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


def tool(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).parent / name)


def test_linter_finds_nothing():
    found = subprocess.run([tool("hadolint"), "--no-color", str(DOCKERFILE)], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_linter_would_find_a_mistake(tmp_path):
    (tmp_path / "Dockerfile").write_text(TEXT.replace("RUN requirements/install servers", "RUN pip install mlflow"))
    found = subprocess.run([tool("hadolint"), str(tmp_path / "Dockerfile")], capture_output=True, text=True)
    assert "DL3013" in found.stdout


def test_python_is_one_that_the_package_takes_and_the_tests_run_on():
    (version,) = re.findall(r"^ARG PYTHON=(\S+)$", TEXT, re.MULTILINE)
    assert version == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_what_is_installed_is_locked():
    installs = [line for line in INSTRUCTIONS if re.search(r"\binstall\b", line) and "apt-get" not in line]
    *locked, own = installs
    assert own.startswith("RUN pip install --no-deps --no-build-isolation --editable . &&")
    uses = [re.fullmatch(r"RUN requirements/install ((?:\w+ ?)+)", line).group(1).split() for line in locked]
    assert uses == [["servers"], ["run", "cluster", "dashboard"]]
    assert all((REPOSITORY / f"requirements/{use}.txt").is_file() for line in uses for use in line)


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
