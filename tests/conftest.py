"What all tests share: the repository's place, no display, no network, and nothing left behind."
import os
import socket
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may depend on a download

import pytest

HERE = {"", "None", "localhost", "127.0.0.1", "::1", "0.0.0.0", socket.gethostname()}
ATTEMPTS = []  # hosts elsewhere that a test asked for


def watch(event, arguments):
    "Refuses what leads out of this machine, from before anything of truepose is imported."
    if event == "socket.getaddrinfo": host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple): host = arguments[1][0]
    else: return
    host = host.decode() if isinstance(host, bytes) else str(host)
    if host in HERE: return
    ATTEMPTS.append(host)
    raise ConnectionRefusedError(f"there is no network in tests, and {host} was asked for")


sys.addaudithook(watch)

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
def no_network():
    "A test that looks for the network fails, though the code swallows the refusal; also the first one after an import that did."
    yield
    assert not ATTEMPTS, f"asked for {ATTEMPTS}"


@pytest.fixture(autouse=True)
def same_folder():
    "A test that changes the working folder does not move the next one."
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def root(): return ROOT
