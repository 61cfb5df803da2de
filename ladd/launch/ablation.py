"""An ablation from grid to results: expanded, run in a worktree, and put into suites/NAME, ready to commit."""

from pathlib import Path

from ladd.errors import ConfigError
from ladd.launch.confine import is_inside, suite_folder
from ladd.launch.expand import Expansion, expand
from ladd.launch.grid import Grid, command_of
from ladd.launch.overrides import difference, read_values
from ladd.launch.pipeline import MODULES, hand_over, prepare
from ladd.launch.project import write_project
from ladd.launch.run import Runner
from ladd.launch.worktree import worktree
from ladd.yaml_files import write_yaml

SUITES = Path("suites")
FILES = ("params.yaml", "dvc.yaml", "plan.json", "results", "dvc.lock")


def preview(root: Path, grid: Grid) -> Expansion:
    """What a grid comes to, checked as before a run and not run. Raises ConfigError: the grid does not fit its base
    suite, no cell is left, or the name is taken."""
    expansion = expand(read_values(suite_folder(root, grid.suite) / "params.yaml"), grid)
    target = root / SUITES / grid.name
    if not is_inside(root, target):
        raise ConfigError(f"name: {target} is a link to {target.resolve()}, outside of the repository; remove it")
    _check_name(target, expansion)
    return expansion


def run_ablation(root: Path, grid: Grid, run: Runner) -> Path:
    """Run a grid; what has run already, even elsewhere, is taken from DVC's cache. Returns suites/NAME of the
    checkout. Raises ConfigError, LaunchError, BusyError: before anything runs. StageError: a stage failed; the worktree
    stays, and the same launch goes on."""
    expansion = preview(root, grid)
    target = root / SUITES / grid.name
    with worktree(root, grid.name) as tree:
        folder = tree.path / SUITES / grid.name
        modules = suite_folder(root, grid.suite)
        prepare(target, folder, document(grid, expansion), tree, modules=modules)
        run(folder, tree.environment)
        hand_over(folder, target, (*FILES, *(path.name for path in modules.glob(MODULES))))
        write_project(root, target)
    return target


def _check_name(folder: Path, expansion: Expansion) -> None:
    path = folder / "params.yaml"
    if not path.is_file():
        return
    if lines := difference(read_values(path), expansion.values):
        shown = "\n".join(f"  {line}" for line in lines)
        raise ConfigError(f"{path} is another suite already; choose another name or remove it. It differs in:\n{shown}")


def document(grid: Grid, expansion: Expansion) -> str:
    """Content of params.yaml; equal grids on equal suites give equal bytes."""
    lines = [
        f"Ablation of the suite {grid.suite}: {count(len(expansion.cells), 'cell')}, "
        f"{count(expansion.trainings, 'training')} (docs/ABLATIONS.md). To run it again:",
        f"  {command_of(grid)}",
    ]
    if expansion.notes:
        lines += ["Changed from the base suite, to fit the steps and samples asked for:"]
        lines += [f"  {note}" for note in expansion.notes]
    if expansion.rejected:
        lines += ["Cells that make no sense and are left out:", *(f"  {each}" for each in expansion.rejected)]
    header = "\n".join(f"# {line}" for line in lines)
    return f"{header}\n{write_yaml(expansion.values)}"


def count(number: int, noun: str) -> str:
    """Such as 1 cell, 2 cells."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
