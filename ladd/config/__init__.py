"""params.yaml as frozen typed classes, one per block. Everything is checked before anything runs."""

from ladd.config.blocks import (
    Block,
    ComputeConfig,
    ExecutorConfig,
    LatentChannelConfig,
    MuonConfig,
    NetworkConfig,
    TokenChannelConfig,
    TrainingConfig,
)
from ladd.config.data import AssetConfig, DataConfig
from ladd.config.evaluation import EvaluationConfig, GivenConfig, ReferenceConfig, SweepConfig, SweepPoint
from ladd.config.latents import CodebookConfig, EncoderConfig, LatentsConfig, LatentShape, ViewConfig
from ladd.config.models import SystemSettings
from ladd.config.suite import Suite, check_suite, load_suite
