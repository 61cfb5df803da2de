"""`ladd search`: the time grid of a sweep that has the least bound at a step budget."""

from __future__ import annotations

import argparse
from pathlib import Path

from ladd.cli.arguments import add_command, check_suite_folder, whole

SEARCH = """\
Choose token_lag, and latent_lead where latents go along with tokens, for a trained model at K steps: the grid with the
least bound of the K steps on validation sequences. The bound is that of ancestral steps, whatever the sampler's rule.
Half of the sequences choose; the other half say by how much the choice is better than the grid of the sweep. It is
printed as an entry of `sweeps`; --write adds it to params.yaml and changes nothing else there.
"""


def run_search(parsed: argparse.Namespace) -> None:
    check_suite_folder(parsed.suite)
    from ladd.config import load_suite
    from ladd.config.replicates import without_replicate
    from ladd.errors import ConfigError, nearest
    from ladd.generation.load import load
    from ladd.generation.search import add_sweep, describe, entry, search
    from ladd.registry import PARAMS

    folder = Path(parsed.suite)
    sweeps = load_suite(folder / PARAMS).sweeps
    if parsed.sweep not in sweeps:
        raise ConfigError(
            f"{parsed.sweep!r} is no sweep of {folder / PARAMS}{nearest(parsed.sweep, sweeps)}; it has {[*sweeps]}"
        )
    model = load(f"sweeps.{parsed.sweep}", suite=folder, device=parsed.device)
    found = search(model, parsed.steps, sequences=parsed.sequences, draws=parsed.draws, seed=parsed.seed)
    base = without_replicate(parsed.sweep)
    line = entry(base, found, parsed.steps)
    print(describe(found))
    name = parsed.write or f"{base}-best-{parsed.steps}"
    print(f"sweeps:\n  {name}: {line}")
    if parsed.write:
        add_sweep(folder, parsed.write, line)
        print(f"written to {folder / PARAMS}; `make repro` or `ladd` in the suite samples it")


def add_search(commands: argparse._SubParsersAction) -> None:
    text = "choose the time grid of a sweep by its bound"
    search = add_command(commands, "search", run_search, help=text, description=SEARCH)
    search.add_argument("sweep", metavar="SWEEP", help="of params.yaml, whose model is trained")
    search.add_argument("--suite", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
    search.add_argument("--steps", type=whole(2), required=True, metavar="K", help="token steps, 2 to N")
    search.add_argument("--sequences", type=whole(4), default=512, help="of the validation split (default: 512)")
    search.add_argument("--draws", type=whole(1), default=4, help="of masks, per sequence (default: 4)")
    search.add_argument("--seed", type=whole(0), default=0, help="of the masks (default: 0)")
    search.add_argument("--device", choices=["cpu", "cuda"], help="default: compute.device of params.yaml")
    search.add_argument("--write", metavar="NAME", help="add it to the sweeps of params.yaml under this name")
