"""Figures exist, repeat byte for byte, depend on the data and refuse what they cannot show."""

from __future__ import annotations

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ladd.errors import ArtifactError
from ladd.report.against import figures
from ladd.report.curves import plot_codebook, plot_curves
from ladd.report.figures import draw, draw_floor, metric_lines, plot_metric, sample_figures
from ladd.report.select import summarise
from ladd.report.style import family_colour, figure_to, side_legend
from tests.report.drawing import twice


def history(final: float, **terms: list[float | None]) -> pl.DataFrame:
    losses = {"train/loss": [None, 0.6, 0.56], "validation/loss": [0.7, 0.58, final]}
    return pl.DataFrame({"step": [0, 100, 200], **losses, **{f"validation/{k}": v for k, v in terms.items()}})


SWD = {figure.x: figure for figure in figures() if figure.metric.name == "swd"}
GEN_PPL = {figure.x: figure for figure in figures() if figure.metric.name == "gen_ppl"}


@pytest.mark.parametrize("x", SWD)
def test_sample_figures(x, rows, table, tmp_path):
    other = [row | {"value": 0.5} if row["model"] == "ar" else row for row in rows]
    twice(lambda data, path: plot_metric(summarise(table(data)), path, SWD[x]), rows, other, tmp_path)


def test_curves(tmp_path):
    runs = {"mdlm": [history(0.57)], "co-ladd": [history(0.5, token=[0.6, 0.5, 0.45], latent=[4.0, 3.0, 2.0])]}
    twice(plot_curves, runs, runs | {"mdlm": [history(0.55)]}, tmp_path)


def test_curves_of_replicates(tmp_path):
    runs = {"mdlm": [history(0.57, bound=[0.7, 0.6, 0.57]), history(0.56), history(0.58)]}
    twice(plot_curves, runs, {"mdlm": [*runs["mdlm"][:2], history(0.6)]}, tmp_path)


def test_codebook(tmp_path):
    twice(plot_codebook, {"k4": [0.1, 0.4, 0.5, 0.0]}, {"k4": [0.25] * 4}, tmp_path)


def test_series_hold_the_averages(rows, table):
    series = {line.label: line.rows for line in metric_lines(summarise(table(rows)), SWD["gmacs_per_sample"])}
    assert list(series) == ["AR", "MDLM", "Di-LADD joint", "Di-LADD sequential\n+ 1 latent step"]
    mdlm = series["MDLM"]
    assert mdlm.select("gmacs_per_sample", "token_steps").rows() == [(0.5, 1), (2.0, 4)]
    assert mdlm["value"].to_list() == pytest.approx([120.0, 30.0])
    assert mdlm["stderr"].to_list() == pytest.approx([20.0 / 3**0.5, 10.0 / 3**0.5])


def test_a_sampler_with_the_name_of_its_system_is_not_in_the_legend(rows, table):
    own = [row | {"model": "cadd-soft", "family": "cadd", "schedule": "cadd"} for row in rows if row["model"] == "mdlm"]
    labels = [line.label for line in metric_lines(summarise(table(rows + own)), SWD["token_steps"])]
    assert "CADD" in labels
    assert not any("cadd" in label for label in labels)


def test_models_of_one_family_are_told_apart(rows, table):
    more = [row | {"model": "di-ladd-k8", "K": 8} for row in rows if row["family"] == "di-ladd"]
    lines = metric_lines(summarise(table(rows + more)), SWD["token_steps"])
    joint = [(line.label, line.marker) for line in lines if "joint" in line.label]
    assert joint == [("Di-LADD joint di-ladd-k4", "o"), ("Di-LADD joint di-ladd-k8", "D")]
    assert "MDLM" in {line.label for line in lines}


def test_a_line_has_the_name_of_its_model_where_nothing_else_tells_it_apart(rows, table):
    more = [row | {"model": "mdlm-psi", "schedule": "psi"} for row in rows if row["model"] == "mdlm"]
    own = [row | {"model": "own", "family": "vadd", "schedule": "vadd"} for row in rows if row["model"] == "mdlm"]
    plain = [row | {"model": "plain", "schedule": "none"} for row in own]
    lines = metric_lines(summarise(table(rows + more + own + plain)), SWD["token_steps"])
    assert {"MDLM", "MDLM psi", "VADD own", "VADD plain", "Di-LADD joint"} <= {line.label for line in lines}


def test_sampler_of_a_system_looks_unlike_its_ancestral_steps(rows, table):
    own = [row | {"model": "mdlm-own", "schedule": "vadd"} for row in rows if row["model"] == "mdlm"]
    lines = metric_lines(summarise(table(rows + own)), SWD["token_steps"])
    assert [line.marker for line in lines if line.rows["family"][0] == "mdlm"] == ["o", "D"]


def test_latent_shapes_of_one_family_have_shades_of_one_colour(text_rows, table):
    co = [row for row in text_rows if row["model"] == "co-8" and row["token_steps"]]
    more = [row | {"model": "co-16", "L": 16} for row in co] + [row | {"model": "my-ccdd", "L": 64} for row in co]
    lines = metric_lines(summarise(table(text_rows + more)), GEN_PPL["gmacs_per_sample"])
    looks = {line.label: (line.colour, line.marker) for line in lines if line.rows["family"][0] == "co-ladd"}
    assert list(looks) == ["Co-LADD joint co-8", "Co-LADD joint co-16", "CCDD joint"]
    assert next(iter(looks.values()))[0] == to_hex(family_colour("co-ladd"))
    assert len({colour for colour, _ in looks.values()}) == len({marker for _, marker in looks.values()}) == 3


