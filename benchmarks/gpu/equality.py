"""What a GPU computes in float32 against the CPU: losses, gradients, and samples token for token."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.gpu import paper
from benchmarks.gpu.setting import CPU, Part, Setting, Values, expect
from benchmarks.speed import build, random_rows
from ladd.diffusion.noise import SampleNoise
from ladd.samplers.base import sample
from ladd.systems.base import System

FAMILIES = {"MDLM": "lm1b/mdlm", "AR": "lm1b/ar", "Di-LADD": "lm1b/di-32", "Co-LADD": "lm1b/co-32"}
SCHEDULES = {  # by family: (schedule, latent steps)
    "MDLM": [("none", 0)],
    "AR": [("none", 0)],
    "Di-LADD": [("joint", 0), ("sequential", 3)],
    "Co-LADD": [("joint", 0)],
}
SEQUENCES, STEPS = 64, 6
# Relative: of every loss; of all gradients as one vector; and of the gradient of a single tensor, which may be small.
MOST_LOSS, MOST_GRADIENT, MOST_TENSOR = 1e-5, 1e-4, 1e-3
# Where rounding moves a cumulative sum past its draw, another token comes out, and the rest of the sample follows. That
# happens to about one token in a million.
MOST_OTHER = 1  # of the samples


def parts(setting: Setting) -> Iterator[Part]:
    """Noise, then every family."""
    yield Part("noise", partial(noise, setting))
    for family, name in FAMILIES.items():
        system = paper.system(name, small=True)
        yield Part(f"{family}, losses and gradients", partial(gradients, system, setting))
        for schedule, latent_steps in SCHEDULES[family]:
            title = f"{family}, samples" + ("" if schedule == "none" else f", {schedule}")
            yield Part(title, partial(samples, system, name, schedule, latent_steps, setting))


def on_both(system: System, setting: Setting) -> list[tuple[torch.device, nn.Module]]:
    """The same weights on the CPU and on the device."""
    model = build(system, CPU)
    return [(CPU, model), (setting.device, copy.deepcopy(model).to(setting.device))]


def noise(setting: Setting) -> Values:
    """Uniform draws are the same bits everywhere; normal ones go through a special function."""
    here, there = (SampleNoise(7, torch.arange(1000, device=device)) for device in (CPU, setting.device))
    uniform = here.uniform("token", 3, 100), there.uniform("token", 3, 100).cpu()
    normal = here.normal("latent", 3, 100), there.normal("latent", 3, 100).cpu()
    other, worst = int((uniform[0] != uniform[1]).sum()), float((normal[0] - normal[1]).abs().max())
    values = {"draws": 100_000, "uniform draws that differ": other, "normal draws differ by at most": worst}
    return expect(values, bits=("uniform draws that are equal", other == 0), normal=("1e-9 at most", worst <= 1e-9))


def computed(system: System, model: nn.Module, device: torch.device) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses and gradients of a batch, on the CPU afterwards."""
    torch.manual_seed(1)
    x, latents = random_rows(system, SEQUENCES, CPU)
    latents = None if latents is None else latents.to(device)
    noise = SampleNoise(1, torch.arange(SEQUENCES, device=device))
    losses = system.losses(model, x.to(device), latents, noise, 3)
    losses["loss"].backward()
    found = {name: p.grad.cpu().double() for name, p in model.named_parameters() if p.grad is not None}
    return {name: float(loss.detach()) for name, loss in losses.items()}, found


def gradients(system: System, setting: Setting) -> Values:
    """Relative differences of losses and gradients."""
    (here, expected), (there, found) = (computed(system, model, device) for device, model in on_both(system, setting))
    loss = max(abs(there[name] - value) / abs(value) for name, value in here.items())
    whole, tensor = gradient_difference(expected, found)
    values = {"loss": here["loss"], "loss differs by": loss, "gradient differs by": whole, "worst tensor": tensor}
    return expect(
        values,
        names=("gradients of the same parameters", expected.keys() == found.keys()),
        loss=(f"losses that differ by {MOST_LOSS:g} at most", loss <= MOST_LOSS),
        whole=(f"gradients that differ by {MOST_GRADIENT:g} at most", whole <= MOST_GRADIENT),
        tensor=(f"gradients of every tensor that differ by {MOST_TENSOR:g} at most", tensor <= MOST_TENSOR),
    )


def gradient_difference(expected: dict[str, Tensor], found: dict[str, Tensor]) -> tuple[float, float]:
    """Norm of the difference over the norm, of all tensors together and of the worst one.

    Tensors with less than a millionth of the whole norm count as if they had that.
    """
    norms = {name: float(value.norm()) for name, value in expected.items()}
    apart = {name: float((found[name] - value).norm()) for name, value in expected.items()}
    whole = sum(norm**2 for norm in norms.values()) ** 0.5
    worst = max(apart[name] / max(norm, 1e-6 * whole) for name, norm in norms.items())
    return sum(each**2 for each in apart.values()) ** 0.5 / whole, worst


def samples(system: System, name: str, schedule: str, latent_steps: int, setting: Setting) -> Values:
    """Samples that hold another token."""
    sweep = paper.sweep(name, schedule, latent_steps)
    found = []
    for device, model in on_both(system, setting):
        start = torch.full((SEQUENCES, system.tokens), system.vocabulary, device=device)
        sampler = system.sampler(model.eval(), sweep, token_steps=STEPS)
        found.append(sample(sampler, start, SampleNoise(2, torch.arange(SEQUENCES, device=device))).tokens.cpu())
    other = int((found[0] != found[1]).any(dim=1).sum())
    values = {"samples": SEQUENCES, "samples that differ": other, "distinct samples": len(found[0].unique(dim=0))}
    return expect(
        values,
        equal=(f"{MOST_OTHER} sample that differs at most", other <= MOST_OTHER),
        distinct=("samples that are not all alike", values["distinct samples"] > SEQUENCES // 2),
    )
