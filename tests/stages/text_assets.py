"""Small stand-ins for the assets of a text suite, made of words that a seed chooses: corpora, encoder, teacher."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from tests.evaluation.tiny_teacher import write_folder

NOUNS = ["farmer", "river", "letter", "engine", "garden", "soldier", "market", "window"]
VERBS = ["crossed", "built", "found", "sold", "watched", "forgot"]
ADJECTIVES = ["old", "quiet", "red", "narrow", "distant"]
WORDS = [*NOUNS, *VERBS, *ADJECTIVES, "the", "a", "and", "near"]
POSITIONS = 160  # of the encoder


def sentence(random: np.random.Generator) -> str:
    """Made-up English, such as "The old farmer crossed a river near the market."."""

    def thing() -> str:
        article, adjective = random.choice(["the", "a"]), random.choice([*ADJECTIVES, "", ""])
        return " ".join(filter(None, [article, adjective, random.choice(NOUNS)]))

    text = f"{thing()} {random.choice(VERBS)} {thing()}"
    if random.random() < 0.4:
        text += f" {random.choice(['near', 'and'])} {thing()}"
    return text.capitalize() + "."


def documents(count: int, seed: int) -> list[str]:
    """Documents of two to eight sentences."""
    random = np.random.default_rng(seed)
    return [" ".join(sentence(random) for _ in range(random.integers(2, 9))) for _ in range(count)]


def write_corpora(folder: Path) -> None:
    """A folder of text files, and stand-ins of the schemas of public evaluation corpora.

    Parquet with `sentence` and spaces around marks (Penn Treebank), Parquet with `text` (LM1B) and with
    `description` (AG News), JSON lines with `article` (PubMed, arXiv).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for index, text in enumerate(documents(60, seed=0)):
        file = folder / "train" / f"{index:02d}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for name, field, seed in (("sentences", "sentence", 1), ("lm1b", "text", 2), ("news", "description", 3)):
        texts = [text.replace(".", " .") for text in documents(40, seed)]
        table = pa.table({field: texts, "label": list(range(len(texts)))})
        pq.write_table(table, folder / f"{name}.parquet")
    for part in range(2):
        file = folder / f"articles/part-{part}/rows.jsonl"
        file.parent.mkdir(parents=True)
        rows = [
            {"article": f"{text}\nby @xmath{part} , see here .", "abstract": "no."} for text in documents(15, 4 + part)
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_encoder(folder: Path) -> None:
    """A transformers folder with a random BERT of width 16 and a WordPiece tokenizer that truncates and pads."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{x}" for x in letters), "."]
    pieces = list(dict.fromkeys(pieces))
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(pieces), max_position_embeddings=POSITIONS, initializer_range=0.5, **sizes)
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.decoder = normalizers.BertNormalizer(), decoders.WordPiece()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(pieces[:5])
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def write_assets(repository: Path) -> None:
    """The folders that `text_suite_values` names."""
    write_corpora(repository / "corpora")
    write_encoder(repository / "encoder")
    write_folder(repository / "teacher")
