"The strict runner: refuses before running, delivers whole results only, leaves `results/` alone."
import json
import subprocess

import pytest

from notebooks import NBS, ROOT, code, name, parameter_cells
from truepose.core import InputError
from truepose.runs import OURS, RunError, check_parameters, declared_parameters, find_notebook
from truepose.runs import notebook_of, publish, read_params, run

PARAMETERS = 'variant = "base"\nsteps = 2\nlr = 0.1\nseed = 3\nresults_folder = ""'
FOUND = [*(NBS/"experiments").glob("[eft]*.ipynb"), *(NBS/"figures").glob("[eft]*.ipynb")]
EXPERIMENTS = sorted(path for path in FOUND if parameter_cells(path))
PARAMS = sorted(p for p in (ROOT/"params").rglob("*.yaml") if p.parent.name != "accelerate")


def notebook(folder, *cells, parameters=PARAMETERS, name="e90_toy"):
    "A notebook in JSON; the first cell carries the tag unless `parameters` is None."
    tagged = [] if parameters is None else [(parameters, ["parameters"])]
    made = [dict(id=f"c{i}", cell_type="code", execution_count=None, outputs=[], source=source,
                 metadata=dict(tags=tags))
            for i, (source, tags) in enumerate([*tagged, *((c, []) for c in cells)])]
    kernel = dict(display_name="python3", language="python", name="python3")
    nb = dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel), cells=made)
    path = folder/f"{name}.ipynb"
    path.write_text(json.dumps(nb))
    return path


@pytest.fixture
def places(tmp_path):
    folders = {name: tmp_path/name for name in ("runs", "results", "figures")}
    return dict(**folders, live=False)


WRITE = 'import pathlib; (pathlib.Path(results_folder)/"metrics.json").write_text(str(steps))'


def test_parameters_reach_the_notebook_and_results_appear_whole(tmp_path, places):
    path = notebook(tmp_path, WRITE)
    final = run(path, dict(steps=5, lr=1, variant="five"), **places)
    assert final == tmp_path/"results"/"e90_toy"/"five"
    assert (final/"metrics.json").read_text() == "5"
    about = json.loads((final/"manifest.json").read_text())
    assert about["params"] == dict(variant="five", steps=5, lr=1, seed=3) and about["seed"] == 3
    assert {"commit", "dirty", "versions", "device", "wall_time_s"} <= set(about)
    executed = list((tmp_path/"runs").rglob("e90_toy.ipynb"))
    assert len(executed) == 1 and "injected-parameters" in executed[0].read_text()
    # no place of this machine in a committed file
    assert str(tmp_path) not in (final/"manifest.json").read_text()


def test_a_run_that_is_not_told_where_keeps_its_results(tmp_path):
    "By default nothing is written outside of the run's own folder."
    folder = run(notebook(tmp_path, WRITE), dict(steps=5), runs=tmp_path/"runs", live=False)
    assert folder.parent == tmp_path/"runs"/"e90_toy"/"base"
    found = folder/"results"/"e90_toy"/"base"
    assert (found/"metrics.json").read_text() == "5"
    assert (found/"manifest.json").read_bytes() == (folder/"manifest.json").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e90_toy.ipynb", "runs"]


def test_failure_keeps_the_old_results(tmp_path, places):
    path = notebook(tmp_path, WRITE, "assert steps < 10, 'too many steps'")
    final = run(path, {}, **places)
    with pytest.raises(RunError, match="too many steps"): run(path, dict(steps=99), **places)
    assert (final/"metrics.json").read_text() == "2"
    assert [p.name for p in final.parent.iterdir()] == ["base"]


def test_input_error_in_a_notebook_stays_an_input_error(tmp_path, places):
    cell = "from truepose.core import InputError\nraise InputError('a.png: no such file')"
    path = notebook(tmp_path, cell)
    with pytest.raises(InputError, match="a.png: no such file"): run(path, {}, **places)


@pytest.mark.parametrize("params, words", [
    (dict(stepz=5), "no parameter `stepz`, did you mean `steps`"),
    (dict(steps="5"), "`steps` must be int"),
    (dict(steps=2.0), "`steps` must be int"),
    (dict(steps=True), "`steps` must be int"),
    (dict(lr="fast"), "`lr` must be float"),
    (dict(results_folder="results"), "no parameter `results_folder`"),
    (dict(variant="../up"), "names a folder"),
])
def test_refused_before_running(tmp_path, places, params, words):
    path = notebook(tmp_path, "raise RuntimeError('it ran')")
    with pytest.raises(InputError) as error: run(path, params, **places)
    assert words in str(error.value)
    assert not (tmp_path/"runs").exists() and not (tmp_path/"results").exists()


