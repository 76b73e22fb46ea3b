"The site: what its builder makes of notebooks, results and code, and what it refuses. `--slow`: every page that is built, in a browser."
import base64
import io
import json
import shutil
import sys

import pytest
import yaml
from PIL import Image

from notebooks import ROOT

sys.path.insert(0, str(ROOT/"docs"))
import bridge
import build
import checks
import executed
import published
import reference

CHROMIUM, SITE = shutil.which("chromium") or shutil.which("google-chrome"), ROOT/"_site"
WIDTHS = {1400: "on a desk", 390: "on a telephone"}


@pytest.fixture(scope="module")
def made(): return bridge.Bridge({"README.md": "index", "DATASET.md": "cards/dataset"})


def test_links_lead_to_pages_and_to_the_repository(made, tmp_path, monkeypatch):
    "Notebooks, documents, names; other files by their address in the repository; a picture that is not there stops the build."
    monkeypatch.setattr(bridge, "PAGES", tmp_path)
    (tmp_path/"_pictures").mkdir()
    nbs = ROOT/"nbs"
    text = made.prose("[a](method/50_hpfa.ipynb) [b](../DATASET.md) [c](../LICENSE) [d](https://x.y) `truepose.method.hpfa` `check_pose`", nbs, "x")
    for part in ("[a](/method/hpfa.ipynb)", "[b](/cards/dataset.ipynb)", "/blob/main/LICENSE)", "[d](https://x.y)",
                 "[`truepose.method.hpfa`](/method/hpfa.ipynb)", "[`check_pose`](#truepose.data.joints.check_pose)"):
        assert part in text, (part, text)
    assert made.prose("```\n[a](method/50_hpfa.ipynb)\n```", nbs, "x") == "```\n[a](method/50_hpfa.ipynb)\n```"
    assert made.prose("![w](../figures/f03_measures.png)", nbs, "x") == "![w](/_pictures/figures-f03_measures.png)"
    with pytest.raises(bridge.PageError, match="no picture gone.png"): made.prose("![w](gone.png)", nbs, "x")


def test_a_cell_is_shown_with_its_name_and_words(made):
    cell = dict(cell_type="code", source="#| export\ndef check_pose(a):\n    return a", outputs=[dict(name="stderr"), dict(name="stdout")])
    heading, shown = made.code(cell, "data.joints", 3, "a standing person")
    assert heading["source"].startswith("(truepose.data.joints.check_pose)=") and "### `check_pose`" in heading["source"]
    assert shown["outputs"] == [dict(name="stdout")] and shown["metadata"]["mystnb"]["image"] == {"alt": "a standing person"}
    assert made.code(dict(cell, source="#| hide\nx = 1"), "data.joints", 3, "") == []
    assert bridge.said_of("# Title\nFirst. See `a` in [b](c.ipynb), *d*.\n| a |\n") == "See a in b, d."


def test_links_that_a_cell_prints_lead_to_pages(made):
    cell = dict(cell_type="code", source="x", outputs=[dict(output_type="display_data", data={"text/markdown": ["[a](e40_broken_inputs.ipynb)"]})])
    shown, = made.cells({"cells": [cell]}, "experiments/e41_kills.ipynb")
    assert shown["outputs"][0]["data"] == {"text/markdown": "[a](/experiments/e40_broken_inputs.ipynb)"}


def test_what_is_printed_line_by_line_is_one_block():
    line, table = dict(output_type="stream", name="stdout", text=["a\n"]), dict(output_type="display_data", data={})
    assert [o.get("text") for o in bridge.joined([line, line, table, line])] == ["a\na\n", None, ["a\n"]] and line["text"] == ["a\n"]


def test_pages_stand_in_the_readers_order():
    pages = [f"tutorials/{name}" for name in ("a_new_one", "another_garment", "first_transfer", "many_poses")]
    assert build.members_of(build.SECTIONS["Tutorials"], pages) == [pages[k] for k in (2, 3, 1, 0)]


def test_parameters_are_those_of_the_run():
    code = "steps = 3  # how many\nfolder = \"\"  # " + "x" * 90 + "\nother = 1"
    assert published.with_values(code, dict(steps=20, folder="runs/a")).split("\n") == [
        "steps = 20  # how many", "# " + "x" * 90, "folder = 'runs/a'", "other = 1"]


@pytest.mark.parametrize("path", sorted(published.EXECUTED.glob("*.ipynb")), ids=lambda path: path.stem)
def test_executed_notebooks_are_of_published_runs(path):
    "Their parameters are the manifest's, no machine's folders, small; what is published again is to be kept again."
    nb = published.executed(path.stem)
    params = json.loads((ROOT/nb["metadata"]["published"]/"manifest.json").read_text(encoding="utf-8"))["params"]
    code = next(bridge.source(cell) for cell in nb["cells"] if cell["cell_type"] == "code")
    assert published.with_values(code, params) == code
    text = path.read_text(encoding="utf-8")
    assert "/work/" not in text and "/tmp/" not in text and len(text) < 250_000
    assert not published.is_tiny(nb), "random weights"


