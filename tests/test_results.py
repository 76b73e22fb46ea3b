"What is published can be traced: a clean commit made it, but for runs that are known not to be."
import json

from notebooks import ROOT

# Published before `truepose publish` refused them. A run that is made again leaves this list;
# nothing comes into it.
KNOWN_DIRTY = {
    "results/e01_train/clip", "results/e01_train/clip2", "results/e01_train/codec",
    "results/e01_train/finisher", "results/e01_train/finisher2", "results/e01_train/finisher4",
    "results/e01_train/full", "results/e01_train/head", "results/e01_train/head3",
    "results/e01_train/lookup2",
    "results/e03_evaluate/many", "results/e04_sampling/nano",
    "results/e05_lookup/nano", "results/e06_parser/pose", "results/e07_legibility/nano",
    "results/e10_people/full", "results/e10_people/small", "results/e11_people_speed/two_cores",
    "results/e20_cost/paper_epyc"}


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
