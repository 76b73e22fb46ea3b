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


@pytest.mark.slow  # CI runs `make reproduce PRESET=tiny` itself
def test_it_reproduces_says_so_and_changes_no_tracked_file(tmp_path):
    "The command itself, at `tiny`, from another folder."
    before = status()
    program = "from truepose.cli import main; main()"
    command = [sys.executable, "-c", program, "reproduce", "--preset", "tiny"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("reproduced: ")
    assert status() == before and not list(tmp_path.iterdir())

    folder = ROOT/"runs"/"reproduce"/"tiny"
    kept = json.loads((folder/"comparison.json").read_text())
    assert kept["reproduced"] and kept["preset"] == "tiny"
    names = [line["name"] for line in kept["lines"]]
    assert {"truepose_ssim", "truepose_face_psnr_db", "n_pairs"} <= set(names)
    assert "figure f02_worst_tiny" in names
    table = (folder/"comparison.csv").read_text().splitlines()
    assert table[0] == "name,published,here,difference,tolerance,within"
    assert len(table) == len(names) + 1


@pytest.fixture
def published(tmp_path, monkeypatch):
    "A copy of what is published of `tiny`; what is made here is the fixture itself."
    def made_before(preset, place, targets, say):
        shutil.copytree(FIXTURE/"results", place/"results")
        return [FIXTURE/"figures"/png.name for png in sum(targets.figures.values(), [])]
    place = shutil.copytree(FIXTURE, tmp_path/"published")
    monkeypatch.setitem(reproduce.PLACES, "tiny", str(place))
    monkeypatch.setattr(reproduce, "make_again", made_before)
    monkeypatch.setattr(reproduce, "runs_dir", lambda: tmp_path/"runs")
    return place


def test_the_same_files_are_reproduced(published):
    result = CliRunner().invoke(app, ["reproduce", "--preset", "tiny"])
    assert result.exit_code == 0 and "OUTSIDE" not in result.output, result.output


def test_a_difference_fails(published, tmp_path):
    "Held against other numbers and another figure: each is named, and the exit code is 1."
    path = published/"results"/"e03_evaluate"/"tiny"/"metrics.json"
    metrics = json.loads(path.read_text())
    metrics["truepose_clothes_ssim"] += .003
    metrics["n_persons"] += 1
    path.write_text(json.dumps(metrics))
    figures = published/"figures"
    shutil.copy(figures/"f02_worst_tiny.png", figures/"f03_measures_tiny.png")
    result = CliRunner().invoke(app, ["reproduce", "--preset", "tiny"])
    last = result.output.strip().splitlines()[-1]
    assert result.exit_code == 1 and last.startswith("NOT reproduced: "), result.output
    assert "3 are outside" in last and result.output.count("OUTSIDE") == 3
    for name in ("truepose_clothes_ssim", "n_persons", "figure f03_measures_tiny"):
        assert name in last
    kept = json.loads((tmp_path/"runs"/"reproduce"/"tiny"/"comparison.json").read_text())
    assert not kept["reproduced"] and sum(not line["within"] for line in kept["lines"]) == 3


def test_nothing_published_is_refused_before_any_work(published):
    (published/"figures"/"f03_measures_tiny.png").unlink()
    result = CliRunner().invoke(app, ["reproduce", "--preset", "tiny"])
    assert result.exit_code == 2 and "nothing to compare with" in result.stderr
