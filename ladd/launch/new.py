"""`ladd new`: a suite on one's own data, in suites/NAME, whole or not at all (docs/your-data.md).

Everything is tried before anything is there: the data are read, the tokenizer is trained, N and V and the splits are
built as the stage `data` builds them, in .work, and the folder takes its place by one rename.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ladd.config import Suite, load_suite
from ladd.errors import ConfigError, LaunchError
from ladd.files import remove, storage_error, write_atomically
from ladd.launch import own_checks, own_sizes
from ladd.launch.confine import check_name
from ladd.launch.own_data import HUB_NAME, Found, find_local_data, guess_field, look_at, path_asset, read_texts
from ladd.launch.own_hub import TOKENIZER, find_hub_data, hub_tokenizer
from ladd.launch.own_sizes import Layout
from ladd.launch.own_text import STARTERS, Draft, params_text
from ladd.launch.pipeline import PIPELINE, write_pipeline
from ladd.stages.plan import renew_plan
from ladd.tasks import task_of
from ladd.tasks.text.own import Cut, own_documents, own_tokenizer, parts_of
from ladd.tasks.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from datasets import Dataset

TRAINED = ("bpe", "character")  # tokenizers that are trained on the data
MOST = 100_000  # documents that are read of a table, and lines of a file
LOOKED_AT = 2000  # texts that the layout is guessed from
ENOUGH = 20  # documents, below which they are cut


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    name: str  # of the suite
    data: str  # file, folder, or ORGANISATION/NAME of the hub
    layout: Layout | None = None  # None: guessed
    tokenizer: str | None = None  # bpe, character, a tokenizer.json, its folder, or ORGANISATION/NAME; None: by layout
    field: str | None = None  # None: guessed
    encoding: str = "utf-8"
    minutes: float = 3.0  # on two cores


@dataclass
class Written:
    """The folder of the new suite, and what was decided, a sentence each."""

    folder: Path
    notes: list[str] = field(default_factory=list)


def new_suite(root: Path, request: Request) -> Written:
    """Write a suite.

    Raises:
        ConfigError: the name is taken, or the data are not such that a suite can be trained on them.
        ArtifactError: a file is not of its format or encoding.
        AssetError: the hub cannot be asked.
        LaunchError: ``root`` is no repository of this package.
    """
    check_name(request.name, "suite")
    target = root / "suites" / request.name
    if not ((root / PIPELINE).is_file() and (root / STARTERS).is_dir()):
        raise LaunchError(f"{root} has no {PIPELINE} and {STARTERS}; run this in a checkout of the repository")
    if os.path.lexists(target):
        raise ConfigError(f"suites/{request.name} is there already; choose another name, or remove it first")
    written = Written(target)
    own_checks.check_encoding(request.encoding)
    with _draft_folder(root, request.name) as folder, _quiet_datasets():
        found = _find(root, request)
        _make(root, folder, found, request, written.notes)
        target.parent.mkdir(exist_ok=True)
        try:
            os.rename(folder, target)
        except OSError as error:
            taken = ConfigError(f"suites/{request.name} was made meanwhile; choose another name")
            raise storage_error(error) or taken from error
    return written


@contextlib.contextmanager
def _draft_folder(root: Path, name: str) -> Iterator[Path]:
    """A folder as far below the root as that of a suite, which git and DVC ignore, and which goes afterwards."""
    folder = root / ".work" / f"new-{name}-{os.getpid()}"
    remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _quiet_datasets() -> Iterator[None]:
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _find(root: Path, request: Request) -> Found:
    if path := own_checks.existing_path("--data", request.data):
        return find_local_data(path, root, request.encoding)
    if HUB_NAME.fullmatch(request.data) and not Path(request.data).suffix:
        return find_hub_data(request.data, root, request.encoding)
    raise ConfigError(
        f"--data: {request.data!r} is no file or folder here, and no ORGANISATION/NAME of the hub; correct the path"
    )


def _make(root: Path, folder: Path, found: Found, request: Request, notes: list[str]) -> None:
    """Fill the folder of the suite; ``notes`` get what was decided."""
    notes += found.notes
    scratch = folder / "scratch"
    scratch.mkdir()
    found, about = _with_field(found, request.field, scratch, notes)
    draft = _layout(found, request, scratch, notes)
    draft.about |= about
    draft.tokenizer = _tokenizer(root, request, draft, notes)
    with contextlib.chdir(folder):  # where stages run
        suite, documents, tokenizer = _read(draft, scratch)
        draft.tokenizer["vocabulary"] = tokenizer.vocabulary
        _size(draft, documents, tokenizer, notes)
        suite = _checked(draft)
        held_out = _build(suite, draft.name)
        own_sizes.check_enough(held_out, draft.share, "sequences", round(held_out / draft.share))
        draft.samples = own_sizes.samples_of(held_out, draft.layout)
        draft.steps = own_sizes.training_steps(suite, request.minutes)
        suite = _checked(draft)
        task_of(suite, draft.name).check_real()
        for name in ("artifacts", "scratch", ".work"):
            remove(Path(name))
    write_pipeline(root, folder)
    renew_plan(folder)
    remove(folder / ".work")
    notes.append(
        f"trainings: {draft.steps['baselines']} steps of models without latents, {draft.steps['latents']} of Stage 1, "
        f"{draft.steps['models']} with latents; {draft.samples} samples per seed"
    )


def _with_field(found: Found, wanted: str | None, scratch: Path, notes: list[str]) -> tuple[Found, dict[str, str]]:
    if not found.has_fields:
        if wanted is not None:
            raise ConfigError(
                f"--field: {wanted!r}, but {found.path} is {found.format} and has no fields; leave it out"
            )
        return found, {}
    chosen, texts, others = guess_field(look_at(found, scratch / "look"), wanted)
    listed = [*texts, *(f"{name} (no text)" for name in others)]
    notes.append(
        f"field: {chosen}" + (" (guessed)" if wanted is None else "") + f"; others: {', '.join(listed) or 'none'}"
    )
    return replace(found, field=chosen), {"field": f"others: {', '.join(listed)[:60]}"} if listed else {}


def _layout(found: Found, request: Request, scratch: Path, notes: list[str]) -> Draft:
    """Whether documents are packed or a row each; where long ones are cut."""
    documents = read_texts(found, scratch / "guess", MOST if found.has_fields else None)
    texts = list(islice(_texts(documents), LOOKED_AT))
    lines = list(islice((line for text in texts for line in text.strip("\n").split("\n")), LOOKED_AT))
    whole = not found.has_fields
    guessed, why = own_sizes.guess_layout(lines if whole else texts, whole_files=whole)
    layout = request.layout or guessed
    notes.append(f"--task {layout}" + (f" (guessed: {why})" if request.layout is None else ""))
    if layout == "rows":
        own_sizes.check_strings(lines if whole else texts)
    if layout == "rows" and whole:
        found = replace(found, format="lines")
    cut = _cut(documents) if layout == "text" else "none"
    if cut != "none":
        notes.append(f"cut: {cut}, as there are {len(documents)} documents alone")
    limit = {"documents": MOST} if found.has_fields or layout == "rows" else {}
    draft = Draft(request.name, layout, found.corpus(**limit), {}, own_sizes.SMALLEST_BLOCK, 0.1, cut)
    draft.about |= {"documents": "at most, of the first"} if limit else {}
    return draft


def _texts(*parts: Dataset) -> Iterator[str]:
    return (text for part in parts for batch in part.iter(256) for text in batch["text"])


def _cut(documents: Dataset) -> Cut:
    """The largest parts of which there are enough to hold some out."""
    if len(documents) >= ENOUGH:
        return "none"
    ways: tuple[Cut, ...] = ("paragraphs", "lines")
    for cut in ways:
        if sum(len(parts_of(text, cut)) for text in _texts(documents)) >= ENOUGH:
            return cut
    raise ConfigError(
        f"--data: too short: {len(documents)} documents, and fewer than {ENOUGH} lines in all; give more text"
    )


def _tokenizer(root: Path, request: Request, draft: Draft, notes: list[str]) -> dict[str, Any]:
    """Its block of params.yaml; V follows when it is made."""
    default = "character" if draft.layout == "rows" else "bpe"
    wanted = default if request.tokenizer is None else request.tokenizer
    if wanted in TRAINED:
        return {"kind": wanted, "vocabulary": own_sizes.LARGEST_VOCABULARY}
    path = own_checks.existing_path("--tokenizer", wanted)
    if path and path.is_dir():
        path /= TOKENIZER
    if path and path.is_file():
        own_checks.check_tokenizer(path)
        asset = path_asset(path, root)
    elif HUB_NAME.fullmatch(wanted) and not os.path.lexists(wanted):
        asset = hub_tokenizer(wanted)
    else:
        raise ConfigError(
            f"--tokenizer: {wanted!r} is neither {' nor '.join(TRAINED)}, nor a {TOKENIZER} or a folder with one, nor "
            "ORGANISATION/NAME of the hub; correct it"
        )
    notes.append(f"tokenizer: {wanted}")
    return {"kind": "pretrained", "vocabulary": 3, "asset": asset, "files": TOKENIZER}


def _read(draft: Draft, scratch: Path) -> tuple[Suite, Sequence[Dataset], Tokenizer]:
    """Training and validation documents as the stage `data` splits them, and the tokenizer."""
    suite = _checked(draft)
    config: Any = suite.data[draft.name]
    parts = own_documents(suite, config.train, config.validation, draft.cut, _made(scratch / "read"))
    count = sum(map(len, parts))
    own_checks.check_different(_texts(*parts))
    draft.share = own_sizes.held_out_share(count)
    if draft.tokenizer["kind"] == "bpe":
        own_checks.check_runs(_texts(*parts), draft.train["asset"]["name"])
        characters = sum(map(len, _texts(*parts)))
        draft.tokenizer["vocabulary"] = own_sizes.bpe_vocabulary(characters)
    suite = _checked(draft)
    config = suite.data[draft.name]
    parts = own_documents(suite, config.train, config.validation, draft.cut, _made(scratch / "split"))
    return suite, parts, own_tokenizer(suite, config.tokenizer, *parts)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _size(draft: Draft, parts: Sequence[Dataset], tokenizer: Tokenizer, notes: list[str]) -> None:
    """N, from the lengths of the documents."""
    lengths = [len(ids) for part in parts for batch in part.iter(256) for ids in tokenizer.encode(batch["text"])]
    count, longest = len(lengths), max(lengths)
    if not longest:
        raise ConfigError("--tokenizer: it has no token for any character of the data; name another")
    if draft.layout == "rows":
        draft.tokens, dropped = own_sizes.row_tokens(lengths)
        own_sizes.check_enough(int((count - dropped) * draft.share), draft.share, "strings", count - dropped)
        draft.about["tokens"] = f"; the longest of {count} strings has {longest}" + f", {dropped} are longer" * (
            dropped > 0
        )
    else:
        total = sum(lengths)
        draft.tokens = own_sizes.block_tokens(draft.tokenizer["kind"], total, draft.share)
        draft.about["tokens"] = f"; {count} documents have {total} tokens"
    notes.append(
        f"N = {draft.tokens}{draft.about['tokens']}; V = {tokenizer.vocabulary} ({draft.tokenizer['kind']}); "
        f"{draft.share:.0%} of {count} documents are held out"
    )


def _checked(draft: Draft) -> Suite:
    """Write params.yaml into the working directory and read it."""
    write_atomically(Path("params.yaml"), params_text(draft).encode())
    return load_suite()


def _build(suite: Suite, key: str) -> int:
    """Build the data as the stage does. Returns the sequences that are held out."""
    task = task_of(suite, key)
    task.folder.mkdir(parents=True)
    task.build(task.folder)
    return len(task.rows(task.real_split))
