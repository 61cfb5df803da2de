"""What latents are worth, of a model with known answers: tokens that are independent given one code."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from ladd.evaluation.bounds import BoundSettings
from ladd.evaluation.estimate import estimate
from ladd.systems.reliance import latent_reliance
from tests.builders import blocks, system
from tests.samplers.known_answers import ExactDenoiser, Law, mixture, number

TOKENS, COUNT = 8, 400
ONES = torch.tensor([[0.05, 0.1, 0.3, 0.2, 0.1, 0.25, 0.4, 0.15], [0.9, 0.8, 0.95, 0.7, 0.6, 0.9, 0.8, 0.75]]).double()
SETTINGS = BoundSettings(32, 200, 0)
CONFIG = blocks()
LENGTH = CONFIG.latents["discrete"].length


def law() -> Law:
    """The same code at every latent position."""
    found = mixture(torch.tensor([0.4, 0.6], dtype=torch.float64), ONES)
    return Law(found.tokens, found.codes.expand(-1, LENGTH), found.probability)


def samples() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    exact = law()
    return exact.tokens[torch.multinomial(exact.probability, COUNT, replacement=True, generator=generator)]


def codes_of(x: torch.Tensor) -> torch.Tensor:
    """The code that the encoder says: that of the first token."""
    return x[:, :1].expand(-1, LENGTH)


def model() -> SimpleNamespace:
    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.nn.functional.one_hot(codes_of(x), 2).double(), codes_of(x)

    return SimpleNamespace(denoiser=ExactDenoiser(law()), encode=encode)


def given(x: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """-log p(x | code), nats per token."""
    ones = ONES[codes[:, 0]]
    return -torch.where(x == 1, ones, 1 - ones).log().mean(dim=1)


def agree(values: torch.Tensor, exact: torch.Tensor) -> None:
    difference = estimate(values - exact)
    assert difference.stderr < 0.02
    assert abs(difference.value) < 4 * difference.stderr + 1e-9


def test_losses_are_those_of_the_latents_that_are_given():
    x = samples()
    found = dict(latent_reliance(system(CONFIG, "di"), model(), x, SETTINGS))
    assert list(found) == ["latent_reliance/own", "latent_reliance/shuffled", "latent_reliance/none"]
    agree(found["latent_reliance/own"], given(x, codes_of(x)))
    agree(found["latent_reliance/shuffled"], given(x, codes_of(x.roll(-(COUNT // 2), dims=0))))
    exact = law()
    agree(found["latent_reliance/none"], -exact.of_tokens()[number(x, 2)].log() / TOKENS)


def test_latents_of_another_document_are_given():
    """Documents that lie scattered: a sequence gets the latents of another document, and each latent is given once."""
    x, documents = samples(), torch.arange(COUNT) % 2
    x[:, 0] = documents  # and with it the code
    found = dict(latent_reliance(system(CONFIG, "di"), model(), x, SETTINGS, documents))
    agree(found["latent_reliance/shuffled"], given(x, 1 - codes_of(x)))


def test_a_model_that_ignores_its_latents_loses_nothing_without_them():
    class Deaf(ExactDenoiser):
        def forward(self, x, z, t_x, t_z, z_masked=None):
            return super().forward(x, z, t_x, t_z, torch.ones(z.shape[:2], dtype=torch.bool))

    deaf = model()
    deaf.denoiser = Deaf(law())
    own, shuffled, none = dict(latent_reliance(system(CONFIG, "di"), deaf, samples(), SETTINGS)).values()
    assert torch.equal(own, shuffled)
    assert torch.equal(own, none)


@pytest.mark.parametrize(
    ("key", "changes", "last"),
    [
        ("mdlm", {}, None),
        ("co", {"latent_noise": [0.0, 0.2]}, "latent_reliance/shuffled"),
    ],
)
def test_what_a_model_has_no_answer_to_is_left_out(key, changes, last):
    """A model without latents has none, and one that was never shown pure noise is not asked about it."""
    built = system(CONFIG, key, **changes)
    network = SimpleNamespace()
    if last is not None:
        network = built.build().eval()
    found = [name for name, _ in latent_reliance(built, network, samples()[:8], SETTINGS)]
    assert (found[-1] if found else None) == last
