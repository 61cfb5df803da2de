"""A system: MDLM whose tokens are masked and revealed in spans.

A system is a model's settings and all that depends on what kind of model it is: networks, losses, bounds, what samplers
draw from, what a pass costs, label and colour. `TokenDiffusion` fills in what systems share that diffuse tokens alone,
so that the process is left to say. What is written here is what differs; `ladd/systems/base.py` lists what else can.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ladd.config.blocks import Size, TokenChannelConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.systems.tokens import TokenDiffusion

from .spans import SpanMasking  # the folder of a suite is a package


class SpanMdlmSettings(SystemSettings):
    """A block of `baselines`: besides data, network and training, what stands here."""

    family: Literal["span-mdlm"]
    span: Size  # positions that are masked together
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)


class SpanMdlm(TokenDiffusion):
    """A DiT that fills spans of masks."""

    name = "span-mdlm"
    Settings = SpanMdlmSettings
    label, colour, place = "Span-MDLM", "#56B4E9", 20

    def token_process(self) -> SpanMasking:
        schedule = DISCRETE_SCHEDULES[self.settings.token_channel.schedule]
        return SpanMasking(schedule, self.vocabulary, self.settings.span)
