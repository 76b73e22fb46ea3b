"`accelerate launch` with two processes trains as one process with twice the accumulation."
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from truepose.train.loop import read_history

HERE = Path(__file__).resolve().parent
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
          "--num_machines", "1", "--mixed_precision", "no", "--main_process_port", "0"]


def test_two_processes_are_one_with_twice_the_accumulation(tmp_path, request):
    if not request.config.getoption("--slow"): pytest.skip("two trainings in processes of their own: --slow")
    script = str(HERE/"two_processes.py")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}  # --cpu would start one process
    alone = [sys.executable, script, str(tmp_path/"one"), "2"]
    together = [*LAUNCH, script, str(tmp_path/"two"), "1"]
    for command in (alone, together):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    one, two = (read_history(tmp_path/name/"history.csv") for name in ("one", "two"))
    assert len(one) == len(two) == 3
    for a, b in zip(one, two):
        for number in ("loss", "mse", "alignment", "grad_norm"):
            assert a[number] == pytest.approx(b[number], rel=2e-3), (number, a, b)


@pytest.mark.parametrize("path", sorted((HERE.parent/"params"/"accelerate").glob("*.yaml")), ids=lambda p: p.stem)
def test_accelerate_reads_the_configuration(path):
    from accelerate.commands.config.config_args import ClusterConfig
    ClusterConfig.from_yaml_file(str(path))
    assert yaml.safe_load(path.read_text())["mixed_precision"] == "bf16"
