"Rendered people made by several processes, from a plain script that is killed; two that ask for the same at once."
import os
import signal
import subprocess
import sys
import time
from threading import Thread

import pytest
from truepose.core import read_json
from truepose.people.sets import people_dataset, verify_people, write_people

ASKED = dict(split="test", count=5, size=(64, 44), views=2)
SCRIPT = f"""
from truepose.people.sets import people_dataset
print("asked once", flush=True)
people_dataset(workers=2, **{ASKED})
"""


@pytest.fixture
def data(tmp_path, monkeypatch):
    "The folder of data sets, here and in other processes."
    monkeypatch.setenv("TRUEPOSE_DATA", str(tmp_path/"data"))
    return tmp_path/"data"


def begin(place, at_work, command):
    "Start a command; wait until that many files are being written."
    process, until = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), time.time() + 300
    while len(list(place.rglob(".writing-*.tar"))) < at_work:
        assert process.poll() is None, process.stderr.read()[-2000:]
        assert time.time() < until, "nothing is being written"
        time.sleep(0.02)
    return process


def test_a_plain_script_that_is_killed(tmp_path, data):
    """Two workers, and no `if __name__ == '__main__'`: the script is run once. Killed, it leaves no worker;
    the next call completes the same bytes, as if nobody had been killed."""
    (tmp_path/"script.py").write_text(SCRIPT)
    process = begin(data, min(2, os.cpu_count() or 1), [sys.executable, tmp_path/"script.py"])
    process.kill()
    said, _ = process.communicate(timeout=20)  # workers hold its pipes: TimeoutExpired if one is left
    assert process.returncode == -signal.SIGKILL and said.split("\n") == ["asked once", ""]
    [begun] = data.glob("people/v*")
    assert not (begun/"manifest.json").exists()
    assert people_dataset(workers=1, **ASKED) == begun and verify_people(begun) == 10*6 + 3  # files of ten pictures, tables
    write_people(tmp_path/"whole", **ASKED)
    made, whole = [read_json(place/"manifest.json") for place in (begun, tmp_path/"whole")]
    assert made["files"] == whole["files"] and made["content"] == whole["content"]
    assert not [path.name for path in data.rglob(".*")], "a lock or half a file is left"


def test_two_first_calls_at_once(data, capfd):
    "As two tests of a fresh checkout make them: one renders, the other one waits and finds all of it."
    asked, found = ASKED | dict(count=1), []
    both = [Thread(target=lambda: found.append(people_dataset(workers=1, **asked))) for _ in range(2)]
    for one in both: one.start()
    for one in both: one.join()
    assert len(found) == 2 and found[0] == found[1] and verify_people(found[0]) == 2*6 + 3
    assert "another process is making people there" in capfd.readouterr().err


@pytest.mark.slow  # e41_kills does this fifty times
def test_a_command_that_is_ended_takes_its_workers_with_it(tmp_path):
    command = [os.path.join(os.path.dirname(sys.executable), "truepose"), "people", "--size", "64", "--views", "2",
               "--count", "8", "--out", tmp_path/"set"]
    process = begin(tmp_path, min(2, os.cpu_count() or 1), command)
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 130 and not (tmp_path/"set"/"manifest.json").exists()
