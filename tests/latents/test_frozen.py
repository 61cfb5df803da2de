"""Latents of a frozen text encoder: a tiny random BERT, and blocks whose alignment is plain to see."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ladd.config import ViewConfig
from ladd.data.shards import Rows
from ladd.errors import ArtifactError, ConfigError
from ladd.latents.frozen import FrozenTextEncoder, LatentEncoder
from ladd.latents.precompute import encode_blocks, fit_reductions
from ladd.latents.reduction import PrincipalComponents, truncate
from ladd.tasks.text.tokenizer import Tokenizer

HIDDEN, POSITIONS = 16, 24
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcd", *(f"##{letter}" for letter in "abcd"), "ab", "##cd", "."]
BOS, EOS = 0, 1
# The data's own tokens: other pieces than the encoder's, with their spaces.
WORDS = ["<bos>", "<eos>", "a", "b", " ab", "cd", "abc", " ", "d .", " c", "[PAD]"]


class WordTokenizer:
    """Data tokens whose text is their concatenation."""

    bos, eos = BOS, EOS

    def __init__(self, vocabulary=None):
        self.backend = SimpleNamespace(
            get_vocab=lambda with_added_tokens: vocabulary or {word: i for i, word in enumerate(WORDS)}
        )

    def decode_with_offsets(self, ids):
        text, spans = "", []
        for token in ids:
            start = len(text)
            text += "" if token in (BOS, EOS) else WORDS[token]
            spans.append((start, len(text)))
        return text, spans


def save_encoder(folder: Path, *, framed: bool = True) -> Path:
    """A transformers folder; its tokenizer cuts texts at 4 tokens and pads them to 4."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(PIECES), max_position_embeddings=POSITIONS, initializer_range=0.5, **sizes)
    BertModel(config).save_pretrained(folder)
    reader = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    reader.normalizer = normalizers.BertNormalizer()
    reader.pre_tokenizer, reader.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    if framed:
        specials = [(name, PIECES.index(name)) for name in ("[CLS]", "[SEP]")]
        reader.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=specials)
    reader.enable_truncation(4)
    reader.enable_padding(length=4)
    PreTrainedTokenizerFast(tokenizer_object=reader, pad_token="[PAD]").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def encoder(folder) -> FrozenTextEncoder:
    return FrozenTextEncoder.load(folder, WordTokenizer(), batch=3)


@pytest.fixture
def own(folder) -> FrozenTextEncoder:
    """An encoder whose tokens are the data's."""
    return FrozenTextEncoder.load(folder, Tokenizer.load(folder / "tokenizer.json"), batch=3)


def view(
    pooling: str, length: int, width: int = 5, reduction: str = "truncate", *, unit_variance: bool = True
) -> ViewConfig:
    return ViewConfig(length=length, width=width, pooling=pooling, reduction=reduction, unit_variance=unit_variance)


def latents(encoder: FrozenTextEncoder, x: torch.Tensor, pooling: str, length: int) -> torch.Tensor:
    """Latents of one view at the full width."""
    return LatentEncoder(encoder, view(pooling, length, HIDDEN), truncate(HIDDEN, HIDDEN))(x)


def direct(encoder: FrozenTextEncoder, *pieces: str) -> torch.Tensor:
    """States (S, h) of one sequence of pieces, straight from the network."""
    ids = torch.tensor([[PIECES.index(piece) for piece in pieces]])
    return encoder.network(input_ids=ids).last_hidden_state[0]


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def blocks(count: int = 10, tokens: int = 8) -> torch.Tensor:
    """Framed blocks, int64 (count, tokens)."""
    x = torch.randint(2, 10, (count, tokens), generator=torch.Generator().manual_seed(0))
    x[:, 0], x[:, -1] = BOS, EOS
    return x


def ids(*words: str) -> torch.Tensor:
    return torch.tensor([[WORDS.index(word) for word in words]])


# "abcab d .": the encoder reads [CLS] ab ##c ##a ##b d . [SEP]
X = ids("<bos>", "abc", "a", "b", " ", "d .", "<eos>")
READ = ("[CLS]", "ab", "##c", "##a", "##b", "d", ".", "[SEP]")


def test_states_are_those_of_the_decoded_text_whole_and_unpadded(encoder):
    encoded = encoder.states(X)
    close(encoded.states[0], direct(encoder, *READ))
    assert encoded.valid.all()
    assert encoded.special[0].tolist() == [True, *[False] * 6, True]
    assert encoded.spans[0].tolist() == [[0, 0], [0, 2], [2, 3], [3, 4], [4, 5], [6, 7], [8, 9], [0, 0]]
    assert encoded.token_spans[0].tolist() == [[0, 0], [0, 3], [3, 4], [4, 5], [5, 6], [6, 9], [9, 9]]
    assert encoder.hidden == HIDDEN


def test_states_do_not_depend_on_the_padding(encoder):
    short = ids("<bos>", "a", "<eos>", "<eos>", "<eos>", "<eos>", "<eos>")
    encoded = encoder.states(torch.cat([X, short]))
    assert encoded.valid.sum(dim=1).tolist() == [8, 3]
    close(encoded.states[1, :3], direct(encoder, "[CLS]", "a", "[SEP]"))
    assert not encoded.states.requires_grad
    assert not encoder.network.training


