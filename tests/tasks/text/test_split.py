"""Training and validation documents of one corpus."""

import datasets
import pytest

from ladd.errors import ConfigError
from ladd.tasks.text.documents import drawn_places, split_documents, split_last


def numbered(count: int) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": list(map(str, range(count)))})


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5, 0.75])
def test_a_split_has_every_document_once_and_its_share_to_one_document(tmp_path, share):
    documents = numbered(200)
    train, validation = (
        list(split_documents(documents, share, 7, validation=side, scratch=tmp_path)["text"]) for side in (False, True)
    )
    assert sorted(train + validation) == sorted(documents["text"])
    assert abs(len(validation) - 200 * share) <= 1
    assert train == sorted(train, key=int)
    # from all over the corpus: every quarter has its share too
    assert all(abs(sum(int(d) // 50 == quarter for d in validation) - 50 * share) <= 2 for quarter in range(4))


def test_a_split_depends_on_the_seed_and_the_place_alone():
    first, again, other = (drawn_places(200, 0.1, seed).tolist() for seed in (1, 1, 2))
    assert first == again != other
    longer = drawn_places(1000, 0.1, 1).tolist()
    assert longer[: len(first)] == first
    assert len({place % 10 for place in longer}) == 10  # no fixed place in the run


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        drawn_places(1, share, 1)


def last(count: int, held_out: int, *, validation: bool) -> list[str]:
    return list(split_last(numbered(count), held_out, validation=validation)["text"])


@pytest.mark.parametrize("held_out", [1, 3, 9])
def test_the_last_documents_are_held_out_and_the_others_trained_on_in_order(held_out):
    first = 10 - held_out
    assert last(10, held_out, validation=False) == [str(index) for index in range(first)]
    assert last(10, held_out, validation=True) == [str(index) for index in range(first, 10)]


@pytest.mark.parametrize(("count", "held_out"), [(10, 10), (10, 11)])
@pytest.mark.parametrize("validation", [False, True])
def test_a_corpus_of_no_more_documents_than_are_held_out_is_refused(count, held_out, validation):
    with pytest.raises(ConfigError, match=f"validation.last: {held_out}, but the corpus has {count} documents"):
        last(count, held_out, validation=validation)
