"""One look for all figures, and files whose bytes depend on the data alone."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import Image

from ladd.files import write_atomically
from ladd.report.labels import REAL, REAL_COLOUR
from ladd.systems.base import systems

DPI = 150
COLOURS = 128  # of a file
# Okabe and Ito: told apart under the common forms of colour blindness.
BLACK, GREY = "#1a1a1a", "#767676"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
CYCLE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
REFERENCE_COLOURS = {REAL: REAL_COLOUR, "exact": BLACK, "oracle": BLACK}
# The second, third, ... of one colour: mixed with this grey level by this share.
SHADES = ((0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (0.0, 0.75), (1.0, 0.75))

_SPINES = {"axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#555555", "axes.linewidth": 0.8}
_STYLE = {
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    **{f"figure.constrained_layout.{side}_pad": 0.08 for side in "hw"},  # inches
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that it is the same everywhere
    **dict.fromkeys(("font.size", "axes.titlesize"), 9.5),
    **{"axes.titlelocation": "left", "axes.grid": True, "axes.axisbelow": True} | _SPINES,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "legend.handlelength": 2.9,
    "lines.linewidth": 1.7,
    "lines.markersize": 5.0,
}


@contextmanager
def figure_to(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of width x height inches, written to ``path`` as PNG when the block ends without an error."""
    with matplotlib.style.context(["default", _STYLE]):  # the user's matplotlibrc must not show
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_atomically(path, _few_colours(buffer))


def _few_colours(png: io.BytesIO) -> bytes:
    """The same picture with a palette: a quarter of the bytes, in git and on the page."""
    buffer = io.BytesIO()
    method, none = Image.Quantize.FASTOCTREE, Image.Dither.NONE
    Image.open(png).convert("RGB").quantize(COLOURS, method=method, dither=none).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def family_colour(family: str) -> str:
    """Of a reference or a system."""
    return REFERENCE_COLOURS[family] if family in REFERENCE_COLOURS else systems()[family].colour


def shade(colour: str, index: int) -> str:
    """The colour itself for 0, then darker and lighter ones in turn, as "#rrggbb"."""
    grey, share = SHADES[index % len(SHADES)]
    red, green, blue = ((1 - share) * channel + share * grey for channel in to_rgb(colour))
    return to_hex((red, green, blue))


def note(axes: Axes, text: str) -> None:
    """Small grey line above the axes."""
    axes.set_title(text, fontsize=8.5, color=GREY)


def plain_log_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 times a power of ten, as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def side_legend(figure: Figure, panels: Iterable[Axes], order: Sequence[str] = ()) -> None:
    """Legend to the right of the panels, where it cannot cover data: of all labels, or of these in their order.

    The figure becomes as high as its legend needs.
    """
    drawn: dict[str, Artist] = {}
    for axes in panels:
        drawn |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    shown = {label: drawn[label] for label in order or drawn if label in drawn}
    legend = figure.legend(list(shown.values()), list(shown), loc="outside right upper", fontsize=9, labelspacing=0.7)
    needed = legend.get_window_extent().height / figure.dpi + 0.2  # inches, with some room above and below
    figure.set_figheight(max(figure.get_figheight(), needed))
