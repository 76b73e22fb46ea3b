"""What is published, as Markdown for the site: the figures with their captions, the runs of an experiment with their
numbers, and the executed notebooks that are kept in docs/executed/."""
import ast
import json
import re
from pathlib import Path

from bridge import ROOT, PageError, copied, parsed, source

LONG = 24  # rows of a table, from which on it is folded
RESULTS, FIGURES, EXECUTED = ROOT/"results", ROOT/"figures", ROOT/"docs"/"executed"
# Published before `truepose publish` refused a changed checkout; tests/test_results.py lets the list only shrink
KNOWN_DIRTY = frozenset((ROOT/"docs"/"known_dirty.txt").read_text(encoding="utf-8").split())


def read(path): return json.loads(path.read_text(encoding="utf-8"))


def figures(stem):
    "Names of the figures and tables that a notebook such as `f02_qualitative` has made, its main one first."
    names = {path.stem for path in FIGURES.glob(f"{stem.partition('_')[0]}_*.json")}
    return sorted(names, key=lambda name: (name != stem, name))


def captioned(words):
    "A paragraph that is the caption of what stands above it."
    return "{.truepose-caption}\n" + re.sub(r"([*_<\[])", r"\\\1", words)


def folded(table):
    "A table, folded where it is long."
    rows = table.count("\n|") - 1
    return table if rows <= LONG else f"<details><summary>All {rows} rows</summary>\n\n{table}\n\n</details>"


def figure(name):
    "A committed figure or table with its caption."
    about = read(FIGURES/f"{name}.json")
    if about["dirty"]: raise PageError(f"figures/{name}.json says dirty: commit, draw and publish it again")
    caption = " ".join(about["caption"].split())
    if not caption: raise PageError(f"figures/{name}.json has no caption")
    table, picture = FIGURES/f"{name}.md", FIGURES/f"{name}.png"
    if table.is_file(): shown = folded(table.read_text(encoding="utf-8").replace(about["caption"], "").strip())
    else: shown = f"![{about.get('alt') or caption}]({copied(picture)})"
    return f"{shown}\n\n{captioned(caption)}"


def drawn(stem):
    "What stands above a figure's notebook."
    return "\n\n".join([*map(figure, figures(stem)), "## How it is made\n\nFrom `results/` alone, by the cells below."])


def runs(stem):
    "Folder -> manifest of the published runs of an experiment."
    manifests = {path.parent: read(path) for path in sorted(RESULTS.rglob("manifest.json"))}
    return {folder: manifest for folder, manifest in manifests.items() if manifest["notebook"] == stem}


def run_line(folder, manifest):
    "A row of the table of runs."
    name, params, device = folder.relative_to(ROOT).as_posix(), manifest["params"], manifest["device"]
    if manifest["dirty"] and name not in KNOWN_DIRTY: raise PageError(f"{name} says dirty: run it again from a clean commit")
    told = ", ".join(f"{key} {params[key]}" for key in ("preset", "method", "seed", "n_pairs") if key in params)
    commit = manifest["commit"][:7] + (", with changes" if manifest["dirty"] else "")
    return f"| `{name}` | {told} | {device['gpu'] or device['cpu']} | {manifest['date'][:10]} | {commit} |"


def numbers(folder):
    "All numbers of a run, folded; those with an interval have it beside them."
    metrics = read(folder/"metrics.json")
    def cell(value): return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
    lines = []
    for name, value in metrics.items():
        if isinstance(value, (dict, list)) or name.endswith(("_low95", "_high95")): continue
        low, high = (metrics.get(f"{name}{end}") for end in ("_low95", "_high95"))
        lines.append(f"| `{name}` | {cell(value)} | {'' if low is None else f'{cell(low)} to {cell(high)}'} |")
    table = "\n".join(["| measure | value | 95 % interval |", "| --- | ---: | ---: |", *lines])
    title = f"All numbers of <code>{folder.relative_to(ROOT).as_posix()}</code>"
    return f"<details><summary>{title}</summary>\n\n{table}\n\n</details>"


def pictures(stem, folders):
    "The pictures of the first run that has some."
    kept = next((found for folder in folders if (found := sorted(folder.glob("*.png")))), [])
    return [f"![{path.stem.replace('_', ' ')} of a published run of {stem}]({copied(path)})\n\n"
            f"{captioned(path.relative_to(ROOT).as_posix())}" for path in kept]


def drawn_from(stem):
    "Links to the pages of the figures that were drawn from this experiment's results."
    notes = sorted(FIGURES.glob("*.json"))
    names = [path.stem for path in notes if any(file.startswith(f"results/{stem}/") for file in read(path)["inputs"])]
    pages = {path.stem for path in (ROOT/"nbs"/"figures").glob("*.ipynb")}
    links = [f"[{name}](/figures/{name}.ipynb)" for name in names if name in pages]
    return [f"Drawn from it: {', '.join(links)}."] if links else []


def reported(stem):
    "What stands above an experiment's notebook: its published runs and their numbers; pictures where none is executed."
    found, nb = runs(stem), executed(stem)
    if not found: return "*No run of it is published.* Below: its code, with the parameters' defaults."
    table = "\n".join(["| published run | parameters | device | date | commit |", "| --- | --- | --- | --- | --- |",
                       *(run_line(*run) for run in found.items())])
    about = [table, *drawn_from(stem), *map(numbers, found)]
    if nb is None: about += [*pictures(stem, found), "Below: its code, with the parameters' defaults."]
    else: about.append(f"Below: the notebook as it was executed for `{nb['metadata']['published']}`, "
                       "with its parameters and what it showed.")
    return "\n\n".join(about)


def executed(stem):
    "The executed notebook of a published run of this experiment; None if none is kept."
    path = EXECUTED/f"{stem}.ipynb"
    if not path.is_file(): return None
    nb = read(path)
    manifest = ROOT/nb["metadata"]["published"]/"manifest.json"
    if not manifest.is_file() or read(manifest)["date"] != nb["metadata"]["date"]:
        raise PageError(f"docs/executed/{stem}.ipynb is not of the published run: "
                        "python docs/executed.py RUN, with the run's folder")
    return nb


def is_tiny(nb):
    "Whether the stored outputs are those of random weights."
    code = "\n".join(source(cell) for cell in nb["cells"] if cell["cell_type"] == "code")
    return re.search(r"""^preset\s*=\s*["']tiny""", code, re.M) is not None


def quoted(nb, name):
    "The notebook of an experiment or a figure as its page shows it: executed, or its code alone where random weights drew."
    kind, stem = name.split("/")[0], Path(name).stem
    if kind == "experiments" and executed(stem): return executed(stem)
    if kind == "experiments" and not is_tiny(nb): return nb
    return {**nb, "cells": [{**cell, "outputs": []} if cell["cell_type"] == "code" else cell for cell in nb["cells"]]}


def with_values(code, values):
    "A cell of parameters with the values of a run in place of its defaults; the comments stay."
    lines = code.split("\n")
    for node in parsed(code):
        target = node.targets[0].id if isinstance(node, ast.Assign) else None
        if target not in values or node.value.end_lineno != node.lineno: continue
        old, _, comment = lines[node.lineno - 1].partition("  # ")
        new = f"{target} = {values[target]!r}"
        beside = f"{new}  # {comment}"
        lines[node.lineno - 1] = new if not comment else beside if len(beside) <= 100 else f"# {comment}\n{new}"
    return "\n".join(lines)
