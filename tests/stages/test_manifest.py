"""Content of outputs and sources, and DVC's hashes of them."""

import json
import os
from pathlib import Path

import pytest
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.fs.local import LocalFileSystem

from ladd.errors import ArtifactError
from ladd.files import file_hash
from ladd.stages import manifest
from ladd.stages.manifest import check_outputs, content_hash, dvc_hash, write_manifest
from tests.stages.tiny import REPOSITORY

# Sorted as whole strings these come in another order than sorted folder by folder.
FILES = {"a/b.txt": b"one\r\n", "a-b.txt": b"two\n", "a.txt": b"", "b/c/d.bin": bytes(range(256))}


def write_files(folder: Path) -> Path:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def describe(folder: Path) -> None:
    write_manifest(folder, stage="stage1@di")


@pytest.fixture
def output(tmp_path, monkeypatch) -> Path:
    """A finished output folder, as a path relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = write_files(Path("artifacts/latents/di"))
    describe(folder)
    return folder


def test_manifest_holds_the_hash_of_every_file_below_the_folder(output):
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest.pop("files") == {name: file_hash(output / name) for name in FILES}
    assert manifest == {"stage": "stage1@di"}


def test_equal_work_gives_an_equal_manifest(output):
    other = write_files(Path("elsewhere"))
    os.utime(other / "a.txt", (0, 0))
    describe(other)
    assert (other / "manifest.json").read_bytes() == (output / "manifest.json").read_bytes()


def test_output_counts_through_its_manifest(output):
    before = content_hash(output)
    assert before == file_hash(output / "manifest.json")
    (output / "a.txt").write_bytes(b"other weights")
    assert content_hash(output) == before
    describe(output)
    assert content_hash(output) != before


def test_output_without_manifest_is_incomplete(output):
    (output / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"artifacts/latents/di has no manifest.json.*dvc repro"):
        content_hash(output)


@pytest.mark.parametrize(
    ("changed", "moves"),
    [("a/b.txt", True), ("a/new.txt", True), ("a-b.txt", False), ("a.txt", False), ("b/c/d.bin", False)],
)
def test_part_of_an_output_counts_through_the_files_below_it_alone(output, changed, moves):
    before = content_hash(output / "a")
    (output / changed).write_bytes(b"changed")
    assert content_hash(output / "a") == before  # the manifest is what is read
    describe(output)
    assert (content_hash(output / "a") != before) == moves
    assert content_hash(output / "a") != content_hash(output)


def test_part_of_an_output_does_not_depend_on_what_made_it(output):
    before = content_hash(output / "b/c")
    write_manifest(output, stage="stage1@co")
    assert content_hash(output / "b/c") == before


def test_parts_with_equal_files_under_other_names_differ(output):
    (output / "a/b.txt").rename(output / "a/c.txt")
    describe(output)
    renamed = content_hash(output / "a")
    (output / "a/c.txt").rename(output / "a/b.txt")
    describe(output)
    assert content_hash(output / "a") != renamed


def test_part_of_an_incomplete_output_is_an_error(output):
    (output / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"artifacts/latents/di/a has no manifest.json.*dvc repro"):
        content_hash(output / "a")


def flip(path: Path) -> None:
    """Change one bit; size and time stay."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


PARTS = ["artifacts/latents/di", "artifacts/latents/di/b", "artifacts/latents/di/b/c/d.bin"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("remembered", [False, True])
def test_one_changed_bit_is_found_in_an_output_and_in_a_part_of_it(output, monkeypatch, part, remembered):
    monkeypatch.setattr(manifest, "REMEMBERED", 0 if remembered else 1 << 20)
    check_outputs([Path(part)])
    flip(output / "b/c/d.bin")
    with pytest.raises(ArtifactError) as caught:
        check_outputs([Path(part)])
    message = str(caught.value)
    assert message.startswith("artifacts/latents/di/b/c/d.bin has sha256 ")
    assert "delete artifacts/latents/di and run `dvc repro`" in message


def test_file_that_stays_as_it_is_is_read_once(output, monkeypatch):
    monkeypatch.setattr(manifest, "REMEMBERED", 0)
    check_outputs([output])
    monkeypatch.setattr(manifest, "_compute", lambda path: pytest.fail(f"{path} was read again"))
    check_outputs([output, output / "a"])
    (output / "a/b.txt").touch()
    with pytest.raises(pytest.fail.Exception, match=r"a/b\.txt was read again"):
        check_outputs([output])


def test_change_elsewhere_in_the_output_is_not_that_of_a_part(output):
    flip(output / "a/b.txt")
    check_outputs([output / "b", output / "a-b.txt"])


@pytest.mark.parametrize("part", PARTS[:2])
def test_missing_and_added_files_are_named(output, part):
    (output / "b/c/new.bin").write_bytes(b"one more shard")
    (output / "b/c/.nfs01").write_bytes(b"what a file system leaves")
    with pytest.raises(
        ArtifactError, match=r"di/b/c/new\.bin is not in artifacts/latents/di/manifest\.json; delete it"
    ):
        check_outputs([Path(part)])
    (output / "b/c/new.bin").unlink()
    check_outputs([Path(part)])
    (output / "b/c/d.bin").unlink()
    with pytest.raises(
        ArtifactError, match=r"di/b/c/d\.bin is missing, but artifacts/latents/di/manifest\.json names it"
    ):
        check_outputs([Path(part)])


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"files": null}', '{"files": {"a.txt": 1}', "\xff"])
def test_damaged_manifest_is_named(output, text):
    (output / "manifest.json").write_text(text, encoding="latin-1")
    for use in (lambda: check_outputs([output]), lambda: content_hash(output / "a")):
        with pytest.raises(ArtifactError, match=r"artifacts/latents/di/manifest\.json is damaged; delete"):
            use()


def test_missing_output_is_named_when_it_is_checked(output):
    with pytest.raises(ArtifactError, match=r"artifacts/latents/co is missing; run `dvc repro` to make it"):
        check_outputs([Path("artifacts/latents/co")])


def test_missing_dependency_is_named(output):
    with pytest.raises(ArtifactError, match=r"artifacts/latents/co is missing.*dvc repro"):
        content_hash(Path("artifacts/latents/co"))


def test_folder_of_results_counts_through_names_and_contents(output):
    sources = write_files(Path("sources"))
    seen = {content_hash(sources)}
    (sources / "a/b.txt").write_bytes(b"changed")
    seen.add(content_hash(sources))
    (sources / "a/b.txt").rename(sources / "a/c.txt")
    seen.add(content_hash(sources))
    assert len(seen) == 3


@pytest.mark.parametrize("cache", ["__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"])
def test_caches_of_tools_are_no_results(output, cache):
    sources = write_files(Path("sources"))
    before = content_hash(sources)
    (sources / "a" / cache / "0.1").mkdir(parents=True)
    (sources / "a" / cache / "0.1" / "b").write_bytes(b"cached")
    assert content_hash(sources) == before
    assert cache in (REPOSITORY / ".dvcignore").read_text().splitlines()


@pytest.mark.parametrize("path", ["artifacts/latents/di", *(f"artifacts/latents/di/{name}" for name in FILES)])
def test_dvc_hash_is_that_of_dvc(output, path):
    files = LocalFileSystem()
    store = HashFileDB(files, str(Path("store").absolute()))
    dvc = build(store, str(Path(path).absolute()), files, "md5", dry_run=True)[2]
    assert dvc_hash(Path(path)) == dvc.hash_info.value
