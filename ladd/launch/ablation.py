"""An ablation from grid to results: expanded, run in a worktree, and put into suites/NAME, ready to commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ladd.errors import ConfigError
from ladd.launch.confine import is_inside, suite_folder
from ladd.launch.document import document
from ladd.launch.expand import Expansion, expand
from ladd.launch.grid import Grid
from ladd.launch.run import Runner
from ladd.launch.suite_folder import MODULES, hand_over, prepare
from ladd.launch.values import difference, read_values
from ladd.launch.worktree import worktree

SUITES = Path("suites")
FILES = ("params.yaml", "dvc.yaml", "plan.json", "results", "dvc.lock")


@dataclass(frozen=True)
class AblationResult:
    """An ablation that has run."""

    suite_folder: Path  # suites/NAME of the checkout, with params.yaml, dvc.yaml, plan.json, dvc.lock and results/
    expansion: Expansion  # its cells


def preview(root: Path, grid: Grid) -> Expansion:
    """What a grid comes to, checked as before a run and not run. Raises ConfigError: the grid does not fit its base
    suite, no cell is left, or the name is taken."""
    expansion = expand(read_values(suite_folder(root, grid.suite) / "params.yaml"), grid)
    target = root / SUITES / grid.name
    if not is_inside(root, target):
        raise ConfigError(f"name: {target} is a link to {target.resolve()}, outside of the repository; remove it")
    _check_name(target, expansion)
    return expansion


def run_ablation(root: Path, grid: Grid, run: Runner) -> AblationResult:
    """Run a grid; what has run already, even elsewhere, is taken from DVC's cache. Raises ConfigError, LaunchError,
    BusyError: before anything runs. StageError: a stage failed; the worktree stays, and the same launch goes on."""
    expansion = preview(root, grid)
    target = root / SUITES / grid.name
    with worktree(root, grid.name) as tree:
        folder = tree.path / SUITES / grid.name
        modules = suite_folder(root, grid.suite)
        prepare(target, folder, document(grid, expansion), tree, modules=modules)
        run(folder, tree.environment)
        hand_over(folder, target, (*FILES, *(path.name for path in modules.glob(MODULES))))
    return AblationResult(target, expansion)


def _check_name(folder: Path, expansion: Expansion) -> None:
    """A suite of that name must be this one."""
    path = folder / "params.yaml"
    if not path.is_file():
        return
    if lines := difference(read_values(path), expansion.values):
        shown = "\n".join(f"  {line}" for line in lines)
        raise ConfigError(f"{path} is another suite already; choose another name or remove it. It differs in:\n{shown}")
