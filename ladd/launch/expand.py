"""From a grid to a suite: an ordinary params.yaml with the latents, models and sweeps of every cell."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ladd.config import Suite, check_suite
from ladd.errors import ConfigError
from ladd.launch.grid import Cell, Grid, cells_of
from ladd.launch.overrides import Values, apply_overrides, difference, unshared

BLOCKS = ("encoders", "latents", "codebooks", "priors", "models", "sweeps")  # that cells add to
# Of a schedule that the base suite does not sample the model with: nothing runs ahead, nothing is extra.
NEUTRAL: Values = {"frontier": None, "given": None, "token_lag": 1.0, "latent_lead": 1.0, "eta": 0.0}
TRAINED = ("latents", "codebooks", "priors", "baselines", "models")


class Rejected(NamedTuple):
    """A cell that the suite's own checks refuse."""

    cell: Cell
    reason: str

    def __str__(self) -> str:
        return f"{self.cell.name}: {self.reason}"


@dataclass(frozen=True)
class Expansion:
    """What a grid comes to."""

    values: Values  # of params.yaml
    cells: list[Cell]  # that it has
    rejected: list[Rejected]  # those that it has not
    notes: list[str]  # what was changed in the base suite to make room, such as warm-ups of shorter trainings

    @property
    def trainings(self) -> int:
        return sum(len(self.values[block]) for block in TRAINED)


def expand(values: Values, grid: Grid) -> Expansion:
    """Build the suite of a grid. Raises ConfigError: the base suite, an override or a setting of the whole grid is
    wrong, or no cell is left."""
    return _Expander(values, grid).expand()


class _Expander:
    def __init__(self, values: Values, grid: Grid):
        self.grid = grid
        self.base = apply_overrides(values, grid.overrides, grid.suite)
        self.suite: Suite = check_suite(self.base, grid.suite)
        samples = grid.samples or self.base["evaluation"]["reference"]["samples"]
        self.sizes: Values = {"samples": samples, "seeds": grid.seeds}  # of all sweeps: they are compared

    def expand(self) -> Expansion:
        cells = list(cells_of(self.grid, self.suite))
        frame = self._frame({self.suite.models[cell.base].data for cell in cells})
        check_suite(frame, f"the suite of {self.grid.name} without its cells")
        kept, rejected = [], []
        for cell in cells:
            if reason := self._fault(frame, cell):
                rejected.append(Rejected(cell, reason))
            else:
                kept.append(cell)
        if not kept:
            reasons = dict.fromkeys(each.reason for each in rejected)
            raise ConfigError("\n  ".join([f"{self.grid.name} has no cell that makes sense:", *reasons]))
        whole = unshared(self._with_cells(frame, kept))
        check_suite(whole, f"the suite of {self.grid.name}")
        return Expansion(whole, kept, rejected, self._notes(whole, kept))

    def _fault(self, frame: Values, cell: Cell) -> str:
        """What the checks of a suite say of a cell; empty where they say nothing."""
        try:
            check_suite(self._with_cells(frame, [cell]), cell.name)
        except ConfigError as error:
            return "; ".join(line.strip() for line in str(error).splitlines()[1:])
        return ""

    def _frame(self, used: set[str]) -> Values:
        """The suite without its cells: data, baselines and evaluation, at the sizes that the grid asks for."""
        base, grid = self.base, self.grid
        baselines = {
            key: shorten(baseline, grid.stage2_steps)
            for key, baseline in base["baselines"].items()
            if grid.baselines and baseline["data"] in used
        }
        sweeps = {
            key: self._baseline_sweep(sweep)
            for key, sweep in base["sweeps"].items()
            if sweep["model"] in baselines and sweep["given"] is None
        }
        reference = base["evaluation"]["reference"] | self.sizes
        changed = {
            "root": "../..",
            "suite": grid.name,
            "data": {key: self._data(key) for key in base["data"] if key in used},
            **{block: {} for block in BLOCKS},
            "baselines": baselines,
            "sweeps": sweeps,
            "evaluation": base["evaluation"] | {"reference": reference},
        }
        return base | changed

    def _baseline_sweep(self, sweep: Values) -> Values:
        """Of a model without latents; one that goes from left to right takes N steps, whatever is asked."""
        one_way = self.suite.baselines[sweep["model"]].system.left_to_right
        return sweep | self.sizes | {"token_steps": sweep["token_steps"] if one_way else self.grid.token_steps}

    def _data(self, key: str) -> Values:
        """Enough real sequences to compare samples with, and as many again for the floor of the distances."""
        task, room = self.suite.data[key].task, 2 * self.sizes["samples"] * len(self.sizes["seeds"])
        return task.with_room(self.base["data"][key], room)

    def _with_cells(self, frame: Values, cells: Iterable[Cell]) -> Values:
        values = frame | {block: dict(frame[block]) for block in BLOCKS}
        for cell in cells:
            latents = self._add_latents(values, cell)
            model = self.base["models"][cell.base] | {"latents": latents}
            values["models"][cell.model] = shorten(model, self.grid.stage2_steps)
            sweep = cell_sweep(self.base, cell, self.grid) | self.sizes
            values["sweeps"][cell.name] = sweep | {"prior": self._add_prior(values, cell, latents)}
        return values

    def _add_prior(self, values: Values, cell: Cell, latents: str) -> str | None:
        """Add the prior that a cell draws its latents from; None where it takes none, or the base suite has none."""
        base = self.suite.models[cell.base]
        priors = self.suite.priors_of(base.latents_name)
        if not priors or not base.system.needs_prior(base, cell.schedule):
            return None
        name = f"{priors[0]}-{cell.shape}"
        values["priors"][name] = shorten(self.base["priors"][priors[0]], self.grid.stage2_steps) | {"latents": latents}
        return name

    def _add_latents(self, values: Values, cell: Cell) -> str:
        base, name = self.base, self.base["models"][cell.base]["latents"]
        if (found := self.suite.view_of(name)) is None:
            latents = base["latents"][name] | {"length": cell.length, "codebook": cell.codebook}
            values["latents"][f"{name}-{cell.shape}"] = shorten(latents, self.grid.stage1_steps)
            return f"{name}-{cell.shape}"
        encoder, view = found
        key = f"{view}-L{cell.length}"
        views = values["encoders"].get(encoder, {"views": {}})["views"]
        views = views | {key: base["encoders"][encoder]["views"][view] | {"length": cell.length}}
        values["encoders"][encoder] = base["encoders"][encoder] | {"views": views}
        if cell.codebook is None:
            return f"{encoder}/{key}"
        # Codes of a model that wants none are for the checks to refuse, whatever the training.
        codebook = base["codebooks"].get(name, {"steps": 1, "batch": 1})
        codebook = codebook | {"latents": f"{encoder}/{key}", "codebook": cell.codebook}
        codes = f"{name if name in base['codebooks'] else view}-{cell.shape}"
        values["codebooks"][codes] = shorten(codebook, self.grid.stage1_steps)
        return codes

    def _notes(self, whole: Values, cells: list[Cell]) -> list[str]:
        """A line for every block of the base suite that was shortened or made larger."""
        names = {cell.base: cell for cell in reversed(cells)}
        pairs = {f"baselines.{key}": (self.base["baselines"][key], block) for key, block in whole["baselines"].items()}
        for base, cell in names.items():
            pairs[f"models.{base}"] = (self.base["models"][base], whole["models"][cell.model])
            for block in ("latents", "codebooks"):
                if (name := self.base["models"][base]["latents"]) in self.base[block]:
                    pairs[f"{block}.{name}"] = (self.base[block][name], whole[block][f"{name}-{cell.shape}"])
            for prior in self.suite.priors_of(self.suite.models[base].latents_name):
                if (made := whole["priors"].get(f"{prior}-{cell.shape}")) is not None:
                    pairs[f"priors.{prior}"] = (self.base["priors"][prior], made)
        pairs |= {f"data.{key}": (self.base["data"][key], data) for key, data in whole["data"].items()}
        changes = {key: difference(_sizes(old), _sizes(new)) for key, (old, new) in pairs.items()}
        return [f"{key}: {', '.join(lines)}" for key, lines in changes.items() if lines]


