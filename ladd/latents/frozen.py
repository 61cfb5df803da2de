"""Latents of a frozen text encoder (paper, Appendix D).

Shapes: B blocks, N data tokens, S encoder tokens (padded), h width of the encoder's states, L latent positions, w
latent width.

Where every id of the data names the same token in the encoder's tokenizer, the encoder reads the ids of the blocks as
they are: N states, BOS and EOS included. Otherwise it reads the text of the block (decoded, without special tokens)
through its own tokenizer, framed by its own special tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from ladd.errors import MODEL_REMEDY, ArtifactError, ConfigError, reading
from ladd.latents.pooling import adaptive_keep_eos, adaptive_pool, align
from ladd.latents.reduction import Reduction
from ladd.progress import counted

if TYPE_CHECKING:
    import tokenizers
    from transformers import PreTrainedModel

    from ladd.config import ViewConfig


class Tokenizer(Protocol):
    """That of the data."""

    bos: int
    eos: int
    backend: tokenizers.Tokenizer

    def decode_with_offsets(self, ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """Text of a sequence and where in it each token is, in characters."""
        ...


class EncoderStates(NamedTuple):
    """What the encoder makes of B blocks."""

    states: Tensor  # float32 (B, S, h)
    valid: Tensor  # bool (B, S); False is padding
    special: Tensor  # bool (B, S); [CLS], [SEP], BOS, EOS
    spans: Tensor  # int64 (B, S, 2), characters of the block's text; empty for special tokens
    token_spans: Tensor  # int64 (B, N, 2), the same for the data's tokens


class _Block(NamedTuple):
    """A block as the encoder reads it."""

    ids: list[int]
    special: list[bool]
    spans: list[tuple[int, int]]
    token_spans: list[tuple[int, int]]


class FrozenTextEncoder:
    """Token states of a pretrained encoder, and the latents made of them.

    Args:
        network: in evaluation mode, on its device.
        reader: the encoder's tokenizer, which neither truncates nor pads; None where the data's ids are its own.
        tokenizer: that of the data.
        positions: how many tokens the encoder can read.
        batch: blocks at a time.
        name: of the encoder, for errors.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        reader: tokenizers.Tokenizer | None,
        tokenizer: Tokenizer,
        *,
        positions: int,
        batch: int,
        name: str,
    ):
        self.network, self.reader, self.tokenizer = network, reader, tokenizer
        self.positions, self.batch, self.name = positions, batch, name
        self.device: torch.device = network.device
        self.hidden: int = network.config.get_text_config().hidden_size

    @staticmethod
    def load(
        folder: Path,
        tokenizer: Tokenizer,
        *,
        device: torch.device | str = "cpu",
        batch: int,
        precision: torch.dtype | None = None,
    ) -> FrozenTextEncoder:
        """Read a transformers folder; nothing is fetched.

        Args:
            folder: config.json, weights and tokenizer.json.
            precision: of the network; float32 on a CPU and bfloat16 elsewhere if None.
        Raises:
            ArtifactError: the folder has no model or a broken one, or its tokenizer knows no character offsets.
        """
        # Imported here: it takes seconds, and only text with a frozen encoder needs it.
        from transformers import AutoModel, AutoTokenizer

        if not (folder / "config.json").is_file():
            raise ArtifactError(f"{folder}: no config.json, so this is no transformers model; name its folder")
        device = torch.device(device)
        precision = precision or (torch.float32 if device.type == "cpu" else torch.bfloat16)
        with reading(f"encoder: {folder}", MODEL_REMEDY):
            network = AutoModel.from_pretrained(folder, local_files_only=True, dtype=precision)
            wrapper = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if not wrapper.is_fast:
            raise ArtifactError(f"{folder}: a tokenizer without character offsets; the folder needs a tokenizer.json")
        reader = wrapper.backend_tokenizer
        reader.no_truncation()  # both are baked into some files
        reader.no_padding()
        reader.encode_special_tokens = True  # a "[SEP]" spelt out in the text is text, as it is to the data's tokenizer
        limit = getattr(network.config.get_text_config(), "max_position_embeddings", wrapper.model_max_length)
        return FrozenTextEncoder(
            network.eval().requires_grad_(False).to(device),
            None if _same_ids(tokenizer, reader) else reader,
            tokenizer,
            positions=min(limit, wrapper.model_max_length),
            batch=batch,
            name=folder.name,
        )

    def states(self, x: Tensor) -> EncoderStates:
        """States of clean tokens x int64 (B, N), in one batch."""
        return self._run(self._read(x))

    def views(
        self, x: Tensor, views: Mapping[str, ViewConfig], reductions: Mapping[str, Reduction]
    ) -> dict[str, Tensor]:
        """Latents of clean tokens, all views from one pass of the network.

        Adaptive pooling leaves out special tokens, unless a block has nothing else; ``adaptive_keep_eos`` leaves out
        all but the last token.

        Args:
            x: int64 (B, N).
            reductions: of each view (see `fit_reductions`).
        Returns:
            Reduced, un-normalised latents, float32 (B, L, w), on the device of x.
        Raises:
            ConfigError: a block has more tokens than the encoder can read, or 'aligned' is asked for with L != N.
        """
        latents = {name: torch.empty(len(x), view.length, view.width, device=x.device) for name, view in views.items()}
        for rows, pooled in self.pooled(x, views):
            for name, view in views.items():
                reduced = reductions[name].to(self.device)(pooled[view.pooling, view.length])
                latents[name][rows.to(x.device)] = reduced.to(x.device)
        return latents

    def pooled(
        self, x: Tensor, views: Mapping[str, ViewConfig]
    ) -> Iterator[tuple[Tensor, dict[tuple[str, int], Tensor]]]:
        """Batches of blocks of similar length: their rows, and states (b, L, h) for each (pooling, L) of the views."""
        for name, view in views.items():
            if view.pooling == "aligned" and view.length != x.shape[1]:
                raise ConfigError(
                    f"views.{name}: pooling 'aligned' gives a latent per token, so length must be {x.shape[1]}, "
                    f"not {view.length}; set it, or choose 'adaptive'"
                )
        blocks = self._read(x)
        lengths = torch.tensor([len(block.ids) for block in blocks])
        for rows in counted(lengths.argsort(descending=True, stable=True).split(self.batch), "encoder", "batch"):
            encoded = self._run([blocks[row] for row in rows])
            wanted = {(view.pooling, view.length) for view in views.values()}
            yield rows, {(pooling, length): self._pool(encoded, pooling, length) for pooling, length in wanted}

    def _pool(self, encoded: EncoderStates, pooling: str, length: int) -> Tensor:
        states, valid, special, spans, token_spans = encoded
        if pooling == "aligned":
            return states if self.reader is None else align(states, valid, spans, token_spans)
        content = valid & ~special
        if pooling == "adaptive_keep_eos":
            content = content | (valid & (valid.cumsum(dim=1) == valid.sum(dim=1, keepdim=True)))
            return adaptive_keep_eos(states, content, length)
        return adaptive_pool(states, torch.where(content.any(dim=1, keepdim=True), content, valid), length)

    def _read(self, x: Tensor) -> list[_Block]:
        blocks = self._own_ids(x.tolist()) if self.reader is None else self._own_text(x.tolist())
        longest = max((len(block.ids) for block in blocks), default=0)
        if longest > self.positions:
            raise ConfigError(
                f"data: a block of {x.shape[1]} tokens is {longest} tokens of the encoder {self.name}, which can read "
                f"{self.positions}; lower `tokens` of the data, or choose an encoder with more positions"
            )
        return blocks

    def _own_ids(self, rows: list[list[int]]) -> list[_Block]:
        frame = {self.tokenizer.bos, self.tokenizer.eos}
        places = [(place, place) for place in range(len(rows[0]))] if rows else []
        return [_Block(row, [token in frame for token in row], places, places) for row in rows]

    def _own_text(self, rows: list[list[int]]) -> list[_Block]:
        assert self.reader is not None
        texts, token_spans = zip(*map(self.tokenizer.decode_with_offsets, rows), strict=True) if rows else ((), ())
        encodings = self.reader.encode_batch(list(texts))
        return [
            _Block(e.ids, [bool(special) for special in e.special_tokens_mask], e.offsets, spans)
            for e, spans in zip(encodings, token_spans, strict=True)
        ]

    @torch.no_grad()
    def _run(self, blocks: list[_Block]) -> EncoderStates:
        """One pass of the network over blocks padded to the longest."""
        longest = max(1, max(len(block.ids) for block in blocks))
        ids, special = torch.zeros(2, len(blocks), longest, dtype=torch.int64)
        spans = torch.zeros(len(blocks), longest, 2, dtype=torch.int64)
        valid = torch.arange(longest) < torch.tensor([len(block.ids) for block in blocks])[:, None]
        for row, block in enumerate(blocks):
            length = len(block.ids)
            ids[row, :length] = torch.tensor(block.ids, dtype=torch.int64)
            special[row, :length] = torch.tensor(block.special, dtype=torch.int64)
            spans[row, :length] = torch.tensor(block.spans, dtype=torch.int64).view(-1, 2)
        token_spans = torch.tensor([block.token_spans for block in blocks], dtype=torch.int64)
        attended = valid | (torch.arange(longest) == 0)  # a block without any token still needs something to attend to
        states = self.network(
            input_ids=ids.to(self.device), attention_mask=attended.to(self.device, torch.int64)
        ).last_hidden_state
        rest = (tensor.to(self.device) for tensor in (valid, special.bool(), spans, token_spans))
        return EncoderStates(states.float(), *rest)


class LatentEncoder:
    """One view as a function of tokens, for text that has no stored latents.

    Agrees with the stored shards, which are normalised, to the precision of float16.
    """

    def __init__(self, encoder: FrozenTextEncoder, view: ViewConfig, reduction: Reduction):
        self.encoder, self.view, self.reduction = encoder, view, reduction

    def __call__(self, x: Tensor) -> Tensor:
        """Reduced, un-normalised latents, float32 (B, L, w), of clean tokens x int64 (B, N)."""
        return self.encoder.views(x, {"view": self.view}, {"view": self.reduction})["view"]


def _same_ids(tokenizer: Tokenizer, reader: tokenizers.Tokenizer) -> bool:
    """Whether every id of the data names the same token for the encoder."""
    known = reader.get_vocab(with_added_tokens=True)
    return tokenizer.backend.get_vocab(with_added_tokens=True).items() <= known.items()
