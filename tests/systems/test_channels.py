"""Times and losses of the two channels."""

import itertools
import math

import pytest
import torch
from torch import nn

from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.schedules import DISCRETE_SCHEDULES, GAUSSIAN_SCHEDULES
from ladd.diffusion.times import draw_channel_times
from ladd.latents.codebook import Codebook
from ladd.latents.prior import LatentPrior, prior_loss
from ladd.networks import MMDiT
from ladd.systems.channels import Codes, Latents, Vectors, pair_losses
from tests.builders import SpyHead, TwoTableDenoiser, network, perturb

TOKENS, VOCABULARY, LENGTH, CODES = 3, 2, 2, 3
X, C = torch.tensor([1, 0, 1]), torch.tensor([2, 0])
PROCESS = MaskedProcess(DISCRETE_SCHEDULES["linear"], VOCABULARY)
SQRT = GaussianProcess(GAUSSIAN_SCHEDULES["sqrt"])
CODES_CHANNEL, VECTORS_CHANNEL = Codes("linear", CODES), Vectors("sqrt")


def noise(batch: int = 16) -> SampleNoise:
    return SampleNoise(0, torch.arange(batch))


def add_noise(z, t, noise_, stream: str):
    return SQRT.corrupt(z, t, StreamNoise(noise_, stream)).state


def beta(a: int, b: int) -> float:
    return math.gamma(a) * math.gamma(b) / math.gamma(a + b)


def test_independent_times_of_the_channels_are_not_correlated():
    correlations = []
    for step in range(200):
        times = draw_channel_times(noise(), step, "independent")
        correlations.append(torch.corrcoef(torch.stack([times.token.t, times.latent.t]))[0, 1])
    assert abs(torch.stack(correlations).mean()) < 0.1


@pytest.mark.parametrize("warp", [1.0, 2.0])
def test_shared_times_are_equal(warp):
    times = draw_channel_times(noise(), 0, "shared", warp=warp)
    assert torch.equal(times.token.t, times.latent.t)
    assert torch.equal(times.token.weight, times.latent.weight)


def test_clean_latents_have_time_zero():
    times = draw_channel_times(noise(), 0, "clean")
    assert times.latent.t.tolist() == [0.0] * 16
    assert times.latent.weight.tolist() == [1.0] * 16


def test_latents_first_have_fully_masked_tokens():
    times = draw_channel_times(noise(), 0, "latent_first")
    assert times.token.t.tolist() == [1.0] * 16
    assert (times.latent.t * 16).floor().tolist() == list(range(16))


def test_lead_of_shared_times_is_a_power():
    times = draw_channel_times(noise(), 0, "shared", latent_lead=3.0)
    torch.testing.assert_close(times.latent.t, times.token.t**3)


def test_unknown_kind_of_times_is_an_error():
    with pytest.raises(ValueError, match="'Shared' is not one of independent, shared"):
        draw_channel_times(noise(), 0, "Shared")


def test_warp_is_of_the_token_times():
    plain, warped = (draw_channel_times(noise(), 0, "independent", warp=warp) for warp in (1.0, 3.0))
    torch.testing.assert_close(warped.token.t, plain.token.t**3)
    assert torch.equal(warped.latent.t, plain.latent.t)
    assert torch.equal(warped.latent.weight, warped.token.weight)
    assert plain.latent.weight.tolist() == [1.0] * 16


def test_times_fill_the_ranges_asked_for():
    times = draw_channel_times(noise(1000), 0, "independent", token_range=(0.5, 1.0), latent_range=(0.2, 0.6))
    for draw, (low, high) in ((times.token, (0.5, 1.0)), (times.latent, (0.2, 0.6))):
        assert low <= draw.t.min() < low + 0.01
        assert high - 0.01 < draw.t.max() <= high


