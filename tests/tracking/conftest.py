"""A store of its own, whose database is made once."""

import pytest


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Root of a repository without git."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("LADD_LAUNCH", raising=False)
        yield tmp_path_factory.mktemp("root")
