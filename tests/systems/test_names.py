"""No module but its own names a system, a sampler, a task or a metric; systems say what tables and figures need."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ladd.metrics.base import Metric
from ladd.registry import discover
from ladd.samplers.base import Sampler
from ladd.systems.base import System, systems
from ladd.tasks.base import Task

REPOSITORY = Path(__file__).resolve().parents[2]
AXES = {"ladd.systems": System, "ladd.samplers": Sampler, "ladd.tasks": Task, "ladd.metrics": Metric}

# Files that still name some, which ones, and why. A name that is gone goes from here too.
STANDING = {
    "ladd/first_run.py": ({"mdlm"}, "a sweep of its suite, ladd/starters/first.yaml"),
    "ladd/cli/new.py": ({"text", "rows"}, "what the command calls its two layouts"),
    "ladd/generation/served.py": ({"text"}, "the word, as the name of a column"),
    "ladd/launch/expand.py": ({"sequential"}, "that form asks for latent steps, which one of the two takes"),
    "ladd/launch/grid.py": ({"joint", "sequential"}, "the form of the paper's ablation offers its two schedules"),
    "ladd/launch/new.py": ({"text", "rows"}, "the two layouts, and a column of documents"),
    "ladd/launch/own_data.py": ({"text"}, "a format of files, and a usual name of a field"),
    "ladd/launch/own_sizes.py": ({"text", "rows"}, "the two layouts"),
    "ladd/report/drawings.py": (
        {"sawtooth", "shidoku"},
        "it draws their samples: with the task, every drawing would train its models anew",
    ),
    "ladd/report/page.py": ({"rows"}, "the word, as a name in a template"),
    "ladd/samplers/latents_first.py": ({"sequential"}, "it is that sampler with another second half"),
    "ladd/samplers/latents_guided.py": (
        {"latents-along", "latents-first"},
        "it is those samplers with predictions from two passes",
    ),
    "ladd/samplers/scores.py": (
        {"entropy-bounded"},
        "it scores samplers whose order has no draw of its own, which no attribute of samplers says",
    ),
    "ladd/systems/ccdd.py": ({"co-ladd"}, "it is that system with one rule more"),
    "ladd/systems/co_ladd.py": ({"joint"}, "its bound is under the latents' clock of that sampler"),
    "ladd/systems/dcd.py": ({"ar"}, "one of its two models is trained as that system"),
    "ladd/samplers/sequential_renoised.py": ({"sequential"}, "it is that sampler with another step of the latents"),
    "ladd/systems/diladiff.py": ({"co-ladd", "mdlm"}, "it is the first with a network that starts as the second"),
    "ladd/samplers/decoded_ar.py": ({"ar", "decoded"}, "its latents and its tokens take the steps of these samplers"),
    "ladd/systems/latent_diffusion.py": ({"decoded"}, "it is drawn from by that sampler"),
    "ladd/systems/latent_diffusion_ar.py": (
        {"decoded-ar", "latent-diffusion"},
        "it is that system with another decoder, and drawn from by that sampler",
    ),
    "ladd/systems/ladd_uniform.py": ({"co-ladd", "di-ladd"}, "they are those systems on another process"),
    "ladd/tasks/molecules/__init__.py": (
        {"valid_molecules", "unique_molecules", "novel_molecules", "fcd", "snn", "frag", "scaf", "int_div"}
        | {"filters_passed", "matched_brackets", "closed_rings", "length_distance", "pad_share", "misplaced_pad"},
        "a task says which metrics it always has",
    ),
    "ladd/tasks/molecules/build.py": ({"frag", "scaf"}, "keys of MOSES's file of statistics"),
    "ladd/tasks/molecules/references.py": (
        {"valid_molecules", "novel_molecules", "fcd", "snn", "scaf"},
        "published values are of those",
    ),
    "ladd/tasks/prose.py": (
        {"text", "gram_distance", "entropy_sequence", "entropy_positional", "distinct_1", "distinct_2", "distinct_3"},
        "it is that task without a teacher, and says which metrics it always has",
    ),
    "ladd/tasks/rows/__init__.py": (
        {"gram_distance", "different_rows", "new_rows", "row_length", "broken_rows"}
        | {"entropy_sequence", "entropy_positional"},
        "a task says which metrics it always has",
    ),
    "ladd/tasks/rows/build.py": ({"text"}, "the word, as the name of a column"),
    "ladd/tasks/sawtooth.py": (
        {"ancestral", "swd", "entropy_sequence", "entropy_positional"},
        "a task says which metrics it always has, and draws from its exact denoiser",
    ),
    "ladd/metrics/grid_coverage.py": ({"grid_validity"}, "it counts what that metric finds"),
    "ladd/metrics/grid_total_variation.py": ({"grid_validity"}, "it counts what that metric finds"),
    "ladd/tasks/shidoku/__init__.py": (
        {"grid_validity", "grid_coverage", "grid_total_variation"},
        "a task says which metrics it always has, and what they are expected to be",
    ),
    "ladd/tasks/text/__init__.py": (
        {"gen_ppl", "entropy_sequence", "entropy_positional", "mauve"},
        "a task says which metrics it always has",
    ),
    "ladd/yaml_files.py": ({"text"}, "the word, in a message"),
}


def homes() -> dict[str, set[str]]:
    """Names of all that is registered, and the modules that define it: systems and samplers may share a name."""
    found: dict[str, set[str]] = {}
    for package, base in AXES.items():
        for name, value in discover(package, base).items():
            found.setdefault(name, set()).add(value.__module__)
    return found


def places(module: ModuleType) -> tuple[str, ...]:
    """File of a module, or folder of a package, from the root of the repository."""
    path = Path(module.__file__).relative_to(REPOSITORY)
    return f"{path.parent.as_posix()}/" if path.name == "__init__.py" else path.as_posix()


def names_in(tree: ast.AST, known: dict[str, set[str]]) -> Iterator[str]:
    """Names of registered things in a file: as text, and as a module that is imported."""
    modules = {module: name for name, of_name in known.items() for module in of_name}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known:
            yield node.value
        elif isinstance(node, ast.Import):
            yield from (modules[alias.name] for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            yield from (modules[name] for name in _imported(node) if name in modules)


def _imported(node: ast.ImportFrom) -> list[str]:
    return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]


def found_names() -> dict[str, set[str]]:
    """What every file of the package and of the flows names besides its own."""
    known = homes()
    own = {name: tuple(places(sys.modules[module]) for module in modules) for name, modules in known.items()}
    found: dict[str, set[str]] = {}
    for path in sorted(path for root in ("ladd", "flows") for path in (REPOSITORY / root).rglob("*.py")):
        place = path.relative_to(REPOSITORY).as_posix()
        names = {name for name in names_in(ast.parse(path.read_text()), known) if not place.startswith(own[name])}
        if names:
            found[place] = names
    return found


def test_no_other_module_names_a_system_a_sampler_a_task_or_a_metric():
    """And the list holds nothing that is gone."""
    assert found_names() == {place: names for place, (names, _) in STANDING.items()}
    assert all(reason for _, reason in STANDING.values())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("family == 'mdlm'", {"mdlm"}),
        ("kinds: Literal['text'] = 'sawtooth'", {"text", "sawtooth"}),
        ("from ladd.systems import mdlm_uniform", {"mdlm-uniform"}),
        ("def f():\n    from ladd.samplers.joint import Joint", {"joint"}),
        ("import ladd.metrics.mauve", {"mauve"}),
        ("# 'mdlm'\n'MDLM'\nmdlm = 1\nfrom ladd.systems.tokens import TokenDiffusion", set()),
    ],
)
def test_names_are_seen(text, names):
    assert set(names_in(ast.parse(text), homes())) == names


def test_labels_colours_and_places_differ():
    for attribute in ("label", "colour", "place"):
        values = [getattr(system, attribute) for system in systems().values()]
        assert len(set(values)) == len(values)
