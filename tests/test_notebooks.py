"Every notebook runs from top to bottom with its defaults; a failing cell is a failing test."
import pytest
from nbdev.test import test_nb as run_notebook  # renamed, or pytest would take it for a test

from notebooks import NBS, all_notebooks, name


@pytest.mark.parametrize("path", all_notebooks(), ids=name)
def test_notebook(path, request):
    "The cells marked `#| eval: false` are left out, and `#| gpu`; `--slow` adds those marked `#| slow`."
    slow = {"slow"} if request.config.getoption("--slow") else set()
    ok, seconds = run_notebook(path, skip_flags={"slow", "gpu"} - slow, force_flags=slow, basepath=NBS)
    assert ok, f"{name(path)} fails: its traceback is in the captured output above"
