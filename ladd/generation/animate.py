"""One sample as an animation: an HTML file of its own, with tokens, latents and times of every step."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Step
from ladd.files import write_atomically
from ladd.samplers.base import Sampler, State, sample

Decode = Callable[[list[int]], str]
MOST_FRAMES = 400  # of a longer trajectory some are left out, never the last
MOST_NUMBERS = 64  # of a latent vector

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 1rem auto; max-width: 70rem; padding: 0 1rem;
  color: #222 }
h1 { font-size: 1.1rem; margin: 0 } p { margin: .6rem 0 }
#tokens { font: 14px/1.7 ui-monospace, monospace; overflow-wrap: anywhere; margin: 1rem 0 }
#tokens span { padding: 1px 3px; margin: 1px; border-radius: 3px; background: #e8eef6; white-space: pre-wrap;
  display: inline-block; min-width: .6em; text-align: center }
#tokens .masked { background: #ddd; color: #ddd } #tokens .new { background: #ffd27f }
#tokens .given { background: #d5e8d0 }
#tokens.bits { display: flex; height: 2.2rem; border: 1px solid #888 }
#tokens.bits span { flex: 1; margin: 0; padding: 0; min-width: 0; border-radius: 0; font-size: 0; background: #fff }
#tokens.bits .one { background: #1d2126 }
#tokens.bits .masked { background: #ccc } #tokens.bits .new { box-shadow: inset 0 -5px #f5a800 }
#latents { display: flex; flex-wrap: wrap; gap: 8px; min-height: 26px } #latents div { display: flex }
#latents i { width: 14px; height: 26px } #latents b { font: 14px ui-monospace, monospace; padding: 2px 8px;
  border-radius: 3px; background: #dcd0ec } #latents b.masked { background: #ddd; color: #888 }
input { width: 100% }
</style>
<h1>TITLE</h1>
<p><button id="play">Play</button> <span id="said"></span></p>
<input id="at" type="range" min="0" value="0" aria-label="step">
<p id="above">Latents, by position</p><div id="latents"></div>
<p id="key">Tokens; grey: masked, yellow: of this step, green: given</p><div id="tokens"></div>
<script>
const F = FRAMES, W = WORDS, G = GIVEN, at = document.getElementById("at");
const bits = Object.values(W).every(w => w === "0" || w === "1");
let timer = null; at.max = F.length - 1; document.getElementById("tokens").classList.toggle("bits", bits);
if (!F[0].z) document.getElementById("above").remove();
if (bits)
  document.getElementById("key").textContent = "Tokens; black: 1, white: 0, grey: masked, yellow edge: of this step";
const put = (tag, text, kind) => Object.assign(document.createElement(tag), {textContent: text, className: kind});
const cell = c => { const e = put("i", "", ""); e.style.background = shade(c / 2); e.title = c; return e };
const shade = v => v > 0 ? `rgba(0,114,178,${Math.min(v, 1)})` : `rgba(213,94,0,${Math.min(-v, 1)})`;
function show() {
  const k = +at.value, f = F[k], before = k ? F[k - 1].x : null;
  document.getElementById("said").textContent = f.said;
  const tokens = document.getElementById("tokens"), latents = document.getElementById("latents");
  const one = v => bits && W[v] === "1" ? " one" : "";
  const kind = (v, i) => v < 0 ? "masked" : G[i] ? "given" : before && before[i] !== v ? "new" : "";
  tokens.replaceChildren(...f.x.map((v, i) => put("span", v < 0 ? "_" : W[v], kind(v, i) + one(v))));
  latents.replaceChildren(...(f.z || []).map(v => {
    if (!Array.isArray(v)) return put("b", v < 0 ? "_" : v, v < 0 ? "masked" : "");
    const row = put("div", "", ""); row.append(...v.map(cell)); return row }));
}
const stop = () => { clearInterval(timer); timer = null; document.getElementById("play").textContent = "Play" };
document.getElementById("play").onclick = () => {
  if (timer) return stop();
  if (+at.value === F.length - 1) at.value = 0;
  document.getElementById("play").textContent = "Pause"; show();
  timer = setInterval(() => { if (+at.value === F.length - 1) return stop(); at.value = +at.value + 1; show() },
    Math.max(80, Math.min(900, 12000 / F.length)));
};
at.oninput = () => { stop(); show() }; show();
</script></html>
"""


def animate(
    sampler: Sampler, start: Tensor, noise: SampleNoise, decode: Decode, path: Path, *, vocabulary: int, title: str
) -> None:
    """Draw one sample, and write its trajectory as a page that needs no other file.

    Args:
        start: tokens int64 (1, N), V where one is to be drawn.
        decode: tokens -> text; each token is decoded by itself.
        vocabulary: V.
    """
    seen = frames(sampler, start, noise, vocabulary)
    used = sorted({token for frame in seen for token in frame["x"] if token >= 0})
    words = {token: decode([token]) for token in used}
    parts = {
        "FRAMES": json.dumps(seen, separators=(",", ":")),
        "WORDS": json.dumps(words),
        "GIVEN": json.dumps((start[0] != vocabulary).int().tolist()),
    }
    parts = {name: content.replace("<", "\\u003c") for name, content in parts.items()}  # text may hold a closing tag
    parts["TITLE"] = html.escape(title)
    page = re.sub("|".join(parts), lambda found: parts[found[0]], PAGE)
    write_atomically(path, page.encode())


def frames(sampler: Sampler, start: Tensor, noise: SampleNoise, vocabulary: int) -> list[dict[str, Any]]:
    """What is there at the beginning and after every step: x tokens, -1 where masked; z codes, or vectors; a line."""
    seen: list[dict[str, Any]] = []

    def keep(step: Step, state: State) -> None:
        passes = int(state.token_passes + state.latent_passes)
        line = f"step {step.index + 1}: t {float(step.t):.3f} to {float(step.s):.3f}, {passes} network passes so far"
        seen.append(_frame(sampler, state, vocabulary, line))

    first = sampler.initialise(start, noise)
    begin = _frame(sampler, first, vocabulary, "before the first step")
    sample(sampler, start, noise, keep)
    if len(seen) > MOST_FRAMES:
        seen = [seen[int(place)] for place in torch.linspace(0, len(seen) - 1, MOST_FRAMES).round().tolist()]
    return [begin, *seen]


def _frame(sampler: Sampler, state: State, vocabulary: int, line: str) -> dict[str, Any]:
    x = state.tokens[0]
    frame: dict[str, Any] = {"said": line, "x": torch.where(x == vocabulary, -1, x).tolist()}
    if state.latents is not None:
        z = state.latents[0]
        if z.is_floating_point():
            frame["z"] = [[round(float(value), 2) for value in vector[:MOST_NUMBERS]] for vector in z]
        else:
            mask_id = sampler.source.latents.process.mask_id
            frame["z"] = torch.where(z == mask_id, -1, z).tolist()
    return frame
