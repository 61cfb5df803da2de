"""Tiny teachers in local files, with random weights and a byte-level tokenizer."""

from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEPARATOR = "<|endoftext|>"
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [("Ċ", "Ċ"), ("t", "h"), ("th", "e"), ("<", "|")]  # two line ends, "th", "the", the start of the separator
VOCABULARY = [SEPARATOR, *BYTES, *("".join(pair) for pair in MERGES)]
WIDTH, CONTEXT = 16, 64


def byte_tokenizer(*, separator: bool = True) -> Tokenizer:
    """Id 0 is the separator, or a letter that no text has."""
    vocabulary = VOCABULARY if separator else ["unused", *VOCABULARY[1:]]
    tokenizer = Tokenizer(models.BPE({token: place for place, token in enumerate(vocabulary)}, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if separator:
        tokenizer.add_special_tokens([AddedToken(SEPARATOR, special=True)])
    return tokenizer


def write_folder(folder: Path) -> None:
    """A transformers folder whose tokenizer has truncation and padding baked in, as some have."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=SEPARATOR).save_pretrained(folder)


def write_gguf(path: Path, pre_tokenizer: str | None) -> None:
    """A GGUF file of one layer, with 8-bit weights where the format has them."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    if pre_tokenizer is not None:
        writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(VOCABULARY)
    control, normal = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)
    writer.add_token_types([control, *[normal] * (len(VOCABULARY) - 1)])
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    random = np.random.default_rng(2)
    blocks = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    for name in ["token_embd", *(f"blk.0.{block}" for block in blocks)]:
        weight = 0.3 * random.standard_normal((len(VOCABULARY) if name == "token_embd" else 32, 32))
        packed = gguf.quantize(weight.astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
