"""A teacher that was unpacked once gives the scores of the file that it came from."""

import torch

from ladd.evaluation.teacher import Teacher
from tests.evaluation.tiny_teacher import write_gguf

TEXTS = ["the cat and 12 dogs", "a b", "", "dogs and the other"]


def test_saved_teacher_scores_as_its_gguf_file(tmp_path):
    write_gguf(tmp_path / "tiny.gguf", "smollm")
    packed = Teacher.load(tmp_path / "tiny.gguf", device="cpu", batch=2, window=20)
    packed.save(tmp_path / "folder")
    folder = Teacher.load(tmp_path / "folder", device="cpu", batch=2, window=20)
    a, b = packed.score(TEXTS), folder.score(TEXTS)
    assert folder.lead == packed.lead
    assert torch.equal(a.nll, b.nll)
    assert torch.equal(a.tokens, b.tokens)
    assert a.nll.sum() > 0
