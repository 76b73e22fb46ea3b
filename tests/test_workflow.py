"The list of everything that is run (workflow/runs.yaml), and Snakemake on it."
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml
from notebooks import ROOT, parameter_cells, source

from truepose.config import METHODS
from truepose.runs import check_parameters, check_variant, notebook_of, parse_parameter, read_params

sys.path.insert(0, str(ROOT/"workflow"))
import listed

FILE = yaml.safe_load((ROOT/"workflow/runs.yaml").read_text(encoding="utf-8"))
ROWS = listed.read_rows()
FIGURES = sorted((ROOT/"nbs/figures").glob("*.ipynb"))
SNAKEMAKE = ROOT/".venv-workflow/bin/snakemake"
needs_snakemake = pytest.mark.skipif(not SNAKEMAKE.exists(), reason="no Snakemake here: make .venv-workflow/.made")


def file_of(row): return row.words[1] if row.words[1].endswith(".yaml") else None


def test_files_are_there_or_announced():
    for row in ROWS.values():
        target = ROOT/row.words[1] if file_of(row) else ROOT/f"nbs/figures/{row.words[1]}.ipynb"
        if row.words[0] == "run":
            assert target.is_file() != bool(row.announced), f"{row.makes}: {target.name} and `announced` do not agree"


def test_parameters_exist():
    "As `truepose run` checks them, before hours are spent; and the row makes what that run publishes. One row of each entry."
    for row in {row.pattern: row for row in ROWS.values()}.values():
        if row.announced or row.words[0] != "run" or not file_of(row): continue
        notebook, params = notebook_of(file_of(row)), read_params(ROOT/file_of(row))
        for settings in (row.words[2:], [*row.words[2:], *row.gpu.split()]):
            for pair in settings[1::2]:
                name, value = pair.split("=", 1)
                params[name] = parse_parameter(notebook, name, value)
        variant = check_variant(check_parameters(notebook, params)["variant"])
        experiment = params.get("experiment", notebook)
        if row.makes.startswith("results/"): assert row.makes == f"results/{experiment}/{variant}"
        if row.makes.startswith("runs/"): assert row.makes == f"runs/{notebook}/{params['preset']}-{variant}"


def test_every_parameter_file_is_used():
    used = {file_of(row) for row in ROWS.values()}
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT/"params").rglob("*.yaml")}
    assert there == {file for file in used if file and (ROOT/file).is_file()} | set(FILE["other_params"])
    assert not used & set(FILE["other_params"])


def test_every_result_is_made_by_a_row_or_kept():
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT/"results").rglob("manifest.json")} | {"results/field"}
    kept = {name for name in folders for prefix in FILE["kept"] if f"{name}/".startswith(f"{prefix}/")}
    assert folders - kept <= set(ROWS) and not kept & set(ROWS)
    assert all((ROOT/name).is_dir() for name in FILE["kept"])


def test_published_results_were_made_with_the_listed_parameters():
    changed = {makes: why for makes, row in ROWS.items() if makes.startswith("results/") and "changed" in (why := listed.why(row))}
    assert not changed, "run it again (git rm, commit, make), or put the parameter back"


def test_every_method_is_run():
    "Each row of the ablation and each family, with three seeds at micro, and once at nano."
    def run_as(pattern): return {makes for makes in ROWS if re.fullmatch(pattern, makes)}
    for method in METHODS:
        assert len(run_as(rf"results/e3[01]_\w+/{method}/seed[012]")) == 3, method
        assert len(run_as(rf"results/e30_ablation/nano-{method}/seed0")) == 1, method


def test_what_is_shipped_is_what_make_train_makes():
    "Each part that e02_ship puts into the package is a run of the group train, and so is all that it needs."
    shipped = {}
    exec(source(parameter_cells(ROOT/"nbs/experiments/e02_ship.ipynb")[0]), shipped)
    parts = [shipped[name] for name in ("codec", "clip", "model", "finisher", "head_finisher")] + shipped["earlier"].split()
    made = {"runs/{}/nano-{}".format(*part.split("/")) for part in parts}
    trained = {makes for makes, row in ROWS.items() if "train" in row.groups}
    assert made < trained and all(set(ROWS[makes].needs) <= trained for makes in trained)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_done_means_made_with_these_parameters(tmp_path):
    (tmp_path/"params/e14").mkdir(parents=True)
    (tmp_path/"params/e14/a.yaml").write_text("steps: 3\nlr: 1.0e-3\n")
    row = listed.Row("results/e14/a", "run params/e14/a.yaml -p restart=false -p seed=1", ())
    assert listed.why(row, tmp_path) == "missing"
    made = dict(variant="a", steps=3, lr=.001, restart=False, seed=1, other="x")
    for params, expected in ((made, ""), (made | dict(steps=4, seed=0), "changed: steps, seed")):
        write_json(tmp_path/"results/e14/a/manifest.json", dict(params=params))
        assert listed.why(row, tmp_path) == expected
    write_json(tmp_path/"figures/f.json", dict(inputs={"params/e14/a.yaml": "0"}))
    assert listed.why(listed.Row("figures/f", "run f", ()), tmp_path) == "changed: params/e14/a.yaml"


def test_a_figure_is_old_when_more_is_published(tmp_path):
    "Of its second picture too the inputs count, and a result that did not exist when it was drawn."
    row = listed.Row("figures/f04_a", "run f04_a", (), needs=("results/e/a", "results/e/b"))
    write_json(tmp_path/"results/e/a/manifest.json", {})
    digest = hashlib.sha256((tmp_path/"results/e/a/manifest.json").read_bytes()).hexdigest()
    write_json(tmp_path/"figures/f04_a.json", dict(inputs={}))
    assert listed.why(row, tmp_path) == "changed: results/e/a is new"
    write_json(tmp_path/"figures/f04_b.json", dict(inputs={"results/e/a/manifest.json": digest}))
    assert listed.why(row, tmp_path) == ""
    write_json(tmp_path/"results/e/b/manifest.json", {})
    assert listed.why(row, tmp_path) == "changed: results/e/b is new"


