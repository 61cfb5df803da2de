"""A distilled prior against a teacher that is known exactly: Gaussian latents, whose path is linear."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladd.config.latents import StudentConfig
from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES
from ladd.latents.distil import distillation_loss, drawn_places, path_end
from ladd.samplers.sequential import Sequential
from ladd.samplers.sequential_renoised import SequentialRenoised
from tests.builders import network, training
from tests.samplers.known_answers import LINEAR, MaskedProcess, Tables, all_masked, draw, noise, pair_source

LENGTH, WIDTH = 2, 3
SPREAD = torch.tensor([[2.0, 0.5, 1.0], [0.1, 1.5, 0.7]], dtype=torch.float64)  # standard deviations of the latents
SCHEDULE = GAUSSIAN_SCHEDULES["cosine"]


class ExactTeacher(nn.Module):
    """The mean of Gaussian latents given noisy ones."""

    def __init__(self, spread: torch.Tensor = SPREAD):
        super().__init__()
        self.process, self.spread = GaussianProcess(SCHEDULE), spread

    def forward(self, z, t):
        signal, noise_ = SCHEDULE.signal(t)[:, None, None], SCHEDULE.noise(t)[:, None, None]
        return signal * self.spread**2 / ((signal * self.spread) ** 2 + noise_**2) * z


class ExactStudent(ExactTeacher):
    """Where the path of infinitely many steps ends: what has the same place in the law of clean latents."""

    def forward(self, z, t):
        signal, noise_ = SCHEDULE.signal(t)[:, None, None], SCHEDULE.noise(t)[:, None, None]
        return SPREAD / ((signal * SPREAD) ** 2 + noise_**2).sqrt() * z


def config(**changes) -> StudentConfig:
    values = {"latents": "z", "schedule": "cosine", "network": network(), "training": training(), "teacher": "other"}
    return StudentConfig.model_validate(values | changes)


@pytest.mark.parametrize("place", [1, 100, 256, 400])
def test_path_of_many_steps_ends_where_the_exact_one_does(place):
    z = torch.randn(5, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = torch.full((5,), place)
    found = path_end(ExactTeacher(), z, places, 400)
    torch.testing.assert_close(found, ExactStudent()(z, places.double() / 400), rtol=0.02, atol=1e-3)


def test_path_has_one_end_from_all_of_its_times():
    """In one batch, from different places: a step on the grid does not change the end."""
    teacher, steps = ExactTeacher(), 8
    z = torch.randn(3, LENGTH, WIDTH, dtype=torch.float64)
    points, end = [z], path_end(teacher, z, torch.full((3,), steps), steps)
    for place in range(steps, 1, -1):
        t, s = torch.tensor([place / steps, (place - 1) / steps], dtype=torch.float64)
        points.append(teacher.process.ddim(points[-1], teacher(points[-1], t.expand(3)), SimpleNamespace(t=t, s=s)))
    places = torch.arange(steps, 0, -1).repeat_interleave(3)
    torch.testing.assert_close(path_end(teacher, torch.cat(points), places, steps), end.repeat(steps, 1, 1))


def test_places_are_the_whole_grid_and_the_share_at_its_noisy_end():
    uniform = (torch.arange(8000, dtype=torch.float64) + 0.5) / 8000
    counts = torch.bincount(drawn_places(uniform, 4, 0.5), minlength=5)
    assert counts.tolist() == [0, 1000, 1000, 1000, 5000]
    assert (drawn_places(uniform, 4, 1.0) == 4).all()
    assert torch.bincount(drawn_places(uniform, 4, 0.0)).tolist() == [0, 2000, 2000, 2000, 2000]


def drawn_latents(prior: nn.Module, kind: type[Sequential], passes: int, count: int) -> torch.Tensor:
    """Latents that a sampler hands to the tokens."""
    model = SimpleNamespace(denoiser=Tables(4, 2, LENGTH, WIDTH), codebook=None, prior=prior)
    source = pair_source(model, "continuous", (LENGTH, WIDTH), process=MaskedProcess(LINEAR, 2), schedule="cosine")
    seen: list[torch.Tensor] = []
    model.denoiser.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    samples = draw(kind, source, all_masked(count, 4, 2), noise(count), latent_steps=passes)
    assert (samples.latent_passes == passes).all()
    assert (samples.token_passes == 1).all()
    return seen[0].double()


def ratios(z: torch.Tensor) -> torch.Tensor:
    """Of the standard deviations to the right ones."""
    return z.std(dim=0) / SPREAD


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_an_exact_student_draws_the_law_in_any_number_of_passes(passes):
    count = 4000
    z = drawn_latents(ExactStudent(), SequentialRenoised, passes, count)
    assert ((ratios(z) - 1).abs() < 5 / (2 * count) ** 0.5).all()
    assert (z.mean(dim=0).abs() < 5 * SPREAD / count**0.5).all()
    assert (torch.corrcoef(z.flatten(1).T) - torch.eye(6)).abs().max() < 5 / count**0.5


def test_the_ordinary_sampler_would_not():
    """What a distilled prior predicts is no mean: deterministic steps with it end elsewhere."""
    z = drawn_latents(ExactStudent(), Sequential, 4, 2000)
    assert (ratios(z) - 1).abs().max() > 0.2


class Factors(nn.Module):
    """A student that multiplies by a learned factor for every time of the grid and every coordinate."""

    def __init__(self, steps: int):
        super().__init__()
        self.process, self.steps = GaussianProcess(SCHEDULE), steps
        self.logarithm = nn.Parameter(torch.zeros(steps + 1, LENGTH, WIDTH))

    def forward(self, z, t):
        return self.logarithm[(t * self.steps).round().long()].exp() * z


def test_a_trained_student_draws_what_its_teacher_does_in_many_passes():
    """The spread of the latents is moderate, for the 16 steps of the teacher to be near enough to its own limit."""
    spread = 0.7 + 0.3 * SPREAD
    student, teacher, settings = Factors(16), ExactTeacher(spread), config()
    optimiser = torch.optim.Adam(student.parameters(), 0.05)
    for step in range(80):
        z = (torch.randn(64, LENGTH, WIDTH) * spread).float()
        loss = distillation_loss(student, teacher, z, noise(64, seed=step), step, settings).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    expected = drawn_latents(teacher, Sequential, 16, 4000).std(dim=0)
    for passes in (1, 2, 4):
        found = drawn_latents(student.eval(), SequentialRenoised, passes, 4000).std(dim=0)
        assert (found / expected - 1).abs().max() < 0.1, passes


def test_loss_is_zero_for_the_teachers_own_ends_and_not_for_its_means():
    class Ends(ExactTeacher):
        def forward(self, z, t):
            return path_end(ExactTeacher(), z, (t * 16).round().long(), 16)

    z = torch.randn(32, LENGTH, WIDTH, dtype=torch.float64) * SPREAD
    arguments = z, noise(32), 3, config()
    assert distillation_loss(Ends(), ExactTeacher(), *arguments).max() < 1e-20
    assert distillation_loss(ExactTeacher(), ExactTeacher(), *arguments).mean() > 1e-2
