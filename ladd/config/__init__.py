"""params.yaml as frozen typed classes, one per block. Everything is checked before anything runs."""

from ladd.config.blocks import (
    Block,
    ComputeConfig,
    ExecutorConfig,
    LatentChannelConfig,
    NetworkConfig,
    TokenChannelConfig,
    TrainingConfig,
)
from ladd.config.data import (
    AssetConfig,
    CorpusConfig,
    DataConfig,
    LastDocuments,
    SawtoothConfig,
    TextDataConfig,
    TokenizerConfig,
)
from ladd.config.evaluation import (
    EvaluationConfig,
    FeaturesConfig,
    GivenConfig,
    ReferenceConfig,
    SawtoothEvaluationConfig,
    SweepConfig,
    SweepPoint,
    TeacherConfig,
    TextEvaluationConfig,
)
from ladd.config.latents import CodebookConfig, EncoderConfig, LatentsConfig, LatentShape, ViewConfig
from ladd.config.models import SystemSettings
from ladd.config.suite import Suite, check_suite, load_suite

__all__ = [
    "AssetConfig",
    "Block",
    "CodebookConfig",
    "ComputeConfig",
    "CorpusConfig",
    "DataConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "ExecutorConfig",
    "FeaturesConfig",
    "GivenConfig",
    "LastDocuments",
    "LatentChannelConfig",
    "LatentShape",
    "LatentsConfig",
    "NetworkConfig",
    "ReferenceConfig",
    "SawtoothConfig",
    "SawtoothEvaluationConfig",
    "Suite",
    "SweepConfig",
    "SweepPoint",
    "SystemSettings",
    "TeacherConfig",
    "TextDataConfig",
    "TextEvaluationConfig",
    "TokenChannelConfig",
    "TokenizerConfig",
    "TrainingConfig",
    "ViewConfig",
    "check_suite",
    "load_suite",
]
