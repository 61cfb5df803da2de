"""Draw samples of one model and write them out as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ladd.config import Suite, SweepConfig
from ladd.diffusion.noise import SampleNoise
from ladd.errors import ConfigError
from ladd.generation.animate import animate
from ladd.generation.draw import draw, noise_of, sampler_of
from ladd.generation.settings import OPTIONS, own_settings, sweep_of
from ladd.generation.watch import Show, watch
from ladd.generation.weights import URI_SCHEMES, final_weights, load_model, tracked_weights
from ladd.stages.artifacts import use_device
from ladd.stages.manifest import check_outputs
from ladd.systems.base import systems
from ladd.tasks import Task, task_of

Parts = Sequence[str | int]  # text, and gaps by their number of tokens

# "{{", "}}", a gap, or a brace that is none of them.
_BRACES = re.compile(r"\{\{|\}\}|\{([1-9][0-9]{0,8})\}|[{}]")


@dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        name: of a sweep, baseline or model, or the MLflow URI of a run or checkpoint.
        options: see `sweep_of`; those that are not given take its defaults.
        own: settings that the sampler has besides; see `sweep_of`.
        seed: with it, sample i is that of a sweep with this seed: the same whatever the count and the batch.
        batch: samples at a time; None for that of the sweep.
        prompt: text that samples start with, or None.
        template: text with gaps (see `read_template`), or None.
        exact: write out no more than the template; what follows it is drawn, as the model expects it, and left out.
        device: "cpu" or "cuda"; None for that of the suite.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
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


def generate(
    suite: Suite, request: Request, show: Show | None = None, animation: Path | None = None
) -> list[Generated]:
    """Samples of a trained model; everything is checked before the model is loaded.

    Args:
        show: is given a line of text for every step that changed the first sample.
        animation: page to write the trajectory of the first sample to.
    Raises:
        ConfigError: the request does not fit the suite, the family or the length of the model.
        ArtifactError: the model is not trained, or its files are not those that are asked for.
        SamplingError: a sample still holds the mask.
    """
    tracked = tracked_weights(suite, request.name) if request.name.startswith(URI_SCHEMES) else None
    name = request.name
    if tracked is not None:
        name = f"{'baselines' if tracked.model in suite.baselines else 'models'}.{tracked.model}"
    sweep = sweep_of(suite, name, request.options, request.seed, request.own)
    task = task_of(suite, sweep.data)
    check_outputs([path for path in task.readers if path.is_file()])  # else reading says what to do
    start, shown = _start(suite, sweep, task, request)
    weights = tracked or final_weights(suite, sweep.model)
    if sweep.prior is not None:
        check_outputs([Path(f"artifacts/priors/{sweep.prior}")])
    compute = suite.compute.model_copy(update={"device": request.device or suite.compute.device})
    device = use_device(compute)
    model = load_model(suite, sweep, weights, device)
    starts = start.to(device).expand(request.count, -1)
    first, vocabulary = SampleNoise(noise_of(suite, sweep), starts.new_zeros(1)), suite.data[sweep.data].vocabulary
    one = sampler_of(suite, sweep, model), starts[:1], first, task.decode
    if show is not None:
        watch(*one, show, vocabulary=vocabulary)
    if animation is not None:
        label = systems()[suite.model(sweep.model).family].label
        title = f"{label}, {one[0].name}: a sample in {sweep.points[0].token_steps} token steps ({request.name})"
        animate(*one, animation, vocabulary=vocabulary, title=title)
    samples = draw(suite, sweep, model, starts, batch=request.batch, what=request.name)
    (point,), dumped = sweep.points, sweep.model_dump()
    used = {name: dumped[name] for name in (*OPTIONS, *own_settings(type(sweep)))} | {"token_steps": point.token_steps}
    same: dict[str, Any] = {
        "given": (start[:shown] != suite.data[sweep.data].vocabulary).nonzero()[:, 0].tolist(),
        "suite": suite.suite,
        "model": sweep.model,
        "family": suite.model(sweep.model).family,
        "settings": used | {"seed": request.seed} | ({"prior": sweep.prior} if sweep.prior else {}),
        "weights": weights.path.as_posix(),
        "weights_sha256": weights.sha256,
    }
    rows = samples.tokens[:, :shown].tolist()
    return [Generated(text=task.decode(row), tokens=row, sample=index, **same) for index, row in enumerate(rows)]


def _start(suite: Suite, sweep: SweepConfig, task: Task, request: Request) -> tuple[Tensor, int]:
    """The tokens that every sample starts from, int64 (N,), and how many of them are written out."""
    tokens, mask_id = suite.data[sweep.data].tokens, suite.data[sweep.data].vocabulary
    start = torch.full((tokens,), mask_id)
    if request.template is None and request.prompt is None:
        return start, tokens
    # A prompt is a template without a gap.
    parts = [request.prompt or ""] if request.template is None else read_template(request.template)
    given = given_tokens(parts, task, tokens=tokens, mask_id=mask_id)
    start[: len(given)] = given
    if suite.model(sweep.model).system.left_to_right:
        check_prefix(start, mask_id)
    return start, len(given) if request.exact else tokens


def read_template(template: str) -> list[str | int]:
    """Text and gaps of a template: "{8}" is eight tokens to fill in, "{{" and "}}" are braces.

    Raises:
        ConfigError: a brace is neither doubled nor of a gap, or a gap has no token.
    """
    parts: list[str | int] = [""]
    end = 0
    for match in _BRACES.finditer(template):
        if match[0] in ("{", "}"):
            shown = template[match.start() : match.start() + 12]
            raise ConfigError(
                f"--template: {shown!r} at character {match.start()} is no gap; write '{{8}}' for eight tokens, "
                "and '{{' or '}}' for a brace"
            )
        parts[-1] += template[end : match.start()] + ("" if match[1] else match[0][0])  # type: ignore[operator]
        parts += [int(match[1]), ""] if match[1] else []
        end = match.end()
    parts[-1] += template[end:]  # type: ignore[operator]
    return [part for part in parts if part != ""]


def given_tokens(parts: Parts, task: Task, *, tokens: int, mask_id: int) -> Tensor:
    """Ids of text and gaps, int64 (n,) with n <= N; gaps are masked, and BOS comes first where blocks start with it.

    Each stretch of text is tokenised by itself: a space at its border belongs to it.

    Args:
        parts: of a template, or a prompt alone.
        tokens: N.
        mask_id: V.
    Raises:
        ConfigError: they are more than N tokens.
    """
    bos = [] if task.start is None else [[task.start]]
    encoded = [*bos, *(part if isinstance(part, int) else task.encode(part) for part in parts)]
    count = sum(part if isinstance(part, int) else len(part) for part in encoded)
    if count > tokens:  # before a gap takes memory
        framed = ", BOS among them" if bos else ""
        raise ConfigError(
            f"prompt or template: it has {count} tokens{framed}, but the model's sequences have N = {tokens}; "
            "shorten it"
        )
    ids = ([mask_id] * part if isinstance(part, int) else part for part in encoded)
    return torch.tensor([*chain.from_iterable(ids)], dtype=torch.long)


def check_prefix(start: Tensor, mask_id: int) -> None:
    """Refuse tokens int64 (n,) that are given after a gap, for a model that goes from left to right.

    Raises:
        ConfigError: there is one.
    """
    masked = start == mask_id
    if (masked[:-1] & ~masked[1:]).any():
        raise ConfigError(
            "--template: the model goes from left to right, so text after a gap cannot be given; use --prompt"
        )
