"What all tests share: the repository's place, no display, no network, and nothing left behind."
import os
import subprocess
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may depend on a download

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run cells marked `#| slow` and tests marked `slow`")


def pytest_configure(config): config.addinivalue_line("markers", "slow: a long way round; runs with --slow alone")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"): return
    for item in items:
        if item.get_closest_marker("slow"): item.add_marker(pytest.mark.skip(reason="slow: --slow runs it"))


def git_status():
    return subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True).stdout


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind():
    "In CI, where nobody edits meanwhile: the tests leave every file that git sees as it was."
    before = git_status()
    yield
    if os.environ.get("CI"): assert git_status() == before, "a test wrote into files that git tracks or does not ignore"


@pytest.fixture(autouse=True)
def same_folder():
    "A test that changes the working folder does not move the next one."
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def root(): return ROOT
