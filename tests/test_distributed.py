"Trainings by the command: two processes are one with twice the accumulation, a signal saves, no number is not saved."
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from truepose.core import runs_dir
from truepose.train.loop import read_history

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
COMMAND = [str(Path(sys.executable).with_name("truepose")), "run"]
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
          "--num_machines", "1", "--mixed_precision", "no", "--main_process_port", "0"]
CELL = f"""import sys
sys.path.insert(0, {str(HERE)!r})
import json
from pathlib import Path
from two_processes import train
from truepose.train.loop import make_accelerator
process = make_accelerator()
Path(f"{{folder}}-{{process.process_index}}-of-{{process.num_processes}}").touch()
ended = train(folder, accumulate, steps, spoil_step if process.process_index == process.num_processes - 1 else 0)
Path(results_folder, "metrics.json").write_text(json.dumps(dict(step=ended.step)))
if not ended.finished: raise RuntimeError(f"stopped at step {{ended.step}}; run it again to go on")
"""


@pytest.fixture
def notebook(tmp_path):
    "A training as a notebook."
    cells = ['folder = ""\naccumulate = 1\nsteps = 3\nspoil_step = 0\nresults_folder = ""', CELL]
    made = [dict(id=f"c{i}", cell_type="code", execution_count=None, outputs=[], source=source,
                 metadata=dict(tags=[] if i else ["parameters"])) for i, source in enumerate(cells)]
    kernel = dict(display_name="python3", language="python", name="python3")
    path = tmp_path/"e90_distributed.ipynb"
    path.write_text(json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel), cells=made)))
    yield path
    shutil.rmtree(runs_dir()/path.stem, ignore_errors=True)


@pytest.fixture
def train(notebook, tmp_path):
    "Starts the command, in one process or several."
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}  # --cpu would start one process
    def start(launch=(), **settings):
        settings = [f"-p{name}={value}" for name, value in settings.items()]
        return subprocess.Popen([*launch, *COMMAND, str(notebook), *settings], env=env, cwd=tmp_path, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return start


def finished(process, code=0):
    "What it printed."
    said, _ = process.communicate(timeout=600)
    assert process.returncode == code, said[-4000:]
    return said


def slow(request):
    if not request.config.getoption("--slow"): pytest.skip("trainings in processes of their own: --slow")


def checkpoint_names(folder): return sorted(path.name for path in (folder/"checkpoints").iterdir())


def test_two_processes_are_one_with_twice_the_accumulation(tmp_path, train, request):
    slow(request)
    finished(train(folder=tmp_path/"one", accumulate=2))
    said = finished(train(LAUNCH, folder=tmp_path/"two"))
    assert said.count("two 3/3") == 1, "the first process prints"
    assert (tmp_path/"two-0-of-2").exists() and (tmp_path/"two-1-of-2").exists()
    one, two = (read_history(tmp_path/name/"history.csv") for name in ("one", "two"))
    assert [row["step"] for row in one] == [row["step"] for row in two] == [1, 2, 3]
    for a, b in zip(one, two):
        for number in ("loss", "mse", "alignment", "grad_norm"):
            assert a[number] == pytest.approx(b[number], rel=2e-3), (number, a, b)
    assert [row.get("val_ones") for row in two] == [None, 1, 1]
    assert checkpoint_names(tmp_path/"one") == checkpoint_names(tmp_path/"two") == ["step_0000002.pt", "step_0000003.pt"]
    # stopped in two processes, it goes on in one: the same losses again
    (tmp_path/"two"/"checkpoints"/"step_0000003.pt").unlink()
    assert "goes on at step 2" in finished(train(folder=tmp_path/"two", accumulate=2))
    again = read_history(tmp_path/"two"/"history.csv")
    assert again[-1]["loss"] == pytest.approx(two[-1]["loss"], rel=2e-3)


def test_no_number_in_one_of_two_processes_ends_both(tmp_path, train, request):
    slow(request)
    said = finished(train(LAUNCH, folder=tmp_path/"two", steps=6, spoil_step=4), code=1)
    assert "loss nan" in said and "at step 4" in said and "step_0000002.pt, is good" in said
    assert checkpoint_names(tmp_path/"two") == ["step_0000002.pt"]


@pytest.mark.parametrize("launch, number", [((), signal.SIGTERM), ((), signal.SIGUSR1), (LAUNCH, signal.SIGUSR1)],
                         ids=["term", "usr1", "usr1-of-two"])
def test_a_signal_to_the_command_saves(tmp_path, train, request, launch, number):
    slow(request)
    folder = tmp_path/"toy"
    process = train(launch, folder=folder, steps=100000)
    end = time.monotonic() + 300
    while not (folder/"history.csv").exists() and time.monotonic() < end: time.sleep(.5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]) if launch else process.pid, number)  # of two, one rank alone
    said = finished(process, code=1)
    assert "stopped at step" in said and "run it again to go on" in said
    last = int(checkpoint_names(folder)[-1].removeprefix("step_").removesuffix(".pt"))
    assert f"toy: stopped at step {last} " in said
    assert not list((folder/"checkpoints").glob(".writing-*"))


def test_the_script_for_a_queue_saves_and_asks_to_be_put_back(tmp_path):
    "Slurm's signal reaches the launcher's children, not the launcher; what was cut short goes back into the queue."
    made_up = dict(accelerate="(trap 'exit 1' USR1; touch ready; while :; do sleep .1; done) &\n"
                              "wait $!; echo \"$@\" > said; exit 1",
                   scontrol='echo "$@" > queue')
    for name, text in made_up.items():
        (tmp_path/name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path/name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "2"}
    job = subprocess.Popen(["bash", str(ROOT/"params"/"slurm"/"one_node.sbatch"), "FILE.yaml"], env=env, cwd=tmp_path)
    end = time.monotonic() + 20
    while not (tmp_path/"ready").exists() and time.monotonic() < end: time.sleep(.05)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(20) == 1
    assert (tmp_path/"queue").read_text() == "requeue 7\n"
    assert "--num_processes 2 .venv/bin/truepose train FILE.yaml" in (tmp_path/"said").read_text()


@pytest.mark.parametrize("path", sorted((ROOT/"params"/"slurm").glob("*.sbatch")), ids=lambda p: p.stem)
def test_a_script_for_slurm_is_bash(path):
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert "#SBATCH --signal=B:USR1@" in path.read_text()


@pytest.mark.parametrize("path", sorted((ROOT/"params"/"accelerate").glob("*.yaml")), ids=lambda p: p.stem)
def test_accelerate_reads_the_configuration(path):
    from accelerate.commands.config.config_args import ClusterConfig
    ClusterConfig.from_yaml_file(str(path))
    assert yaml.safe_load(path.read_text())["mixed_precision"] == "bf16"
