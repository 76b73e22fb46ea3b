"""Puts the numbers of results/ into every text that quotes one (`make readme`), so that none is typed
by hand; tests/test_results.py compares. It reads what is published, nothing that a run has left.
Texts are the Markdown files of the repository and the Markdown cells of the notebooks.

Three kinds of marker, each followed by its text and `<!-- /results -->`:
    <!-- results:e03_evaluate/nano/metrics.json truepose_ssim .3f -->0.712<!-- /results -->
        one value, and how it is written
    <!-- results:table e03_evaluate/nano -->
        a row for each method; not in a notebook
    <!-- results:rows e30_ablation reference hpfa paper -->
        a row for each trained row of the ablation, tested against the first; not in a notebook
"""
import json
import re
import sys
from pathlib import Path

from truepose.evaluate.rows import read_runs, row_table, run_folders
from truepose.figures import METHODS
from truepose.figures import ROWS as TRAINED

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT/"results"
MARKER = re.compile(r"(<!-- results:(.+?) -->)(.*?)(<!-- /results -->)", re.S)
MISSING = "*not run yet*"
MORE = {"copy_source": " (floor)", "drawn": ": the denoiser's drawing, enlarged",
        "codec_roundtrip": ", at half the size"}  # what the README says beside a method's name
ROWS = {method: label + MORE.get(method, "") for method, (label, _) in METHODS.items()}
COLUMNS = {"ssim": ("SSIM", ".3f"), "psnr_db": ("PSNR, dB", ".2f"),
           "face_ssim": ("SSIM, face", ".3f"), "face_psnr_db": ("PSNR, face", ".2f"),
           "clothes_ssim": ("SSIM, clothes", ".3f"), "clothes_psnr_db": ("PSNR, clothes", ".2f")}


def read(path):
    "A JSON file; None if there is none."
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def value(path, key, form):
    "One number; a key with dots goes into nested dicts."
    found = read(RESULTS/path)
    if found is None: return MISSING
    for part in key.split("."):
        found = found[part]  # a wrong key is an error here, not a gap in the README
    return format(found, form)


def interval(low, high, form):
    "In brackets, not to be broken."
    return f"({low:{form}} to {high:{form}})".replace(" ", "\N{NO-BREAK SPACE}")


def cell(metrics, name, form):
    "Mean and interval, as far as they are there."
    mean, low, high = (metrics.get(f"{name}{end}") for end in ("", "_low95", "_high95"))
    if mean is None: return "absent"
    return f"{mean:{form}}" + ("" if low is None else f" {interval(low, high, form)}")


def table(run):
    "Means of each method with 95 % intervals, and how many pairs they are of."
    metrics = read(RESULTS/run/"metrics.json")
    if metrics is None: return f"\n{MISSING}\n"
    names = [name for name in COLUMNS if any(f"{row}_{name}" in metrics for row in ROWS)]
    heads = " | ".join(COLUMNS[name][0] for name in names)
    lines = [f"| | {heads} |", "| --- |" + " ---: |" * len(names)]
    counts = set()
    for row, label in ROWS.items():
        if f"{row}_n_pairs" not in metrics: continue
        counts.add(metrics[f"{row}_n_pairs"])
        cells = " | ".join(cell(metrics, f"{row}_{name}", COLUMNS[name][1]) for name in names)
        lines.append(f"| {label} | {cells} |")
    pairs = ", ".join(map(str, sorted(counts)))
    lines += ["", f"Means over {pairs} pairs of {metrics.get('n_persons', '?')} test persons; in "
              f"brackets 95 % bootstrap intervals. From `results/{run}/metrics.json`."]
    return "\n" + "\n".join(lines) + "\n"


MEASURED = {"ssim": "SSIM", "face_ssim": "SSIM, face", "upper_ssim": "SSIM, upper garment",
            "recall_1": "garment found first"}


def trained_cell(line):
    "Mean and interval of a measure of a trained row; a star where it differs from the row it is tested against."
    differs = line.get("p", 1) < .01 and line["seeds_agree"] == line["seeds_both"]
    star = "*" if differs else ""
    return f"{line['mean']:.3f}{star} {interval(line['low95'], line['high95'], '.3f')}"


def rows(experiment, *names):
    "Means of trained rows over pairs and seeds with 95 % intervals; those that differ from the first are marked."
    folders = run_folders(RESULTS/experiment, names)
    if not folders: return f"\n{MISSING}\n"
    found = row_table(read_runs(folders), tuple(MEASURED), {name: names[0] for name in names[1:]})
    lines = ["| | " + " | ".join(MEASURED.values()) + " |", "| --- |" + " ---: |" * len(MEASURED)]
    for row, of_row in found.groupby("row", sort=False):
        cells = {line["measure"]: trained_cell(line) for line in of_row.to_dict("records")}
        lines.append(f"| {TRAINED[row][0]} | " + " | ".join(cells.get(name, "absent") for name in MEASURED) + " |")
    def of(name): return " to ".join(map(str, sorted({found[name].min(), found[name].max()})))
    lines += ["", f"Means over {of('n_pairs')} pairs of {of('n_people')} unseen persons, seeds of a row: {of('seeds')}; in "
              "brackets 95 % intervals over people and seeds. A star: differs from the first row (p < .01, signed ranks "
              "over people)."]
    return "\n" + "\n".join(lines) + "\n"


def filled(text):
    "The README with every marker's text made anew."
    def fill(match):
        what, *rest = match[2].split()
        made = table(*rest) if what == "table" else rows(*rest) if what == "rows" else value(what, *rest)
        return match[1] + made + match[4]
    return MARKER.sub(fill, text)


def texts():
    "The files that quote results."
    places = [*ROOT.glob("*.md"), *(ROOT/"workflow").glob("*.md"), *(ROOT/"truepose").rglob("*.md"),
              *(ROOT/"nbs").rglob("*.ipynb")]
    hidden = (".", "_")
    inside = [path for path in sorted(places)
              if not any(part.startswith(hidden) for part in path.relative_to(ROOT).parts)]
    return [path for path in inside if MARKER.search(path.read_text(encoding="utf-8"))]


def main():
    for path in texts():
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if path.suffix == ".ipynb": json.loads(new)  # values need no quoting, or this stops it
        if new != text: path.write_text(new, encoding="utf-8")
        changed = "changed" if new != text else "nothing changed"
        print(f"{path.relative_to(ROOT)}: {len(MARKER.findall(text))} places from results/, {changed}")


if __name__ == "__main__": sys.exit(main())
