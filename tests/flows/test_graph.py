"""The graph is DVC's, and a selection takes what was asked for."""

import subprocess
import sys

import pytest

from flows.graph import Graph, read_graph, select
from ladd.config import load_suite
from ladd.errors import ConfigError
from ladd.stages.plan import stages_in_order
from tests.flows.checkout import make_checkout, stage
from tests.stages.tiny import REPOSITORY, environment

DIAMOND = {
    "data@d": (),
    "stage1@z": ("data@d",),
    "stage2@m": ("data@d", "stage1@z"),
    "sample@m": ("stage2@m",),
    "sample@other": ("stage2@m",),
    "compare": ("sample@m", "sample@other"),
}
GRAPH = Graph(DIAMOND, frozenset())


@pytest.mark.parametrize("folder", [".", "suites/text-demo"])
def test_graph_holds_every_stage_of_its_suite_after_its_upstreams(folder):
    graph = read_graph(REPOSITORY / folder)
    suite = load_suite(REPOSITORY / folder / "params.yaml")
    expected = {name if key is None else f"{name}@{key}" for name, key in stages_in_order(vars(suite))} | {"plan"}
    assert set(graph.upstream) == expected
    seen: set[str] = set()
    for name, upstream in graph.upstream.items():
        assert set(upstream) <= seen
        seen.add(name)


def test_edges_are_those_of_dvc():
    upstream = read_graph(REPOSITORY).upstream
    assert set(upstream["measure@di-seq"]) == {"data@sawtooth", "bound@di-ladd", "sample@di-seq"}
    assert set(upstream["stage2@di-ladd"]) == {"data@sawtooth", "stage1@di"}
    assert upstream["data@sawtooth"] == ("plan",)
    assert upstream["plan"] == ()


def test_unchanged_are_the_stages_that_dvc_would_skip(tmp_path):
    folder = make_checkout(tmp_path / "r", {"a": stage("true", out="a.out"), "b": stage("true", "a.out", out="b.out")})
    assert read_graph(folder).unchanged == set()
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", "--single-item", "a"]
    subprocess.run(command, cwd=folder, env=environment(), check=True)
    assert read_graph(folder).unchanged == {"a"}


def test_everything_is_selected_without_names():
    assert select(GRAPH, [], downstream=False) == (DIAMOND, set(DIAMOND))


@pytest.mark.parametrize(
    ("only", "named", "behind"),
    [
        (["stage2"], {"stage2@m"}, {"sample@m", "sample@other", "compare"}),
        (["m"], {"stage2@m", "sample@m"}, {"sample@other", "compare"}),
        (["sample@other"], {"sample@other"}, {"compare"}),
        (["compare", "stage1"], {"compare", "stage1@z"}, {"stage2@m", "sample@m", "sample@other"}),
        (["sample"], {"sample@m", "sample@other"}, {"compare"}),
    ],
)
def test_names_select_stages_and_what_is_behind_them(only, named, behind):
    part, chosen = select(GRAPH, only, downstream=True)
    assert (set(part), chosen) == (named | behind, named)
    alone, chosen = select(GRAPH, only, downstream=False)
    assert (set(alone), chosen) == (named, named)


def test_edges_within_a_selection_go_around_what_is_left_out():
    part, _ = select(GRAPH, ["data", "sample@m", "compare"], downstream=False)
    assert part == {"data@d": (), "sample@m": ("data@d",), "compare": ("sample@m", "data@d")}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stage3", "no stage or key is called 'stage3'; did you mean stage2 or stage1"),
        ("stage2@n", "did you mean stage2@m"),
        ("?", "the stages are data@d, stage1@z, stage2@m, sample@m, sample@other, compare"),
    ],
)
def test_unknown_name_is_an_error_that_offers_others(name, message):
    with pytest.raises(ConfigError) as caught:
        select(GRAPH, [name], downstream=True)
    assert message in str(caught.value)