@pytest.mark.parametrize("x", GEN_PPL)
def test_gen_ppl_figures(x, text_rows, table, tmp_path):
    other = [row | {"value": row["value"] * 2} if row["model"] == "co-8" else row for row in text_rows]
    twice(lambda data, path: plot_metric(summarise(table(data)), path, GEN_PPL[x]), text_rows, other, tmp_path)


def test_figures_are_those_that_the_table_has_rows_for(rows, text_rows, table, tmp_path):
    sawtooth = sample_figures(summarise(table(rows)), tmp_path / "a")
    assert [path.name for path in sawtooth.values()] == ["swd.png", "swd-made.png"]
    text = sample_figures(summarise(table(text_rows)), tmp_path / "b")
    names = ["gen-ppl.png", "gen-ppl-backbone.png", "gen-ppl-made.png", "gen-ppl-compute.png", "gen-ppl-seconds.png"]
    assert [path.name for path in text.values()] == names
    swept = text_rows + [row | {"temperature": 0.5} for row in text_rows if row["token_steps"] == 8]
    found = sample_figures(summarise(table(swept)), tmp_path / "c")
    assert [path.name for path in found.values()] == [*names, "frontier.png"]
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == sorted([*names, "frontier.png"])
    assert sample_figures(summarise(table([row for row in rows if row["metric"] != "swd"])), tmp_path / "d") == {}


def test_joint_is_solid_sequential_dashed_and_the_floor_a_grey_band(rows, table):
    summary = summarise(table(rows + [row | {"token_steps": 4} for row in rows if row["schedule"] == "sequential"]))
    axes, lines = Figure().add_subplot(), metric_lines(summary, SWD["token_steps"])
    draw_floor(axes, summary, lines, SWD["token_steps"])
    assert set(axes.lines[0].get_ydata()) == {4.0}
    assert axes.patches[0].get_extents().height > 0
    assert not axes.texts
    for line in lines:
        draw(axes, line, "token_steps")
    drawn = {line.get_label(): line for line in axes.lines}
    joint, sequential = drawn["Di-LADD joint"], drawn["Di-LADD sequential\n+ 1 latent step"]
    assert joint.get_color() == sequential.get_color() != drawn["MDLM"].get_color()
    assert (joint.get_linestyle(), sequential.get_linestyle()) == ("-", "--")


def test_what_may_be_or_is_zero_has_a_linear_axis_and_a_distance_a_logarithmic_one(rows, table, tmp_path, monkeypatch):
    save, drawn = Figure.savefig, []
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *given, **options: (drawn.append(self), save(self, *given, **options))
    )
    shares = [row | {"metric": "grid_validity", "value": 0.0 if row["family"] == "mdlm" else 0.5} for row in rows]
    (validity,) = (each for each in figures() if each.metric.name == "grid_validity" and each.x == "token_steps")
    plot_metric(summarise(table(shares)), tmp_path / "valid.png", validity)
    plot_metric(summarise(table(rows)), tmp_path / "swd.png", SWD["token_steps"])
    zero = [row | {"value": 0.0} if row["family"] == "mdlm" else row for row in rows]
    plot_metric(summarise(table(zero)), tmp_path / "zero.png", SWD["token_steps"])
    axes = [figure.axes[0] for figure in drawn]
    assert [each.get_yscale() for each in axes] == ["linear", "log", "linear"]
    points = [line.get_ydata()[0] for line in axes[0].lines if line.get_label() == "MDLM"]
    assert points == [0.0]


def test_real_data_far_below_all_models_leave_them_the_axis(text_rows, table):
    def drawn(value: float) -> Axes:
        rows = [row | {"value": value} if row["family"] == "real" else row for row in text_rows]
        summary, axes = summarise(table(rows)), Figure().add_subplot()
        figure = GEN_PPL["token_steps"]
        draw_floor(axes, summary, metric_lines(summary, figure), figure)
        return axes

    lowest = min(row["value"] for row in text_rows if row["metric"] == "gen_ppl" and row["family"] != "real")
    near, far = drawn(lowest / 4), drawn(lowest / 8)
    assert (len(near.lines), len(near.texts)) == (1, 0)
    assert (len(far.lines), [text.get_text() for text in far.texts]) == (0, [f"Real text: {lowest / 8:.3g}, far below"])


def test_what_cannot_be_drawn_is_refused(rows, table, tmp_path):
    path = tmp_path / "a.png"
    bounds = summarise(table([row for row in rows if row["metric"] != "swd"]))
    refusals = [
        (lambda: plot_metric(bounds, path, SWD["token_steps"]), "token_steps"),
        (lambda: plot_metric(bounds, path, SWD["gmacs_per_sample"]), "gmacs_per_sample"),
        (lambda: plot_metric(bounds, path, GEN_PPL["seconds_per_sample"]), "gen_ppl with seconds_per_sample"),
        (lambda: plot_curves({}, path), "no training history"),
        (lambda: plot_curves({"mdlm": [history(0.5), history(0.5).drop("train/loss")]}, path), "train/loss"),
        (lambda: plot_codebook({}, path), "no codebook"),
        (lambda: plot_codebook({"k4": [3, 4, 5, 1]}, path), "sum to 1"),
    ]
    for draw_it, words in refusals:
        with pytest.raises(ArtifactError, match=words):
            draw_it()
    assert not path.exists()


@pytest.mark.parametrize("lines", [3, 40])
def test_a_figure_is_as_high_as_its_legend_needs(lines, tmp_path):
    with figure_to(tmp_path / "figure.png", 8.6, 4.4) as figure:
        axes = figure.add_subplot()
        for line in range(lines):
            axes.plot([0, 1], [0, line], label=f"line {line}")
        side_legend(figure, [axes])
        figure.draw_without_rendering()
        assert figure.legends[0].get_window_extent().y0 > 0
        assert (figure.get_figheight() > 4.4) == (lines > 20)
