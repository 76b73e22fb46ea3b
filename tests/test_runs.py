"The strict runner: refuses before running, publishes whole results only, leaves `results/` alone otherwise."
import json

import pytest

from notebooks import NBS, code, name, parameter_cells
from truepose.core import InputError
from truepose.runs import OURS, RunError, check_parameters, declared_parameters, find_notebook, run

PARAMETERS = 'variant = "base"\nsteps = 2\nlr = 0.1\nseed = 3\nresults_folder = ""'
EXPERIMENTS = sorted(p for folder in ("experiments", "figures") for p in (NBS/folder).glob("[eft]*.ipynb") if parameter_cells(p))


def notebook(folder, *cells, parameters=PARAMETERS, name="e90_toy"):
    "A notebook in JSON; the first cell carries the tag unless `parameters` is None."
    tagged = [] if parameters is None else [(parameters, ["parameters"])]
    made = [dict(id=f"c{i}", cell_type="code", execution_count=None, outputs=[], source=source, metadata=dict(tags=tags))
            for i, (source, tags) in enumerate([*tagged, *((c, []) for c in cells)])]
    kernel = dict(display_name="python3", language="python", name="python3")
    path = folder/f"{name}.ipynb"
    path.write_text(json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel), cells=made)))
    return path


@pytest.fixture
def places(tmp_path):
    return dict(runs=tmp_path/"runs", results=tmp_path/"results", figures=tmp_path/"figures", live=False)


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
    assert str(tmp_path) not in (final/"manifest.json").read_text()  # no place of this machine in a committed file


def test_failure_keeps_the_old_results(tmp_path, places):
    path = notebook(tmp_path, WRITE, "assert steps < 10, 'too many steps'")
    final = run(path, {}, **places)
    with pytest.raises(RunError, match="too many steps"): run(path, dict(steps=99), **places)
    assert (final/"metrics.json").read_text() == "2"
    assert [p.name for p in final.parent.iterdir()] == ["base"]


def test_input_error_in_a_notebook_stays_an_input_error(tmp_path, places):
    path = notebook(tmp_path, "from truepose.core import InputError\nraise InputError('a.png: no such file')")
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
    with pytest.raises(InputError, match=words): run(notebook(tmp_path, *cells, parameters=parameters), {}, **places)


def test_unknown_names():
    with pytest.raises(InputError, match="e03_evaluate"): find_notebook("e03_evalute")
    with pytest.raises(InputError, match="no such notebook"): find_notebook("gone/e03_evaluate.ipynb")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_experiments_can_be_run_from_parameters(path):
    "One tagged cell of scalars; defaults pass their own check; nothing but the runner names a folder of results."
    declared = declared_parameters(path)
    assert check_parameters(path, {key: value for key, value in declared.items() if key not in OURS}) == declared
    assert "variant" in declared or "results_folder" not in declared
    assert all(declared[key] == "" for key in OURS if key in declared)
    writes = [c for c in code(path) if "results_dir()" in "".join(c["source"]) and "results_folder" in declared]
    assert not writes, "an experiment gets its results folder from the runner"


@pytest.mark.parametrize("part", ["finisher", "head_finisher"])
def test_a_finisher_is_trained_on_drawings_of_a_pipeline(tmp_path, places, part):
    from truepose.pipeline import pipeline_from_preset
    pipeline_from_preset("tiny").save_pretrained(tmp_path/"pipe")
    given = dict(part=part, variant=tmp_path.name, render_scale=2, start=str(tmp_path/"pipe"), steps=2)
    metrics = json.loads((run(NBS/"experiments"/"e01_train.ipynb", given, **places)/"metrics.json").read_text())
    assert metrics["steps"] == 2 and {"val_drawn", "val_finished", "val_parsing", "val_miss_px"} <= set(metrics)


def test_a_finisher_needs_a_pipeline(places):
    with pytest.raises(InputError, match="start: nowhere"): run(NBS/"experiments"/"e01_train.ipynb", dict(part="finisher", start="nowhere"), **places)
