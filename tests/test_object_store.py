"""A store by its address: a folder and an S3 server do the same, and what does not answer is named."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ladd.errors import ConfigError, StoreError
from ladd.object_store import ObjectStore, store_asked

KEYS = {"AWS_ACCESS_KEY_ID": "ladd", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of an S3 server with one bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="ladd", aws_secret_access_key="secret"
    ).create_bucket(Bucket="bucket")
    yield address
    server.stop()


@pytest.fixture(params=["file", "s3"])
def store(request, tmp_path, monkeypatch) -> ObjectStore:
    if request.param == "file":
        return ObjectStore(str(tmp_path / "store"))
    if find_spec("moto") is None or find_spec("s3fs") is None:
        pytest.skip("moto or s3fs is not installed")
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": request.getfixturevalue("server")}.items():
        monkeypatch.setenv(name, value)
    return ObjectStore(f"s3://bucket/{tmp_path.name}")


def test_what_is_stored_is_found_fetched_and_removed(store, tmp_path):
    store.check()
    assert store.names("") == []
    (tmp_path / "file").write_bytes(b"12345")
    store.put(tmp_path / "file", "folder/inner/name")
    store.put_text("folder/text", "one")
    store.put_text("folder/text", "two")
    other = pickle.loads(pickle.dumps(store))
    assert other.names("folder") == ["inner", "text"]
    assert other.names("folder/inner") == ["name"]
    assert (other.size("folder/inner/name"), other.text("folder/text")) == (5, "two")
    other.get("folder/inner/name", tmp_path / "new/fetched")
    assert (tmp_path / "new/fetched").read_bytes() == b"12345"
    other.remove("folder/inner/name")
    assert store.size("folder/inner/name") is None
    store.remove("folder")
    assert store.names("folder") == []
    assert store.text("folder/text") is None


def test_what_is_not_there_is_none_and_leaves_no_file(store, tmp_path):
    assert (store.size("none"), store.text("none"), store.names("none")) == (None, None, [])
    store.remove("none")
    with pytest.raises(FileNotFoundError):
        store.get("none", tmp_path / "new/fetched")
    assert list((tmp_path / "new").iterdir()) == []


def test_folder_is_a_store_wherever_a_process_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LADD_STORAGE", "shared/store")
    assert store_asked().url == str(tmp_path / "shared/store")
    monkeypatch.delenv("LADD_STORAGE")
    assert store_asked() is None


def test_protocol_that_nothing_speaks_is_named(monkeypatch):
    with pytest.raises(ConfigError, match=r"LADD_STORAGE is nothing://a/b, and nothing that is installed speaks"):
        ObjectStore("nothing://a/b").check()


@pytest.mark.skipif(find_spec("s3fs") is None, reason="s3fs is not installed")
def test_store_that_is_away_and_one_without_bucket_are_named(request, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"LADD_STORAGE is s3://bucket/x: .* does it answer"):
        ObjectStore("s3://bucket/x").check()
    if find_spec("moto") is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("server"))
        with pytest.raises(StoreError, match=r"LADD_STORAGE is s3://other/x: .*bucket"):
            ObjectStore("s3://other/x").check()


@pytest.mark.skipif(find_spec("s3fs") is None, reason="s3fs is not installed")
def test_missing_keys_are_named(monkeypatch, tmp_path):
    for name in (*KEYS, "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"Unable to locate credentials.* AWS_ACCESS_KEY_ID"):
        ObjectStore("s3://bucket/x").check()


def test_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreError, match=r"LADD_STORAGE is .*/store: storing check-"):
        ObjectStore(str(tmp_path / "store")).check()


def test_object_in_a_folder_is_whole_or_not_there(tmp_path, monkeypatch):
    """A process that is killed while it copies leaves nothing under the name."""
    store = ObjectStore(str(tmp_path / "store"))
    (tmp_path / "file").write_text("whole")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ladd.object_store.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.put(tmp_path / "file", "name")
    assert store.size("name") is None
    assert Path(tmp_path / "store").is_dir()
