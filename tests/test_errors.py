"""Errors of libraries over broken files become one line of ours."""

import pytest

from ladd.errors import ArtifactError, BusyError, reading


def test_any_error_over_a_file_is_one_line_with_the_file_and_the_remedy():
    with pytest.raises(ArtifactError) as caught, reading("a.gz", "fetch it again"):
        raise EOFError("the stream\nends " + "x" * 1000)
    message = str(caught.value)
    assert message.startswith("a.gz cannot be read (EOFError: the stream ends xxx")
    assert message.endswith("; fetch it again")
    assert "\n" not in message
    assert len(message) < 400
    assert isinstance(caught.value.__cause__, EOFError)


@pytest.mark.parametrize("error", [BusyError("of ours"), MemoryError(), KeyboardInterrupt()])
def test_errors_of_ours_a_lack_of_memory_and_an_interrupt_pass(error):
    with pytest.raises(type(error)) as caught, reading("a.gz", ""):
        raise error
    assert caught.value is error
