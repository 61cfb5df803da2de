"""The blocks that docs/ASSETS.md shows are what params.yaml takes."""

import re
from pathlib import Path

import yaml

from ladd.assets.wheel import pip_tags
from ladd.config import AssetConfig

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ASSETS.md").read_text()


def test_examples_of_every_source_are_valid():
    blocks = re.findall(r"^    asset:\n(?:      .*\n)+", PAGE, re.MULTILINE)
    assets = [AssetConfig.model_validate(yaml.safe_load(block)["asset"]) for block in blocks]
    assert [asset.source for asset in assets] == ["wheel", "hub", "path"]


def test_wheels_of_the_table_have_names_and_hashes_that_params_take():
    rows = re.findall(r"^\| (\S+) (\S+) \| `(\S+\.whl)` \|.*\| `(\S+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for name, revision, file, sha256 in rows:
        AssetConfig(source="wheel", name=name, revision=revision, file=file, sha256=sha256)
        assert file.lower().startswith(f"{name.replace('-', '_')}-{revision}-")
        assert bool(pip_tags(file)) == (not file.endswith("-py3-none-any.whl"))
