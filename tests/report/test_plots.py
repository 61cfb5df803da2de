"""Figures exist, repeat byte for byte, depend on the data and refuse what they cannot show."""

from __future__ import annotations

import polars as pl
import pytest
from matplotlib.figure import Figure

from ladd.errors import ArtifactError
from ladd.report.plots import plot_codebook, plot_curves, plot_quality_compute, plot_swd
from ladd.report.series import draw, draw_floor, quality_series
from ladd.report.table import summarise

PNG = b"\x89PNG\r\n\x1a\n"


def history(final: float, **terms: list[float | None]) -> pl.DataFrame:
    losses = {"train/loss": [None, 0.6, 0.56], "validation/loss": [0.7, 0.58, final]}
    return pl.DataFrame({"step": [0, 100, 200], **losses, **{f"validation/{k}": v for k, v in terms.items()}})


def twice(plot, data, other, folder) -> None:
    """Equal data give equal bytes, other data give other bytes, and no half-written file stays."""
    plot(data, folder / "new" / "a.png")
    plot(data, folder / "new" / "b.png")
    plot(other, folder / "new" / "c.png")
    a, b, c = (path.read_bytes() for path in sorted((folder / "new").iterdir()))
    assert a.startswith(PNG)
    assert a == b
    assert a != c


@pytest.mark.parametrize("plot", [plot_swd, plot_quality_compute])
def test_quality_figures(plot, rows, table, tmp_path):
    other = [row | {"value": 0.5} if row["model"] == "ar" else row for row in rows]
    twice(plot, table(rows), table(other), tmp_path)


def test_curves(tmp_path):
    runs = {"mdlm": history(0.57), "co-ladd": history(0.5, token=[0.6, 0.5, 0.45], latent=[4.0, 3.0, 2.0])}
    twice(plot_curves, runs, runs | {"mdlm": history(0.55)}, tmp_path)


def test_codebook(tmp_path):
    twice(plot_codebook, {"k4": [0.1, 0.4, 0.5, 0.0]}, {"k4": [0.25] * 4}, tmp_path)


def test_series_hold_the_averages(rows, table):
    series = {line.label: line for line in quality_series(summarise(table(rows)), "gmacs_per_sample")}
    assert list(series) == ["AR", "MDLM", "Di-LADD joint", "Di-LADD sequential\n+ 1 latent step"]
    mdlm = series["MDLM"]
    assert (mdlm.x, mdlm.token_steps) == ([0.5, 2.0], [1, 4])
    assert mdlm.y == pytest.approx([0.12, 0.03])
    assert mdlm.error == pytest.approx([0.02 / 3**0.5, 0.01 / 3**0.5])


def test_models_of_one_family_are_told_apart(rows, table):
    more = [row | {"model": "di-ladd-k8", "K": 8} for row in rows if row["family"] == "di-ladd"]
    lines = quality_series(summarise(table(rows + more)), "token_steps")
    joint = [(line.label, line.marker) for line in lines if line.schedule == "joint"]
    assert joint == [("Di-LADD joint di-ladd-k4", "o"), ("Di-LADD joint di-ladd-k8", "D")]


def test_joint_is_solid_sequential_dashed_and_the_floor_a_grey_band(rows, table):
    summary = summarise(table(rows + [row | {"token_steps": 4} for row in rows if row["schedule"] == "sequential"]))
    axes = Figure().add_subplot()
    draw_floor(axes, summary)
    assert set(axes.lines[0].get_ydata()) == {0.004}
    assert axes.patches[0].get_extents().height > 0
    lines = quality_series(summary, "token_steps")
    for line in lines:
        draw(axes, line)
    drawn = {line.get_label(): line for line in axes.lines}
    joint, sequential = drawn["Di-LADD joint"], drawn["Di-LADD sequential\n+ 1 latent step"]
    assert joint.get_color() == sequential.get_color() != drawn["MDLM"].get_color()
    assert (joint.get_linestyle(), sequential.get_linestyle()) == ("-", "--")


def test_what_cannot_be_drawn_is_refused(rows, table, tmp_path):
    path = tmp_path / "a.png"
    bounds = table([row for row in rows if row["metric"] != "swd"])
    refusals = [
        (lambda: plot_swd(bounds, path), "token_steps"),
        (lambda: plot_quality_compute(bounds, path), "gmacs_per_sample"),
        (lambda: plot_curves({}, path), "no training history"),
        (lambda: plot_curves({"mdlm": history(0.5).drop("train/loss")}, path), "train/loss"),
        (lambda: plot_codebook({}, path), "no codebook"),
        (lambda: plot_codebook({"k4": [3, 4, 5, 1]}, path), "sum to 1"),
    ]
    for draw_it, words in refusals:
        with pytest.raises(ArtifactError, match=words):
            draw_it()
    assert not path.exists()
