"""Stage 1 networks: encoder, quantiser, denoiser."""

import pytest
import torch

from ladd.latents.codebook import Codebook, vector_quantiser
from ladd.latents.model import LatentModel, encode_frozen
from ladd.networks import Encoder
from tests.builders import blocks, network, perturb, stage1

X = torch.randint(2, (16, 8))


def latent_model(kind: str) -> LatentModel:
    return perturb(stage1(blocks(), kind).build())


@pytest.fixture
def discrete() -> LatentModel:
    """A model whose codebook has been initialised and moved."""
    model = latent_model("discrete").train()
    model.quantising.fill_(True)
    for _ in range(3):
        model.encode(X)
    return model


def test_discrete_latents_stay_continuous_until_the_quantiser_starts():
    model = latent_model("discrete").train()
    encoded = model.encode(X)
    assert encoded.codes is None
    torch.testing.assert_close(encoded.vectors.norm(dim=-1), torch.full((16, 2), model.scale))
    assert not model.quantiser._codebook.initted
    model.quantising.fill_(True)
    assert model.encode(X).codes is not None
    assert model.quantiser._codebook.initted


def test_continuous_latents_have_their_scale_as_norm():
    encoded = latent_model("continuous").encode(X)
    assert encoded.codes is None
    assert encoded.commitment == 0
    torch.testing.assert_close(encoded.vectors.norm(dim=-1), torch.full((16, 2), 2.0))


def test_quantiser_has_the_settings_of_the_paper():
    quantiser = vector_quantiser(5, 4)
    codebook = quantiser._codebook
    assert codebook.use_cosine_sim
    assert quantiser.commitment_weight == 0.1
    assert (codebook.decay, codebook.threshold_ema_dead_code) == (0.95, 2)
    assert not codebook.initted  # k-means on the first batch


def test_codebook_is_initialised_and_moves_in_training(discrete):
    before = discrete.quantiser.codebook.clone()
    discrete.encode(X)
    assert not torch.equal(discrete.quantiser.codebook, before)


def test_codebook_stands_still_in_evaluation(discrete):
    discrete.eval()
    before = discrete.quantiser.codebook.clone()
    discrete.encode(torch.randint(2, (16, 8)))
    assert torch.equal(discrete.quantiser.codebook, before)


def test_codes_name_vectors_of_the_scale_asked_for(discrete):
    encoded = discrete.eval().encode(X)
    assert encoded.codes.shape == (16, 2)
    torch.testing.assert_close(encoded.vectors, 2.0 * discrete.quantiser.codebook[encoded.codes])


def test_straight_through_gradient_reaches_the_encoder(discrete):
    discrete.encode(X).vectors[..., 0].sum().backward()
    assert discrete.encoder.projection.weight.grad.abs().sum() > 0


def test_commitment_pulls_the_encoder(discrete):
    commitment = discrete.encode(X).commitment
    assert commitment.shape == ()
    commitment.backward()
    assert discrete.encoder.projection.weight.grad.abs().sum() > 0


def test_frozen_codebook_assigns_like_the_quantiser(discrete):
    discrete.eval()
    encoded, codebook = discrete.encode(X), discrete.frozen_codebook()
    vectors, codes = encode_frozen(discrete.encoder, codebook, 1.0, X)
    assert len(codes.unique()) > 1
    assert torch.equal(codes, encoded.codes)
    torch.testing.assert_close(vectors, encoded.vectors)


def test_frozen_codebook_is_a_copy_at_the_scale_asked_for(discrete):
    codebook = discrete.frozen_codebook()
    before = codebook.vectors.clone()
    torch.testing.assert_close(before.norm(dim=-1), torch.full((3,), 2.0))
    discrete.encode(X)
    assert torch.equal(codebook.vectors, before)


def test_frozen_encoding_has_no_gradient_and_no_dropout():
    encoder = perturb(Encoder(2, length=2, latent_width=4, **network(dropout=0.5))).train()
    for codebook in (None, Codebook(3, 4)):
        first, second = (encode_frozen(encoder, codebook, 2.0, X)[0] for _ in range(2))
        assert not first.requires_grad
        assert torch.equal(first, second)


def test_frozen_continuous_encoding_is_that_of_stage_1():
    model = latent_model("continuous").eval()
    vectors, codes = encode_frozen(model.encoder, None, 2.0, X)
    assert codes is None
    torch.testing.assert_close(vectors, model.encode(X).vectors)
