"README.md and DATASET.md tell the truth: numbers of results/, snippets that run, links that lead."
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from notebooks import ROOT
from truepose.data.parsing import LABEL_SETS

README = (ROOT/"README.md").read_text(encoding="utf-8")
CARD = (ROOT/"DATASET.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
NANO = ROOT/"truepose"/"assets"/"nano"


@pytest.mark.parametrize("text", [README, CARD], ids=["README", "DATASET"])
def test_numbers_come_from_results(text):
    module = runpy.run_path(str(ROOT/"docs"/"readme.py"))
    old, new = (module["MARKER"].findall(version) for version in (text, module["filled"](text)))
    changed = [was[1] for was, now in zip(old, new) if was != now]
    assert not changed, "results/ and README.md or DATASET.md differ: run `make readme`"


def test_numbers_come_from_tracked_files():
    "So the test above never hangs on what was run before: every run writes below runs/."
    if not (ROOT/".git").exists(): pytest.skip("not a git checkout")
    module = runpy.run_path(str(ROOT/"docs"/"readme.py"))
    wanted = {what.split()[0] for _, what, _, _ in module["MARKER"].findall(README + CARD)}
    wanted |= {f"{run}/metrics.json" for run in re.findall(r"results:table (\S+)", README + CARD)}
    command = ["git", "ls-files", "results"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split()
    missing = {f"results/{path}" for path in wanted - {"table", "rows"}} - set(listed)
    assert not missing, "the README's numbers come from files that git does not know"


def test_numbers_are_filled_in(tmp_path):
    "The filler itself: a value, a table, a missing file, a wrong key."
    module = runpy.run_path(str(ROOT/"docs"/"readme.py"))
    (tmp_path/"e"/"v").mkdir(parents=True)
    metrics = dict(truepose_n_pairs=7, n_persons=3, truepose_ssim=0.51234, a=dict(b=2))
    (tmp_path/"e"/"v"/"metrics.json").write_text(json.dumps(metrics))
    module["filled"].__globals__["RESULTS"] = tmp_path
    fill = lambda what: module["filled"](f"<!-- results:{what} -->old<!-- /results -->")
    assert ">0.51<" in fill("e/v/metrics.json truepose_ssim .2f")
    assert ">2<" in fill("e/v/metrics.json a.b d")
    assert "| TruePose | 0.512 |" in fill("table e/v") and "7 pairs of 3" in fill("table e/v")
    assert "not run yet" in fill("nothing.json a d") and "not run yet" in fill("table nothing")
    with pytest.raises(KeyError): fill("e/v/metrics.json typo d")


def test_a_number_begins_no_line():
    "A comment at the beginning of a line begins a block of HTML: what follows is no longer Markdown."
    for path in (ROOT/"README.md", *NANO.glob("*.md")):
        broken = re.findall(r"^ {0,3}<!-- results:(?!table|rows).*", path.read_text(encoding="utf-8"), re.M)
        assert not broken, f"{path.name}: {broken}"


def prose(text):
    "What a reader reads: without comments, code, tables and the targets of links."
    text = re.sub(r"```.*?```", "", re.sub(r"<!--.*?-->", "", text), flags=re.S)
    return re.sub(r"\]\([^)]*\)", "]", "\n".join(line for line in text.splitlines() if not line.startswith("|")))


def test_the_readme_is_short_and_whole():
    "About 600 words; the picture before any heading; fifteen lines of code; five limits; three sizes; two tables of results."
    assert 450 <= len(prose(README).split()) <= 700
    assert README.index("figures/f00_first.png") < README.index("\n## ")
    (code,) = SNIPPETS
    assert len(code.splitlines()) <= 17
    parts = {part.splitlines()[0]: part for part in README.split("\n## ")}
    assert len(re.findall(r"^- ", parts["Limits"], re.M)) == 5
    assert len(re.findall(r"^\| ", parts["Three sizes"], re.M)) == 2 + 3
    assert "without the finishers" in parts["How good is it?"] and "results:table" in parts["How good is it?"]


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#\s]+)", README + CARD) + re.findall(r'src="([^"]+)"', README)
    missing = [t for t in targets if not re.match(r"\w+:", t) and not (ROOT/t).exists()]
    assert not missing, f"README.md or DATASET.md leads to {missing}"


def test_commands_exist():
    "Each `make` target that is named is in the Makefile."
    targets = set(re.findall(r"^([a-z-]+):", (ROOT/"Makefile").read_text(encoding="utf-8"), re.M))
    quoted = "\n".join(re.findall(r"```.*?```|`[^`]+`", README, re.S))
    named = set(re.findall(r"\bmake ([a-z-]+)\b", quoted))
    assert {"reproduce", "test"} <= named <= targets


@pytest.mark.skipif(not NANO.is_dir(), reason="no nano weights in this checkout: make train")
@pytest.mark.parametrize("code", SNIPPETS, ids=lambda code: f"{len(code.splitlines())} lines")
def test_snippet_runs(code, tmp_path):
    "As a reader would paste it: in another folder, and it leaves the picture that it names."
    env = {**os.environ, "TRUEPOSE_DATA": os.environ.get("TRUEPOSE_DATA", str(tmp_path/"data"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for picture in re.findall(r'save_made\(.*"([^"]+\.png)"', code): look_at(tmp_path/picture, env["TRUEPOSE_DATA"])


def look_at(path, data):
    "The first person of the test set in her fourth pose: near the true picture, her coat and hair in their colours; and it says what it is."
    truth = next(Path(data).glob("people/*-test-2x6-256x176-seed7"))
    with Image.open(path) as picture: made, said = np.asarray(picture).astype(float), picture.text["Description"]
    target, source = (np.asarray(Image.open(truth/"images"/f"p000000_{view}.png")).astype(float) for view in (3, 0))
    labels = np.asarray(Image.open(truth/"parsing"/"p000000_3.png"))
    assert np.abs(made - target).mean() < 16 < np.abs(source - target).mean()  # grey levels: 10 and 59 when it was written
    for name in ("hair", "coat"):
        shown = labels == LABEL_SETS["cihp"].index(name)
        assert shown.sum() > 200 and np.abs(made[shown].mean(0) - target[shown].mean(0)).max() < 20, name
    assert said.startswith("Synthetic image")


def test_nothing_is_left_open():
    left = re.findall("LEAD:.*", README)
    assert not left, "sentences that depend on results are still to be written"