def _sizes(block: Values) -> Values:
    """What shortening changes, and the number of real sequences."""
    return block.get("training", {}) | {
        key: block[key] for key in ("steps", "quantise_after", "reference") if key in block
    }


def shorten(trained: Values, steps: int | None) -> Values:
    """A block with a training (latents, a baseline, a model) or steps of its own (a codebook), trained for ``steps``.

    With fewer steps than before, warm-up and the start of the quantiser come as much earlier, so that the block
    stays valid; with more they stay. Validation and checkpoints keep their intervals and their cost. The argument
    stays as it is."""
    if steps is None:
        return trained
    if "training" not in trained:
        return trained | {"steps": steps}
    training = trained["training"]
    changed = trained | {"training": training | {"steps": steps}}
    share = steps / training["steps"]
    if share >= 1:
        return changed
    changed["training"]["warmup"] = int(training["warmup"] * share)
    if trained.get("quantise_after"):
        changed["quantise_after"] = min(max(1, int(trained["quantise_after"] * share)), steps - 1)
    return changed


def cell_sweep(base: Values, cell: Cell, grid: Grid) -> Values:
    """The sweep of a cell, with the sampler's settings of the base suite for that model and schedule. Raises
    ConfigError: the base suite has no sweep to take precision from."""
    sweeps = [sweep for sweep in base["sweeps"].values() if sweep["given"] is None]
    same_model = [sweep for sweep in sweeps if sweep["model"] == cell.base]
    same_schedule = [sweep for sweep in sweeps if sweep["schedule"] == cell.schedule]
    both = [sweep for sweep in same_model if sweep in same_schedule]
    if not sweeps:
        raise ConfigError("sweeps: the base suite has none to take the sampler's settings from")
    settings = both[0] if both else (same_model or sweeps)[0] | NEUTRAL
    latent_steps = 0
    if cell.schedule == "sequential":
        known = [sweep["latent_steps"] for sweep in [*both, *same_schedule]]
        latent_steps = grid.latent_steps or (known[0] if known else 0)
    own = {"model": cell.model, "data": base["models"][cell.base]["data"], "schedule": cell.schedule}
    return settings | own | {"token_steps": grid.token_steps, "latent_steps": latent_steps}
