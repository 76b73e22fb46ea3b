"The training notebooks: recipes that fit them, a folder of photographs, resuming, finishers on drawings of a pipeline."
import contextlib
import json

import pytest
import torch
from torch import nn

from notebooks import NBS, code, parameter_cells, source
from truepose.config import get_method, get_preset, get_recipe
from truepose.core import InputError
from truepose.runs import check_parameters, declared_parameters, find_notebook, read_params

NETWORKS = {"e13_train_clip": "clip", "e14_train_transfer": "transfer", "e15_train_finisher": "finisher"}
NOTEBOOKS = ["e12_train_codec", *NETWORKS]
RECIPES = sorted(path for notebook in NOTEBOOKS for path in (NBS.parent/"params"/notebook).glob("*.yaml"))


def recipe_name(path): return f"{path.parent.name}/{path.stem}"


@pytest.fixture
def places(tmp_path, monkeypatch):
    "Where runs and people are kept, so that nothing of a test stays."
    import truepose.core
    monkeypatch.setattr(truepose.core, "runs_dir", lambda: tmp_path/"runs")
    return tmp_path


def trained(notebook, places, **params):
    "What a training notebook finds; its cells are run in this process, which has the libraries (test_runs starts kernels)."
    path = find_notebook(notebook)
    given = check_parameters(path, params) | dict(results_folder=str(places/"results"))
    names = {"__name__": "__main__"}
    for cell in code(path):
        if cell in parameter_cells(path): names |= given
        else: exec(compile(source(cell), f"{notebook}, cell {cell['id']}", "exec"), names)
    return json.loads((places/"results"/"metrics.json").read_text())


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
    "At most 20; what no recipe sets is what every user decides."
    declared = set(declared_parameters(notebook))
    assert len(declared) <= 20
    for path in RECIPES:
        if path.parent.name == notebook: declared -= set(read_params(path))
    words = (NBS.parent/"workflow"/"runs.yaml").read_text(encoding="utf-8")
    declared -= {name for name in declared if f"-p {name}=" in words}  # an hour of a GPU is a recipe, too
    assert declared <= {"seed", "data", "recipe", "keep", "restart", "trackers", "label_set", "persons",
                        "val_folder", "workers", "results_folder"}


def test_a_shops_folder_is_trained_on_and_a_stopped_run_goes_on(tmp_path, places):
    from truepose.data.examples import write_example
    from truepose.train.loop import read_history
    given = dict(data=str(write_example(tmp_path/"fashion", "patn")), variant=tmp_path.name, method="paper")
    first = trained("e14_train_transfer", places, **given, steps=2, restart=True)
    assert (first["steps"], first["train_pictures"], first["val_pictures"]) == (2, 3, 3)
    assert first["method"]["lookup"] is False and "val_correspondence" not in first
    more = trained("e14_train_transfer", places, **given, steps=3)
    history = read_history(places/"results"/"history.csv")
    assert more["steps"] == 3 and [row["step"] for row in history] == [2, 3]


@pytest.mark.parametrize("part", ["finisher", "head_finisher"])
def test_a_finisher_is_trained_on_drawings_of_a_pipeline(tmp_path, places, part):
    from truepose.pipeline import pipeline_from_preset
    pipeline_from_preset("tiny").save_pretrained(tmp_path/"pipe")
    metrics = trained("e15_train_finisher", places, part=part, variant=tmp_path.name, start=str(tmp_path/"pipe"), steps=2, restart=True)
    assert metrics["steps"] == 2 and {"val_drawn", "val_finished", "val_parsing", "val_miss_px"} <= set(metrics)


def test_a_finisher_needs_a_pipeline(places):
    with pytest.raises(InputError, match="start: nowhere"): trained("e15_train_finisher", places, start="nowhere")


def test_nano_needs_codec_and_region_encoder_of_earlier_runs(places, tmp_path):
    "Refused after the data are open: a folder of them, so that nothing is rendered."
    from truepose.data.examples import write_example
    given = dict(preset="nano", variant="no_such_run", data=str(write_example(tmp_path/"fashion", "patn")))
    with pytest.raises(InputError, match="run e12_train_codec with preset=nano"): trained("e14_train_transfer", places, **given)


def test_the_options_of_every_method_fit_its_model():
    "What e14 hands to `pipeline_from_sd` and `model_from_preset`; the paper's method has nothing of ours."
    from inspect import signature

    from truepose.config import METHODS
    from truepose.pipeline import paper_or_ours
    for name, method in METHODS.items():
        model, options = paper_or_ours(method.model_options(8))
        assert set(options) <= set(signature(model.__init__).parameters), name
    assert paper_or_ours(METHODS["paper"].model_options(8))[0].__name__ == "TruePoseModel"


class Toy(nn.Module):
    "An objective whose noise comes from a generator on the CPU."
    def __init__(self):
        super().__init__()
        self.model = nn.Linear(3, 2)

    def forward(self, batch, generator):
        noise = torch.randn(4, 2, generator=generator).to(batch["x"].device)
        loss = (self.model(batch["x"]) - noise).square().mean()
        return loss, {"mse": loss.detach()}


class OneGpu:
    "What the loop asks of accelerate, on a GPU; backward needs a real one."
    device, num_processes, is_main_process = torch.device("cuda"), 1, True
    def prepare(self, model, optimizer): return model, optimizer
    def backward(self, loss): assert loss.device.type == "cuda"
    def clip_grad_norm_(self, learnt, largest): return nn.utils.clip_grad_norm_(learnt, largest)
    def no_sync(self, model): return contextlib.nullcontext()
    def unwrap_model(self, model, keep_fp32_wrapper): return model
    def free_memory(self): pass


def test_the_parts_of_the_loop_stay_on_the_gpu(monkeypatch):
    "Fake CUDA tensors: whatever mixes devices, or asks a GPU for a number in a step, fails."
    from torch._subclasses import FakeTensorMode
    from truepose.train import loop
    monkeypatch.setattr(loop, "make_accelerator", OneGpu)
    with FakeTensorMode():
        with torch.device("cuda"): objective = Toy()
        trained, chance = loop.Trained(objective, lr=.1), loop.Chance(0, 2)
        batches = loop.batches_of(lambda g: {"x": torch.randn(4, 3, generator=g)}, chance, trained.accelerator)(0)
        watch, averages = loop.Watch(trained.accelerator, "nowhere"), loop.Averages()
        for step in range(2):
            noise = chance.generators(step, "noise")
            losses = loop.gradients(trained.accelerator, trained.model, trained.learnt, batches, noise)
            for p in trained.learnt: p.grad = torch.zeros_like(p)
            watch.see(step, .1, losses, trained.clip(1.))
            trained.step(.1)
            for loss, numbers in losses: averages.add(loss=loss, **numbers)
        with loop.averaged(trained): assert objective.model(batches[0]["x"]).device.type == "cuda"
        loop.end_with_average(trained)
    values = [value for _, _, value in watch.seen] + [*averages.sums.values(), *trained.average.shadow_params]
    assert {value.device.type for value in values} == {"cuda"}