@pytest.mark.parametrize("kind", ["independent", "shared"])
def test_channel_times_are_one_per_stratum(kind):
    times = draw_channel_times(noise(), 3, kind)
    for draw in times:
        assert sorted((draw.t * 16).floor().long().tolist()) == list(range(16))


def losses_of_every_pair() -> list[tuple[int, int, float, float]]:
    """(masked tokens, masked codes, token loss, code loss) of each pair of masks."""
    masks = torch.tensor(list(itertools.product([False, True], repeat=TOKENS + LENGTH)))
    x_masked, z_masked = masks[:, :TOKENS], masks[:, TOKENS:]
    vectors = torch.eye(CODES)[C].expand(len(masks), LENGTH, CODES)
    denoiser = TwoTableDenoiser(TOKENS, VOCABULARY, LENGTH, CODES)
    logits, code_logits = denoiser(torch.where(x_masked, VOCABULARY, X), vectors, None, None, z_masked)
    token = -torch.log_softmax(logits, dim=-1)[:, torch.arange(TOKENS), X] * x_masked
    code = -torch.log_softmax(code_logits, dim=-1)[:, torch.arange(LENGTH), C] * z_masked
    columns = x_masked.sum(1), z_masked.sum(1), token.sum(1), code.sum(1)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def probability(t: torch.Tensor, of: int, masked: int) -> torch.Tensor:
    """Of one pattern with so many of the positions masked, at times t, on the linear schedule."""
    return t**masked * (1 - t) ** (of - masked)


def weigh(kind: str, k: int, j: int, lead: float, *, channel: str) -> float:
    """Integral over the times of P(k given tokens masked) P(j given codes masked) / t of the channel."""
    by_x, by_z = int(channel == "token"), int(channel == "latent")
    if kind == "independent":
        return beta(k + 1 - by_x, TOKENS - k + 1) * beta(j + 1 - by_z, LENGTH - j + 1)
    t = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    t_z, rate = t**lead, lead * t ** (lead - 1)
    both = probability(t, TOKENS, k) * probability(t_z, LENGTH, j)
    return float((both / t if channel == "token" else both / t_z * rate).mean())


def mean_losses(kind: str, batch: int = 1024, steps: int = 60, **settings) -> list[tuple[float, float]]:
    """(mean, its standard error) over many batches, of the token and of the code loss with the ELBO's weight."""
    denoiser, rows = TwoTableDenoiser(TOKENS, VOCABULARY, LENGTH, CODES), []
    latents = Latents(torch.eye(CODES)[C].expand(batch, LENGTH, CODES), C.expand(batch, LENGTH))
    for step in range(steps):
        times = draw_channel_times(noise(batch), step, kind, **settings)
        x = X.expand(batch, TOKENS)
        losses = pair_losses(denoiser, x, latents, times, noise(batch), step, PROCESS, CODES_CHANNEL)
        rows.append(torch.stack([losses.token.mean(), losses.latent.mean()]))
    means = torch.stack(rows)
    return list(zip(means.mean(0).tolist(), (means.std(0) / steps**0.5).tolist(), strict=True))


def check_means(found: list[tuple[float, float]], *exact: float) -> None:
    for (mean, error), value in zip(found, exact, strict=True):
        assert error < 0.02 * value
        assert abs(mean - value) < 5 * error


@pytest.mark.parametrize(
    ("kind", "warp", "lead"),
    [("independent", 1.0, 1.0), ("shared", 1.0, 1.0), ("shared", 2.0, 1.0), ("shared", 1.0, 3.0), ("shared", 2.0, 2.0)],
)
def test_both_elbo_terms_are_unbiased(kind, warp, lead):
    pairs = losses_of_every_pair()
    exact_token = sum(weigh(kind, k, j, lead, channel="token") * token for k, j, token, _ in pairs if k)
    exact_code = sum(weigh(kind, k, j, lead, channel="latent") * code for k, j, _, code in pairs if j)
    check_means(mean_losses(kind, warp=warp, latent_lead=lead), exact_token, exact_code)


