"""What each stage trains: a model, its data and its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ladd.distributed import rank, sum_over_workers, world_size
from ladd.latents.model import LatentModel
from ladd.latents.statistics import spread_rows
from ladd.models import Ladd
from ladd.networks import CausalTransformer, DiT
from ladd.objectives.autoregressive import autoregressive_loss
from ladd.objectives.joint import (
    Latents,
    channel_losses,
    draw_channel_times,
    latent_denoiser_loss,
)
from ladd.objectives.masked import mdlm_loss
from ladd.randomness import SampleNoise
from ladd.schedules import GAUSSIAN_SCHEDULES, MASKED_SCHEDULES, latent_schedule
from ladd.training.batches import Batch, RowSource

if TYPE_CHECKING:
    from ladd.config import LatentsConfig, ModelConfig, TokenChannelConfig

# Validation losses use the same noise every time, so that their curves show the model and not the draw.
_VALIDATION_SEED = 0
_VALIDATION_SEQUENCES = 1024
_VALIDATION_LOGITS = 2**28  # at a time: all sequences of a small vocabulary, a few of a large one

Model = TypeVar("Model", bound=nn.Module)


class _TokenTask(Generic[Model]):
    """Common to all tasks: a batch of rows to a loss, and validation by the mean over one fixed batch.

    Args:
        model: what is trained.
        train, validation: tokens (M, N).
        vocabulary: V.
        latents, validation_latents: stored latents of both, one row per sequence, where the task has them.
    """

    def __init__(
        self,
        model: Model,
        train: RowSource,
        validation: RowSource,
        vocabulary: int,
        latents: RowSource | None = None,
        validation_latents: RowSource | None = None,
    ):
        self.model, self.size, self.vocabulary = model, len(train), vocabulary
        self.tokens_per_sequence = train.shape[1]
        self.train, self.validation = (train, latents), (validation, validation_latents)

    def read(self, indices: np.ndarray) -> Batch:
        """Rows of the training set."""
        return _read(self.train, torch.from_numpy(indices))

    @torch.no_grad()
    def validate(self, model: Model) -> dict[str, float]:
        """Losses of the averaged weights on sequences from all over the validation split, shared out to workers."""
        device = next(self.model.parameters()).device
        chosen = torch.from_numpy(spread_rows(len(self.validation[0]), _VALIDATION_SEQUENCES)).to(device)
        rows = torch.arange(len(chosen), device=device)
        noise = SampleNoise(_VALIDATION_SEED, rows)
        most = max(1, _VALIDATION_LOGITS // (self.tokens_per_sequence * self.vocabulary))
        rounds = -(-len(rows) // (most * world_size()))  # as many for every worker: shards want all of them
        sums: dict[str, float] = {}
        for part in rows.tensor_split(rounds * world_size())[rank() :: world_size()]:
            computed = part if len(part) else rows[:1]  # a worker without rows keeps step with the others: weight 0
            batch = _read(self.validation, chosen[computed])
            losses = self.compute(model, batch.tokens.long(), batch.latents, noise.part(_slice(computed)), 0)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part)
        total = sum_over_workers(torch.tensor(list(sums.values()), dtype=torch.float64, device=device))
        return dict(zip(sums, (total / len(rows)).tolist(), strict=True))

    def losses(self, batch: Batch, noise: SampleNoise, step: int) -> dict[str, Tensor]:
        """Losses of a training batch."""
        return self.compute(self.model, batch.tokens.long(), batch.latents, noise, step)

    def compute(
        self, model: Model, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int
    ) -> dict[str, Tensor]:
        raise NotImplementedError


def _slice(rows: Tensor) -> slice:
    """Neighbouring rows as a slice."""
    return slice(int(rows[0]), int(rows[-1]) + 1)


def _read(data: tuple[RowSource, RowSource | None], rows: Tensor) -> Batch:
    tokens, latents = data
    return Batch(tokens[rows], None if latents is None else latents[rows])


class MdlmTask(_TokenTask[DiT]):
    """Masked diffusion without latents."""

    def __init__(
        self, model: DiT, train: RowSource, validation: RowSource, vocabulary: int, channel: TokenChannelConfig
    ):
        super().__init__(model, train, validation, vocabulary)
        self.channel = channel

    def compute(
        self, model: DiT, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int
    ) -> dict[str, Tensor]:
        loss = mdlm_loss(
            model,
            x,
            noise,
            step,
            MASKED_SCHEDULES[self.channel.schedule],
            mask_id=self.vocabulary,
            weight=self.channel.weight,
            warp=self.channel.warp,
        )
        return {"loss": loss.mean() / self.tokens_per_sequence}


class ArTask(_TokenTask[CausalTransformer]):
    """Next-token prediction."""

    def compute(
        self, model: CausalTransformer, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int
    ) -> dict[str, Tensor]:
        return {"loss": autoregressive_loss(model, x, start_id=self.vocabulary).mean() / self.tokens_per_sequence}


class LatentTask(_TokenTask[LatentModel]):
    """Stage 1: encoder, quantiser and token denoiser, lambda_z = 0 (paper, Section 3.3)."""

    def __init__(
        self, model: LatentModel, train: RowSource, validation: RowSource, vocabulary: int, config: LatentsConfig
    ):
        super().__init__(model, train, validation, vocabulary)
        self.config = config

    def compute(
        self, model: LatentModel, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int
    ) -> dict[str, Tensor]:
        config = self.config
        if model is self.model and step >= config.quantise_after:
            model.quantising.fill_(True)
        encoded = model.encode(x)
        times = draw_channel_times(
            noise,
            step,
            config.latent_channel.times,
            warp=config.token_channel.warp,
            token_range=config.token_noise,
            latent_range=config.latent_noise,
        )
        token = channel_losses(
            model.denoiser,
            x,
            Latents(encoded.vectors, encoded.codes),
            times,
            noise,
            step,
            MASKED_SCHEDULES[config.token_channel.schedule],
            latent_schedule(config.latent_channel.schedule, discrete=config.codebook is not None),
            mask_id=self.vocabulary,
            weight=config.token_channel.weight,
            latent_dropout=config.latent_channel.dropout,
            with_latent=False,
        ).token
        assert token is not None
        token = token.mean() / self.tokens_per_sequence
        return {"loss": token + encoded.commitment, "token": token, "commitment": encoded.commitment}


class LaddTask(_TokenTask[Ladd]):
    """Stage 2: both channels of the denoiser on frozen latents, and Co-LADD's latent denoiser (paper, Eq. 14).

    Args:
        latents: of the training sequences, computed once: vectors (M, L, w) or codes (M, L).
        validation_latents: of the validation sequences.
    """

    def __init__(
        self,
        model: Ladd,
        train: RowSource,
        validation: RowSource,
        latents: RowSource,
        validation_latents: RowSource,
        vocabulary: int,
        config: ModelConfig,
    ):
        super().__init__(model, train, validation, vocabulary, latents, validation_latents)
        self.config = config

    def compute(
        self, model: Ladd, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int
    ) -> dict[str, Tensor]:
        config = self.config
        assert latents is not None
        discrete = model.codebook is not None
        clean = Latents(latents.float())  # stored in half precision where a pretrained encoder made them
        if model.codebook is not None:
            clean = Latents(model.codebook.lookup(latents.long()), latents.long())
        losses = channel_losses(
            model.denoiser,
            x,
            clean,
            draw_channel_times(
                noise,
                step,
                config.latent_channel.times,
                warp=config.token_channel.warp,
                latents_first=config.latents_first,
                latent_range=config.latent_noise,
            ),
            noise,
            step,
            MASKED_SCHEDULES[config.token_channel.schedule],
            latent_schedule(config.latent_channel.schedule, discrete=discrete),
            mask_id=self.vocabulary,
            weight=config.token_channel.weight,
            latent_dropout=config.latent_channel.dropout,
        )
        assert losses.token is not None
        assert losses.latent is not None
        # Code losses are nats per sequence like the token loss, and share its unit: nats per token.
        parts = {
            "token": losses.token.mean() / self.tokens_per_sequence,
            "latent": losses.latent.mean() / (self.tokens_per_sequence if discrete else 1),
        }
        total = config.token_weight * parts["token"] + config.latent_weight * parts["latent"]
        if model.latent_denoiser is not None:
            assert config.latent_denoiser is not None
            schedule = GAUSSIAN_SCHEDULES[config.latent_denoiser.schedule]
            parts["latent_denoiser"] = latent_denoiser_loss(
                model.latent_denoiser, clean.vectors, noise, step, schedule
            ).mean()
            total = total + parts["latent_denoiser"]
        return {"loss": total, **parts}
