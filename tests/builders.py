"""Small networks, configurations and known-answer denoisers shared by the tests."""

from __future__ import annotations

import json
from types import SimpleNamespace

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from ladd.config import LatentsConfig
from ladd.config.models import SystemConfig
from ladd.systems.base import Surroundings, System
from ladd.systems.ladd import LaddModel
from ladd.systems.stage1 import LearnedLatents


def network(**changes) -> dict:
    """Arguments of a tiny transformer."""
    return {
        "width": 8,
        "layers": 2,
        "heads": 2,
        "condition": 8,
        "dropout": 0.0,
        "gate": 0.0,
        "rope_base": 100.0,
    } | changes


def perturb(module: nn.Module, scale: float = 0.3) -> nn.Module:
    """Move every parameter: at initialisation adaLN-Zero makes blocks identities, which hides what they compute."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return module


def executor(**changes) -> dict:
    values = {"kind": "inline", "workers": 1, "micro_batch": None, "sharding": "ddp"}
    return values | {"precision": "float32", "compile": False, "recompute": False} | changes


def training(**changes) -> dict:
    return {
        "steps": 6,
        "batch": 4,
        "learning_rate": 1e-2,
        "weight_decay": 0.01,
        "warmup": 2,
        "decay": "cosine",
        "cooldown": 0.2,
        "optimiser": {"kind": "adamw", "betas": [0.9, 0.999]},
        "clip": 1.0,
        "ema": 0.9,
        "validate_every": 3,
        "checkpoint_every": 3,
        "keep": 8,
        "executor": executor(),
    } | changes


def _channel(**changes) -> dict:
    return {"schedule": "linear", "weight": "elbo", "timed": False, "warp": 1.0} | changes


def _latents(kind: str) -> dict:
    discrete = kind == "discrete"
    return {
        "data": "saw",
        "kind": kind,
        "length": 2,
        "width": 4,
        "codebook": 3 if discrete else None,
        "quantise_after": 0,
        "unit_variance": True,
        "token_noise": [0.0, 1.0],
        "latent_noise": [0.0, 0.5],
        "token_channel": _channel(),
        "latent_channel": {"schedule": "linear" if discrete else "sqrt", "times": "independent", "dropout": 0.0},
        "encoder": network(),
        "denoiser": network(),
        "training": training(),
    }


def _model(family: str) -> dict:
    discrete = family == "di-ladd"
    return {
        "family": family,
        "data": "saw",
        "latents": "discrete" if discrete else "continuous",
        "network": network(),
        "token_weight": 1.0,
        "latent_weight": 1.0,
        "latent_noise": [0.0, 1.0],
        "latents_first": 0.0,
        "token_channel": _channel(),
        "latent_channel": {
            "schedule": "linear" if discrete else "sqrt",
            "times": "independent" if discrete else "shared",
            "dropout": 0.0,
        },
        "training": training(),
    }


def _prior(latents: str) -> dict:
    return {"latents": latents, "schedule": "linear", "network": network(), "training": training()}


def _sweep(model: str, schedule: str, **changes) -> dict:
    return {
        "model": model,
        "data": "saw",
        "schedule": schedule,
        "token_steps": [1, 8],
        "latent_steps": 4 if schedule == "sequential" else 0,
        "prior": None,
        "frontier": None,
        "given": None,
        "token_lag": 1.0,
        "latent_lead": 1.0,
        "eta": 0.0,
        "temperature": 1.0,
        "precision": "float64",
        "samples": 10,
        "seeds": [0, 1],
    } | changes


def _reference() -> dict:
    return {"token_steps": [1, 8], "samples": 10, "seeds": [0, 1], "batch": 5}


def suite_values() -> dict:
    """A valid params.yaml with every kind of block, as plain values."""
    return {
        "root": "../..",
        "suite": "tiny",
        "seed": 1,
        "replicates": 1,
        "compute": {"device": "cpu", "threads": 1},
        "run": {"workers": 1, "shard": 65536, "latent_shard": 65536, "batch": 5},
        "data": {
            "saw": {
                "kind": "sawtooth",
                "tokens": 8,
                "periods": 2,
                "floor": 0.01,
                "train": 10,
                "validation": 6,
                "reference": 40,
            }
        },
        "encoders": {},
        "latents": {"discrete": _latents("discrete"), "continuous": _latents("continuous")},
        "codebooks": {},
        "priors": {"continuous": _prior("continuous")},
        "baselines": {
            "mdlm": {
                "family": "mdlm",
                "data": "saw",
                "token_channel": _channel(),
                "network": network(dropout=0.1),
                "training": training(),
            },
            "ar": {"family": "ar", "data": "saw", "token_channel": None, "network": network(), "training": training()},
        },
        "models": {"di": _model("di-ladd"), "co": _model("co-ladd")},
        "sweeps": {
            "mdlm": _sweep("mdlm", "none"),
            "ar": _sweep("ar", "none", token_steps=[8]),
            "di-joint": _sweep("di", "joint"),
            "di-seq": _sweep("di", "sequential"),
            "co-seq": _sweep("co", "sequential", prior="continuous"),
        },
        "evaluation": {
            "kind": "sawtooth",
            "directions": 10,
            "time_draws": 2,
            "sequences": 6,
            "grid": 64,
            "batch": 6,
            "reference": _reference(),
        },
    }


def path_asset(name: str) -> dict:
    """A file or folder of the repository."""
    return {"source": "path", "name": name, "revision": None, "file": None, "kind": None, "sha256": None}


def corpus(asset: str, files: str, form: str, **changes) -> dict:
    return {
        "asset": path_asset(asset),
        "files": files,
        "format": form,
        "field": None,
        "encoding": "utf-8",
        "detokeniser": "none",
        "documents": None,
    } | changes


def _view(pooling: str, length: int, **changes) -> dict:
    return {"length": length, "width": 4, "pooling": pooling, "reduction": "pca", "unit_variance": True} | changes


def text_suite_values() -> dict:
    """A valid params.yaml of text with every kind of block and every family, as plain values.

    N = 16, V = 290. Its assets are the folders corpora, encoder and teacher of the repository.
    """
    data = {"data": "text"}
    co = _model("co-ladd") | data | {"latents": "bert/chunks"}
    values = {
        "root": "../..",
        "suite": "tiny-text",
        "seed": 1,
        "replicates": 1,
        "compute": {"device": "cpu", "threads": 1},
        "run": {"workers": 1, "shard": 64, "latent_shard": 50, "batch": 8},
        "data": {"text": _text_data()},
        "encoders": {
            "bert": data
            | {
                "asset": path_asset("encoder"),
                "folder": "",
                "batch": 16,
                "fit": 64,
                "views": {
                    "chunks": _view("adaptive", 4),
                    "aligned": _view("aligned", 16),
                    "short": _view("adaptive_keep_eos", 2, reduction="truncate", unit_variance=False),
                },
            }
        },
        "latents": {"learned": _latents("continuous") | data},
        "codebooks": {"codes": {"latents": "bert/chunks", "codebook": 8, "steps": 5, "batch": 32}},
        "priors": {"chunks": _prior("bert/chunks"), "learned": _prior("learned")},
        "baselines": {
            "mdlm": {
                "family": "mdlm",
                "token_channel": _channel(weight="constant"),
                "network": network(gate=1.0),
                "training": training(),
            }
            | data,
            "ar": {"family": "ar", "token_channel": None, "network": network(), "training": training()} | data,
        },
        "models": {
            "co": co,
            "di": _model("di-ladd") | data | {"latents": "codes"},
            # CCDD: joint Co-LADD with one latent per token and a frozen encoder.
            "ccdd": co | {"latents": "bert/aligned"},
            "co-learned": co | {"latents": "learned"},
        },
        "sweeps": _text_sweeps(data),
        "evaluation": {
            "kind": "text",
            "time_draws": 2,
            "sequences": 12,
            "zero_shot_sequences": 6,
            "batch": 6,
            "teacher": {"asset": path_asset("teacher"), "file": "", "batch": 8, "window": 40},
            "features": {"asset": path_asset("encoder"), "folder": "", "batch": 16},
            "mauve_clusters": 2,
            "reference": {"samples": 8, "seeds": [0, 1]},
        },
    }
    return json.loads(json.dumps(values))  # no two blocks share a part, so that one can be changed alone


def _text_data() -> dict:
    return {
        "kind": "text",
        "tokens": 16,
        "tokenizer": {"kind": "bpe", "vocabulary": 290, "asset": None, "files": None},
        "packing": "framed",
        "train": corpus("corpora/train", "*.txt", "text"),
        "validation": 0.2,
        "zero_shot": {
            "sentences": corpus("corpora/sentences.parquet", "", "parquet", field="sentence"),
            "articles": corpus(
                "corpora/articles", "**/*.jsonl", "jsonl", field="article", detokeniser="mdlm-scientific-papers"
            ),
        },
    }


def _text_sweeps(data: dict) -> dict:
    """Every family and schedule, and given tokens of both kinds."""
    shared = {"token_steps": [1, 4], "samples": 8, **data}
    given = shared | {"token_steps": [4]}
    prefix, infill = {"kind": "prefix", "share": 0.25}, {"kind": "random", "share": 0.5}
    return {
        "mdlm": _sweep("mdlm", "none", **shared, frontier={"token_steps": [4], "temperatures": [0.7, 0.9]}),
        "ar": _sweep("ar", "none", **shared | {"token_steps": [16]}),
        "co-joint": _sweep("co", "joint", **shared),
        "co-seq": _sweep("co", "sequential", **shared, prior="chunks"),
        "di-joint": _sweep("di", "joint", **shared),
        "di-seq": _sweep("di", "sequential", **shared),
        "ccdd-joint": _sweep("ccdd", "joint", **shared),
        "learned-seq": _sweep("co-learned", "sequential", **shared, prior="learned"),
        "mdlm-prefix": _sweep("mdlm", "none", **given, given=prefix),
        "ar-prefix": _sweep("ar", "none", **given | {"token_steps": [16]}, given=prefix),
        "co-infill": _sweep("co", "joint", **given, given=infill),
        "di-infill": _sweep("di", "sequential", **given, given=infill),
    }


def blocks(values: dict | None = None) -> SimpleNamespace:
    """The blocks that networks and tasks are built from, each checked by itself."""
    values = values or suite_values()
    classes = {"latents": LatentsConfig, "baselines": SystemConfig, "models": SystemConfig}
    return SimpleNamespace(
        **{
            name: {key: TypeAdapter(block).validate_python(value) for key, value in values[name].items()}
            for name, block in classes.items()
        }
    )


def system(config: SimpleNamespace, key: str, **changes) -> System:
    """The system of that name in checked blocks, with learned latents; V = 2, N = 8."""
    settings = {**config.baselines, **config.models}[key].model_copy(update=changes)
    learned = config.latents.get(settings.latents_name)
    return settings.system(settings, Surroundings(2, 8, learned and learned.shape, learned))


def stage1(config: SimpleNamespace, kind: str, **changes) -> LearnedLatents:
    """Stage 1 of the latents of that kind; V = 2, N = 8."""
    return LearnedLatents(config.latents[kind].model_copy(update=changes), 2, 8)


def untrained(config: SimpleNamespace, key: str) -> LaddModel:
    """The model of that name in checked blocks, with a learned encoder; V = 2."""
    return system(config, key).build()


class SpyHead(nn.Linear):
    """A linear head that remembers how many rows it was called on."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.rows: list[int] = []

    def forward(self, h: Tensor) -> Tensor:
        self.rows.append(h.shape[0])
        return super().forward(h)


