"""Write the lock: one file of pins and hashes per use, from pyproject.toml. `make lock`.

Each file holds what its use needs beyond the files that are installed before it (requirements/install). Versions stay
as they are; --upgrade NAME lets that of a package move, and so does a pin in pyproject.toml.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.markers import Marker

Rows = dict[str, str]  # by package and version: the row of the lock, with its hashes

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent / "pyproject.toml"
PLATFORMS = [
    "sys_platform == 'linux' and platform_machine == 'x86_64'",
    "sys_platform == 'linux' and platform_machine == 'aarch64'",
    "sys_platform == 'darwin' and platform_machine == 'arm64'",
]
PYTHONS = ["3.11.0", "3.11.9", "3.12.0", "3.12.9", "3.13.0", "3.13.9"]
# File: what it is for.
USES = {
    "build": "what installs and builds everything else",
    "torch": "torch, in each of its builds",
    "cuda": "what a build of torch for CUDA needs, and no other",
    "run": "the suites, the flows and the browser pages",
    "cluster": "Ray, S3 and PostgreSQL",
    "dashboard": "Ray's dashboard, for the container image",
    "molecules": "RDKit and the Fréchet ChemNet distance, for suites on molecules",
    "dev": "tests and checks",
    "servers": "MLflow's and Prefect's servers, for their image: after `build` alone",
}
CUDA = re.compile(r"(nvidia-|cuda-).+|triton")
SOURCES = ("antlr4-python3-runtime",)  # have no wheel
# torch's builds for the CPU, of PyTorch's CPU index: for Python 3.11 to 3.13 on x86_64, then the same on aarch64.
CPU_BUILDS = (
    "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
    "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",
    "84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7",
    "6f307c2c32d764ffc6ff6893b801fad6d4752f3e67966cb8abf1843427c02604",
    "0b8f7d0423027ae8b90c7977c627f3379f325363a08224dffad9b4b2d684a83d",
)
CPU_VERSION = "2.13.0"


def name_of(requirement: str) -> str:
    """Normal form of the name that a requirement starts with."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>~!; ]", requirement)[0]).lower()


def read_lock() -> dict[str, str]:
    """Versions by name, of all files; the first where Pythons differ."""
    pins: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for name, version in re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE):
            pins.setdefault(name, version)
    return pins


def wanted(project: dict[str, object]) -> dict[str, list[str]]:
    """Requirements by use; `torch` and `cuda` come out of those of `run`."""
    package = project["project"]
    extras = package["optional-dependencies"]
    uses = {"run": package["dependencies"], **extras, **project["dependency-groups"]}
    return {use: [line for line in lines if name_of(line) != package["name"]] for use, lines in uses.items()}


def resolve(uses: dict[str, list[str]], python: str, keep: dict[str, str]) -> tuple[dict[str, Rows], set[str]]:
    """Let uv resolve all uses together. Returns the rows of each, and the hashes of sources that have wheels too.

    Args:
        python: versions of it that the package takes.
        keep: versions that stay, by name.
    """
    lines = ["[project]", 'name = "locked"', 'version = "0"', f"requires-python = {json.dumps(python)}"]
    lines += ["[project.optional-dependencies]", *(f"{use} = {json.dumps(names)}" for use, names in uses.items())]
    lines += ["[tool.uv]", "package = false", f"environments = {json.dumps(PLATFORMS)}"]
    lines += [f"constraint-dependencies = {json.dumps([f'{name}=={version}' for name, version in keep.items()])}"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text("\n".join(lines))
        uv = [str(Path(sys.executable).parent / "uv"), "--quiet", "--no-progress", "--directory", folder]
        subprocess.run([*uv, "lock"], check=True)
        packages = tomllib.loads((Path(folder) / "uv.lock").read_text())["package"]
        sources = {p["sdist"]["hash"] for p in packages if p.get("wheels") and "sdist" in p}
        export = [*uv, "export", "--frozen", "--no-header", "--no-annotate", "--no-emit-project"]
        texts = {
            use: subprocess.run([*export, "--extra", use], check=True, capture_output=True, text=True).stdout
            for use in uses
        }
    return {use: rows_of(text) for use, text in texts.items()}, sources


def rows_of(text: str) -> Rows:
    """Rows by package and version; each goes over several lines, with its hashes."""
    return {row.split(" ")[0]: row for row in re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)}


def share_out(rows: dict[str, Rows]) -> dict[str, Rows]:
    """Rows by file: each in the first file whose use needs it."""
    files: dict[str, Rows] = {}
    run = rows["run"]
    cuda = {key: row for key, row in run.items() if CUDA.fullmatch(name_of(key))}
    torch = {key: row for key, row in run.items() if name_of(key) == "torch"}
    for use in USES:
        needed = {"torch": torch, "cuda": cuda}.get(use) or rows[use]
        first = ["build"] if use == "servers" else files
        before = {key for name in first for key in files.get(name, ())}
        files[use] = {key: row for key, row in needed.items() if key not in before}
    return files


def shortened(marker: str) -> str:
    """The marker without what holds on all platforms that we lock, and with CPython."""
    parts = re.findall(r"python_full_version (?:<|>=) '[0-9.]+'", marker)
    if "darwin" not in marker:
        parts.append("sys_platform == 'linux'")
    short = " and ".join(parts)
    for version, (system, machine) in itertools.product(PYTHONS, re.findall(r"'(\w+)'.*'(\w+)'", "\n".join(PLATFORMS))):
        environment = {
            "python_full_version": version,
            "sys_platform": system,
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
        }
        assert not short or Marker(short).evaluate(environment) == Marker(marker).evaluate(environment), marker
        assert short or Marker(marker).evaluate(environment), marker
    return f" ; {short}" if short else ""


def written(use: str, rows: Rows, sources: set[str]) -> str:
    """Text of a file."""
    text = f"# Lock, written by `make lock`: {USES[use]}. Installed by requirements/install.\n"
    text += "--require-hashes\n--only-binary :all:\n"
    text += "".join(f"--no-binary {name}\n" for name in SOURCES if any(name_of(key) == name for key in rows))
    for _, row in sorted(rows.items()):
        row, *hashes = row.replace(" \\", "").splitlines()
        pin, _, marker = row.partition(" ; ")
        kept = {value.strip() for value in hashes if value.strip().removeprefix("--hash=") not in sources}
        if pin.startswith("torch=="):
            assert pin == f"torch=={CPU_VERSION}", "CPU_BUILDS are of another version"
            kept |= {f"--hash=sha256:{value}" for value in CPU_BUILDS}
        text += " \\\n    ".join([pin + shortened(marker), *sorted(kept)]) + "\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", nargs="*", default=[], metavar="NAME", help="packages whose versions may move")
    arguments = parser.parse_args()
    project = tomllib.loads(PROJECT.read_text())
    uses = wanted(project)
    pinned = {name_of(line) for lines in uses.values() for line in lines if "==" in line}
    free = pinned | {name_of(name) for name in arguments.upgrade}
    keep = {name: version for name, version in read_lock().items() if name not in free}
    rows, sources = resolve(uses, project["project"]["requires-python"], keep)
    for use, file in share_out(rows).items():
        (FOLDER / f"{use}.txt").write_text(written(use, file, sources))
        print(f"requirements/{use}.txt: {len(file)} packages")


if __name__ == "__main__":
    main()
