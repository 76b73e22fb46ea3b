"Stopped at random moments and gone on with: five times here, fifty times in e41_kills."
import random
import sys

import pytest

import kills

SLOW = [pytest.param(what, 3, "forkserver", marks=pytest.mark.slow) for what in ("transfer", "measures", "training")]


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
@pytest.mark.parametrize("what, stops, method", [("files", 4, "fork"), ("evaluation", 1, "fork"), *SLOW])
def test_stopped_is_as_never_stopped(tmp_path, what, stops, method):
    rows = kills.soak(what, stops, tmp_path/what, random.Random(1), method)
    assert len(rows) == stops
    for row in rows: assert row["equal"] and not row["hung"] and row["orphans"] == row["remains"] == 0, row
