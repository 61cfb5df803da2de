"""Truncation and principal components."""

import numpy as np
import pytest
import torch

from ladd.errors import ArtifactError, ConfigError
from ladd.latents.reduction import PrincipalComponents, Reduction, truncate


def sample(count: int = 200, hidden: int = 6) -> torch.Tensor:
    """States with a spread that falls along turned axes, far from the origin."""
    turn = torch.linalg.qr(torch.randn(hidden, hidden)).Q
    return torch.randn(count, hidden) * 2.0 ** -torch.arange(hidden) @ turn + 30.0


def fit_pca(data: torch.Tensor, width: int, *, whiten: bool = False) -> Reduction:
    """Principal components of all rows (M, h), taken in at once."""
    fit = PrincipalComponents(data.shape[-1])
    fit.add(data)
    return fit.reduction(width, whiten=whiten)


def test_truncation_keeps_the_first_coordinates():
    states = torch.randn(2, 3, 5)
    assert torch.equal(truncate(5, 2)(states), states[..., :2])
    assert truncate(5, 2)(states.half()).dtype == torch.float32


def test_components_are_the_right_singular_vectors_of_the_centred_sample():
    data = sample()
    reduction = fit_pca(data, 3)
    centred = data.double().numpy() - data.double().numpy().mean(axis=0)
    _, singular, vectors = np.linalg.svd(centred, full_matrices=False)
    components = reduction.components.numpy()
    np.testing.assert_allclose(np.abs(np.sum(components * vectors[:3].T, axis=0)), 1.0, atol=1e-5)
    np.testing.assert_allclose(reduction.explained, singular[:3] ** 2 / np.sum(singular**2), rtol=1e-4)
    np.testing.assert_allclose(reduction(data).numpy(), centred @ components, atol=1e-4)
    assert reduction.width == 3


def test_largest_entry_of_each_component_is_positive():
    data = sample()
    components = fit_pca(data, 6).components
    assert (components.gather(0, components.abs().argmax(dim=0, keepdim=True)) > 0).all()
    # a sample mirrored at the origin has the same components; only the sign convention makes them equal
    torch.testing.assert_close(fit_pca(-data, 6).components, components)


def test_full_width_loses_nothing():
    data = sample()
    reduction = fit_pca(data, 6)
    torch.testing.assert_close(reduction(data) @ reduction.components.T + reduction.mean, data, atol=1e-4, rtol=0)
    torch.testing.assert_close(reduction.explained.sum(), torch.tensor(1.0))


def test_whitened_coordinates_have_unit_variance_and_no_covariance():
    data = sample()
    torch.testing.assert_close(fit_pca(data, 4, whiten=True)(data).T.cov(), torch.eye(4), atol=1e-3, rtol=0)
    plain = fit_pca(data, 4)(data).T.cov()
    assert plain[0, 0] > 2 * plain[1, 1] > 0


def test_whitening_a_direction_without_spread_stays_finite():
    data = sample()
    data[:, 5] = data[:, 4]
    assert fit_pca(data, 6, whiten=True)(data).isfinite().all()


def test_streaming_fit_is_that_of_the_whole_sample():
    data = sample(201)
    fit = PrincipalComponents(6)
    for chunk in (data[:1], data[1:60].view(59, 1, 6), data[60:]):
        fit.add(chunk)
    assert fit.count == 201
    torch.testing.assert_close(fit.mean, data.double().mean(dim=0))
    torch.testing.assert_close(fit.scatter / 200, data.double().T.cov())
    torch.testing.assert_close(fit.reduction(4).components, fit_pca(data, 4).components)


def test_large_means_do_not_cancel_the_digits_of_the_covariance():
    data = sample().double() + 1e6
    fit = PrincipalComponents(6)
    for chunk in data.split(50):
        fit.add(chunk)
    torch.testing.assert_close(fit.scatter / 199, data.T.cov(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make", [lambda: truncate(6, 4), lambda: fit_pca(sample(), 4)])
def test_saved_and_loaded_reduction_is_the_same(make, tmp_path):
    reduction, states = make(), torch.randn(2, 6)
    reduction.save(tmp_path / "reduction.safetensors")
    loaded = Reduction.load(tmp_path / "reduction.safetensors")
    assert torch.equal(loaded(states), reduction(states))
    torch.testing.assert_close(loaded.explained, reduction.explained, equal_nan=True)
    assert list(loaded.parameters()) == []


def test_cut_reduction_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "reduction.safetensors"
    truncate(6, 4).save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match=rf"{path} cannot be read .*`dvc checkout` puts the file back"):
        Reduction.load(path)


def test_width_beyond_the_encoder_is_refused():
    with pytest.raises(ConfigError, match="width 7 cannot be cut from encoder states of width 6"):
        truncate(6, 7)
    with pytest.raises(ConfigError, match="width 7"):
        fit_pca(sample(), 7)


def test_too_few_states_to_fit_are_refused():
    with pytest.raises(ConfigError, match="need more than 4 latents to fit on, there are 4"):
        fit_pca(sample(4), 4)
