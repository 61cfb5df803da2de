"""The figure of losses by time repeats byte for byte and shows every model that has a time."""

from __future__ import annotations

import polars as pl
import pytest
from matplotlib.figure import Figure

from ladd.errors import ArtifactError
from ladd.evaluation.rows import TimeRow
from ladd.report.curves import loss_by_time_caption, plot_loss_by_time
from ladd.stages.results import LOSS_BY_TIME_SCHEMA, read_loss_by_time, write_loss_by_time
from tests.report.drawing import twice

MODELS = [
    ("mdlm", "mdlm", [""]),
    ("co", "co-ladd", ["clean", "shared", "masked"]),
    ("my-ccdd", "co-ladd", ["clean"]),
    ("di", "di-ladd", ["clean", "noisy", "masked"]),
]


def rows(model: str, family: str, latents: str, level: float = 4.0) -> list[TimeRow]:
    """A loss that rises with time; in the first bin no token was masked."""
    bins = [(place / 10, (place + 1) / 10) for place in range(10)]
    return [
        TimeRow(
            *(model, family, latents, low, high),
            *(((level + low) / 10, 0.01, level + low, 0.1) if low else (0.0, None, None, None)),
            n=500,
            documents=12,
        )
        for low, high in bins
    ]


def table(level: float = 4.0) -> pl.DataFrame:
    made = [row for model, family, given in MODELS for latents in given for row in rows(model, family, latents, level)]
    return pl.DataFrame([vars(row) for row in made], schema=LOSS_BY_TIME_SCHEMA)


def test_equal_losses_give_equal_bytes(tmp_path):
    twice(plot_loss_by_time, table(), table(5.0), tmp_path)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *given, **named: figures.append(self) or save(self, *given, **named)
    )
    return figures


def test_every_latent_augmented_model_stands_beside_mdlm(tmp_path, drawn):
    plot_loss_by_time(table(), tmp_path / "a.png")
    above, below = drawn[0].axes[:3], drawn[0].axes[3:]
    assert [axes.get_title(loc="left") for axes in above] == ["Di-LADD", "Co-LADD", "CCDD"]
    for axes in (above, below):
        assert [len(panel.lines) for panel in axes] == [1 + 3, 1 + 3, 1 + 1]
    assert above[0].lines[0].get_xdata().tolist() == pytest.approx([0.05 + place / 10 for place in range(10)])
    assert len(below[0].lines[0].get_xdata()) == 9  # no token was masked in the first bin
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert labels[0] == "MDLM"
    assert len(labels) == 1 + 4


def test_baselines_alone_are_a_figure_too(tmp_path, drawn):
    plot_loss_by_time(table().filter(pl.col("family") == "mdlm"), tmp_path / "a.png")
    assert [len(axes.lines) for axes in drawn[0].axes] == [1, 1]


def test_two_panels_hold_the_legend(tmp_path):
    plot_loss_by_time(table().filter(pl.col("model").is_in(["mdlm", "co", "di"])), tmp_path / "a.png")


def test_no_loss_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no loss by time"):
        plot_loss_by_time(table().clear(), tmp_path / "a.png")


def test_caption_says_units_and_what_the_error_is_over():
    caption = loss_by_time_caption(table())
    assert "nats per masked token" in caption
    assert "one standard error over the 12 documents of n = 500 validation sequences" in caption
    assert "AR has no time" in caption


def test_losses_of_models_are_read_as_they_were_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_loss_by_time("ar", [])
    write_loss_by_time("di", rows("di", "di-ladd", "clean"))
    found = read_loss_by_time(["ar", "di"])
    assert found.height == 10
    assert found["per_masked"][0] is None
    with pytest.raises(ArtifactError, match=r"loss_by_time/other\.csv is missing"):
        read_loss_by_time(["ar", "other"])
