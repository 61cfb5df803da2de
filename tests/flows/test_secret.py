"""The password of a checkout: one, whoever asks first, and its owner's alone."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.environment import SecretError, auth_string


def test_password_is_made_once_and_is_the_owners_alone(tmp_path):
    before = os.umask(0)
    try:
        made = auth_string(tmp_path / "home")
    finally:
        os.umask(before)
    user, _, password = made.partition(":")
    assert (user, len(password)) == ("ladd", 32)
    assert auth_string(tmp_path / "home") == made != auth_string(tmp_path / "other")
    assert stat.S_IMODE((tmp_path / "home/auth").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["auth"]


def test_all_who_ask_at_once_get_the_same(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(auth_string, [tmp_path] * 64))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["auth"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_file_that_others_may_read_is_refused_with_the_remedy(tmp_path, mode):
    auth_string(tmp_path)
    (tmp_path / "auth").chmod(mode)
    with pytest.raises(SecretError, match=f"mode {mode:o}.*remove it, and a new one is made"):
        auth_string(tmp_path)


@pytest.mark.parametrize("text", ["", "ladd", "ladd:short", "other:" + "0" * 32])
def test_file_without_a_password_is_refused(tmp_path, text):
    (tmp_path / "auth").write_text(text)
    (tmp_path / "auth").chmod(0o600)
    with pytest.raises(SecretError, match="holds no ladd:PASSWORD"):
        auth_string(tmp_path)


def test_link_is_refused(tmp_path):
    (tmp_path / "auth").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretError, match="is a link"):
        auth_string(tmp_path)


def test_flows_say_it_in_a_line(tmp_path):
    (tmp_path / "auth").write_text("ladd:" + "0" * 32)
    (tmp_path / "auth").chmod(0o644)
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    shown = subprocess.run(
        [sys.executable, "-c", "import flows"],
        env=settings | {"PREFECT_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 1
    assert shown.stderr.startswith("flows: ")
    assert len(shown.stderr.splitlines()) == 1
