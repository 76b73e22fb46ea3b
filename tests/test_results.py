"What is published can be traced: a clean commit made it, but for runs that are known not to be; and texts say what it says."
import json
import re
import runpy

import pytest

from notebooks import NBS, ROOT, all_notebooks, cells, code, name, source

TEXTS = runpy.run_path(str(ROOT/"docs"/"readme.py"))

# Published before `truepose publish` refused them. A run that is made again leaves this list;
# nothing comes into it.
KNOWN_DIRTY = set((ROOT/"docs"/"known_dirty.txt").read_text(encoding="utf-8").split())


def notes():
    "Published thing -> its manifest, or the note of a figure."
    def named(path): return path.relative_to(ROOT).as_posix()
    for place in (ROOT, ROOT/"tests"/"fixtures"/"tiny"):
        for path in sorted((place/"results").rglob("manifest.json")):
            yield named(path.parent), json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((place/"figures").glob("*.json")):
            yield named(path.with_suffix("")), json.loads(path.read_text(encoding="utf-8"))


def test_no_new_result_is_dirty():
    dirty = {name for name, about in notes() if about["dirty"] is not False}
    assert not dirty - KNOWN_DIRTY, "made in a dirty checkout: commit, run again, publish"
    assert not KNOWN_DIRTY - dirty, "made again, or gone: take them off the list"


def test_everything_published_names_its_commit():
    assert all(len(about["commit"]) == 40 for _, about in notes())
    results = {path.parent for path in (ROOT/"results").rglob("metrics.json")}
    assert all((folder/"manifest.json").is_file() for folder in results)


@pytest.mark.parametrize("path", TEXTS["texts"](), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_texts_say_what_results_say(path):
    text = path.read_text(encoding="utf-8")
    old, new = (TEXTS["MARKER"].findall(version) for version in (text, TEXTS["filled"](text)))
    changed = [was[1] for was, now in zip(old, new, strict=True) if was != now]
    assert not changed, f"results/ and {path.name} differ: run `make readme`"
    assert path.suffix == ".md" or not any(what.startswith("table") for _, what, _, _ in old), "no table in a notebook"


def test_a_changed_result_is_noticed_in_a_notebook():
    "A marker in a cell of JSON is read and filled as one in Markdown."
    marker = "<!-- results:e03_evaluate/nano/metrics.json n_pairs d -->7<!-- /results -->"
    text = json.dumps(dict(source=[f"of {marker} pairs\n"]))
    new = json.loads(TEXTS["filled"](text))["source"][0]
    assert new == f"of {marker.replace('>7<', '>128<')} pairs\n"


def test_the_page_of_reliability_shows_what_is_published():
    "Its stored table is what its cells make of results/reliability now."
    path, made = NBS/"reliability.ipynb", {"__name__": "page"}
    shown = ["".join(output["data"]["text/markdown"]) for cell in code(path) for output in cell["outputs"]
             if "text/markdown" in output.get("data", {})]
    for cell in code(path): exec(source(cell), made)
    assert len(shown) == 1 and shown[0].split("\n")[2:] == made["rows"], "run nbs/reliability.ipynb again"


def metrics_of(run): return json.loads((ROOT/"results"/run/"metrics.json").read_text(encoding="utf-8"))


def said(value):
    "As a model card writes it."
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def test_the_card_of_nano_says_what_its_trainings_say():
    card = (ROOT/"truepose"/"assets"/"nano"/"README.md").read_text(encoding="utf-8")
    runs = dict(codec="codec", clip="clip2", model="full", finisher="finisher5", head_finisher="head4")
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (.+?) \|$", card, re.M)[1:]
    assert {part for part, _, _ in rows} == set(runs) and len(rows) > 50
    for part, measure, value in rows:
        if measure == "device": continue
        assert value == said(metrics_of(f"e01_train/{runs[part]}")[measure]), (part, measure)
    trainings = re.findall(r"`(\w+)` \((\d+) steps, (\d+) minutes\)", card)
    assert len(trainings) == 14
    for run, steps, minutes in trainings:
        metrics = metrics_of(f"e01_train/{run}")
        assert (int(steps), int(minutes)) == (metrics["steps"], round(metrics["minutes"])), run


def test_the_card_of_micro_says_what_its_training_says():
    card = (ROOT/"truepose"/"assets"/"micro"/"README.md").read_text(encoding="utf-8")
    metrics = metrics_of("e14_train_transfer/base")
    mse, person = re.search(r"never seen \| ([\d.]+); on the person ([\d.]+) \|", card).groups()
    assert (mse, person) == tuple(f"{metrics[f'val_{key}']:.4f}" for key in ("mse", "person_mse"))
    steps, pictures = re.search(r"steps \| ([\d,]+) of (\d+) pictures", card).groups()
    assert int(steps.replace(",", "")) == metrics["steps"]
    assert metrics["samples_seen"] == metrics["steps"] * int(pictures)


def test_every_result_that_a_text_names_is_there():
    "results/<experiment>/<variant> in prose leads to a folder, unless it is a pattern or says what a command will make."
    texts = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")}
    for path in all_notebooks():
        prose = [source(cell) for cell in cells(path) if cell["cell_type"] == "markdown"]
        if path.is_relative_to(NBS/"figures"): prose = []  # a figure says what it will read
        texts[name(path)] = "\n".join(prose)
    named = {(place, found) for place, text in texts.items()
             for found in re.findall(r"`results/(e\d\d_\w+/[\w-]+)[`/]", text)}
    missing = {(place, found) for place, found in named if not (ROOT/"results"/found).is_dir()}
    assert len(named) >= 5 and not missing
