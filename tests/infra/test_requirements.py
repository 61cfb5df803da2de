"""The lock holds all that an install brings, with hashes, and the install takes nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from requirements.licences import PAGE, licence, restricted
from requirements.lock import CPU_BUILDS, CUDA, FOLDER, SOURCES, USES, name_of, read_lock, rows_of, wanted
from tests.infra.manifests import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
WANTED = wanted(PROJECT)
TEXTS = {use: (FOLDER / f"{use}.txt").read_text() for use in USES}
ROWS = {use: rows_of(text) for use, text in TEXTS.items()}
INSTALLED = ["build", "torch", "run", "cluster", "molecules", "dev"]  # what tests run with


def test_there_is_a_file_for_each_use_and_no_other():
    assert {path.stem for path in FOLDER.glob("*.txt")} == USES.keys()
    assert WANTED.keys() <= USES.keys()


@pytest.mark.parametrize("use", USES)
def test_every_package_has_one_version_and_hashes_and_is_built_by_nobody(use):
    assert "\n--require-hashes\n--only-binary :all:\n" in TEXTS[use]
    assert set(re.findall(r"--no-binary (\S+)", TEXTS[use])) <= set(SOURCES)
    assert ROWS[use]
    for pin, row in ROWS[use].items():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][^\s*]*", pin)
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}(?: \\)?$", row, re.MULTILINE)
        assert row.count("--hash") == len(row.splitlines()) - 1
    assert "://" not in TEXTS[use]  # where packages come from is said to pip


def test_only_an_image_has_packages_of_another_file():
    files = [use for use in USES if use != "servers"]
    assert len({pin for use in files for pin in ROWS[use]}) == sum(len(ROWS[use]) for use in files)
    assert ROWS["servers"].keys() <= {pin for use in files for pin in ROWS[use]}
    for pin, row in ROWS["servers"].items():
        assert row in [ROWS[use].get(pin) for use in files]


def test_torch_is_locked_in_its_builds_for_cuda_and_for_the_cpu():
    (row,) = ROWS["torch"].values()
    assert all(value in row for value in CPU_BUILDS)
    assert row.count("--hash") > len(CPU_BUILDS)
    assert all(CUDA.fullmatch(name_of(pin)) for pin in ROWS["cuda"])
    assert not [pin for use in USES if use != "cuda" for pin in ROWS[use] if CUDA.fullmatch(name_of(pin))]


@pytest.mark.parametrize("use", sorted(WANTED))
def test_package_and_lock_say_the_same(use):
    lock = read_lock()
    for requirement in map(Requirement, WANTED[use]):
        assert lock[name_of(requirement.name)] in requirement.specifier
        assert use == "servers" or str(requirement.specifier).startswith("==")


def test_what_builds_the_package_is_locked():
    assert PROJECT["build-system"]["requires"] == [f"setuptools=={read_lock()['setuptools']}"]


def needs(requirements: list[str]) -> dict[str, str]:
    """Versions by name of installed packages that requirements lead to; extras and markers are heeded."""
    found: dict[str, str] = {}
    seen, waiting = set(), [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        name = name_of(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            package = distribution(name)
            found[name] = Version(package.version).public
            lines = map(Requirement, package.requires or [])
            waiting += [line for line in lines if line.marker is None or line.marker.evaluate({"extra": extra})]
    return found


@pytest.mark.parametrize("uses", [["run"], ["run", "cluster"], ["run", "cluster", "dev"]], ids="-".join)
def test_all_that_an_install_brings_is_locked_at_its_version(uses):
    """By the metadata of what is installed, whatever somebody installed besides."""
    brought = needs([line for use in uses for line in WANTED[use]])
    files = ["build", "torch", "cuda", *uses]
    locked = {pin for use in files for pin in ROWS[use]}
    assert len(brought) > 100
    assert {f"{name}=={version}" for name, version in brought.items()} <= locked


def test_all_that_is_locked_is_installed():
    for use in INSTALLED:
        for pin, row in ROWS[use].items():
            requirement = Requirement(row.split(" \\\n")[0])
            if requirement.marker is None or requirement.marker.evaluate():
                assert Version(distribution(requirement.name).version).public == pin.split("==")[1]


def test_package_that_is_not_locked_would_be_found():
    with pytest.raises(PackageNotFoundError):
        needs(["a-package-that-nobody-has"])
    assert "packaging" in needs(["pytest"])
    assert "ray" not in needs(WANTED["run"])


PYTHON = """#!/bin/bash
echo "$*" >> "$CALLS"
case "$*" in
  *"show torch") echo "Requires: filelock, $BUILD" ;;
  *--no-index*) exit "$ABSENT" ;;
