"""From the compare table to the rows of one table or figure: refusals, averages over seeds, choices."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ladd.errors import ArtifactError
from ladd.evaluation.rows import COSTS
from ladd.report.labels import families, in_role, references

# What is swept together; a model may have more temperatures at one budget than at another.
SWEEP = ("suite", "model", "schedule", "latent_steps", "given")
KEYS = (
    *("suite", "model", "family", "schedule", "L", "K", "w", "token_steps", "latent_steps", "temperature"),
    *("given", "metric"),
)
PRICES = ("nfe", *COSTS)
# Rows of one metric that differ in one of these are not comparable: the evaluator computed something else, perplexity
# per token counts other tokens, another arithmetic sampled, or the bias of a metric in n (MAUVE, SWD, positional
# entropy, distinct-n) is another.
ALIKE = ("evaluator_version", "tokenizer", "precision", "n")


def summarise(compare: pl.DataFrame) -> pl.DataFrame:
    """Average every measurement over its sampling seeds, and over trainings where there are several.

    Args:
        compare: tidy table, one row per measurement, columns KEYS, PRICES, ALIKE, value, stderr, seed (null for a
            bound) and replicate.

    Returns:
        One row per measurement. value: the mean. stderr: over trainings where there are several, else over seeds, else
        the row's own. within: the standard error of measuring these trainings, without that of training others.
        seeds: sampling seeds of a training (0 for a bound). replicates: trainings.

    Raises:
        ArtifactError: there are no rows, a column is missing, a value is not finite, a family is unknown, a seed
            occurs twice, or rows of one metric differ in evaluator version, tokenizer, precision or n.
    """
    _check_rows(compare)
    # A CSV file may give back an empty text as null, and a column of nulls has no type of its own.
    texts, numbers = pl.col("given", "tokenizer"), pl.col("temperature", *COSTS)
    compare = compare.with_columns(texts.cast(pl.String).fill_null(""), numbers.cast(pl.Float64))
    groups = compare.group_by(KEYS, maintain_order=True)
    _check_groups(groups.agg(pl.col(*ALIKE).unique(), pl.struct("replicate", "seed").alias("run"), rows=pl.len()))
    check_comparable(compare)
    averages = averaged(compare, KEYS, pl.col(*PRICES).mean(), pl.col(*ALIKE).first())
    rank = pl.col("family").replace_strict({name: i for i, name in enumerate(families())}, return_dtype=pl.Int64)
    return averages.sort(
        "suite", rank, "L", "model", "schedule", "latent_steps", "metric", "given", "temperature", "token_steps"
    )


def averaged(table: pl.DataFrame, keys: Sequence[str], *others: pl.Expr) -> pl.DataFrame:
    """Means of rows that differ in their sampling seed and in their training alone, with value, stderr, within, seeds
    and replicates as `summarise` has them.

    Args:
        table: columns ``keys``, value, stderr, seed and replicate.
        others: what else a row of the result has.
    """
    spread, count = pl.col("value").std(ddof=1) / pl.len().sqrt(), pl.len().alias("replicates")
    own = pl.when(pl.len() > 1).then(spread).otherwise(pl.col("stderr").first()).alias("within")
    trainings = table.group_by(*keys, "replicate", maintain_order=True).agg(
        *others, pl.col("value").mean(), own, pl.col("seed").count().alias("seeds")
    )
    rest = [name for name in trainings.columns if name not in {*keys, "replicate", "value", "within", "seeds"}]
    prices = [name for name in rest if name in PRICES]
    pooled = pl.col("within").pow(2).mean().sqrt() / pl.len().sqrt()
    stderr = pl.when(pl.len() > 1).then(spread).otherwise(pl.col("within").first()).alias("stderr")
    return trainings.group_by(keys, maintain_order=True).agg(
        pl.col(prices).mean(),
        pl.col("value").mean(),
        stderr,
        pooled,
        pl.col([name for name in rest if name not in prices]).first(),
        pl.col("seeds").first(),
        count,
    )


def _check_rows(compare: pl.DataFrame) -> None:
    wanted = (*KEYS, *PRICES, "value", "stderr", *ALIKE, "seed", "replicate")
    if missing := [name for name in wanted if name not in compare.columns]:
        raise ArtifactError(f"compare lacks the columns {missing}; re-run the compare stage")
    if compare.is_empty():
        raise ArtifactError("compare has no rows; evaluate a model first")
    bad = compare.filter(~pl.col("value").is_finite().fill_null(value=False))
    if bad.height:
        raise ArtifactError(f"value is {bad['value'][0]} in {bad.height} rows, first {_name(bad.row(0, named=True))}")
    if unknown := sorted(set(compare["family"]) - set(families()), key=str):
        raise ArtifactError(f"family {unknown} is not one of {list(families())}: no system has that name")


def _check_groups(groups: pl.DataFrame) -> None:
    for row in groups.iter_rows(named=True):
        for column in ALIKE:
            if len(row[column]) > 1:
                values = sorted(row[column], key=str)
                raise ArtifactError(f"{column} has the values {values} among {_name(row)}; evaluate them alike again")
        runs = [(run["replicate"], run["seed"]) for run in row["run"]]
        if repeated := sorted({run for run in runs if runs.count(run) > 1}, key=str):
            replicate, seed = repeated[0]
            raise ArtifactError(
                f"seed {seed} of replicate {replicate} repeats among {_name(row)}; keep one row for each"
            )


def _name(row: dict[str, object]) -> str:
    return ", ".join(f"{key}={row[key]}" for key in KEYS if row[key] is not None)


def check_comparable(compare: pl.DataFrame) -> None:
    """Refuse rows that would stand in one table, of one metric and given tokens alike, but were measured differently.

    A row that pools the samples of several seeds has their joint n, so it is refused beside rows of single seeds.
    References are exempt from precision: no network made them. Exact ones, and references with n = 0, are exempt
    from n: they are no estimates from n samples. References of sampled metrics keep n: the floor of real data depends
    on it as the models' values do.

    Raises:
        ArtifactError: naming metric, column, values and models.
    """
    reference = pl.col("family").is_in([*references()])
    known = pl.col("family").is_in([name for name, reference in references().items() if reference.exact])
    exempt = {"precision": reference, "n": known | (reference & (pl.col("n") == 0))}
    for (metric, given), rows in compare.group_by("metric", "given", maintain_order=True):
        for column in ALIKE:
            bound = rows.filter(~exempt.get(column, pl.lit(value=False)))
            if bound[column].n_unique() > 1:
                where = f"{metric} given {given}" if given else metric
                raise ArtifactError(
                    f"rows of {where} differ in {column}: {_by_value(bound, column)}; they cannot be compared, "
                    "evaluate them alike again"
                )


def _by_value(rows: pl.DataFrame, column: str) -> str:
    models = rows.group_by(column).agg(pl.col("model").unique().sort()).sort(pl.col("model").list.first(), column)
    return ", ".join(f"{value!r} ({', '.join(names)})" for value, names in models.iter_rows())


def sampled(summary: pl.DataFrame, metric: str, given: str = "") -> pl.DataFrame:
    """Rows of one sampling metric, each model at its temperature nearest to 1.

    Args:
        given: which tokens the sampler was given; "" for none.
    """
    return at_base_temperature(summary.filter(metric=metric, given=given))


def at_base_temperature(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of every sweep at its temperature nearest to 1, the lower of two as near; null where none applies."""
    temperature = pl.col("temperature")
    base = temperature.sort_by((temperature - 1).abs(), temperature).first().over(SWEEP)
    return rows.filter(temperature.eq_missing(base))


def quality(summary: pl.DataFrame, *, swept: bool = False) -> pl.DataFrame:
    """Rows of the quality of samples, nothing given, with the diversity of the same samples as columns diversity and
    diversity_stderr, null if not taken; each model at its temperature nearest to 1, or ``swept``, at all."""
    rows = summary.filter(metric=in_role(summary, "quality").name, given="")
    rows = rows if swept else at_base_temperature(rows)
    keys = [*SWEEP, "token_steps", "temperature"]
    beside = summary.filter(metric=in_role(summary, "diversity").name)
    beside = beside.select(*keys, diversity=pl.col("value"), diversity_stderr=pl.col("stderr"))
    return rows.join(beside, on=keys, how="left", nulls_equal=True, maintain_order="left")
