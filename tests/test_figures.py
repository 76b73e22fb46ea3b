"Figures and tables are what they say: the page shows the committed one, names stand in one table, nobody else writes them."
import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from notebooks import NBS, ROOT, all_notebooks, code, name, source
from truepose.config import ABLATION, FIELD
from truepose.figures import ABLATION_ROWS, FAMILY_ROWS, METHODS, ROWS, file_hash

FIGURES = ROOT/"figures"
PAGES = sorted((NBS/"figures").glob("[ft]*.ipynb"))
NOTES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FIGURES.glob("*.json"))}


def outputs(path, kind):
    "What a notebook has stored of a kind of output, joined if it is text."
    for cell in code(path):
        for output in cell["outputs"]:
            if kind == "text" and output.get("name") == "stdout": yield "".join(output["text"])
            data = output.get("data", {})
            if kind == "text" and "text/markdown" in data: yield "".join(data["text/markdown"])
            if kind == "png" and "image/png" in data:
                yield Image.open(io.BytesIO(base64.b64decode("".join(data["image/png"])))).convert("RGB")


def unlike(one, other, side=16):
    "Mean grey levels between two pictures, in the tile where they differ most: a missing point is a small part of a page."
    gaps = np.abs(np.asarray(one, float) - np.asarray(other, float)).mean(-1)
    rows, columns = -(-gaps.shape[0] // side), -(-gaps.shape[1] // side)
    whole = np.zeros((rows * side, columns * side))
    whole[:gaps.shape[0], :gaps.shape[1]] = gaps
    return whole.reshape(rows, side, columns, side).mean((1, 3)).max()


def difference(stored, committed):
    "Between a page's picture and a figure that was made as small and as poor in colours; 255: no such size."
    times = next((k for k in range(1, 9) if committed.reduce(k).size == stored.size), None)
    if times is None: return 255
    small = committed.reduce(times)
    made = (small, small.quantize(64).convert("RGB"))
    return min(unlike(stored, one) for one in made)


@pytest.mark.parametrize("path", [p for p in PAGES if (FIGURES/f"{p.stem}.png").is_file()], ids=name)
def test_the_page_shows_the_committed_figure(path):
    "Each picture that it has stored is one of its figures, smaller and in few colours."
    committed = Image.open(FIGURES/f"{path.stem}.png").convert("RGB")
    of_page = [Image.open(p).convert("RGB") for p in FIGURES.glob(f"{path.stem.partition('_')[0]}_*.png")]
    for stored in outputs(path, "png"):
        assert min(difference(stored, one) for one in of_page) < 3, f"run {name(path)} again: it shows another figure"
    assert committed.width > 300


def test_another_figure_is_noticed():
    "The comparison itself, on two figures that are there."
    first, second = (Image.open(FIGURES/f"{stem}.png").convert("RGB") for stem in ("f03_measures", "f02_qualitative"))
    small = first.reduce(2)
    assert difference(small, first) == 0 and difference(small, second) == 255
    assert difference(small.quantize(64).convert("RGB"), first) == 0
    pixels = np.asarray(small).copy()
    place = np.argwhere(pixels.min(-1) < 100)[0] // 16 * 16  # something is drawn there
    pixels[place[0]:place[0] + 16, place[1]:place[1] + 16] = 255
    assert difference(Image.fromarray(pixels), first) > 3


@pytest.mark.parametrize("path", sorted(FIGURES.glob("t*.md")), ids=lambda p: p.name)
def test_the_page_shows_the_committed_table(path):
    pages = [page for page in PAGES if page.stem.partition("_")[0] == path.stem.partition("_")[0].removeprefix("nano-")]
    shown = "\n".join(text for page in pages for text in outputs(page, "text"))
    assert "| --- |" not in shown or path.read_text(encoding="utf-8").strip() in shown, f"run {name(pages[0])} again"


def test_every_figure_has_its_notebook_and_its_words():
    numbers = {page.stem.partition("_")[0] for page in PAGES}
    for stem, note in NOTES.items():
        assert stem.removeprefix("nano-").partition("_")[0] in numbers, f"figures/{stem}: no notebook makes it"
        assert len(note["caption"]) > 30 and note["inputs"], f"figures/{stem}: no caption, or drawn from nothing"
        kinds = {path.suffix for path in FIGURES.glob(f"{stem}.*")} - {".webp"}  # of a sequence, beside its strip
        assert kinds in ({".png", ".pdf", ".json"}, {".md", ".tex", ".json"}), f"figures/{stem}: {sorted(kinds)}"
        assert ".png" not in kinds or len(note.get("alt", note["caption"])) > 30


def test_figures_were_drawn_from_the_results_that_are_there():
    "No result has changed since, or gone. That there are more of them now is no fault of a figure: its caption counts."
    for stem, note in NOTES.items():
        inputs = {name: digest for name, digest in note["inputs"].items() if name.startswith("results/")}
        old = [name for name, digest in inputs.items() if not (ROOT/name).is_file() or file_hash(ROOT/name) != digest]
        assert not old, f"figures/{stem}: draw it again, {old[0]} is another one"


def test_names_of_methods_stand_in_one_table():
    labels = {label for label, _ in (*METHODS.values(), *ROWS.values())} - {"TruePose"}  # that is also the project
    literal = re.compile("|".join(f"[\"']{re.escape(label)}[\"']" for label in sorted(labels)))
    texts = {name(p): "\n".join(map(source, code(p))) for p in all_notebooks() if p.name != "04_figures.ipynb"}
    texts |= {p.name: p.read_text(encoding="utf-8") for p in [*(ROOT/"docs").glob("*.py"), *(ROOT/"workflow").glob("*.py")]}
    again = {place: found for place, text in texts.items() if (found := literal.findall(text))}
    assert not again, "truepose.figures has these names; take them from METHODS or ROWS"


def test_order_and_colours_of_methods():
    "The order is that of the ablation, ours last; no two methods look alike, no method has two names."
    assert ABLATION_ROWS[:len(ABLATION)] == tuple(ABLATION) and set(FIELD) < set(FAMILY_ROWS)
    rows = [row for row in ROWS if row in ABLATION]
    assert rows == list(ABLATION)
    for table in (METHODS, ROWS):
        for column in zip(*table.values()): assert len(set(column)) == len(table)
    assert ROWS["paper"][1] == METHODS["truepose"][1]  # the paper's method is blue everywhere
