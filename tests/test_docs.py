"""The commands, snippets, links and names in README.md and docs/ are real."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from dvc.cli import DvcParserError, parse_args

from flows.pipeline import make_parser as make_flow_parser
from ladd.cli import make_parser
from ladd.cli.launch import grid_of
from ladd.config import load_suite
from ladd.config.replicates import without_replicate
from ladd.evaluation.rows import COLUMNS
from ladd.launch.ablation import preview
from ladd.stages.declaration import read_declaration
from ladd.stages.plan import ALL
from ladd.stages.planned import PLANNED, keys_of

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def marked(kind: str, language: str) -> list[str]:
    """Code blocks of the README below a marker."""
    return re.findall(rf"<!-- test: {kind} -->\n```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in marked("commands", "bash") for line in block.splitlines() if line.strip()]


def test_every_shell_block_is_marked_and_so_checked():
    assert len(marked("commands", "bash")) == README.count("```bash")
    assert COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_command_exists(command):
    tool, *arguments = shlex.split(command)
    {"make": check_make, "dvc": check_dvc, "ladd": check_ladd, "python": check_module}[tool](arguments)


@pytest.mark.parametrize(
    "command",
    [
        "ladd nothing",
        "ladd generate mdlm --nothing",
        "ladd generate nothing",
        "make nothing",
        "make dry-run SUITE=nothing",
        "dvc nothing",
        "dvc repro --nothing",
        "dvc repro -s stage2@nothing",
        "dvc repro nothing/dvc.yaml",
    ],
)
def test_wrong_command_would_be_found(command):
    with pytest.raises(AssertionError):
        test_command_exists(command)


def check_make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert {name for name in arguments if "=" not in name} <= set(targets)
    for name in arguments:
        variable, _, value = name.partition("=")
        assert not value or (variable == "SUITE" and (REPOSITORY / "suites" / value).is_dir())


def check_ladd(arguments: list[str]) -> None:
    try:
        parsed = make_parser().parse_args(arguments)
    except SystemExit:
        raise AssertionError(f"ladd {' '.join(arguments)}") from None
    command = arguments[0]
    if command == "ablate":
        assert preview(REPOSITORY, grid_of(parsed)).cells
    if command == "generate" and "/" not in parsed.name:
        suite = load_suite(REPOSITORY / parsed.suite / "params.yaml")
        assert parsed.name in {*suite.sweeps, *suite.baselines, *suite.models}


def check_module(arguments: list[str]) -> None:
    flag, module, *options = arguments
    assert (flag, module) == ("-m", "flows.pipeline")
    try:
        parsed = make_flow_parser().parse_args(options)
    except SystemExit:
        raise AssertionError(f"python {' '.join(arguments)}") from None
    assert all(has_stage(name) for name in parsed.only)


def check_dvc(arguments: list[str]) -> None:
    try:
        parsed = parse_args(arguments)
    except DvcParserError:
        raise AssertionError(f"dvc {' '.join(arguments)}") from None
    for target in getattr(parsed, "targets", None) or []:
        assert (REPOSITORY / target).is_file() if target.endswith("dvc.yaml") else has_stage(target)


def has_stage(target: str) -> bool:
    name, _, key = target.partition("@")
    if name == "plan":
        return not key
    return name in PLANNED and (key or ALL) in keys_of(load_suite(REPOSITORY / "params.yaml"), name)


def with_variant() -> str:
    """params.yaml with the README's variant put under the blocks of the same names, as text."""
    text = (REPOSITORY / "params.yaml").read_text()
    (snippet,) = marked("variant", "yaml")
    for block, entries in re.findall(r"^([a-z]+):\n((?:  .*\n)+)", snippet, re.MULTILINE):
        start = re.search(rf"^{block}:.*\n", text, re.MULTILINE).end()
        following = re.search(r"^\S.*:", text[start:], re.MULTILINE)
        end = start + following.start()
        text = text[:end].rstrip("\n") + "\n" + entries + "\n" + text[end:]
    return text