esac
"""


def installation(tmp_path: Path, *uses: str, build: str = "", absent: int = 1) -> tuple[int, list[str]]:
    """Exit code of the script, and what it asks of Python: files and flags of an install, or a command of pip."""
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "calls").touch()
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "BUILD": build,
        "ABSENT": str(absent),
    }
    code = subprocess.run([FOLDER / "install", *uses], env=environment, cwd=tmp_path, capture_output=True).returncode
    calls = (tmp_path / "calls").read_text().splitlines()
    assert all("--no-deps" in call and "--no-build-isolation" in call for call in calls if " install " in call)
    return code, [re.sub(r"^-m pip (install .*--requirement )?", "", call) for call in calls]


def test_torch_comes_from_a_folder_before_it_comes_from_the_index(tmp_path):
    assert installation(tmp_path, "run", absent=0) == (
        0,
        ["build.txt", "torch.txt --no-index", "show torch", "run.txt", "check"],
    )


def test_what_cuda_needs_comes_with_a_build_for_cuda_alone(tmp_path):
    assert installation(tmp_path, "run", "cluster", build="nvidia-nccl-cu13, triton") == (
        0,
        ["build.txt", "torch.txt --no-index", "torch.txt", "show torch", "cuda.txt", "run.txt", "cluster.txt", "check"],
    )


def test_unknown_use_is_refused_before_anything_is_installed(tmp_path):
    assert installation(tmp_path, "run", "nothing") == (2, [])


def test_install_script_passes_its_checks():
    checker = str(Path(sys.executable).parent / "shellcheck")
    found = subprocess.run([checker, "--severity=style", FOLDER / "install"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize(("version", "fits"), [("(3, 10, 9)", False), ("(3, 13, 1)", True), ("(3, 14, 0)", False)])
def test_python_that_does_not_fit_is_refused_before_anything_is_made(tmp_path, version, fits):
    python = tmp_path / "python3.x"
    python.write_text(
        f'#!/bin/bash\n[ "$1" = -c ] || exit 3\nexec {sys.executable} -c "import sys; '
        f'sys.version_info = {version}; exec(sys.argv[1])" "$2"\n'
    )
    python.chmod(0o755)
    command = ["make", "--silent", "install", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert found.returncode == 2
    assert ("3.11, 3.12 or 3.13 is needed: make install PYTHON=" in found.stderr) == (not fits)
    assert not (tmp_path / "venv").exists()


def test_page_of_licences_names_what_is_locked():
    table = dict(
        re.findall(
            r"^\| ([a-z0-9-]+) \| ([^|]+) \| [^|]+ \| \w+ \|$", PAGE.read_text().split("## All")[1], re.MULTILINE
        )
    )
    assert table == dict(read_lock())


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("MIT", False),
        ("Apache-2.0 OR GPL-2.0-or-later", False),
        ("EPL-2.0 OR GPL-2.0-or-later", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPLv2 with linking exception", True),
    ],
)
def test_a_choice_that_holds_a_permissive_licence_is_permissive(words, answer):
    assert restricted(words) == answer


def test_licence_comes_from_the_metadata():
    assert licence("numpy").startswith("BSD-3-Clause")
    with pytest.raises(SystemExit, match="is not installed"):
        licence("a-package-that-nobody-has")
