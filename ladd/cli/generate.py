"""`ladd generate`: text from a trained model."""

import argparse
import contextlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from ladd.cli.arguments import add_command, check_suite_folder, number, whole

DESCRIPTION = """\
Print samples of a trained model of a suite, drawn as the stage `sample` draws them: with the settings of a sweep
and one of its seeds, sample i is sample i of that sweep. It does not depend on -n or --batch.
"""
NOTES = """\
defaults:
  A sweep brings all its settings, with the largest of its step budgets. A model alone, or a URI, takes N steps, the
  joint schedule if it has latents, and neutral values of the rest. A name of both a sweep and a model is the sweep;
  sweeps.NAME, baselines.NAME and models.NAME say which is meant. Real tokens that a sweep gives are not given here.

  An option that the model or its schedule has no use for is an error, which lists those that it takes.

prompts and templates:
  Their tokens are given to the sampler and never change; what comes after them is drawn up to N tokens. In a template,
  {8} is a gap of eight tokens; {{ and }} are braces. Text between gaps is tokenised by itself, so mind its spaces:
  under byte-level BPE the space before a word belongs to the word. Sawtooth data is written in 0 and 1.
  Latents see the given tokens, but for those that a network that never sees tokens draws before them.
"""


def run_generate(parsed: argparse.Namespace) -> None:
    if parsed.exact and parsed.template is None:
        parsed.parser.error("argument --exact: needs --template")
    check_suite_folder(parsed.suite)
    from ladd.config import load_suite
    from ladd.files import try_outputs
    from ladd.generation import Request, generate
    from ladd.generation.settings import OPTIONS

    options = {key: value for key in OPTIONS if (value := getattr(parsed, key)) is not None}
    own = dict(parsed.own)
    options |= {key: own.pop(key) for key in list(own) if key in OPTIONS}
    plain = ("name", "count", "seed", "batch", "prompt", "template", "exact", "device")
    request = Request(options=options, own=own, **{key: getattr(parsed, key) for key in plain})
    animation = None if parsed.animate is None else parsed.animate.absolute()
    if animation is not None:
        if animation.is_dir():
            parsed.parser.error(f"argument --animate: {parsed.animate} is a folder; name a file")
        try_outputs((animation,))
    with contextlib.chdir(parsed.suite):
        show = partial(print, file=sys.stderr) if parsed.watch else None
        samples = generate(load_suite(), request, show, animation)
    if parsed.json:
        for sample in samples:
            print(json.dumps(vars(sample)))
    else:
        print("\n---\n".join(sample.text for sample in samples))


def add_generate(commands: argparse._SubParsersAction) -> None:
    text = "print text from a trained model"
    generate = add_command(commands, "generate", run_generate, help=text, description=DESCRIPTION, epilog=NOTES)
    generate.add_argument(
        "name",
        metavar="NAME",
        help="a sweep, baseline or model of params.yaml; or runs:/RUN_ID (the last checkpoint of a training) or "
        "models:/m-ID (a checkpoint) in MLflow",
    )
    generate.add_argument("--suite", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
    _add_output(generate)
    _add_given(generate)
    _add_settings(generate)


def _setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value being a number, a list, true, false or null as in JSON, or else text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE, such as remask=0.1")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("samples")
    group.add_argument("-n", "--count", type=whole(1, 2**24), default=1, help="samples (default: 1)")
    group.add_argument("--seed", type=whole(0, 2**63 - 1), default=0, help="of the noise (default: 0)")
    group.add_argument("--batch", type=whole(1, 2**20), help="samples at a time; does not change them")
    group.add_argument("--device", choices=["cpu", "cuda"], help="default: compute.device of params.yaml")
    group.add_argument(
        "--watch", action="store_true", help="show the first sample after every step, on stderr; masks are shown as _"
    )
    group.add_argument(
        "--animate", type=Path, metavar="FILE", help="write the first sample, step by step, as an HTML page of its own"
    )
    group.add_argument(
        "--json",
        action="store_true",
        help="one JSON object per line and sample: text, tokens, positions of given tokens, model, settings, weights",
    )


def _add_given(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("given text")
    either = group.add_mutually_exclusive_group()
    either.add_argument("--prompt", metavar="TEXT", help="what every sample starts with")
    either.add_argument("--template", metavar="TEXT", help="text with gaps to fill in, such as 'The {4} of the {2}'")
    group.add_argument("--exact", action="store_true", help="print no more than the template")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampler (default: see below)")
    group.add_argument(
        "--sampler",
        "--schedule",
        dest="schedule",
        metavar="NAME",
        help="such as joint or sequential (docs/samplers.md)",
    )
    group.add_argument(
        "--set",
        dest="own",
        type=_setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of that sampler's own, such as remask=0.1 or tokens.schedule=NAME",
    )
    group.add_argument("--steps", dest="token_steps", type=whole(1), metavar="K", help="token steps, at most N")
    group.add_argument("--latent-steps", type=whole(1), metavar="T", help="latent steps before the tokens")
    group.add_argument("--temperature", type=number(above=0), help="of tokens and codes, above 0")
    group.add_argument("--eta", type=number(0, 1), help="stochasticity of the DDIM steps, 0 to 1")
    group.add_argument("--token-lag", type=number(1), help="token grid t_x = u^(1/lag), at least 1")
    group.add_argument(
        "--latent-lead", type=number(1), help="the latents' clock runs ahead, t_z = t_x^lead, at least 1"
    )
    group.add_argument("--precision", choices=["float64", "float32"], help="of the draws")