@pytest.mark.parametrize("cells, parameters, words", [
    (["steps = 1"], None, "0 cells carry the tag"),
    ([], "steps = 1 + 1", "may only hold lines"),
    ([], "import os\nsteps = 1", "may only hold lines"),
    ([], "steps = [1]", "may only hold lines"),
])
def test_bad_parameter_cells(tmp_path, places, cells, parameters, words):
    path = notebook(tmp_path, *cells, parameters=parameters)
    with pytest.raises(InputError, match=words): run(path, {}, **places)


def test_unknown_names():
    with pytest.raises(InputError, match="e03_evaluate"): find_notebook("e03_evalute")
    gone = "gone/e03_evaluate.ipynb"
    with pytest.raises(InputError, match="no such notebook"): find_notebook(gone)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_experiments_can_be_run_from_parameters(path):
    "One tagged cell of scalars, its defaults are right; only the runner names a results folder."
    declared = declared_parameters(path)
    theirs = {key: value for key, value in declared.items() if key not in OURS}
    assert check_parameters(path, theirs) == declared
    assert "variant" in declared or "results_folder" not in declared
    assert all(declared[key] == "" for key in OURS if key in declared)
    if "results_folder" not in declared: return
    writes = [c for c in code(path) if "results_dir()" in "".join(c["source"])]
    assert not writes, "an experiment gets its results folder from the runner"


@pytest.mark.parametrize("path", PARAMS, ids=name)
def test_params_are_of_their_notebook(path):
    "params/<notebook>/<variant>.yaml: names and types of that notebook, the variant said once."
    assert path.parent.parent == ROOT/"params", "such a file lies in the folder of its notebook"
    assert read_params(path).get("variant", path.stem) == path.stem
    assert find_notebook(notebook_of(path)).stem == path.parent.name


@pytest.mark.parametrize("text, words", [
    ("n_pairz: 3", "e03_evaluate.ipynb: no parameter `n_pairz`, did you mean `n_pairs`"),
    ("n_pairs: many", "`n_pairs` must be int"),
    ("n_pairs: [3", "not valid YAML"),
    ("n_pairs = 3", "expected lines"),
])
def test_bad_params_are_refused_in_one_line(tmp_path, text, words):
    path = tmp_path/"e03_evaluate"/"mine.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError) as error: read_params(path)
    assert str(path) in str(error.value) and words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    "A small repository that the runner takes for the checkout; a function runs git in it."
    import truepose.core
    import truepose.runs
    root = tmp_path/"checkout"
    (root/"nbs").mkdir(parents=True)
    (root/".gitignore").write_text("/runs/\n")

    def git(*args):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *args]
        return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    for command in ("init -q", "add .", "commit -q -m first"): git(*command.split())
    for module in (truepose.core, truepose.runs):
        monkeypatch.setattr(module, "repo_root", lambda: root)
    return root, git


def test_only_a_clean_run_is_published_from_a_clean_checkout(tmp_path, checkout):
    root, git = checkout
    path, quiet = notebook(tmp_path, WRITE), dict(runs=root/"runs", live=False)
    clean = run(path, dict(variant="clean"), **quiet)
    (root/"nbs"/"new.ipynb").write_text("a notebook that no commit has")
    dirty = run(path, dict(variant="dirty"), **quiet)
    with pytest.raises(InputError, match="the checkout is dirty: nbs/new.ipynb"): publish([clean])
    (root/"nbs"/"new.ipynb").unlink()
    with pytest.raises(InputError, match="dirty is True"): publish([clean, dirty])
    assert git("status", "--porcelain") == "", "refused, so nothing was written"
    assert publish([clean]) == [root/"results"/"e90_toy"/"clean"]
    assert git("status", "--porcelain", "-uall").split() == [
        "??", "results/e90_toy/clean/manifest.json", "??", "results/e90_toy/clean/metrics.json"]
    git("add", ".")
    git("commit", "-q", "--amend", "-m", "another first")  # the run's commit is in no history now
    with pytest.raises(InputError, match="not in the history"): publish([clean])


def test_a_figure_is_published_with_its_note(tmp_path, checkout):
    root, _ = checkout
    draw = ("import matplotlib.pyplot as plt\nfrom truepose.figures import save_figure\n"
            "save_figure(plt.figure(), 'f90_toy', ['data.csv'], figures_folder)")
    path = notebook(tmp_path, draw, parameters='figures_folder = ""', name="f90_toy")
    (tmp_path/"data.csv").write_text("a,b\n")
    folder = run(path, runs=root/"runs", live=False)
    note = folder/"figures"/"f90_toy.json"
    about = json.loads(note.read_text()) | json.loads((folder/"manifest.json").read_text())
    note.write_text(json.dumps(about))  # the notebook's process knows this checkout, not the toy
    assert publish([folder]) == [root/"figures"/"f90_toy.png"]
    names = sorted(p.name for p in (root/"figures").iterdir())
    assert names == ["f90_toy.json", "f90_toy.pdf", "f90_toy.png"]
