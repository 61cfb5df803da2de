"""Small tokenizers and texts."""

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from ladd.tasks.text.tokenizer import Tokenizer

SENTENCES = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind.\n\n",
    "In 1790 there were 3,929,214 people; caf\u00e9s were few. \u4f60\u597d! \U0001f600\U0001f680\n",
    "the other fox of the quick dog's house jumps there too -- over and over again",
]


def trained(vocabulary: int = 330) -> Tokenizer:
    """Byte-level BPE of the sentences."""
    return Tokenizer.train(SENTENCES * 3, vocabulary)


def word_piece_backend() -> Backend:
    """Uncased WordPiece with BERT's special tokens, truncating to four tokens and padding to eight."""
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "fox",
        "jump",
        "##s",
        "##ing",
        ",",
        ".",
        "[",
        "]",
        "sep",
    ]
    backend = Backend(models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.add_special_tokens(words[:5])
    backend.enable_truncation(4)
    backend.enable_padding(length=8)
    return backend


def byte_level_backend(*special: str, plain: tuple[str, ...] = ()) -> Backend:
    """Byte-level BPE without merges, with added tokens after the bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE({character: index for index, character in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in special])
    backend.add_tokens([AddedToken(token, special=False) for token in plain])
    return backend