def test_pictures_are_kept_small(tmp_path):
    Image.effect_noise((1300, 60), 80).convert("RGB").save(file := io.BytesIO(), "PNG")
    (kind, data), = executed.small({"image/png": base64.b64encode(file.getvalue()).decode()}).items()
    assert kind == "image/jpeg" and Image.open(io.BytesIO(base64.b64decode(data))).width == bridge.WIDTH


def test_random_weights_are_not_shown_as_results():
    cell = dict(cell_type="code", source='preset = "tiny"', outputs=[1])
    assert published.quoted(dict(cells=[cell]), "experiments/e99_none.ipynb")["cells"][0]["outputs"] == []
    other = dict(cells=[dict(cell, source="count = 3")])
    assert published.quoted(other, "experiments/e99_none.ipynb") == other
    assert published.quoted(other, "figures/f99_none.ipynb")["cells"][0]["outputs"] == []


def test_a_dirty_manifest_or_figure_stops_the_build(tmp_path, monkeypatch):
    for name in ("FIGURES", "ROOT"): monkeypatch.setattr(published, name, tmp_path)
    note = dict(dirty=True, caption="c")
    (tmp_path/"f99_a.json").write_text(json.dumps(note))
    with pytest.raises(bridge.PageError, match="says dirty"): published.figure("f99_a")
    (tmp_path/"f99_a.json").write_text(json.dumps(note | dict(dirty=False, caption=" ")))
    with pytest.raises(bridge.PageError, match="no caption"): published.figure("f99_a")
    manifest = dict(dirty=True, params={}, device=dict(gpu=None, cpu="c"), date="2026-11-28T00", commit="a" * 40)
    with pytest.raises(bridge.PageError, match="from a clean commit"): published.run_line(tmp_path/"results"/"new", manifest)
    assert "aaaaaaa |" in published.run_line(tmp_path/"results"/"new", manifest | dict(dirty=False))


BAD = {"<img src='a'>".replace("'", '"'): "no alternative text", '<p><img src="a.png" alt="w"></p><p>more</p>': "no caption",
       '<img src="gone.png" alt="w">': "not there", '<img src="https://x/a.png" alt="w">': "from the network",
       f'<pre>{"─" * 121}</pre>': "is broken", "<p>nothing</p>": "shows none"}


@pytest.mark.parametrize("content", BAD, ids=BAD.values())
def test_a_bad_page_is_noticed(content, tmp_path):
    (tmp_path/"figures").mkdir()
    page = tmp_path/"figures"/"f.html"
    page.write_text(f"<article>{content}</article>")
    assert any(BAD[content] in fault for fault in checks.page_faults(page)), list(checks.page_faults(page))


def test_a_good_page_is_let_through(tmp_path):
    page = tmp_path/"a.html"
    Image.new("RGB", (9, 9)).save(tmp_path/"a.png")
    page.write_text('<article><p><img src="a.png" alt="w"></p>\n<p class="truepose-caption">c</p><pre>' + "x" * 300 + "</pre></article>")
    assert not list(checks.page_faults(page))


def test_the_reference_has_every_public_name(made):
    text = "\n".join(bridge.source(cell) for cells in reference.pages(made).values() for cell in cells)
    assert "### `check_pose`" in text and "keypoints" in text
    for full in made.anchored:
        module, _, name = full.rpartition(".")
        if module in made.page_of and not name.startswith("_"): assert f"### `{name}`" in text or f"`{name}`" in text, full


def test_the_site_can_be_published():
    "The workflow runs a target of the Makefile and publishes the folder that it makes."
    job = yaml.safe_load((ROOT/".github"/"workflows"/"site.yml").read_text(encoding="utf-8"))["jobs"]["publish"]
    commands = [step["run"].split() for step in job["steps"] if "run" in step]
    assert [command[:2] for command in commands] == [["make", "docs"]] and "\ndocs: " in (ROOT/"Makefile").read_text(encoding="utf-8")
    assert any(step.get("with", {}).get("path") == SITE.name for step in job["steps"])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None or not SITE.is_dir(), reason="no Chromium, or no site: make docs")
def test_no_page_is_wider_than_its_window_and_no_code_is_cut_off():
    from playwright.sync_api import sync_playwright
    pages = sorted(page for page in SITE.rglob("*.html") if "_static" not in page.parts)
    wide = "document.documentElement.scrollWidth > window.innerWidth"
    cut = ("[...document.querySelectorAll('.cell_input pre')].filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1)"
           ".map(e => e.textContent.slice(0, 80))")
    found = []
    with sync_playwright() as driver:
        tab = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]).new_page()
        for page in pages:
            tab.goto(page.as_uri(), wait_until="load")
            for width, where in WIDTHS.items():
                tab.set_viewport_size(dict(width=width, height=900))
                if tab.evaluate(wide): found.append(f"{page.relative_to(SITE)} is wider than the window {where}")
                if width == 1400: found += [f"{page.relative_to(SITE)}: cut off: {line}" for line in tab.evaluate(cut)]
    assert not found, "\n".join(found)
