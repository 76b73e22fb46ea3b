"""The site, which needs no network: nbs/ -> _sphinx/pages/ -> _site/ (`make docs`).

nbdev's own pages show an exported function as a signature and hide its code. Here the code is the text, so notebooks
are taken as they are (bridge.py), and nothing is run. They are stored as their defaults make them, in seconds and with
random weights: so the page of a figure shows the committed figure, that of an experiment the published runs
(published.py). What a page may not be is asked at the end (checks.py).
"""
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import checks
import reference
from bridge import NBS, PAGES, ROOT, Bridge, PageError, markdown, notebooks, write_page
from published import FIGURES, drawn, figure, figures, quoted, read, reported
from readme import table

WORK, SITE = ROOT/"_sphinx", ROOT/"_site"
DOCUMENTS = {
    "README.md": "index", "DATASET.md": "cards/dataset", "truepose/assets/nano/README.md": "cards/nano",
    "truepose/assets/micro/README.md": "cards/micro", "truepose/assets/parser/README.md": "cards/parser",
    "workflow/README.md": "workflow", "CONTRIBUTING.md": "contributing", "SECURITY.md": "security",
    "CITATION.cff": "cite"}
SECTIONS = {  # caption in the bar on the left -> how pages below it begin, in this order
    "Start": "overview",
    "Results": "results|gallery|failures|figures/",
    "Method": "method/|finish/",
    "Tutorials": "tutorials/first_transfer|tutorials/your_own_photo|tutorials/many_poses|tutorials/another_garment"
                 "|tutorials/several_pictures|tutorials/people_for_another_task|tutorials/your_own_data_set"
                 "|tutorials/see_it_learn|tutorials/run_an_ablation|tutorials/your_own_attention"
                 "|tutorials/start_from_stable_diffusion|tutorials/train_on_deepfashion"
                 "|tutorials/score_like_six_repositories|tutorials/",
    "How to": "cli|demo|page|applications|batch|rerun|pipeline|looks|what_goes_wrong|consent|workflow|reliability",
    "Experiments": "experiments/",
    "Reference": "reference/",
    "Chapters: data": "data/",
    "Chapters: rendered people": "people/",
    "Chapters: training, photographs, measures": "train/|photo/|evaluate/",
    "Chapters: ground": "core|config|show|runs|figures$|reproduce",
    "Cards of data and models": "cards/",
    "Cite, contribute": "cite|contributing|security"}
# Page of results -> title, sentence, figures and tables in their order with what they answer. What is not drawn yet is
# left out; a figure that no page names stands at the end of the first under its own name
RESULTS_PAGES = {
    "results": (
        "Results", "Every number that is published, with its interval; drawn from `results/` by the notebooks below.",
        {"f03_measures": "The shipped network between floor and ceiling", "t02_ablation": "What the parts of the method bring",
         "f04_ablation": "The same, drawn", "f04_differences": "Against reference attention, pair by pair",
         "t02_tests": "Which differences hold", "f04_difficulty": "When the view changes more",
         "f02_micro": "The paper's method beside reference attention",
         "t03_families": "Other ways to read the source", "f06_families": "Other ways, drawn",
         "f07_attention": "Where attention falls", "f08_robustness": "When maps and poses are wrong",
         "f08_people": "Other people, and fewer to learn from", "f09_sampling": "Steps, guidance, and what they cost",
         "f10_curves": "While it learns", "f12_read": "Is another's garment read?",
         "t05_applications": "Another's garments", "t05_others": "Editing, several sources, sequences",
         "t01_field": "What the field has published", "t04_cost": "What a picture costs",
         "t04_memory": "What training needs in memory", "t04_speed": "How fast it trains and reads"}),
    "gallery": (
        "Gallery", "Pairs that a seed or a rule has drawn, the same for all methods; nobody chose a picture by eye.",
        {"f00_first": "A typical success and a typical failure", "f02_qualitative": "The shipped network, drawn by chance",
         "f05_people": "All rows of the ablation",
         "f08_pictures": "Under wrong maps and poses", "f12_garments": "Another's garment",
         "f13_editing": "One region edited", "f14_sequence": "A sequence of poses"}),
    "failures": (
        "Failures", "How often it fails, how, and the worst of all pictures.",
        {"f11_failures": "Kinds of failure, and how often", "f02_worst": "The worst of all pairs"})}


