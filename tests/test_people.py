"Rendered people made by several processes: from a plain script, and by a command that is stopped."
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from truepose.core import read_json
from truepose.people.sets import verify_people, write_people

SCRIPT = """
from truepose.people.sets import people_dataset
print("asked once", flush=True)
print(people_dataset("test", count=5, size=(64, 44), views=2, workers=2).name)
"""


def test_a_plain_script_needs_no_guard(tmp_path):
    "Two workers, and no `if __name__ == '__main__'`: the script is run once, and ends well."
    (tmp_path/"script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=300,
                          env={**os.environ, "TRUEPOSE_DATA": str(tmp_path/"data")})
    assert done.returncode == 0, done.stderr[-2000:]
    first, name = done.stdout.split("\n")[:2]
    assert done.stdout.count("asked once") == 1 and first == "asked once"
    assert verify_people(tmp_path/"data"/"people"/name) == 10*6 + 3  # files of ten pictures, tables


def begin(out, at_work):
    "Start the command; wait until that many more files are being written."
    command = [Path(sys.executable).parent/"truepose", "people", "--size", "64", "--views", "2",
               "--count", "8", "--out", out]
    before, until = set(out.rglob(".writing-*.tar")), time.time() + 300
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while len(set(out.rglob(".writing-*.tar")) - before) < at_work:
        assert process.poll() is None, process.stderr.read()[-2000:]
        assert time.time() < until, "nothing is being written"
        time.sleep(0.02)
    return process


def test_a_stopped_command_leaves_no_worker(tmp_path):
    "It takes its workers with it, however it is stopped; the next start completes the same bytes."
    for stop in (signal.SIGTERM, signal.SIGKILL):
        process = begin(tmp_path/"set", at_work=min(2, os.cpu_count() or 1))
        process.send_signal(stop)
        process.communicate(timeout=20)  # workers hold its pipes: TimeoutExpired if one is left
        assert process.returncode != 0 and not (tmp_path/"set"/"manifest.json").exists()
    assert begin(tmp_path/"set", at_work=0).wait(timeout=300) == 0
    assert verify_people(tmp_path/"set") == 16*6 + 3
    write_people(tmp_path/"whole", "test", 8, size=(64, 44), views=2)
    made, whole = [read_json(tmp_path/name/"manifest.json") for name in ("set", "whole")]
    assert made["files"] == whole["files"] and made["content"] == whole["content"]
