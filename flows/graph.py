"""Stages and upstreams of a suite, from DVC's own graph. The only module that imports dvc."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.repo.index import Index

from ladd.errors import ConfigError

PLAN = "plan"


@dataclass(frozen=True)
class Graph:
    """The stages of a suite. ``upstream``: stage -> stages whose outputs it reads, in an order where each comes
    after those."""

    upstream: Mapping[str, tuple[str, ...]]
    unchanged: frozenset[str]  # stages that `dvc status` has nothing to say about


def read_graph(folder: Path) -> Graph:
    """Graph and status of the suite in ``folder``.

    A stage whose files another process has in use is not among the unchanged."""
    with Repo(str(folder)) as repo:
        stages = Index.from_file(repo, str(folder.resolve() / "dvc.yaml")).graph
        upstream = {stage.name: _before([each.name for each in stages.successors(stage)]) for stage in stages}
        ordered = {name: upstream[name] for name in TopologicalSorter(upstream).static_order()}
        return Graph(ordered, frozenset(_unchanged(repo, stages)))


def _before(names: list[str]) -> tuple[str, ...]:
    """The plan comes before every stage: it is named where nothing else does."""
    return tuple(sorted(name for name in names if name != PLAN or len(names) == 1))


def _unchanged(repo: Repo, stages: Collection[Any]) -> Iterator[str]:
    try:
        with lock_repo(repo):
            for stage in stages:
                try:
                    changes = [change for each in stage.status().values() for change in each]
                    if all(change == "always changed" for change in changes):  # said of the plan
                        yield stage.name
                except LockError:
                    continue
    except LockError:
        return


def select(graph: Graph, only: Sequence[str], *, downstream: bool) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """A part of the graph. Returns upstreams within the part, where a stage between two of them counts as an edge;
    and the named stages. Raises ConfigError: a name fits no stage. ``only``: stages ("stage2"), keys ("di-ladd") or
    both ("stage2@di-ladd"); none of them means all. ``downstream``: whether stages behind the named ones belong to
    the part."""
    named = {stage for name in only for stage in _matching(graph, name)} if only else set(graph.upstream)
    chosen: set[str] = set()
    nearest: dict[str, tuple[str, ...]] = {}  # the closest chosen stages before each stage
    part: dict[str, tuple[str, ...]] = {}
    for stage, upstream in graph.upstream.items():
        before = dict.fromkeys(each for name in upstream for each in ((name,) if name in chosen else nearest[name]))
        nearest[stage] = tuple(before)
        if stage in named or (downstream and before):
            chosen.add(stage)
            part[stage] = nearest[stage]
    return part, named


def _matching(graph: Graph, name: str) -> list[str]:
    found = [stage for stage in graph.upstream if name in (stage, *stage.split("@"))]
    if not found:
        known = {part for stage in graph.upstream for part in (stage, *stage.split("@"))}
        close = difflib.get_close_matches(name, known, n=3)
        raise ConfigError(
            f"only: no stage or key is called {name!r}; "
            + (f"did you mean {' or '.join(close)}?" if close else f"the stages are {', '.join(graph.upstream)}")
        )
    return found
