"""A fixed autoregressive teacher that scores generated text (paper, Section E.4, Eqs. 81-82)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ladd.assets import store_folder
from ladd.assets.store import make_once
from ladd.errors import MODEL_REMEDY, ArtifactError, ConfigError, reading
from ladd.files import file_hash
from ladd.progress import counted

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import TokenizersBackend

# Scores under different rules are not comparable: change the number with the rule.
TEACHER_RULE = (
    "1: text decoded without special tokens and tokenised as plain text, none added; one <|endoftext|>, else the "
    "teacher's BOS, stands in front and is not scored, so that the first token is; only the first `window` tokens "
    "are scored; a text without tokens scores nothing; float32 log-softmax, float64 sums"
)
WINDOW = 1023  # GPT-2's context without the token in front
LEAD = "<|endoftext|>"
# Names under tokenizer.ggml.pre whose byte-level pre-tokenizer is known -> whether it splits digits first, which
# transformers leaves out of what it makes of the file: the tokens of "\n\n1862" would differ.
GGUF_SPLITS_DIGITS = {"gpt-2": False, "smollm": True}


@dataclass(frozen=True)
class TeacherScores:
    """Scores of n texts.

    Attributes:
        nll: float64 (n,), negative log-likelihood of the scored tokens, in nats.
        tokens: int64 (n,), scored teacher tokens; 0 for a text without tokens.
        truncated: bool (n,), whether the text was longer than the window and only its beginning is scored.
    """

    nll: Tensor
    tokens: Tensor
    truncated: Tensor


class Teacher:
    """Scores texts under TEACHER_RULE.

    Args:
        network: causal language model of transformers.
        tokenizer: turns text into its ids; its truncation, padding and special tokens are switched off.
        lead: id of the token in front, or None: then the first token of a text is not scored.
        batch: texts at a time; their logits take batch x window x V x 4 bytes at most.
        window: most tokens of a text that are looked at.
    Raises:
        ConfigError: the network's context is shorter than the window and the token in front.
    """

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Tokenizer,
        lead: int | None,
        *,
        device: torch.device | str,
        batch: int,
        window: int = WINDOW,
    ):
        self.network = network.eval().to(device)
        self.tokenizer = tokenizer
        self.lead = [] if lead is None else [lead]
        self.device, self.batch, self.window = device, batch, window
        config: Any = network.config
        context = config.max_position_embeddings
        if window + len(self.lead) > context:
            raise ConfigError(
                f"teacher: a window of {window} tokens and the one in front do not fit its context of {context}; "
                f"set a window of at most {context - len(self.lead)}"
            )
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "<|endoftext|>" in a sample is text like any other

    @classmethod
    def load(cls, path: Path, *, device: torch.device | str, batch: int, window: int = WINDOW) -> Teacher:
        """Read a teacher from local files, in float32.

        Args:
            path: transformers folder, or GGUF file.
        Raises:
            ArtifactError: the files are not there or broken, or the pre-tokenizer of a GGUF file is not known.
        """
        # Imported here: slow to start, and not needed to import the package.
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        packed = path.is_file()
        if not packed and not (path / "config.json").is_file():
            raise ArtifactError(
                f"teacher: {path} is neither a GGUF file nor a folder with config.json, weights and tokenizer; name "
                "one that is there"
            )
        folder = path.parent if packed else path
        options: dict[str, Any] = {"local_files_only": True} | ({"gguf_file": path.name} if packed else {})
        with reading(f"teacher: {path}", MODEL_REMEDY), quiet_transformers():
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, **options)
            if packed:
                split_digits(tokenizer.backend_tokenizer, path)
                options["quantization_config"] = GgufConfig(dequantize=True)
            network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
        lead = lead_token(tokenizer)
        return cls(network, tokenizer.backend_tokenizer, lead, device=device, batch=batch, window=window)

    def save(self, folder: Path) -> None:
        """Write a transformers folder that `load` reads, with the tokenizer as it is used."""
        from transformers import PreTrainedTokenizerFast

        network: Any = self.network
        lead = self.tokenizer.id_to_token(self.lead[0]) if self.lead else None
        with quiet_transformers():
            network.save_pretrained(folder)
            PreTrainedTokenizerFast(tokenizer_object=self.tokenizer, bos_token=lead).save_pretrained(folder)

    @torch.no_grad()
    def score(self, texts: list[str]) -> TeacherScores:
        """Scores of texts, in their order; up to float32 rounding they do not depend on the batch."""
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False)]
        ids = [self.lead + tokens[: self.window] for tokens in encoded]
        tokens = torch.tensor([max(len(row) - 1, 0) for row in ids], dtype=torch.long)
        nll = torch.zeros(len(ids), dtype=torch.float64)
        # Texts of like length share a batch, so that little of it is padding.
        order = [row for row in tokens.argsort(stable=True).tolist() if tokens[row] > 0]
        for start in counted(range(0, len(order), self.batch), "teacher", "batch"):
            rows = order[start : start + self.batch]
            nll[rows] = self._negative_log_likelihood([ids[row] for row in rows])
        return TeacherScores(nll, tokens, torch.tensor([len(row) > self.window for row in encoded], dtype=torch.bool))

    def _negative_log_likelihood(self, ids: list[list[int]]) -> Tensor:
        """Sums over each row without its first token, float64 (B,)."""
        lengths = [len(row) for row in ids]
        x = torch.zeros(len(ids), max(lengths), dtype=torch.long)
        for row, tokens in zip(x, ids, strict=True):
            row[: len(tokens)] = torch.tensor(tokens)
        attended = torch.arange(x.shape[1]) < torch.tensor(lengths)[:, None]
        x = x.to(self.device)
        logits = self.network(input_ids=x, attention_mask=attended.long().to(self.device), use_cache=False).logits
        # One text at a time: the log-softmax of a whole batch would take the memory of the logits once more.
        sums = [
            nn.functional.cross_entropy(row[: length - 1].float(), target[1:length], reduction="none").double().sum()
            for row, target, length in zip(logits, x, lengths, strict=True)
        ]
        return torch.stack(sums).cpu()


def load_teacher(path: Path, root: Path, *, device: torch.device | str, batch: int, window: int) -> Teacher:
    """A teacher; a GGUF file is unpacked once, beside the assets, because reading it takes longer than scoring.

    Args:
        path: transformers folder, or GGUF file.
    """
    if path.suffix == ".gguf":
        path = _unpacked(path, store_folder(root) / "teachers" / file_hash(path))
    return Teacher.load(path, device=device, batch=batch, window=window)


def _unpacked(path: Path, folder: Path) -> Path:
    """The transformers folder of a GGUF file."""

    def make(scratch: Path) -> Path:
        Teacher.load(path, device="cpu", batch=1, window=1).save(scratch / "teacher")
        return scratch / "teacher"

    return make_once(folder, make)


def lead_token(tokenizer: TokenizersBackend) -> int | None:
    """Id of the token in front of a text: the document separator of pre-training, else BOS, else None."""
    separator = tokenizer.backend_tokenizer.token_to_id(LEAD)
    return tokenizer.bos_token_id if separator is None else separator


def split_digits(tokenizer: Tokenizer, path: Path) -> None:
    """Make the pre-tokenizer of a byte-level tokenizer the one that its GGUF file names.

    Raises:
        ArtifactError: the name is not in GGUF_SPLITS_DIGITS.
    """
    from gguf import GGUFReader
    from tokenizers.pre_tokenizers import Digits, Sequence

    field = GGUFReader(path).get_field("tokenizer.ggml.pre")
    name = None if field is None else field.contents()
    if name not in GGUF_SPLITS_DIGITS:
        raise ArtifactError(
            f"teacher: {path} names the pre-tokenizer {name!r}, of which only {sorted(GGUF_SPLITS_DIGITS)} are known; "
            "use a transformers folder of the same model"
        )
    if GGUF_SPLITS_DIGITS[name]:
        tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), tokenizer.pre_tokenizer])


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no warnings of transformers inside; errors pass.

    The bar over the tensors of a GGUF file is not under this switch of transformers and still shows.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
