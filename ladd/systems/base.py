"""What a system is: one way to model the data, from its settings to its networks, losses, bounds and costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import Tensor, nn

from ladd.config.evaluation import SweepConfig
from ladd.config.latents import LatentsConfig, LatentShape, PriorConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.noise import SampleNoise
from ladd.evaluation.bounds import BoundSettings, LossByTime
from ladd.registry import discover
from ladd.samplers.base import Sampler

if TYPE_CHECKING:
    from ladd.config.suite import Suite

DEFAULT_SAMPLER = "none"  # as the schedule of a sweep: the one sampler of a model without latents


Values = dict[str, Tensor]  # losses or bounds by name


class Surroundings(NamedTuple):
    """What a model needs to know of the data and the latents that it is trained on."""

    vocabulary: int  # V
    tokens: int  # N
    shape: LatentShape | None = None  # of the latents
    learned: LatentsConfig | None = None  # Stage 1 of them, where they are learned
    prior: PriorConfig | None = None  # that draws them, where one does


class System(ABC):
    """A model's settings, and all that depends on what kind of model it is.

    Attributes:
        name: in params.yaml, as the ``family`` of a model.
        Settings: of a model.
        label, colour: in tables and figures.
        meaning: in one line, for readers who do not know it.
        citation: BibTeX, "" for none.
        place: in tables and legends, lower first.
        source: kind of source that samplers draw from.
        uses_latents: whether its models are among ``models`` (Stage 2) or ``baselines``.
        unread: settings of sweeps that samplers take and it has no use for.
        left_to_right: whether tokens can only be given as a prefix, and each costs one step, whatever the budget.
        comparator: whether the few-step comparison holds others against it.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[SystemSettings]]
    label: ClassVar[str]
    meaning: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    colour: ClassVar[str] = "#767676"
    place: ClassVar[int] = 100
    source: ClassVar[type]
    uses_latents: ClassVar[bool] = False
    unread: ClassVar[tuple[str, ...]] = ()
    left_to_right: ClassVar[bool] = False
    comparator: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "Settings" in vars(cls):
            cls.Settings.system = cls

    def __init__(self, settings: Any, around: Surroundings):
        self.settings, self.vocabulary, self.tokens = settings, around.vocabulary, around.tokens
        self.shape, self.learned, self.prior = around.shape, around.learned, around.prior

    @staticmethod
    def of(suite: Suite, key: str, prior: str | None = None) -> System:
        """The system of a model of a suite, drawn from with a prior where one is named."""
        settings = suite.model(key)
        data, latents = suite.data[settings.data], settings.latents_name
        shape = None if latents is None else suite.latent_shape(latents)
        learned = None if latents is None else suite.latents.get(latents)
        drawn = None if prior is None else suite.priors[prior]
        return settings.system(settings, Surroundings(data.vocabulary, data.tokens, shape, learned, drawn))

    @classmethod
    def title(cls, key: str) -> str:
        """Label of the model of that key."""
        return cls.label

    @classmethod
    def samplers(cls, settings: Any) -> dict[str, type[Sampler]]:
        """Samplers that a model takes, by the schedule of a sweep, the default first."""
        fitting = {name: each for name, each in discover("ladd.samplers", Sampler).items() if cls.takes(each)}
        if cls.uses_latents:
            return fitting
        default = next(iter(fitting))
        return {DEFAULT_SAMPLER: fitting.pop(default), **fitting}

    @classmethod
    def needs_prior(cls, settings: Any, schedule: str) -> bool:
        """Whether latents are drawn by a prior under a sampler."""
        return False

    @classmethod
    def takes(cls, sampler: type[Sampler]) -> bool:
        """Whether a sampler can draw from it."""
        return issubclass(cls.source, sampler.takes)

    @classmethod
    def check(cls, settings: Any, latents: LatentShape | None, learned: LatentsConfig | None) -> None:
        """Check settings against the latents that they name.

        Raises:
            ValueError: they do not fit; the message begins with the name of a setting, such as "latents: ...".
        """
        return

    @classmethod
    def check_sweep(cls, settings: Any, sweep: SweepConfig) -> None:
        """Check a sweep, with one of the samplers that the model takes, against it and against the sampler.

        Raises:
            ValueError: it does not fit; the message begins with the name of a setting.
        """
        cls.samplers(settings)[sweep.schedule].check(sweep)
        for name in cls.unread:
            if value := getattr(sweep, name):
                raise ValueError(f"{name}: {value}; {cls.name} has no use for it, write 0")

    @abstractmethod
    def build(self) -> nn.Module:
        """The networks, untrained; their initial weights follow from torch's global generator."""

    @abstractmethod
    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> dict[str, Tensor]:
        """Scalar training losses of a batch; "loss" is the one that is minimised.

        Args:
            x: int64 (B, N), clean.
            latents: stored ones of the batch, (B, L) codes or (B, L, w), or None.
        """

    def validation_bound(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise) -> Tensor | None:
        """A bound on -log p(x) in nats per token, a scalar, of a batch as `losses` has it; None without one.

        Validations report it beside the losses: one of another weight than the ELBO's reads like a bound and is none.
        """
        return None

    def bounds(
        self, model: Any, x: Tensor, settings: BoundSettings, sweep: SweepConfig, *, token_only: bool = False
    ) -> Values:
        """Per-sequence likelihood terms (n,), nats per token, of x int64 (n, N) under a sweep's sampler; {} for none.

        token_elbo: the tokens' term. full_bound: a bound on -log p(x) where token_elbo alone is none.
        token_loss_clean_latent: the tokens' term given the clean latents. With ``token_only`` token_elbo alone.
        """
        return {}

    def losses_by_time(
        self, model: Any, x: Tensor, settings: BoundSettings, sweep: SweepConfig
    ) -> Iterator[tuple[str, LossByTime]]:
        """Token loss by t_x, by the name of the time that the latents are shown at; nothing where there is no time."""
        yield from ()

    @abstractmethod
    def source_of(self, model: Any, *, share_rows: bool = True) -> Any:
        """What samplers draw from; with ``share_rows`` samples that are still equal share one pass."""

    def sampler(self, model: Any, sweep: SweepConfig, *, share_rows: bool = True, **changes: Any) -> Sampler:
        """The sampler of a sweep; ``changes`` are settings of one of its points."""
        kind = self.samplers(self.settings)[sweep.schedule]
        return kind.of(self.source_of(model, share_rows=share_rows), sweep.model_dump() | changes)

    def latent_steps(self, most: int) -> int:
        """How many latent steps a model alone takes before its tokens, at most so many."""
        return most

    def nominal_passes(self, token_steps: int, latent_steps: int) -> Passes:
        """A pass for every step, as the paper charges them, whether or not it reveals anything."""
        return Passes(token_steps, latent_steps)

    def cost(self, passes: Passes) -> SampleCost:
        """Cost of one sample; the token head runs once per position, where that position is revealed."""
        network = self.settings.network
        macs = passes.token_passes * backbone_macs(self.tokens, network.width, network.layers)
        return SampleCost.of(passes.token_passes, macs, self.tokens * network.width * self.vocabulary)


def systems() -> dict[str, type[System]]:
    """All systems by name, in the order of tables."""
    found = discover("ladd.systems", System)
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


class SampleCost(NamedTuple):
    """Averages over samples."""

    nfe: float  # network passes, latent-only ones included
    gmacs: float  # 10^9 multiply-adds of the backbones
    gflops: float  # 10^9 floating-point operations, two per multiply-add, of backbones and heads

    @classmethod
    def of(cls, passes: float, backbones: float, heads: float) -> SampleCost:
        """From passes, and multiply-adds of backbones and heads."""
        return cls(passes, backbones / 1e9, 2 * (backbones + heads) / 1e9)


class Passes(NamedTuple):
    """Mean network passes per sample."""

    token_passes: float  # of the network that holds the token stream
    latent_passes: float  # of a network of the latents alone


def backbone_macs(length: int, width: int, layers: int) -> int:
    """Multiply-adds of one forward pass of the transformer blocks: layers (12 S d^2 + 2 S^2 d) (paper, Eq. 77).

    The paper's tables count these as its "GFLOPs". Norms, conditioning, embeddings and heads are left out.

    Args:
        length: S, positions of all streams together: N, or N + L.
        width: d.
    """
    return layers * (12 * length * width**2 + 2 * length**2 * width)
