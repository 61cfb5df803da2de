"""The frozen codebook."""

import torch

from ladd.latents.codebook import Codebook


def codebook() -> Codebook:
    book = Codebook(7, 4)
    book.vectors.copy_(torch.nn.functional.normalize(torch.randn(7, 4), dim=-1))
    return book


def test_nearest_inverts_lookup():
    book, codes = codebook(), torch.randint(7, (3, 5))
    assert torch.equal(book.nearest(book.lookup(codes)), codes)


def test_lookup_returns_the_entries():
    book = codebook()
    assert torch.equal(book.lookup(torch.tensor([[2, 6]])), book.vectors[[2, 6]][None])


def test_nearest_is_the_largest_cosine_similarity_at_any_length():
    book, z = codebook(), torch.randn(3, 5, 4)
    expected = torch.cosine_similarity(z[:, :, None], book.vectors, dim=-1).argmax(dim=-1)
    assert torch.equal(book.nearest(z), expected)
    assert torch.equal(book.nearest(z * torch.rand(3, 5, 1) * 50), expected)


def test_codebook_is_saved_and_never_trained():
    book = codebook()
    assert list(book.parameters()) == []
    assert list(book.state_dict()) == ["vectors"]
