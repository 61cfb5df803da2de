"""Generative perplexity: of samples under a fixed autoregressive teacher (paper, Section E.4, Eqs. 81-82)."""

from __future__ import annotations

import logging
import math

from ladd.evaluation.estimate import Estimate
from ladd.evaluation.rows import COSTS
from ladd.evaluation.teacher import TeacherScores
from ladd.metrics.base import Metric, Samples

logger = logging.getLogger(__name__)


class GenPpl(Metric):
    """Perplexity of the texts of the samples."""

    name = "gen_ppl"
    version = "3"
    title = "Gen PPL (perplexity of the samples under the teacher)"
    meaning = (
        "how unlikely a fixed language model finds the samples; lower is better, at equal entropy: repetition is likely"
    )
    digits, essential, order = 1, True, 1
    short, real_label = "Gen PPL", "Real text"
    role = "quality"
    against = ("token_steps", *COSTS)
    needs = ("texts", "teacher")

    def measure(self, samples: Samples) -> Estimate:
        scores = samples.source.scores(samples.texts)
        if count := int(scores.truncated.sum()):
            logger.warning(
                "%d of %d texts are longer than the teacher's window; their ends are not scored", count, len(samples)
            )
        return gen_ppl(scores)

    def counted(self, samples: Samples) -> str:
        return samples.source.teacher_name


def gen_ppl(scores: TeacherScores) -> Estimate:
    """exp(total negative log-likelihood / total scored tokens) of generated text (paper, Eqs. 81-82).

    Texts without tokens carry nothing and are not in n. The error is that of a ratio of sums over independent texts,
    by the delta method: texts have different numbers of teacher tokens, and long ones weigh more.

    Raises:
        ValueError: no text has a token.
    """
    scored = scores.tokens > 0
    nll, tokens = scores.nll[scored], scores.tokens[scored].double()
    n = len(nll)
    if n == 0:
        raise ValueError(f"none of {len(scored)} texts has a token to score; generative perplexity needs text")
    ratio = nll.sum() / tokens.sum()
    # A single text has no spread to speak of: its error is unknown.
    variance = (nll - ratio * tokens).square().sum() * n / (n - 1) if n > 1 else math.nan
    value = math.exp(float(ratio))
    return Estimate(value, value * float(variance) ** 0.5 / float(tokens.sum()), n)