def test_adaptive_pooling_leaves_special_tokens_out(encoder):
    states = direct(encoder, *READ)
    close(latents(encoder, X, "adaptive", 2)[0], torch.stack([states[1:4].mean(dim=0), states[4:7].mean(dim=0)]))


def test_keep_eos_ends_with_the_state_of_the_last_special_token(encoder):
    states = direct(encoder, *READ)
    close(latents(encoder, X, "adaptive_keep_eos", 2)[0], torch.stack([states[1:7].mean(dim=0), states[7]]))


def test_aligned_states_are_means_over_the_characters_shared(encoder):
    cls, ab, c, a, b, d, stop, sep = direct(encoder, *READ)
    expected = torch.stack([cls, (ab + c) / 2, a, b, b, (d + stop) / 2, sep])  # the space takes the token before
    close(latents(encoder, X, "aligned", 7)[0], expected)


def test_blocks_without_text_have_the_states_of_the_frame(encoder):
    cls, sep = direct(encoder, "[CLS]", "[SEP]")
    x = ids("<bos>", "<eos>", "<eos>")
    close(latents(encoder, x, "adaptive", 1)[0], ((cls + sep) / 2)[None])
    close(latents(encoder, x, "adaptive_keep_eos", 2)[0], torch.stack([cls, sep])[[1, 1]])
    close(latents(encoder, x, "aligned", 3)[0], torch.stack([cls, sep, sep]))


def test_encoder_without_special_tokens(tmp_path):
    encoder = FrozenTextEncoder.load(save_encoder(tmp_path, framed=False), WordTokenizer(), batch=3)
    x = torch.cat([ids("<bos>", "a", "d .", "<eos>"), ids("<bos>", "<eos>", "<eos>", "<eos>")])
    states = direct(encoder, "a", "##d", ".")
    close(latents(encoder, x, "adaptive_keep_eos", 2)[0], torch.stack([states[:2].mean(dim=0), states[2]]))
    for pooling, length in (("adaptive", 2), ("adaptive_keep_eos", 2), ("aligned", 4)):
        assert (latents(encoder, x, pooling, length)[1] == 0).all()


def test_own_tokens_are_read_as_ids_and_aligned_as_they_are(own):
    row = ["[CLS]", "ab", ".", "[SEP]", "a", "##cd", "[SEP]"]
    x = torch.tensor([[PIECES.index(piece) for piece in row]])
    states = direct(own, *row)
    assert torch.equal(latents(own, x, "aligned", 7)[0], states)
    close(latents(own, x, "adaptive", 1)[0, 0], states[[1, 2, 4, 5]].mean(dim=0))  # neither frame nor separator
    close(
        latents(own, x, "adaptive_keep_eos", 3)[0],
        torch.stack([states[[1, 2]].mean(0), states[[4, 5]].mean(0), states[6]]),
    )


@pytest.mark.parametrize(
    ("vocabulary", "own"),
    [
        ({"[CLS]": 2, "a": 4}, True),
        ({"[CLS]": 2, "a": 5}, False),  # the id of another token
        ({"[CLS]": 2, "a": 4, "<eos>": 19}, False),  # a token that the encoder has never seen
    ],
)
def test_ids_are_read_as_they_are_only_if_each_names_the_same_token(folder, vocabulary, own):
    encoder = FrozenTextEncoder.load(folder, WordTokenizer(vocabulary), batch=3)
    assert (encoder.reader is None) == own


def test_special_token_spelt_out_in_the_text_is_text(encoder):
    expected = direct(encoder, "[CLS]", "[UNK]", "[UNK]", "[UNK]", "[SEP]")
    encoded = encoder.states(ids("<bos>", "[PAD]", "<eos>"))
    close(encoded.states[0], expected)
    assert encoded.special[0].tolist() == [True, False, False, False, True]


def test_aligned_needs_a_latent_per_token(encoder):
    with pytest.raises(ConfigError, match=r"views\.view: pooling 'aligned' .* length must be 7, not 6"):
        latents(encoder, X, "aligned", 6)


def test_text_beyond_the_encoders_positions_is_refused(encoder):
    x = torch.full((1, 23), WORDS.index("a"))
    latents(encoder, x[:, :22], "adaptive", 1)  # 24 with [CLS] and [SEP]
    with pytest.raises(ConfigError, match=r"a block of 23 tokens is 25 tokens of the encoder .*, which can read 24"):
        latents(encoder, x, "adaptive", 1)


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"no config\.json"):
        FrozenTextEncoder.load(tmp_path, WordTokenizer(), batch=3)


VIEWS = {
    "few": view("adaptive", 2),
    "wide": view("adaptive", 2, 9, unit_variance=False),
    "kept": view("adaptive_keep_eos", 3, 4, "pca"),
}
NORMS = {"few": 5**0.5, "wide": 1.0, "kept": 2.0}  # of each latent vector: sqrt(w), or 1


