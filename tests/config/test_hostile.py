"""Files that are made to break the reader: one error that names the file, in few words."""

from __future__ import annotations

import pytest
import yaml

from ladd.config import load_suite
from ladd.config.messages import cut, shown
from ladd.errors import ConfigError
from tests.builders import suite_values
from tests.config.checks import changed, write

VALID = yaml.safe_dump(suite_values())
LAUGHS = "\n".join(
    ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12))]
)
HOSTILE = {
    "maps in maps": "a: " + "{a: " * 1500 + "1" + "}" * 1500,
    "blocks in blocks": "\n".join(" " * depth + "a:" for depth in range(1500)),
    "lists in lists": VALID + "b: " + "[" * 5000 + "]" * 5000,
    "decimal digits": VALID.replace("seed: 1", "seed: " + "9" * 5000),
    "hexadecimal digits": VALID.replace("seed: 1", "seed: 0x" + "f" * 6000),
    "a long value": VALID.replace("device: cpu", "device: " + "x" * 10_000),
    "a long key": VALID + "k" * 10_000 + ": 1\n",
    "a long list": VALID.replace("seed: 1", f"seed: [{', '.join(['7'] * 5_000)}]"),
    "many unknown keys": VALID + "\n".join(f"key-{index}: 1" for index in range(1000)),
    "lists of lists by anchors": VALID + LAUGHS,
    "no date": VALID + "a: 2001-99-99\n",
    "no timestamp": VALID + "a: !!timestamp x\n",
    "no boolean": VALID + "a: !!bool x\n",
    "an object": VALID + "a: !!python/object/apply:os.system [exit]\n",
    "numbers as keys": VALID.replace("  saw:", "  0x" + "f" * 6000 + ":"),
    "control characters": VALID + "a: \x01\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_one_short_error(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_suite(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 5000


def test_what_is_no_text_is_an_error(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(VALID.encode() + b"a: \xff\n")
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        load_suite(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_suite(tmp_path)


def test_long_values_and_keys_are_cut_in_the_message(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_suite(write(tmp_path, changed("compute.device", "x" * 10_000)))
    assert len(str(caught.value)) < 500
    assert "compute.device: 'xxx" in str(caught.value)
    assert "'cpu' or 'cuda'" in str(caught.value)


def test_what_is_shown_of_a_value():
    assert [shown(value) for value in ("red", 1.5, True, None, [0, 1], {"a": 2})] == [
        *("'red'", "1.5", "True", "None", "[0, 1]", "{'a': 2}")
    ]
    assert shown(16**6000) == shown([16**6000]) == "an integer of thousands of digits"
    assert len(shown(["x" * 1000] * 1000)) <= 200
    assert cut("a" * 50 + "b" * 50, 25) == "a" * 10 + " ... " + "b" * 10
    assert cut("short", 25) == "short"