def test_make_figures_draws_all_and_trains_nothing():
    "With nothing published at all, too; and its words reach Snakemake."
    left = listed.to_do(ROWS, ["figures"], ROOT/"nowhere")
    assert set(left) == {makes for makes in ROWS if makes.startswith("figures/")} == {f"figures/{path.stem}" for path in FIGURES}
    assert not any(need in left for makes in left for need in ROWS[makes].needs)
    assert "$(call workflow,figures,draw=true)" in (ROOT/"Makefile").read_text(encoding="utf-8")


def test_what_only_served_a_published_result_is_not_made_again(tmp_path):
    write_json(tmp_path/"params/e/b.yaml", {})
    rows = {row.makes: row for row in (
        listed.Row("data/a", "people", ()), listed.Row("results/e/b", "run params/e/b.yaml", ("g",), ("data/a",)),
        listed.Row("results/e/c", "run params/e/c.yaml", ("g",), announced="soon"), listed.Row("figures/f", "run f", ("h",), ("results/e/b",)))}
    assert list(listed.left_of(rows, tmp_path)) == ["data/a", "results/e/b", "figures/f"]
    made = tmp_path/"results/e/b/manifest.json"
    write_json(made, dict(params=dict(variant="b")))
    write_json(tmp_path/"figures/f.json", dict(inputs={"results/e/b/manifest.json": hashlib.sha256(made.read_bytes()).hexdigest()}))
    assert listed.left_of(rows, tmp_path) == {}
    made.unlink()
    left = listed.left_of(rows, tmp_path)
    assert left == {"data/a": "missing", "results/e/b": "missing", "figures/f": "changed: results/e/b/manifest.json is gone"}
    assert listed.wanted(rows, left, ["g"]) == ["results/e/b", "data/a"]


@needs_snakemake
def test_dry_run(tmp_path):
    "All groups: each row that is left, and what it needs, becomes a job."
    done = subprocess.run([SNAKEMAKE, "-s", ROOT/"workflow/Snakefile", "-d", tmp_path, "-n", "-c", "2", "--quiet", "host", "-p", "all", "gpu"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    left, jobs = listed.left_of(ROWS), done.stdout + done.stderr
    for makes in listed.wanted(ROWS, left, [*listed.VIEW, "gpu"]): assert f"rule {ROWS[makes].name}:" in jobs


@needs_snakemake
@pytest.mark.slow
def test_dry_run_of_the_figures(tmp_path):
    done = subprocess.run([SNAKEMAKE, "-s", ROOT/"workflow/Snakefile", "-d", tmp_path, "-n", "-c", "2", "--quiet", "host", "-p", "figures",
                           "--config", "draw=true"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    jobs = re.findall(r"rule (\w+):", done.stdout + done.stderr)
    assert set(jobs) == {f"figures_{path.stem}" for path in FIGURES} | {"publish_figures", "figures"}


TRUEPOSE = '''#!{python}
"In the place of truepose: says what it was called with; the first `long` lasts until it is ended."
import json, os, sys, time
from pathlib import Path
variant = sys.argv[-1].split("=")[1]
with open("calls", "a") as file: print(variant, os.environ["OMP_NUM_THREADS"], file=file, flush=True)
if variant == "long" and Path("calls").read_text().count("long") == 1: time.sleep(600)
Path(f"runs/e/tiny-{{variant}}").mkdir(parents=True)
manifest = Path(f"runs/e/{{variant}}/1/manifest.json")
manifest.parent.mkdir(parents=True)
manifest.write_text(json.dumps(dict(params=dict(variant=variant, steps=1))))
print("written:", manifest.parent)
'''


@needs_snakemake
@pytest.mark.parametrize("by", (signal.SIGTERM, signal.SIGKILL))
def test_killed_in_the_middle_it_goes_on(tmp_path, by, request):
    if not request.config.getoption("--slow"): pytest.skip("slow: --slow runs it")
    (tmp_path/"params/e").mkdir(parents=True)
    (tmp_path/"params/e/x.yaml").write_text("steps: 1\n")
    (tmp_path/"truepose").write_text(TRUEPOSE.format(python=sys.executable))
    (tmp_path/"truepose").chmod(0o755)
    row = "{{groups: g, makes: runs/e/tiny-{0}, command: run params/e/x.yaml -p variant={0}, needs: {1}}}"
    (tmp_path/"runs.yaml").write_text("runs:\n" + "".join(f"- {row.format(*pair)}\n" for pair in (("short", "''"), ("long", "runs/e/tiny-short"))))
    command = [SNAKEMAKE, "-s", ROOT/"workflow/Snakefile", "-d", tmp_path/"own", "--nolock", "-c", "1", "g", "--config", f"root={tmp_path}",
               f"list={tmp_path}/runs.yaml", f"truepose={tmp_path}/truepose"]

    def calls(): return (tmp_path/"calls").read_text().split("\n")[:-1] if (tmp_path/"calls").exists() else []

    first = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.time() + 120
    while len(calls()) < 2 and time.time() < until and first.poll() is None: time.sleep(.1)
    os.killpg(first.pid, by)
    assert calls() == ["short 1", "long 1"]
    assert first.wait(30) != 0
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert calls() == ["short 1", "long 1", "long 1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and len(calls()) == 3, done.stderr
