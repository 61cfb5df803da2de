"""Draw samples of one model and write them out as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ladd.config import Suite, SweepConfig
from ladd.diffusion.noise import derive
from ladd.generation.given import check_prefix, checked_task, given_tokens, read_template
from ladd.generation.settings import OPTIONS, sweep_of
from ladd.generation.weights import URI_SCHEMES, Weights, final_weights, load_model, tracked_weights
from ladd.samplers.base import check_unmasked, sample_in_batches
from ladd.stages.artifacts import use_device
from ladd.systems.base import System
from ladd.tasks import Task


@dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        name: of a sweep, baseline or model, or the MLflow URI of a run or checkpoint.
        options: see `sweep_of`; those that are not given take its defaults.
        count: samples.
        seed: with it, sample i is that of a sweep with this seed: the same whatever the count and the batch.
        batch: samples at a time; None for that of the sweep.
        prompt: text that samples start with, or None.
        template: text with gaps (see `read_template`), or None.
        exact: write out no more than the template; what follows it is drawn, as the model expects it, and left out.
        device: "cpu" or "cuda"; None for that of the suite.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    count: int = 1
    seed: int = 0
    batch: int | None = None
    prompt: str | None = None
    template: str | None = None
    exact: bool = False
    device: str | None = None


@dataclass(frozen=True)
class Generated:
    """One sample and all that it takes to draw it again."""

    text: str
    tokens: list[int]
    given: list[int]  # positions of the tokens that the sampler was given
    sample: int  # number of the sample within the seed
    suite: str
    model: str
    family: str
    settings: dict[str, Any]
    weights: str
    weights_sha256: str


def generate(suite: Suite, request: Request) -> list[Generated]:
    """Samples of a trained model; everything is checked before the model is loaded.

    Raises:
        ConfigError: the request does not fit the suite, the family or the length of the model.
        ArtifactError: the model is not trained, or its files are not those that are asked for.
        SamplingError: a sample still holds the mask.
    """
    tracked = tracked_weights(suite, request.name) if request.name.startswith(URI_SCHEMES) else None
    name = request.name if tracked is None else f"{_block(suite, tracked.model)}.{tracked.model}"
    sweep = sweep_of(suite, name, request.options, request.seed)
    task = checked_task(suite, sweep.data)
    start, shown = _start(suite, sweep, task, request)
    weights = tracked or final_weights(suite, sweep.model)
    compute = suite.compute.model_copy(update={"device": request.device or suite.compute.device})
    device = use_device(compute)
    (point,) = sweep.points
    settings: dict[str, Any] = {"token_steps": point.token_steps, "temperature": point.temperature}
    model = load_model(suite, sweep, weights, device)
    sampler = System.of(suite, sweep.model, sweep.prior).sampler(model, sweep, **settings)
    noise = derive(suite.seed, "sample", request.seed)
    starts = start.to(device).expand(request.count, -1)
    samples = sample_in_batches(sampler, starts, noise, request.batch or suite.run.batch)
    check_unmasked(samples.tokens, suite.data[sweep.data].vocabulary, request.name)
    places = (start[:shown] != suite.data[sweep.data].vocabulary).nonzero()[:, 0].tolist()
    rows = samples.tokens[:, :shown].tolist()
    return [_generated(suite, sweep, weights, task, row, places, index) for index, row in enumerate(rows)]


def _start(suite: Suite, sweep: SweepConfig, task: Task, request: Request) -> tuple[Tensor, int]:
    """The tokens that every sample starts from, int64 (N,), and how many of them are written out."""
    tokens, mask_id = suite.data[sweep.data].tokens, suite.data[sweep.data].vocabulary
    start = torch.full((tokens,), mask_id)
    parts = _parts(request)
    if parts is None:
        return start, tokens
    given = given_tokens(parts, task, tokens=tokens, mask_id=mask_id)
    start[: len(given)] = given
    if suite.model(sweep.model).system.left_to_right:
        check_prefix(start, mask_id)
    return start, len(given) if request.exact else tokens


def _parts(request: Request) -> list[str | int] | None:
    """Text and gaps to start from; a prompt is a template without a gap."""
    if request.template is not None:
        return read_template(request.template)
    return None if request.prompt is None else [request.prompt]


def _block(suite: Suite, key: str) -> str:
    return "baselines" if key in suite.baselines else "models"


def _generated(
    suite: Suite,
    sweep: SweepConfig,
    weights: Weights,
    task: Task,
    tokens: list[int],
    given: list[int],
    index: int,
) -> Generated:
    return Generated(
        text=task.decode(tokens),
        tokens=tokens,
        given=given,
        sample=index,
        suite=suite.suite,
        model=sweep.model,
        family=suite.model(sweep.model).family,
        settings={
            **{name: getattr(sweep, name) for name in OPTIONS},
            "token_steps": sweep.token_steps[0],
            "seed": sweep.seeds[0],
        },
        weights=weights.path.as_posix(),
        weights_sha256=weights.sha256,
    )
