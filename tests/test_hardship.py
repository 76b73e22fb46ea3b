"What nobody can help: a full disk, no memory, no right to write, an input that goes away, a clock set back. One line, and what was finished stays."
import contextlib
import importlib
import multiprocessing
import os
import re
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

import kills

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
NOBODY = 65534


def full_disk(place): resource.setrlimit(resource.RLIMIT_FSIZE, (8, resource.RLIM_INFINITY))  # bytes of a file


def no_memory(place):
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))


def no_right(place):
    "As another user, if this one may do everything."
    for folder in [place, *place.rglob("*")]:
        if folder.is_dir(): folder.chmod(0o555)
    if os.geteuid() == 0: os.seteuid(NOBODY)


def input_gone(place):
    for name in ("fashion", "made"): shutil.rmtree(place.parent/name, ignore_errors=True)


def clock_back(place):
    real = time.time
    time.time = lambda: real() - 86400


HARDSHIPS = dict(full_disk=full_disk, no_memory=no_memory, no_right=no_right, input_gone=input_gone, clock_back=clock_back)
SAYS = dict(full_disk="cannot be written", no_memory="memory", no_right="cannot be written|must not be written|the system refuses this", input_gone="no such file|deleted|is missing|not found")


def suffer(what, place, log, hardship, after):
    "In a process of its own: once so many files are written, it begins."
    from truepose import core
    written, replace = [], os.replace

    def counted(*given):
        replace(*given)
        written.append(given)
        if len(written) == after: HARDSHIPS[hardship](place)
    if after == 0: HARDSHIPS[hardship](place)
    with patch.object(core.os, "replace", counted): kills.act(what, place, "", log)


def meet(what, root, hardship, after):  # exit code, what was said
    reading, writing = os.pipe()  # not a file: the disk is full
    process = multiprocessing.get_context("fork").Process(target=suffer, args=(what, root/"cut", f"/dev/fd/{writing}", hardship, after))
    process.start()
    os.close(writing)
    with open(reading, encoding="utf-8") as log: said = log.read()
    process.join(300)
    for folder in [root/"cut", *(root/"cut").rglob("*")]:
        if folder.is_dir(): folder.chmod(0o755)
    return process.exitcode, said


@pytest.fixture(scope="module")
def prepared(request):
    "What a command reads, and what it makes if all is well."
    known = {}
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        def prepare(what):
            if what not in known:
                for name in kills.LIBRARIES if what != "files" else (): importlib.import_module(name)  # once, not in each fork
                root = Path(place)/what
                kills.prepare(root, what)
                started = kills.Started(what, root, multiprocessing.get_context("fork"))
                started.wait()
                assert started.process.exitcode == 0, (root/"log.txt").read_text()[-2000:]
                known[what] = root, kills.content(root/"cut")
            return known[what]
        yield prepare


@contextlib.contextmanager
def lent(root):
    "The inputs, which are given back afterwards, for some are deleted; with their dates, which decide about going on."
    with tempfile.TemporaryDirectory() as kept:
        def give_back(): shutil.copytree(kept, root, dirs_exist_ok=True)
        shutil.copytree(root, kept, dirs_exist_ok=True)
        try: yield give_back
        finally:
            kills.empty(root)
            give_back()


SLOW = pytest.mark.slow
CASES = [("files", hardship, 3) for hardship in ("full_disk", "no_right", "clock_back")]
CASES += [pytest.param(what, hardship, 2, marks=SLOW) for what in ("people", "transfer", "evaluation", "training")
          for hardship in HARDSHIPS if hardship != "input_gone" or what in ("transfer", "evaluation")]


@pytest.mark.parametrize("what, hardship, after", CASES)
def test_told_in_a_line_and_nothing_lost(prepared, what, hardship, after):
    root, wanted = prepared(what)
    kills.empty(root)
    with lent(root) as give_back:
        code, said = meet(what, root, hardship, after)
        if hardship == "clock_back": assert code == 0, said[-1500:]
        elif code:
            last, finished = said.strip().splitlines()[-1], kills.content(root/"cut")
            told = said if what == "training" else last  # TensorBoard's thread may speak after us
            assert re.search(SAYS[hardship], told), (code, said[-1500:])
            if what not in ("files", "training"):  # those are no commands
                assert "Traceback" not in said and last.startswith("error: "), said[-1500:]
            give_back()
            again = kills.Started(what, root, multiprocessing.get_context("fork"))
            again.wait()
            assert again.process.exitcode == 0, (root/"log.txt").read_text()[-1500:]
            if what != "training": assert not {name for name in finished if finished[name] != wanted.get(name, finished[name])}
        assert kills.content(root/"cut") == wanted and not kills.remains(root)
