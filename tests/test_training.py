"The training notebooks: recipes that fit them, a folder of photographs, resuming, finishers on drawings of a pipeline."
import json

import pytest

from notebooks import NBS
from truepose.config import get_method, get_preset, get_recipe
from truepose.core import InputError
from truepose.runs import check_parameters, declared_parameters, read_params, run

NETWORKS = {"e13_train_clip": "clip", "e14_train_transfer": "transfer", "e15_train_finisher": "finisher"}
NOTEBOOKS = ["e12_train_codec", *NETWORKS]
RECIPES = sorted(path for notebook in NOTEBOOKS for path in (NBS.parent/"params"/notebook).glob("*.yaml"))


def recipe_name(path): return f"{path.parent.name}/{path.stem}"


@pytest.fixture
def places(tmp_path): return dict(runs=tmp_path/"runs", results=tmp_path/"results", figures=tmp_path/"figures", live=False)


def trained(notebook, places, **params):
    return json.loads((run(notebook, params, **places)/"metrics.json").read_text())


@pytest.mark.parametrize("path", RECIPES, ids=recipe_name)
def test_a_recipe_fits_its_notebook(path):
    "Its names and types are the notebook's, and what it names is there."
    notebook, params = path.parent.name, read_params(path)
    given = check_parameters(notebook, params)
    assert given["variant"] == path.stem and path.read_text().startswith("# ")
    get_preset(given["preset"])
    if "method" in given: get_method(given["method"])
    if notebook in NETWORKS: get_recipe(given.get("part", NETWORKS[notebook]), given["recipe"] or given["preset"])


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_parameters_are_few_and_all_used(notebook):
    "At most 15; what no recipe sets is what every user decides."
    declared = set(declared_parameters(notebook))
    assert len(declared) <= 15
    for path in RECIPES:
        if path.parent.name == notebook: declared -= set(read_params(path))
    assert declared <= {"seed", "data", "recipe", "keep", "resume", "results_folder"}


def test_a_shops_folder_is_trained_on_and_a_stopped_run_goes_on(tmp_path, places):
    from truepose.data.examples import write_example
    from truepose.train.loop import read_history
    given = dict(data=str(write_example(tmp_path/"fashion", "patn")), variant=tmp_path.name, method="paper")
    first = trained("e14_train_transfer", places, **given, steps=2)
    assert (first["steps"], first["train_pictures"], first["val_pictures"]) == (2, 6, 6)
    assert first["method"]["lookup"] is False and "val_correspondence" not in first
    more = trained("e14_train_transfer", places, **given, steps=3, resume=True)
    history = read_history(places["results"]/"e14_train_transfer"/tmp_path.name/"history.csv")
    assert more["steps"] == 3 and [row["step"] for row in history] == [2, 3]


@pytest.mark.parametrize("part", ["finisher", "head_finisher"])
def test_a_finisher_is_trained_on_drawings_of_a_pipeline(tmp_path, places, part):
    from truepose.pipeline import pipeline_from_preset
    pipeline_from_preset("tiny").save_pretrained(tmp_path/"pipe")
    metrics = trained("e15_train_finisher", places, part=part, variant=tmp_path.name, start=str(tmp_path/"pipe"), steps=2)
    assert metrics["steps"] == 2 and {"val_drawn", "val_finished", "val_parsing", "val_miss_px"} <= set(metrics)


def test_a_finisher_needs_a_pipeline(places):
    with pytest.raises(InputError, match="start: nowhere"): run("e15_train_finisher", dict(start="nowhere"), **places)


def test_nano_needs_codec_and_region_encoder_of_earlier_runs(places, tmp_path):
    "Refused after the data are open: a folder of them, so that nothing is rendered."
    from truepose.data.examples import write_example
    given = dict(preset="nano", variant="no_such_run", data=str(write_example(tmp_path/"fashion", "patn")))
    with pytest.raises(InputError, match="run e12_train_codec with preset=nano"): run("e14_train_transfer", given, **places)


def test_the_options_of_every_method_fit_its_model():
    "What e14 hands to `pipeline_from_sd` and `model_from_preset`; the paper's method has nothing of ours."
    from inspect import signature

    from truepose.config import METHODS
    from truepose.pipeline import paper_or_ours
    for name, method in METHODS.items():
        model, options = paper_or_ours(method.model_options(8))
        assert set(options) <= set(signature(model.__init__).parameters), name
    assert paper_or_ours(METHODS["paper"].model_options(8))[0].__name__ == "TruePoseModel"
