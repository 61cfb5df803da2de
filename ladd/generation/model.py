"""A trained model to draw from, to measure and to pass on: what `ladd.load` gives.

Shapes: n samples, N tokens, V vocabulary (V itself is the mask), L latent positions, w latent width, K codes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from huggingface_hub import ModelHubMixin
from torch import Tensor, nn

from ladd.config import Suite, SweepConfig
from ladd.config.relations import fitting_priors
from ladd.config.replicates import without_replicate
from ladd.errors import ConfigError
from ladd.generation.data import sequences
from ladd.generation.denoiser import starting_tokens
from ladd.generation.draw import Drawn, draw
from ladd.generation.generate import check_prefix, given_tokens
from ladd.generation.settings import OPTIONS, needs_prior, sweep_of
from ladd.latents.frozen import LatentEncoder
from ladd.latents.reduction import Reduction
from ladd.registry import suite_folder
from ladd.samplers.base import Callback
from ladd.stages.artifacts import REDUCTION
from ladd.systems.base import DEFAULT_SAMPLER, System
from ladd.tasks import Task

Parts = Sequence[str | int]
# What settings of a sweep are called here.
CALLED = {key: key for key in OPTIONS} | {"schedule": "sampler", "token_steps": "steps"}


class Latents(NamedTuple):
    """Latents of n sequences.

    Attributes:
        vectors: float32 (n, L, w).
        codes: int64 (n, L), in [0, K); None where latents are continuous.
    """

    vectors: np.ndarray
    codes: np.ndarray | None


class Model(ModelHubMixin, library_name="ladd", tags=["ladd", "diffusion", "masked-diffusion"]):
    """A trained model with all that it takes to sample; made by `ladd.load` and `Model.from_pretrained`.

    Attributes:
        suite: settings; of a model from a folder of weights, those of this model alone.
        name: of the sweep or model whose settings are the defaults, such as "sweeps.di-seq" or "models.di-ladd".
        key: of the baseline or model.
        network: in evaluation mode.
        priors: networks that draw latents, by their keys.
        task: how tokens are read and written.
        files: other files that it needs, by their names in a folder of weights.
        origin: where it comes from, for its card.
    """

    def __init__(
        self,
        suite: Suite,
        name: str,
        network: nn.Module,
        *,
        home: Path,
        task_folder: Path,
        priors: Mapping[str, nn.Module],
        files: Mapping[str, Path],
        origin: Mapping[str, Any],
    ):
        self.suite, self.name, self.network, self.home = suite, name, network, home
        self.priors, self.files, self.origin = dict(priors), dict(files), dict(origin)
        with self._here():
            self.default = sweep_of(suite, name, {}, 0, called=CALLED)
            self.device = next(network.parameters()).device
            self.task = task_in(task_folder, suite, self.default.data, self.device)

    @property
    def key(self) -> str:
        return self.default.model

    @property
    def tokens(self) -> int:
        """N."""
        return self.suite.data[self.default.data].tokens

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return self.suite.data[self.default.data].vocabulary

    @property
    def samplers(self) -> list[str]:
        """Samplers that it takes, the default of its family first."""
        config = self.suite.model(self.key)
        with self._here():
            process = getattr(System.of(self.suite, self.key), "process", None)
            kinds = config.system.samplers(config).items()
            return [
                kind.name
                for schedule, kind in kinds
                if isinstance(process, getattr(kind, "processes", object))
                and (fitting_priors(self.suite, config, schedule) or not needs_prior(config, schedule))
            ]

    def __repr__(self) -> str:
        return f"<ladd.Model {without_replicate(self.key)}: {self.suite.model(self.key).family}, N = {self.tokens}>"

    def sample(
        self,
        n: int = 1,
        *,
        steps: int | None = None,
        sampler: str | None = None,
        seed: int = 0,
        given: str | Parts | np.ndarray | Tensor | None = None,
        batch: int | None = None,
        callback: Callback | None = None,
        **settings: Any,
    ) -> Drawn:
        """Samples as strings and arrays.

        With the same seed, sample i is sample i of the sweep with these settings: whatever n and batch.

        Args:
            n: samples.
            steps: K token steps, at most N; by default the largest budget of the sweep, or N of a model alone.
            sampler: one of `samplers`; by default that of the sweep, or the first.
            seed: of the noise.
            given: what does not change: a prompt; text and gaps by their number of tokens, ["The ", 4, " of"]; or ids
                (m,) for all samples or (n, m) for each, m <= N, with V or -1 where a token is to be drawn.
            batch: samples at a time, which does not change them.
            callback: called with every step and the state after it, of one batch after the other.
            settings: latent_steps, temperature, eta, token_lag, latent_lead, precision, where the sampler takes them;
                and those of its own, a block within as a dict: tokens={"schedule": "remdm-cap", "remask": 0.1}.
        Raises:
            ConfigError: the model or its sampler has no use for a setting, or it is out of bounds.
            SamplingError: a sample still holds the mask.
        """
        if n < 1:
            raise ConfigError(f"n: {n} samples; write at least 1")
        with self._here():
            sweep = self._sweep({"token_steps": steps, "schedule": sampler} | settings, seed)
            starts = self.starting_ids(given, n)
            if self.suite.model(self.key).system.left_to_right:
                for start in starts.unique(dim=0):
                    check_prefix(start, self.vocabulary)
            with self._drawn_by(sweep.prior):
                samples = draw(
                    self.suite,
                    sweep,
                    self.network,
                    starts.to(self.device),
                    batch=batch,
                    callback=callback,
                    what=self.name,
                )
            return Drawn.of(samples, self.task.texts(samples.tokens))

    def bound(self, data: Any, *, sampler: str | None = None, **settings: Any) -> dict[str, np.ndarray]:
        """Likelihood terms of sequences, nats per token, float (n,) each; {} for a system without.

        Args:
            data: ids (n, N), or strings (see `ladd.generation.data.sequences`).
            sampler: under whose inference schedule; by default that of the sweep.
            settings: latent_lead, where the sampler takes it.
        Returns:
            token_elbo: the tokens' term. full_bound: a bound on -log p(x) where token_elbo alone is none.
            token_loss_clean_latent: the tokens' term given the clean latents. They do not depend on who else is in
            the data.
        Raises:
            ConfigError: the data do not fit.
            AssetError: the pretrained encoder of the latents cannot be had.
        """
        with self._here():
            x = self._sequences(data)
            sweep = self._sweep({"schedule": sampler} | settings, 0)
            self._attach_encoder()
            found = System.of(self.suite, self.key).bounds(self.network, x, self.task.bound_settings, sweep)
        return {name: values.cpu().numpy() for name, values in found.items()}

    def encode(self, data: Any) -> Latents:
        """Latents of clean sequences.

        Args:
            data: ids (n, N), or strings (see `ladd.generation.data.sequences`).
        Raises:
            ConfigError: the model has no latents, or the data do not fit.
            AssetError: the pretrained encoder of the latents cannot be had.
        """
        network: Any = self.network
        if self.suite.model(self.key).latents_name is None:
            raise ConfigError(f"{self.key!r} is {self.suite.model(self.key).family}, which has no latents to encode")
        with self._here():
            x = self._sequences(data)
            self._attach_encoder()
            parts = [network.encode(rows) for rows in x.split(self.suite.run.batch)]
        vectors, codes = zip(*parts, strict=True)
        return Latents(torch.cat(vectors).cpu().numpy(), None if codes[0] is None else torch.cat(codes).cpu().numpy())

    def _here(self) -> contextlib.AbstractContextManager[None]:
        """Modules of the folder that the model is from are known by name within it."""
        return suite_folder(self.home)

    def _sweep(self, options: Mapping[str, Any], seed: int) -> SweepConfig:
        given = {key: value for key, value in options.items() if value is not None}
        own = {key: given.pop(key) for key in [*given] if key not in OPTIONS}
        config = self.suite.model(self.key)
        samplers = config.system.samplers(config)
        if DEFAULT_SAMPLER in samplers and given.get("schedule") == samplers[DEFAULT_SAMPLER].name:
            given["schedule"] = DEFAULT_SAMPLER
        return sweep_of(self.suite, self.name, given, seed, own, CALLED)

    def starting_ids(self, given: Any, n: int) -> Tensor:
        """Ids that n samples start from, int64 (n, N), V where one is to be drawn; ``given`` as `sample` takes it."""
        parts = [given] if isinstance(given, str) else given
        if isinstance(parts, list | tuple) and any(isinstance(part, str) for part in parts):
            parts = given_tokens(parts, self.task, tokens=self.tokens, mask_id=self.vocabulary)
        return starting_tokens(parts, n, self.tokens, self.vocabulary)

    def _sequences(self, data: Any) -> Tensor:
        return sequences(self.task, data).to(self.device)

    @contextlib.contextmanager
    def _drawn_by(self, prior: str | None) -> Iterator[None]:
        """Within it the network has the prior that draws its latents, where one does."""
        network: Any = self.network
        if prior is None:
            yield
            return
        if prior not in self.priors:
            raise ConfigError(
                f"prior {prior!r} is not here, it has {sorted(self.priors)}; train it, and load the model again"
            )
        network.prior = self.priors[prior]
        try:
            yield
        finally:
            network.prior = None

    def _attach_encoder(self) -> None:
        """The pretrained encoder behind the latents, where one made them: fetched where it is first asked for."""
        network: Any = self.network
        latents = self.suite.model(self.key).latents_name
        found = None if latents is None else self.suite.view_of(latents)
        if found is None or network.pretrained_encoder is not None:
            return
        encoder = self.suite.encoders[found[0]]
        reduction = Reduction.load(self.files[REDUCTION])
        network.pretrained_encoder = LatentEncoder(self.task.encoder(encoder), encoder.views[found[1]], reduction)

    def _save_pretrained(self, save_directory: Path) -> None:
        from ladd.generation.folder import save_model  # it needs this class

        save_model(self, save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: str | None = None,
        trust_code: bool = False,
        **_: Any,
    ) -> Model:
        from ladd.generation.folder import fetch_model, open_model

        folder = Path(model_id)
        if not folder.is_dir():
            folder = fetch_model(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        return open_model(folder, device=device, trust_code=trust_code)


def task_in(folder: Path, suite: Suite, data: str, device: torch.device) -> Task:
    """The task of a data set whose files are in another folder than that of a suite in the working directory."""
    kind = suite.data[data].task
    return type(kind.__name__, (kind,), {"folder": folder})(suite, data, device)
