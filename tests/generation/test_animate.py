"""The page of a trajectory: frames of a known sampler, and a file that needs no other."""

import json
import re

import pytest

from ladd.cli import main
from ladd.generation.animate import MOST_FRAMES, animate, frames
from ladd.samplers.base import sample
from ladd.samplers.joint import Joint
from tests.samplers.known_answers import NEUTRAL, all_masked, noise
from tests.samplers.test_latents_guided import MASK, TOKENS, source, tables

STEPS = 5


def joint(latents: str, steps: int = STEPS) -> Joint:
    return Joint.of(source(latents, tables()), NEUTRAL | {"token_steps": steps})


@pytest.mark.parametrize("latents", ["discrete", "continuous"])
def test_frames_are_the_states_of_the_sample(latents):
    sampler, start = joint(latents), all_masked(1)
    start[0, 2] = 1
    seen, states = frames(sampler, start, noise(1), MASK), []
    drawn = sample(sampler, start, noise(1), lambda _, state: states.append(state))
    assert len(seen) == STEPS + 1
    assert seen[0]["x"] == [-1, -1, 1, -1, -1, -1]
    assert seen[-1]["x"] == drawn.tokens[0].tolist()
    for frame, state in zip(seen[1:], states, strict=True):
        assert [token if token >= 0 else MASK for token in frame["x"]] == state.tokens[0].tolist()
        if latents == "discrete":
            assert [code if code >= 0 else 3 for code in frame["z"]] == state.latents[0].tolist()
        else:
            assert frame["z"] == [[round(float(value), 2) for value in row] for row in state.latents[0]]


def test_a_long_trajectory_is_thinned_and_ends_at_its_end():
    sampler, start = joint("discrete", 3 * MOST_FRAMES), all_masked(1)
    seen = frames(sampler, start, noise(1), MASK)
    assert len(seen) == MOST_FRAMES + 1
    assert seen[-1]["x"] == sample(sampler, start, noise(1)).tokens[0].tolist()


def test_a_page_is_one_file_whatever_the_text(tmp_path):
    path = tmp_path / "page.html"
    words = {token: "</script><b>" if token == 0 else f"w{token}" for token in range(MASK)}
    animate(joint("discrete"), all_masked(1), noise(1), lambda ids: words[ids[0]], path, vocabulary=MASK, title="a < b")
    page = path.read_text()
    assert "<title>a &lt; b</title>" in page
    assert page.count("</script>") == 1
    assert not re.search(r"https?://|src=|@import", page)
    (found,) = re.findall(r"const F = (.*), W = ", page)
    assert len(json.loads(found)) == STEPS + 1
    assert len(json.loads(found)[0]["x"]) == TOKENS


def test_generate_writes_it(suite, tmp_path, capsys):
    path = tmp_path / "page.html"
    assert main(["generate", "di-joint", "--steps", "4", "--animate", str(path)]) == 0
    text = capsys.readouterr().out.strip()
    (found,) = re.findall(r"const F = (.*), W = ", path.read_text())
    assert "".join(map(str, json.loads(found)[-1]["x"])) == text
    assert path.stat().st_size < 100_000