def test_one_pass_serves_every_view_in_the_order_of_the_rows(encoder, monkeypatch):
    passes, forward = [], encoder.network.forward
    monkeypatch.setattr(encoder.network, "forward", lambda **given: passes.append(1) or forward(**given))
    x, reductions = blocks(), fit_reductions(encoder, Rows([blocks().numpy()], torch.device("cpu")), VIEWS, fit=10)
    passes.clear()
    together = encoder.views(x, VIEWS, reductions)
    assert len(passes) == 4  # 10 blocks, 3 at a time
    for name, each in VIEWS.items():
        assert together[name].shape == (10, each.length, each.width)
        alone = torch.cat([LatentEncoder(encoder, each, reductions[name])(row[None]) for row in x])
        close(together[name], alone)
    assert torch.equal(together["wide"][..., :5], together["few"])


def test_components_are_fitted_on_rows_evenly_spaced(encoder):
    x = blocks(9)
    reduction = fit_reductions(encoder, Rows([x.numpy()], torch.device("cpu")), VIEWS, fit=3)["kept"]
    chosen = x[[0, 4, 8]]
    principal = PrincipalComponents(HIDDEN)
    principal.add(latents(encoder, chosen, "adaptive_keep_eos", 3))
    expected = principal.reduction(4)
    close(reduction.mean, expected.mean)
    close(reduction(latents(encoder, x, "adaptive_keep_eos", 3)), expected(latents(encoder, x, "adaptive_keep_eos", 3)))


def write(encoder, target: Path, rows: Rows) -> dict[str, bytes]:
    """Shards of 4 blocks; their bytes by name."""
    encode_blocks(encoder, rows, target, VIEWS, fit_reductions(encoder, rows, VIEWS, fit=10), shard=4)
    return {str(path.relative_to(target)): path.read_bytes() for path in sorted(target.rglob("*.arrow"))}


@pytest.fixture
def rows() -> Rows:
    """10 blocks in two shards."""
    x = blocks().numpy().astype(np.uint8)
    return Rows([x[:7], x[7:]], torch.device("cpu"))


def test_shards_hold_the_normalised_latents_of_the_blocks_in_float16(encoder, rows, tmp_path):
    write(encoder, tmp_path, rows)
    reductions = fit_reductions(encoder, rows, VIEWS, fit=10)
    for name, each in VIEWS.items():
        stored = Rows.open(tmp_path / name, torch.device("cpu"))
        assert stored.shape == (10, each.length, each.width)
        assert [len(shard) for shard in stored.shards] == [4, 4, 2]
        assert stored[:].dtype == torch.float16
        fresh = LatentEncoder(encoder, each, reductions[name])(blocks())
        expected = NORMS[name] * fresh / fresh.square().sum(dim=-1, keepdim=True).sqrt()
        torch.testing.assert_close(stored[:].float(), expected, rtol=2**-10, atol=1e-5)


def test_finished_shards_are_kept_and_the_others_made_anew(encoder, rows, tmp_path):
    whole = write(encoder, tmp_path / "whole", rows)
    assert write(encoder, tmp_path / "again", rows) == whole
    (tmp_path / "again" / "kept" / "00001.arrow").unlink()
    (tmp_path / "again" / "few" / "00000.arrow").write_bytes(b"kept")
    assert write(encoder, tmp_path / "again", rows) == whole | {"few/00000.arrow": b"kept"}


def test_killed_run_goes_on_to_the_same_bytes(encoder, rows, tmp_path, monkeypatch):
    whole, views = write(encoder, tmp_path / "whole", rows), encoder.views

    def killed(x, *rest):
        if x.shape[0] < 4:  # the last shard
            raise KeyboardInterrupt
        return views(x, *rest)

    monkeypatch.setattr(encoder, "views", killed)
    with pytest.raises(KeyboardInterrupt):
        write(encoder, tmp_path / "killed", rows)
    assert len(list((tmp_path / "killed").rglob("*.arrow"))) == 6
    monkeypatch.undo()
    assert write(encoder, tmp_path / "killed", rows) == whole


@pytest.mark.parametrize("value", [torch.inf, torch.nan, 3e38])
def test_latents_that_are_no_numbers_are_refused(encoder, rows, tmp_path, value):
    reduction = truncate(HIDDEN, 5)
    reduction.components.fill_(value)  # the last overflows in the product
    with pytest.raises(ArtifactError, match="float16 cannot hold"):
        encode_blocks(encoder, rows, tmp_path, {"few": VIEWS["few"]}, {"few": reduction}, shard=4)
    assert not list(tmp_path.rglob("*.arrow"))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_cut_files_are_one_line_with_file_and_remedy(tmp_path, name):
    folder = save_encoder(tmp_path / "encoder")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError) as caught:
        FrozenTextEncoder.load(folder, WordTokenizer(), batch=2)
    assert str(caught.value).startswith(f"encoder: {folder} cannot be read (")
    assert "fetch it again" in str(caught.value)
    assert "\n" not in str(caught.value)
