"""`ladd launch`, a suite with some settings changed, and `ladd ablate`, every combination of L, K and schedule."""

import argparse
import contextlib
import typing
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from ladd.cli.arguments import add_command
from ladd.config.messages import cut, shown
from ladd.errors import ConfigError
from ladd.launch.grid import Grid, flag
from ladd.yaml_files import parse_yaml

LAUNCH = """\
Run a suite with some of its settings changed, in a git worktree of its own: the working tree stays as it is. The
difference is printed first. Results go to .work/launches/NAME, tracked runs to the MLflow experiment SUITE@NAME; with
the same values in params.yaml, `dvc repro` takes what was computed from DVC's cache.
"""


def run_launch(parsed: argparse.Namespace) -> None:
    from ladd.launch.overrides import launch_overrides, plan_overrides
    from ladd.launch.run import repro
    from ladd.launch.worktree import root_of

    root, folder = root_of(parsed.suite), parsed.suite.resolve()
    plan = plan_overrides(root, folder, dict(parsed.overrides), name=parsed.name)
    print("\n".join([f"launch {plan.name}:", *(f"  {line}" for line in plan.difference)]), flush=True)
    if not parsed.dry_run:
        show(launch_overrides(root, folder, plan, repro))


def add_launch(commands: argparse._SubParsersAction) -> None:
    launch = add_command(
        commands, "launch", run_launch, help="run a suite with some settings changed", description=LAUNCH
    )
    launch.add_argument("suite", metavar="SUITE", type=Path, help="folder of params.yaml; . for this one")
    launch.add_argument(
        "overrides",
        metavar="KEY=VALUE",
        nargs="+",
        type=assignment,
        help="a dotted key of params.yaml and its new value in YAML, such as sweeps.di-seq.temperature=0.9",
    )
    launch.add_argument("--name", help="of the launch (default: the suite's, and a hash of the changes)")
    launch.add_argument("--dry-run", action="store_true", help="print the difference and run nothing")


def assignment(text: str) -> tuple[str, Any]:
    """KEY=VALUE, where the value is YAML."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not KEY=VALUE")
    try:
        read = parse_yaml(value, f"{key}: {shown(value)}")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(cut(str(error))) from None
    if isinstance(read, str):
        with contextlib.suppress(ValueError):
            float(read)
            raise argparse.ArgumentTypeError(
                f"{key}: YAML takes {shown(value)} for text; write a number with a point, as 1.0e-3"
            )
    return key, read


def show(folder: Path) -> None:
    """Print the table of a suite that has run, and where it is."""
    print((folder / "results/compare.txt").read_text())
    print(f"suite and results: {folder}")


ABLATE = """\
Expand a grid of kinds of latents, L, K and inference schedules into a suite, run it in a git worktree of its own, and
put it into suites/NAME with its results, ready to commit. What has run before is not run again.
"""


def run_ablate(parsed: argparse.Namespace) -> None:
    try:
        grid = grid_of(parsed)
    except ValidationError as error:
        parsed.parser.error("\n".join(_describe(item) for item in error.errors()))
    from ladd.launch.ablation import preview, run_ablation
    from ladd.launch.run import repro
    from ladd.launch.worktree import root_of

    root = root_of(Path())
    expansion = preview(root, grid)
    print(_overview(expansion) if parsed.dry_run else _summary(expansion), flush=True)
    if not parsed.dry_run:
        show(run_ablation(root, grid, repro))


def grid_of(parsed: argparse.Namespace) -> Grid:
    """What the arguments ask for; fields that are not given take their defaults."""
    given = {name: value for name in Grid.model_fields if (value := getattr(parsed, name)) is not None}
    return Grid(**given | {"overrides": dict(parsed.overrides)})


def add_ablate(commands: argparse._SubParsersAction) -> None:
    ablate = add_command(
        commands, "ablate", run_ablate, help="run an ablation over L, K and schedule", description=ABLATE
    )
    for name, field in Grid.model_fields.items():
        _add_field(ablate, name, field)
    ablate.add_argument("--dry-run", action="store_true", help="print cells and stages and run nothing")


def _add_field(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    text = f"{field.title}. {field.description}".replace("%", "%%")
    kind = _scalar(field.annotation)
    metavar = {int: "NUMBER", str: "TEXT"}.get(kind)
    if name == "name":
        parser.add_argument("name", metavar="NAME", help=text)
    elif name == "overrides":
        form = "KEY=VALUE"
        parser.add_argument(flag(name), dest=name, nargs="+", default=[], type=assignment, metavar=form, help=text)
    elif kind is bool:
        parser.add_argument(flag(name), action=argparse.BooleanOptionalAction, help=text)
    elif typing.get_origin(field.annotation) is list:
        text += f" Default: {' '.join(map(str, field.default))}."
        choices = typing.get_args(typing.get_args(field.annotation)[0]) if kind is str else None
        parser.add_argument(
            flag(name),
            nargs="*",
            type=kind,
            choices=choices,
            help=text,
            metavar="|".join(choices) if choices else metavar,
        )
    else:
        parser.add_argument(flag(name), type=kind, help=text, metavar=metavar)


def _scalar(annotation: Any) -> type:
    """int, bool or str: what a field, or each of its values, is made of."""
    if isinstance(annotation, type):
        return annotation
    if typing.get_origin(annotation) is typing.Literal:
        return str
    return next(kind for each in typing.get_args(annotation) if (kind := _scalar(each)) is not type(None))


def _describe(item: Any) -> str:
    place = ".".join(map(str, item["loc"]))
    message = item["msg"].removeprefix("Value error, ")
    return f"argument {flag(place.split('.')[0])}: {shown(item['input'])}: {message}" if place else message


def _summary(expansion: Any) -> str:
    """Cells that run, and those left out with the reason."""
    from ladd.launch.ablation import count

    lines = [f"{count(len(expansion.cells), 'cell')}, {count(expansion.trainings, 'training')}:"]
    lines += [f"  {cell.name}" for cell in expansion.cells]
    if expansion.rejected:
        lines += ["left out:", *(f"  {each}" for each in expansion.rejected)]
    return "\n".join(lines)


def _overview(expansion: Any) -> str:
    from ladd.stages.planned import stages_in_order

    names = [name if key is None else f"{name}@{key}" for name, key in stages_in_order(expansion.values)]
    changes = ["changed from the base suite:", *(f"  {note}" for note in expansion.notes)] if expansion.notes else []
    return "\n".join([_summary(expansion), *changes, f"{len(names)} stages:", *(f"  {name}" for name in names)])
