"`truepose reproduce`: it compares, says so with its exit code, and changes no tracked file."
import json
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import truepose.reproduce as reproduce
from notebooks import ROOT
from truepose.cli import app

PUBLISHED = ["results", "figures", "tests/fixtures", "README.md", "DATASET.md"]
FIXTURE = ROOT/"tests"/"fixtures"/"tiny"


def status():
    command = ["git", "status", "--porcelain", "--", *PUBLISHED]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    "The command, run once at `tiny`: exit code, output, its folder, git before and after."
    before = status()
    program = "from truepose.cli import main; main()"
    command = [sys.executable, "-c", program, "reproduce", "--preset", "tiny"]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    return done, ROOT/"runs"/"reproduce"/"tiny", before, status()


def test_it_reproduces_and_says_so(reproduced):
    done, folder, _, _ = reproduced
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("reproduced: ")
    kept = json.loads((folder/"comparison.json").read_text())
    assert kept["reproduced"] and kept["preset"] == "tiny"
    names = [line["name"] for line in kept["lines"]]
    assert {"truepose_ssim", "truepose_face_psnr_db", "n_pairs"} <= set(names)
    assert "figure f02_worst_tiny" in names
    table = (folder/"comparison.csv").read_text().splitlines()
    assert table[0] == "name,published,here,difference,tolerance,within"
    assert len(table) == len(names) + 1


def test_no_tracked_file_is_changed(reproduced):
    _, _, before, after = reproduced
    assert before == after


def test_a_difference_fails(reproduced, tmp_path, monkeypatch):
    "Held against other numbers and another figure: named, and exit code 1."
    _, folder, _, _ = reproduced
    other = shutil.copytree(FIXTURE, tmp_path/"published")
    path = other/"results"/"e03_evaluate"/"tiny"/"metrics.json"
    metrics = json.loads(path.read_text())
    metrics["truepose_clothes_ssim"] += .003
    metrics["n_persons"] += 1
    path.write_text(json.dumps(metrics))
    shutil.copy(other/"figures"/"f02_worst_tiny.png", other/"figures"/"f03_measures_tiny.png")

    def made_before(preset, place, targets, say):
        return [folder/"figures"/png.name for png in sum(targets.figures.values(), [])]
    monkeypatch.setitem(reproduce.PLACES, "tiny", str(other))
    monkeypatch.setattr(reproduce, "make_again", made_before)
    monkeypatch.setattr(reproduce, "write_comparison", lambda *_, **__: None)  # keep the true one
    result = CliRunner().invoke(app, ["reproduce", "--preset", "tiny"])
    last = result.output.strip().splitlines()[-1]
    assert result.exit_code == 1 and last.startswith("NOT reproduced: ")
    assert "3 are outside" in last, last
    for name in ("truepose_clothes_ssim", "n_persons", "figure f03_measures_tiny"):
        assert name in last
    assert result.output.count("OUTSIDE") == 3


def test_nothing_published_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(reproduce.PLACES, "tiny", str(tmp_path))
    result = CliRunner().invoke(app, ["reproduce", "--preset", "tiny"])
    assert result.exit_code == 2 and "nothing to compare with" in result.stderr
