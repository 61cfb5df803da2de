"""`ladd export`: a trained model into a folder, into MLflow's registry, or onto the Hugging Face hub."""

import argparse
from pathlib import Path

from ladd.cli.arguments import add_command
from ladd.errors import AssetError

EXPORT = """\
Make one folder of a trained model: weights, settings, tokenizer and a card. It needs nothing else to sample
(docs/api.md), and `ladd.load` and MLflow read it.
"""


def run_export(parsed: argparse.Namespace) -> None:
    if parsed.alias and not parsed.register:
        parsed.parser.error("argument --alias: needs --register")
    if parsed.push and "/" not in parsed.push:
        parsed.parser.error(f"argument --push: {parsed.push} is no ORGANISATION/NAME")
    if not (parsed.folder or parsed.register or parsed.push):
        parsed.parser.error("say where to: --folder, --register or --push")
    from ladd.generation.load import load

    model = load(parsed.name, suite=parsed.suite)
    if parsed.licence:
        model.origin["licence"] = parsed.licence
    if parsed.folder:
        model.save_pretrained(parsed.folder)
        print(parsed.folder)
    if parsed.register:
        from ladd.generation.export import register

        print(register(model, parsed.register, alias=parsed.alias))
    if parsed.push:
        try:
            print(model.push_to_hub(parsed.push))
        except Exception as error:  # of the hub, or of its HTTP library
            said = " ".join(str(error).split())[:300]
            raise AssetError(
                f"--push {parsed.push}: the hub does not take it ({type(error).__name__}: {said}); log in with "
                "`hf auth login`, or write it to a --folder and push it where there is a network"
            ) from error


def add_export(commands: argparse._SubParsersAction) -> None:
    text = "hand a trained model on: folder, MLflow, hub"
    export = add_command(commands, "export", run_export, help=text, description=EXPORT)
    export.add_argument("name", metavar="NAME", help="a sweep, baseline or model, as `ladd generate` takes it")
    export.add_argument("--suite", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
    export.add_argument("--folder", type=Path, help="to write to")
    export.add_argument("--register", metavar="MODEL", help="name in MLflow's registry; a new version of it")
    export.add_argument("--alias", help="with --register: that names this version from now on")
    export.add_argument("--push", metavar="ORGANISATION/NAME", help="on the Hugging Face hub")
    export.add_argument("--licence", help="of the weights, for the card, such as apache-2.0")
