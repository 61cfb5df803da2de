"""What a params.yaml takes over from other suites, from defaults and from entries beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from ladd.config import load_suite
from ladd.config.inherit import extended_files, merge, read_settings
from ladd.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_nearer_settings_win_maps_are_merged_lists_replaced_and_null_takes_away(tmp_path):
    write(tmp_path / "a", "seed: 1\nlist: [1, 2]\nmodels:\n  m: {x: 1, y: {p: 1, q: 2}}\n  n: {x: 2}\n")
    write(tmp_path / "b", "extends: ../a\nmodels:\n  m: {y: {q: 3}}\n  n: null\n")
    path = write(tmp_path / "c", "extends: ../b/params.yaml\nlist: [3]\nmodels: {m: {x: null}}\n")
    assert read_settings(path) == {"seed": 1, "list": [3], "models": {"m": {"y": {"p": 1, "q": 3}}}}
    assert [each.resolve() for each in extended_files(path)] == [tmp_path / name / "params.yaml" for name in "ba"]


def test_entries_stand_over_what_they_extend_and_over_the_defaults_of_their_block(tmp_path):
    text = "defaults: {m: {x: 1, y: {p: 1, q: 1}}}\nm:\n  b: {extends: a, x: null}\n  a: {y: {q: 2}, z: 1}\n  c: {}\n"
    assert read_settings(write(tmp_path, text)) == {
        "m": {
            "b": {"y": {"p": 1, "q": 2}, "z": 1},
            "a": {"x": 1, "y": {"p": 1, "q": 2}, "z": 1},
            "c": {"x": 1, "y": {"p": 1, "q": 1}},
        }
    }


def test_merge_leaves_its_arguments_as_they_are():
    below, above = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merge(below, above) == {"a": {"b": 1, "c": 2}}
    assert (below, above) == ({"a": {"b": 1}}, {"a": {"c": 2}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: .\n", r"params\.yaml: extends: '\.' leads back to"),
        ("extends: ../b\n", r"b/params\.yaml: extends: '\.\./a' leads back to .*a/params\.yaml"),
        ("extends: ../none\n", r"a/params\.yaml: extends: '\.\./none'.*none cannot be read"),
        ('extends: "a\\0b"\n', r"a\\x00b' is no path"),
        (f"extends: {'x' * 5000}\n", r"x{199} is no path"),
        ("extends: 3\n", r"a/params\.yaml: extends: 3 is no path"),
        ("extends: /etc\n", r"extends: '/etc' is no path"),
        ("m: {a: {extends: z}, b: {}}\n", r"m\.a\.extends: 'z' is no entry of m; it has \['a', 'b'\]"),
        ("m: {a: {extends: z}, b: {}, z: null}\n", r"m\.a\.extends: 'z' is no entry of m; it has \['a', 'b'\]"),
        ("m: {a: {extends: b}, b: {extends: a}}\n", r"m\.b\.extends: a -> b -> a leads back to itself"),
        ("defaults: {m: {x: 1}}\n", r"defaults\.m: there is no block of that name"),
        ("defaults: {m: 1}\nm: {a: {}}\n", r"defaults\.m: there must be names with values"),
        ("defaults: 1\n", r"defaults: there must be names with values"),
        ("", r"a/params\.yaml is empty; write the settings of a suite"),
        ("# notes alone\n", r"a/params\.yaml is empty"),
    ],
)
def test_error_names_the_file_and_the_key(tmp_path, text, message):
    write(tmp_path / "b", "extends: ../a\n")
    with pytest.raises(ConfigError, match=message):
        read_settings(write(tmp_path / "a", text))


def test_a_block_that_is_taken_away_takes_its_defaults_along(tmp_path):
    write(tmp_path / "b", "defaults: {m: {x: 1}}\nm: {a: {}}\nk: 2\n")
    assert read_settings(write(tmp_path / "a", "extends: ../b\nm: null\n")) == {"k": 2}


OWN_TEXT = """\
# Diaries, with all models and sweeps of the suite of speeches.
extends: ../text-demo
suite: diaries
data:
  sotu: null
  diaries:
    kind: text
    tokens: 64
    tokenizer: {kind: bpe, vocabulary: 512}
    train: {asset: {source: path, name: diaries}, files: "**/*.txt", format: text}
    validation: 0.1
"""


def test_suite_on_own_text_is_a_page_that_names_the_text(tmp_path):
    assert len(OWN_TEXT.splitlines()) <= 25
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/text-demo").symlink_to(REPOSITORY / "suites/text-demo")
    suite, speeches = (
        load_suite(write(tmp_path / "suites/diaries", OWN_TEXT)),
        load_suite(REPOSITORY / "suites/text-demo/params.yaml"),
    )
    assert list(suite.data) == ["diaries"]
    assert {sweep.data for sweep in suite.sweeps.values()} == {"diaries"}
    assert suite.models["ccdd"].training == speeches.models["ccdd"].training
    assert suite.sweeps.keys() == speeches.sweeps.keys()


def test_sweeps_take_their_size_from_the_references(tmp_path):
    suite = load_suite(REPOSITORY / "params.yaml")
    reference, trainings = suite.evaluation.reference, [suite.sweeps[key] for key in ("mdlm", "mdlm_2", "mdlm_3")]
    assert {sweep.samples for sweep in suite.sweeps.values()} == {reference.samples}
    assert sorted(seed for sweep in trainings for seed in sweep.seeds) == reference.seeds