class TableDenoiser(nn.Module):
    """A token denoiser whose logits are a fixed function of the noisy sequence: sum_j table[i, j, x_j]."""

    def __init__(self, tokens: int, vocabulary: int):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.table = torch.randn(tokens, tokens, vocabulary + 1, vocabulary, generator=generator, dtype=torch.float64)
        self.token_head = nn.Identity()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        everywhere = torch.arange(x.shape[1])
        return self.table[:, everywhere, x].sum(dim=2).transpose(0, 1)


class TwoTableDenoiser(nn.Module):
    """A two-stream denoiser whose logits are fixed functions of visible tokens and visible one-hot codes."""

    def __init__(self, tokens: int, vocabulary: int, length: int, codebook: int):
        super().__init__()
        generator = torch.Generator().manual_seed(8)

        def table(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.tokens_from_tokens = table(tokens, tokens, vocabulary + 1, vocabulary)
        self.tokens_from_codes = table(tokens, length, codebook, vocabulary)
        self.codes_from_tokens = table(length, tokens, vocabulary + 1, codebook)
        self.codes_from_codes = table(length, length, codebook, codebook)
        self.token_head, self.latent_head = nn.Identity(), nn.Identity()

    def forward(
        self, x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor, z_masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        visible = z.double() * ~z_masked[..., None]
        everywhere = torch.arange(x.shape[1])
        tokens = self.tokens_from_tokens[:, everywhere, x].sum(dim=2).transpose(0, 1)
        codes = self.codes_from_tokens[:, everywhere, x].sum(dim=2).transpose(0, 1)
        tokens = tokens + torch.einsum("blk,nlkv->bnv", visible, self.tokens_from_codes)
        return tokens, codes + torch.einsum("blk,mlkv->bmv", visible, self.codes_from_codes)
