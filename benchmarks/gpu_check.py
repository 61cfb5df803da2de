"""What a GPU computes, and how fast: one command for a machine that is lent for minutes, without network or registry.

    python3 -m benchmarks.gpu_check FOLDER             # on a GPU, at most 8 minutes
    python3 -m benchmarks.gpu_check FOLDER --rehearse  # all of it with tiny sizes on the CPU, in a minute

It needs this repository, Python 3.11 or later, torch 2.11 or later with what compiles for it (triton and a C
compiler), numpy, safetensors, tqdm and pydantic; images with CUDA and torch have all of these but pydantic. Results are
in FOLDER/gpu-check.json and, as tables, in FOLDER/gpu-check.md, written anew after every part. A part that fails leaves
its traceback there, the others go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.gpu.runner import Result
    from benchmarks.gpu.setting import Check, Setting

NEEDED = ("torch", "numpy", "safetensors", "tqdm", "pydantic")
LEAST_PYTHON, LEAST_TORCH = (3, 11), (2, 11)
BUDGET = 450.0  # seconds, of 8 minutes: imports, and a last part that takes longer than those before it
UNUSABLE = 2  # exit code: this machine cannot run the check


def obstacle() -> str | None:
    """Why the check cannot start here, in one line; nothing but the standard library is imported for it."""
    if sys.version_info < LEAST_PYTHON:
        return f"Python {platform.python_version()}: 3.11 or later is needed"
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        return (
            f"missing packages: {', '.join(missing)}. Install them (pip install {' '.join(missing)}); without a "
            "registry, bring their wheels along (docs/SPEED.md)"
        )
    try:
        found = version("torch")
    except PackageNotFoundError:
        return "torch: its version cannot be read"
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < LEAST_TORCH:
        return f"torch {found}: 2.11 or later is needed"
    return None


def all_checks() -> list[Check]:
    """In the order in which they run; shares of the time add up to 1."""
    from benchmarks.gpu import compilation, equality, law, memory, sampling, sawtooth, sharded, training
    from benchmarks.gpu.setting import Check

    return [
        Check("equality", "float32 on the device against the CPU; differences are relative", 0.07, equality.parts),
        Check("law", "samples of an exact denoiser against its law, by chi-square", 0.05, law.parts),
        Check("sawtooth", "a short training at the paper's size, its first steps on the CPU too", 0.12, sawtooth.parts),
        Check("compile", "compiled blocks against plain ones, in float32", 0.12, compilation.parts),
        Check("training", "a step of the paper's models in bf16, batch 512", 0.36, training.parts),
        Check("sharded", "FSDP2 with one worker, and its checkpoint, in float32", 0.04, sharded.parts),
        Check("memory", "head and loss in float32, beyond inputs and gradients", 0.04, memory.parts),
        Check("sampling", "sampling in float32, the head where tokens are drawn and everywhere", 0.20, sampling.parts),
    ]


def machine(setting: Setting) -> dict[str, Any]:
    """What the figures were measured on."""
    import torch

    from ladd.git import git_tags

    cuda = setting.device.type == "cuda"
    found: dict[str, Any] = {"device": torch.cuda.get_device_name() if cuda else "CPU"}
    if cuda:
        properties = torch.cuda.get_device_properties(0)
        found |= {"GB": round(properties.total_memory / 1e9, 1), "capability": f"{properties.major}.{properties.minor}"}
        found |= {"CUDA": torch.version.cuda}
    found |= {name: version(name) for name in ("torch", "numpy", "pydantic")}
    found |= {"Python": platform.python_version(), "threads": torch.get_num_threads()}
    tags = git_tags(Path(__file__).resolve().parents[1])
    return found | {"commit": tags["git.commit"], "changed": tags.get("git.dirty", "unknown")}


def write(folder: Path, report: dict[str, Any], results: Sequence[Result]) -> None:
    """Both files, with the results that are there."""
    from benchmarks.gpu.table import markdown
    from ladd.files import write_atomically, write_json

    report = report | {"results": [asdict(result) for result in results]}
    write_json(folder / "gpu-check.json", report)
    write_atomically(folder / "gpu-check.md", markdown(report).encode())


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where results are written")
    parser.add_argument(
        "--rehearse", action="store_true", help="on the CPU with tiny sizes, whether or not there is a GPU"
    )
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for all checks (%(default)s)")
    parser.add_argument("--only", nargs="+", metavar="CHECK", help="some checks, which then share the budget")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks; 0 where none failed, 1 where one did, 2 where this machine cannot run them."""
    options = parse(arguments)
    if (reason := obstacle()) is not None:
        return refuse(reason)
    import torch

    from benchmarks.gpu.setting import Setting

    if not options.rehearse and not torch.cuda.is_available():
        return refuse("torch sees no GPU here; --rehearse runs all checks on the CPU")
    checks = all_checks()
    if unknown := set(options.only or ()) - {check.name for check in checks}:
        return refuse(f"no check {sorted(unknown)}; there are {[check.name for check in checks]}")
    checks = [check for check in checks if not options.only or check.name in options.only]
    torch.set_float32_matmul_precision("highest")
    setting = Setting(torch.device("cpu" if options.rehearse else "cuda"), options.rehearse)
    return check_all(checks, setting, options.budget, options.folder)


def refuse(reason: str) -> int:
    """Say why nothing is checked."""
    print(f"gpu-check: {reason}", file=sys.stderr)
    return UNUSABLE


def check_all(checks: Sequence[Check], setting: Setting, budget: float, folder: Path) -> int:
    """Run checks, write and print what they find; 1 where a part failed, else 0."""
    from benchmarks.gpu.runner import FAILED, run_checks
    from benchmarks.gpu.training import RULE

    folder.mkdir(parents=True, exist_ok=True)
    titles = {check.name: check.title for check in checks}
    report = {"rehearsal": setting.rehearsal, "machine": machine(setting), "titles": titles, "flops": RULE}
    results: list[Result] = []
    for result in run_checks(checks, setting, budget):
        results.append(result)
        problem = f"   {result.error.strip().splitlines()[-1]}" if result.error else ""
        print(f"{result.check}: {result.part}: {result.status} ({result.seconds:.1f} s){problem}", flush=True)
        write(folder, report, results)
    print((folder / "gpu-check.md").read_text())
    return int(any(result.status == FAILED for result in results))


if __name__ == "__main__":
    sys.exit(main())