def test_variant_of_the_readme_is_valid_and_adds_its_stages(tmp_path):
    (tmp_path / "params.yaml").write_text(with_variant())
    (tmp_path / "dvc.yaml").write_text((REPOSITORY / "dvc.yaml").read_text())
    (tmp_path / "ladd").symlink_to(REPOSITORY / "ladd")
    suite, before = load_suite(tmp_path / "params.yaml"), load_suite(REPOSITORY / "params.yaml")
    for block, stage in (("latents", "stage1"), ("models", "stage2"), ("sweeps", "measure")):
        (added,) = {without_replicate(key) for key in getattr(suite, block).keys() - getattr(before, block).keys()}
        assert read_declaration(stage, added, tmp_path).name == f"{stage}@{added}"
    (latents,) = {without_replicate(key) for key in suite.latents.keys() - before.latents.keys()}
    codebook = suite.latents[latents].codebook
    assert codebook < suite.latents["di"].codebook  # "a smaller codebook"
    assert suite.latents[latents] == suite.latents["di"].model_copy(update={"codebook": codebook})


def test_table_of_rerun_stages_names_settings_that_exist():
    table = README.split("| Change of | Re-runs |")[1].split("\n\n")[0]
    names = re.findall(r"^\| `([a-z][\w.-]*)` \|", table, re.MULTILINE)
    assert len(names) >= 4
    parameters = (
        yaml.safe_load((REPOSITORY / "params.yaml").read_text()) | load_suite(REPOSITORY / "params.yaml").model_dump()
    )
    for name in names:
        value = parameters
        for part in name.split("."):
            assert part in value, name
            value = value[part]
    stages = re.findall(r"`(\w+@[\w.-]+)`", table)
    assert stages
    assert [stage for stage in stages if not has_stage(stage)] == []


def test_columns_of_the_table_are_documented_in_order():
    table = (REPOSITORY / "docs/RESULTS.md").read_text().split("| Column | Meaning |")[1].split("\n\n")[0]
    first = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert [name for cell in first for name in re.findall(r"`(\w+)`", cell)] == COLUMNS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    local = [target.split("#")[0] for target in targets if not target.startswith(("http:", "https:", "#"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_readme_shows_the_results_and_not_a_placeholder():
    assert "RESULTS_TABLE" not in README
    assert "<!-- tests of section" not in (REPOSITORY / "docs/footguns.md").read_text()


def named_tests(text: str) -> list[tuple[str, str]]:
    """(file, test) for every test named behind its file."""
    found, file = [], None
    for name in re.findall(r"`(tests/[\w/]+\.py|test_\w+)`", text):
        if name.startswith("tests/"):
            file = name
        else:
            found.append((file, name))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_tests_exist(page):
    missing = [
        f"{file}::{name}"
        for file, name in named_tests(page.read_text())
        if file is None
        or not (REPOSITORY / file).is_file()
        or not re.search(rf"^def {name}\(", (REPOSITORY / file).read_text(), re.MULTILINE)
    ]
    assert missing == []


def test_every_trap_names_a_test():
    sections = re.split(r"^## ", (REPOSITORY / "docs/footguns.md").read_text(), flags=re.MULTILINE)[1:]
    assert len(sections) > 10
    assert [section.splitlines()[0] for section in sections if not named_tests(section)] == []


def architecture_table(header: str) -> list[str]:
    text = (REPOSITORY / "docs/architecture.md").read_text()
    table = text.split(header)[1].split("\n\n")[0]
    return [cell for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for cell in re.findall(r"`([^`]+)`", row)]


def test_architecture_lists_every_module_and_folder():
    listed = {name.rstrip("/") for name in architecture_table("| `ladd/` | Role |")}
    there = {path.name for path in (REPOSITORY / "ladd").iterdir() if not path.name.startswith("__")}
    assert listed == there


def test_architecture_lists_every_stage_with_its_block():
    text = (REPOSITORY / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([`\w, ]+) \|", text, re.MULTILINE)
    expected = {"plan": "all"} | {name: ", ".join(planned.blocks) or "all" for name, planned in PLANNED.items()}
    assert {name: blocks.replace("`", "") for name, blocks in rows} == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_prose_exist(page):
    named = re.findall(r"`((?:ladd|tests|suites|docs)/[\w./-]+)`", page.read_text())
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