def mean_over(bounds: tuple[float, float], of: int, masked: int, *, weighted: bool) -> float:
    """Mean over uniform t in the bounds of the probability of one pattern, over t where the ELBO's weight counts."""
    low, high = bounds
    t = low + (high - low) * (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    return float((probability(t, of, masked) / (t if weighted else 1)).mean())


WHOLE = (0.0, 1.0)


@pytest.mark.parametrize(
    ("latents_first", "warp", "token_range", "latent_range"),
    [
        (0.3, 1.0, WHOLE, WHOLE),
        (0.7, 2.0, WHOLE, WHOLE),
        (0.3, 1.0, WHOLE, (0.1, 0.5)),
        (0.0, 1.0, (0.5, 1.0), WHOLE),
        (0.0, 2.0, (0.25, 0.75), (0.2, 1.0)),
        (0.3, 2.0, (0.25, 0.75), (0.2, 1.0)),
    ],
)
def test_whatever_reshapes_the_times_leaves_both_losses_unbiased(latents_first, warp, token_range, latent_range):
    """The token loss is the ELBO's over uniform t_x and t_z in their ranges; the code loss has a share at t_x = 1."""
    exact_token = exact_code = 0.0
    for k, j, token, code in losses_of_every_pair():
        if k:
            codes = mean_over(latent_range, LENGTH, j, weighted=False)
            exact_token += token * codes * mean_over(token_range, TOKENS, k, weighted=True)
        if j:
            tokens = (1 - latents_first) * mean_over(token_range, TOKENS, k, weighted=False)
            tokens += latents_first * (k == TOKENS)
            exact_code += code * tokens * mean_over(latent_range, LENGTH, j, weighted=True)
    settings = {"warp": warp, "token_range": token_range, "latent_range": latent_range}
    check_means(mean_losses("independent", latents_first=latents_first, **settings), exact_token, exact_code)


def continuous(latent_dropout: float = 0.0, batch: int = 64, **options):
    """Losses of Co-LADD, what its network was given, and the clean latents."""
    denoiser = perturb(MMDiT(VOCABULARY, latent_width=4, latent_outputs=4, **network()))
    denoiser.token_head, seen = SpyHead(8, VOCABULARY), []
    denoiser.register_forward_hook(lambda _, given, __: seen.extend(given))
    z = torch.randn(batch, LENGTH, 4)
    times = draw_channel_times(noise(batch), 0, "independent")
    arguments = X.expand(batch, TOKENS), Latents(z), times, noise(batch), 0, PROCESS, VECTORS_CHANNEL
    losses = pair_losses(denoiser, *arguments, latent_dropout=latent_dropout, **options)
    return losses, seen, z, times, denoiser


def test_continuous_channel_sees_the_forward_process_and_its_own_times():
    _, (x_t, z_t, t_x, t_z, z_masked), z, times, _ = continuous()
    expected = add_noise(z, times.latent.t, noise(64), "latent")
    torch.testing.assert_close(z_t, expected)
    assert z_masked is None
    assert torch.equal(t_x, times.token.t)
    assert torch.equal(t_z, times.latent.t)
    assert ((x_t == X) | (x_t == VOCABULARY)).all()


def test_token_head_runs_on_masked_tokens_only():
    _, (x_t, *_), _, _, denoiser = continuous()
    assert denoiser.token_head.rows == [int((x_t == VOCABULARY).sum())]
    assert 0 < denoiser.token_head.rows[0] < 64 * TOKENS


def test_continuous_latent_loss_is_the_mean_squared_error():
    losses, (x_t, z_t, t_x, t_z, _), z, _, denoiser = continuous()
    error = denoiser.latent_head(denoiser(x_t, z_t, t_x, t_z)[1]) - z
    torch.testing.assert_close(losses.latent.float(), error.square().mean(dim=(1, 2)))


@pytest.mark.parametrize("warp", [1.0, 3.0])
def test_continuous_latent_loss_integrates_over_uniform_time(warp):
    z = torch.randn(4000, LENGTH, 4)

    class ErrorGrowsWithTime(nn.Module):
        token_head, latent_head = nn.Linear(1, VOCABULARY), nn.Identity()

        def forward(self, x, z_t, t_x, t_z, z_masked):
            return torch.zeros(*x.shape, 1), z + t_z[:, None, None]

    times = draw_channel_times(noise(4000), 0, "shared", warp=warp)
    arguments = X.expand(4000, TOKENS), Latents(z), times, noise(4000), 0, PROCESS, VECTORS_CHANNEL
    losses = pair_losses(ErrorGrowsWithTime(), *arguments)
    assert losses.latent.mean().item() == pytest.approx(1 / 3, rel=1e-3)


def test_latent_dropout_gives_the_null_latent_and_no_latent_loss():
    plain, _, _, _, _ = continuous()
    torch.manual_seed(0)
    losses, (_, z_t, *_), z, times, _ = continuous(latent_dropout=0.4)
    dropped = losses.latent == 0
    assert 10 < dropped.sum() < 45  # 64 x 0.4 = 26, 5 standard errors are 20
    assert (plain.latent != 0).all()
    null = add_noise(torch.zeros_like(z), times.latent.t, noise(64), "latent")
    torch.testing.assert_close(z_t[dropped], null[dropped])
    torch.testing.assert_close(z_t[~dropped], add_noise(z, times.latent.t, noise(64), "latent")[~dropped])
    assert (losses.token[dropped] > 0).any()


def test_no_dropout_keeps_every_latent():
    assert (continuous(latent_dropout=0.0)[0].latent > 0).all()


def test_latent_loss_can_be_left_out():
    assert continuous(with_latent=False)[0].latent is None


def discrete(z_grad: bool = False, weight: str = "elbo", batch: int = 32, **options):
    denoiser = perturb(MMDiT(VOCABULARY, latent_width=4, latent_outputs=CODES, **network()))
    denoiser.latent_head, seen = SpyHead(8, CODES), []
    denoiser.register_forward_hook(lambda _, given, __: seen.extend(given))
    book = Codebook(CODES, 4)
    book.vectors.normal_()
    denoiser.codes = book
    codes = torch.randint(CODES, (batch, LENGTH))
    vectors = book.lookup(codes).requires_grad_(z_grad)
    times = draw_channel_times(noise(batch), 0, "independent")
    arguments = X.expand(batch, TOKENS), Latents(vectors, codes), times, noise(batch), 0, PROCESS, CODES_CHANNEL
    losses = pair_losses(denoiser, *arguments, weight=weight, **options)
    return losses, seen, vectors, times, denoiser


def test_latent_head_runs_on_masked_codes_only():
    _, (*_, z_masked), _, _, denoiser = discrete()
    assert denoiser.latent_head.rows == [int(z_masked.sum())]
    assert 0 < denoiser.latent_head.rows[0] < 32 * LENGTH


def test_code_loss_is_the_sum_over_masked_codes_times_the_weight():
    losses, (x_t, z, t_x, t_z, z_masked), _, times, denoiser = discrete()
    codes = torch.cdist(z, denoiser.codes.vectors[None].expand(len(z), -1, -1)).argmin(dim=-1)
    logits = denoiser.latent_head(denoiser(x_t, z, t_x, t_z, z_masked)[1])
    nll = torch.nn.functional.cross_entropy(logits.transpose(1, 2), codes, reduction="none") * z_masked
    torch.testing.assert_close(losses.latent.float(), nll.sum(dim=1) / times.latent.t.float())


def test_weight_is_that_of_both_cross_entropies():
    elbo, _, _, times, _ = discrete()
    torch.manual_seed(0)
    constant = discrete(weight="constant")[0]
    torch.testing.assert_close(elbo.latent, constant.latent / times.latent.t)
    torch.testing.assert_close(elbo.token, constant.token / times.token.t)


def test_token_loss_of_visible_latents_reaches_them_and_of_masked_ones_does_not():
    losses, (*_, z_masked), vectors, _, _ = discrete(z_grad=True, with_latent=False)
    losses.token.sum().backward()
    assert (vectors.grad[z_masked] == 0).all()
    assert vectors.grad[~z_masked].abs().sum() > 0


def test_channels_draw_masks_independently():
    _, (x_t, _, _, _, z_masked), _, _, _ = discrete(batch=4000)
    x_masked = x_t == VOCABULARY
    for i, j in itertools.product(range(TOKENS), range(LENGTH)):
        pair = torch.stack([x_masked[:, i].double(), z_masked[:, j].double()])
        assert abs(torch.corrcoef(pair)[0, 1]) < 5 / 4000**0.5


class TrueLatent(nn.Module):
    """A prior that knows the answer up to a fixed error."""

    def __init__(self, z: torch.Tensor, error: float):
        super().__init__()
        self.z, self.error, self.process = z, error, SQRT

    def forward(self, z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        self.given = z_t, t
        return self.z + self.error


def test_prior_loss_is_the_squared_error_of_its_prediction():
    z = torch.randn(8, LENGTH, 4)
    network_ = TrueLatent(z, 0.5)
    loss = prior_loss(network_, z, noise(8), 0)
    torch.testing.assert_close(loss, torch.full((8,), 0.25))
    z_t, t = network_.given
    torch.testing.assert_close(z_t, add_noise(z, t, noise(8), "latent_denoiser"))
    assert (t * 8).floor().tolist() == list(range(8))


def test_prior_learns_from_its_loss():
    network_, z = LatentPrior(4, "sqrt", **network()), torch.randn(8, LENGTH, 4)
    prior_loss(network_, z, noise(8), 0).sum().backward()
    assert network_.latent_head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("batch", "share"), [(32, 0.3), (128, 0.3), (4000, 0.25)])
def test_a_share_of_every_batch_trains_the_latents_alone_where_all_tokens_are_masked(batch, share):
    for step in range(5):
        plain = draw_channel_times(noise(batch), step, "independent")
        times = draw_channel_times(noise(batch), step, "independent", latents_first=share)
        edge = times.token.t == 1
        assert abs(int(edge.sum()) - share * batch) < 1
        assert torch.equal(times.token.t[~edge], plain.token.t[~edge])
        assert torch.equal(times.latent.t, plain.latent.t)
        assert (times.token.weight[edge] == 0).all()
        torch.testing.assert_close(times.token.weight[~edge], plain.token.weight[~edge] / (1 - share))
        assert times.latent.weight.tolist() == [1.0] * batch


def test_which_sequences_these_are_does_not_depend_on_the_times():
    rows = []
    for step in range(200):
        times = draw_channel_times(noise(32), step, "independent", latents_first=0.3)
        plain = draw_channel_times(noise(32), step, "independent")
        rows.append(torch.stack([(times.token.t == 1).double(), plain.token.t, plain.latent.t]))
    correlations = torch.corrcoef(torch.cat(rows, dim=1))[0, 1:]
    assert correlations.abs().max() < 5 / 6400**0.5


def test_token_head_does_not_run_for_sequences_that_are_there_for_their_latents():
    denoiser = perturb(MMDiT(VOCABULARY, latent_width=4, latent_outputs=4, **network()))
    denoiser.token_head = SpyHead(8, VOCABULARY)
    times = draw_channel_times(noise(64), 0, "independent", latents_first=0.5)
    arguments = X.expand(64, TOKENS), Latents(torch.randn(64, LENGTH, 4)), times, noise(64), 0, PROCESS, VECTORS_CHANNEL
    losses = pair_losses(denoiser, *arguments)
    assert (losses.token[times.token.t == 1] == 0).all()
    assert denoiser.token_head.rows[0] <= 32 * TOKENS