def results_page(page):
    "Figures and tables, each with its caption."
    title, subtitle, names = RESULTS_PAGES[page]
    made = {path.stem for path in FIGURES.glob("*.json")} - {"f01_architecture"}
    new = made.difference(*(listed for _, _, listed in RESULTS_PAGES.values())) if page == "results" else ()
    names = names | {name: name.replace("_", " ") for name in sorted(new)}
    text = [f"# {title}", f"> {subtitle}"]
    if page == "results": text += ["## The shipped network", table("e03_evaluate/nano").strip()]
    text += [f"## {heading}\n\n{figure(name)}" for name, heading in names.items() if name in made]
    return [markdown("\n\n".join(text))]


def notebook_page(bridge, name):
    "The cells of a notebook's page, with what was published of it."
    quotes = name.startswith(("experiments/", "figures/"))
    stem, nb, module = Path(name).stem, read(NBS/name), bridge.modules[name]
    cells = bridge.cells(quoted(nb, name) if quotes else nb, name)
    made = f"`nbs/{name}`" + (f" → `truepose.{module}`" if module else "")
    cells.insert(1, markdown(f"{{.truepose-from}}\n{made}"))
    if quotes: cells.insert(2, markdown(drawn(stem) if name.startswith("figures/") else reported(stem)))
    return cells


def members_of(beginnings, pages):
    "Pages of a section, in the order of the beginnings that it names."
    return list(dict.fromkeys(page for part in beginnings.split("|") for page in pages if re.match(part, page)))


def contents(pages):
    "The site's tree of contents: sections in reading order."
    trees = []
    for title, beginnings in SECTIONS.items():
        members = members_of(beginnings, pages)
        if members: trees.append("```{toctree}\n:hidden:\n:caption: \"" + title + "\"\n\n" + "\n".join(members) + "\n```")
    return markdown("\n\n".join(trees))


def site_pages():
    "Name of every page -> its cells."
    bridge = Bridge(DOCUMENTS)
    later = [name for name in bridge.pages if name.startswith("figures/") and not figures(Path(name).stem)]
    for name in later: del bridge.pages[name]
    if later: print(f"not drawn yet, so left out: {', '.join(map(str, later))}")
    pages = {page: results_page(page) for page in RESULTS_PAGES}
    pages |= {page: notebook_page(bridge, name) for name, page in bridge.pages.items()}
    pages |= reference.pages(bridge)
    pages |= {page: bridge.document(ROOT/name) for name, page in DOCUMENTS.items()}
    pages["index"].append(contents(pages))
    return pages


def mathjax():
    "The one file of MathJax that needs no fonts."
    files = metadata.files("sphinx-mathjax-offline")  # its folder has hyphens: it cannot be imported by name
    return next(Path(f.locate()) for f in files if f.name == "tex-svg.js")


def main():
    for folder in (WORK, SITE): shutil.rmtree(folder, ignore_errors=True)
    for folder in ("_pictures", "_static"): (PAGES/folder).mkdir(parents=True)
    for file in (ROOT/"docs"/"truepose.css", ROOT/"docs"/"favicon.svg", mathjax()): shutil.copy2(file, PAGES/"_static")
    try: pages = site_pages()
    except PageError as e: sys.exit(f"error: {e}")
    for page, cells in pages.items(): write_page(cells, page)
    options = ["-q", "-j", "auto", "-W", "--keep-going", "-b", "html", "-c", ROOT/"docs", "-d", WORK/"doctrees"]
    done = subprocess.run([sys.executable, "-m", "sphinx", *options, PAGES, WORK/"html"])
    if done.returncode: sys.exit(done.returncode)
    (WORK/"html").rename(SITE)
    checks.main()
    print(f"open {SITE.relative_to(ROOT)}/index.html")


if __name__ == "__main__": main()
