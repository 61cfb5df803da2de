"""Forward-backward correctors: laws by enumeration."""

import pytest

from tests.samplers.known_answers import all_masked, chi_square_excess, noise
from tests.samplers.token_cases import chain_law, remasking, run, soft_tables

COUNT = 8000
TIMES = [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize(
    ("case", "strength", "b"),
    [
        ("forward-backward", 1.0, lambda t: 1.0),
        ("forward-backward", 0.3, lambda t: 0.3),
        ("flow-corrector", 2.0, lambda t: 2 * (t * (1 - t)) ** 0.25),
    ],
)
def test_law_is_that_of_the_chain(case, strength, b):
    def sigma(kept: float, shown: float) -> float:
        if kept == 0:
            return 0.0  # nothing is there to be masked, and what is masked is revealed at the same rate
        return min(b(1 - kept) * (shown - kept) / kept, 1.0, (1 - shown) / kept)

    denoiser = soft_tables(3, 2, 1.0)
    exact = chain_law(denoiser, 3, 2, TIMES, remasking(sigma))
    x = run(case, denoiser, all_masked(COUNT, 3, 2), noise(COUNT), 2, token_steps=4, strength=strength).tokens
    assert abs(chi_square_excess(x, exact)) < 5
    if strength >= 1:
        assert chi_square_excess(x, chain_law(denoiser, 3, 2, TIMES, remasking(lambda *_: 0.0))) > 8
