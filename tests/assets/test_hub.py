"""Snapshots of the hub, without the hub."""

from types import SimpleNamespace

import pytest

from ladd.assets import check_pinned, fetch_asset, listing_hash
from ladd.errors import AssetError
from tests.assets.builders import hub_asset, path_asset

huggingface_hub = pytest.importorskip("huggingface_hub")
COMMIT = "c" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache of the real client, cut off from the network, with one snapshot of a dataset."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "datasets--org--corpus"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    (snapshot / "data").mkdir(parents=True)
    (repository / "blob").write_text("text")
    (snapshot / "data" / "train.parquet").symlink_to(repository / "blob")  # as the client does
    (snapshot / "README.md").write_text("about")
    return snapshot


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A client that notes how it is called, and raises or returns what the test wants."""
    client = SimpleNamespace(called=None, asked=[], error=None, folder=tmp_path / COMMIT, commit="d" * 40)

    def snapshot_download(**arguments):
        client.called = arguments
        if client.error is not None:
            raise client.error
        return str(client.folder)

    class HfApi:
        def repo_info(self, **arguments):
            client.asked.append(arguments)
            if client.error is not None:
                raise client.error
            return SimpleNamespace(sha=client.commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", HfApi)
    return client


def fetch(tmp_path, **changes):
    return fetch_asset(hub_asset(**changes), tmp_path / "store", tmp_path)


def test_the_client_gets_name_kind_revision_and_pattern(tmp_path, fake):
    fake.folder.mkdir()
    (fake.folder / "a.parquet").touch()
    assert fetch(tmp_path, file="*.parquet") == fake.folder
    assert fake.called == {
        "repo_id": "org/corpus",
        "repo_type": "dataset",
        "revision": COMMIT,
        "allow_patterns": "*.parquet",
    }


def test_a_cached_snapshot_needs_no_network(tmp_path, cache):
    assert fetch(tmp_path) == cache
    assert not (tmp_path / "store").exists()


def test_the_hash_is_of_the_wanted_files_alone(tmp_path, cache):
    wanted = listing_hash(cache, [cache / "data" / "train.parquet"])
    assert fetch(tmp_path, file="data/*", sha256=wanted) == cache
    (cache / "more.txt").touch()  # as another asset of the same snapshot would
    assert fetch(tmp_path, file="data/*", sha256=wanted) == cache
    with pytest.raises(AssetError) as error:
        fetch(tmp_path, sha256=wanted)
    assert wanted in str(error.value)
    assert f"set sha256 to {listing_hash(cache)}" in str(error.value)


def test_a_pattern_without_files_is_an_error(tmp_path, cache):
    with pytest.raises(AssetError, match=r"no file matches file '\*.arrow'"):
        fetch(tmp_path, file="*.arrow")


@pytest.mark.parametrize("changes", [{"name": "org/other"}, {"kind": "model"}, {"revision": "d" * 40}])
def test_no_network_and_no_snapshot_says_what_to_do(tmp_path, cache, changes):
    with pytest.raises(AssetError) as error:
        fetch(tmp_path, **changes)
    assert "connect this machine once, copy the hub's cache" in str(error.value)
    assert hub_asset(**changes).name in str(error.value)


@pytest.mark.parametrize(("branch", "asked"), [(None, "main"), ("refs/convert/parquet", "refs/convert/parquet")])
def test_a_null_revision_is_an_error_that_names_the_commit_to_write(tmp_path, fake, branch, asked):
    with pytest.raises(AssetError) as error:
        fetch(tmp_path, revision=None, branch=branch)
    assert str(error.value).endswith(f"\n    revision: {'d' * 40}")
    assert f"org/corpus.revision is null, and the branch {asked} of org/corpus" in str(error.value)
    assert f"https://huggingface.co/datasets/org/corpus/tree/{'d' * 40}" in str(error.value)
    assert fake.asked == [{"repo_id": "org/corpus", "repo_type": "dataset", "revision": asked}]
    assert fake.called is None  # nothing was fetched


def test_every_asset_without_a_commit_is_named_by_its_key_before_anything_is_fetched(fake):
    assets = {
        "data.d.train.asset": hub_asset(),
        "data.d.zero_shot.ptb.asset": hub_asset(name="org/ptb", revision=None),
        "evaluation.teacher.asset": hub_asset(name="org/model", kind="model", revision=None),
        "encoders.e.asset": path_asset("encoder"),
    }
    with pytest.raises(AssetError) as error:
        check_pinned(assets)
    first, _, second, _ = str(error.value).splitlines()
    assert first.startswith("data.d.zero_shot.ptb.asset.revision is null, and the branch main of org/ptb")
    assert second.startswith("evaluation.teacher.asset.revision is null, and the branch main of org/model")
    assert [(each["repo_id"], each["repo_type"]) for each in fake.asked] == [
        ("org/ptb", "dataset"),
        ("org/model", "model"),
    ]
    assert fake.called is None
    check_pinned({key: assets[key] for key in ("data.d.train.asset", "encoders.e.asset")})


@pytest.mark.parametrize(("kind", "folder"), [("dataset", "datasets/"), ("model", "")])
def test_a_null_revision_without_network_says_how_to_look_the_commit_up(tmp_path, fake, kind, folder):
    fake.error = ConnectionError("no route")
    with pytest.raises(AssetError) as error:
        fetch(tmp_path, revision=None, kind=kind, branch="refs/convert/parquet")
    assert f"git ls-remote https://huggingface.co/{folder}org/corpus refs/convert/parquet" in str(error.value)
    assert "ConnectionError: no route" in str(error.value)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("GatedRepoError", "ask for it on its page on the hub"),
        ("RepositoryNotFoundError", "the hub has no such dataset"),
        ("RevisionNotFoundError", "no such revision; set it to a commit"),
        ("HfHubHTTPError", "connect this machine once"),
    ],
)
def test_answers_of_the_hub_come_with_a_remedy(tmp_path, fake, kind, remedy):
    response = SimpleNamespace(headers={}, request=None, status_code=404)
    fake.error = getattr(huggingface_hub.errors, kind)("what\nit said", response=response)
    with pytest.raises(AssetError) as error:
        fetch(tmp_path)
    assert "asset org/corpus" in str(error.value)
    assert remedy in str(error.value)
    assert f"{kind}: what it said" in str(error.value)


def test_a_name_that_the_hub_does_not_take_is_an_error(tmp_path, cache):
    with pytest.raises(AssetError, match="write ORGANISATION/REPOSITORY"):
        fetch(tmp_path, name="a/b/c")
