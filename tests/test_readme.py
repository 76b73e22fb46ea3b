"README.md and DATASET.md tell the truth: numbers of results/, snippets that run, links that lead."
import json
import os
import re
import runpy
import subprocess
import sys

import pytest

from notebooks import ROOT

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
    missing = {f"results/{path}" for path in wanted - {"table"}} - set(listed)
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
    for picture in re.findall(r'save\("([^"]+)"\)', code):
        assert (tmp_path/picture).stat().st_size > 1000


def test_nothing_is_left_open():
    left = re.findall("LEAD:.*", README)
    assert not left, "sentences that depend on results are still to be written"
