"""Keeps the executed notebook of a published run for its page, made small: `python docs/executed.py RUN...`, each RUN
a folder of `truepose run` that is published. It goes to docs/executed/<experiment>.ipynb; docs/build.py shows it."""
import base64
import io
import json
import sys
from pathlib import Path

from PIL import Image

from bridge import lighter
from published import EXECUTED, RESULTS, ROOT, read, with_values


def published_as(manifest):
    "Folder of results/ that was published from the run with this manifest."
    folders = [path.parent for path in RESULTS.rglob("manifest.json") if read(path) == manifest]
    if not folders: sys.exit(f"the run of {manifest['date']} is not what is published: `truepose publish` first")
    return folders[0]


def small(data):
    "A picture's output, made lighter as those of the site are."
    made, ending = lighter(Image.open(io.BytesIO(base64.b64decode("".join(data["image/png"])))))
    return {{"png": "image/png", "jpg": "image/jpeg"}[ending]: base64.b64encode(made).decode()}


def kept_output(output, checkout):
    "An output as it is kept: pictures small, the folders of the machine left out."
    data = output.get("data", {})
    if "image/png" in data: return {**output, "data": small(data)}
    return json.loads(json.dumps(output).replace(f"{checkout}/", ""))


def kept_cell(cell, values, checkout):
    "A cell as it is kept: the parameters are the run's, no progress bars."
    cell = {key: value for key, value in cell.items() if key != "metadata"} | {"metadata": {}}
    if cell["cell_type"] == "code":
        cell["outputs"] = [kept_output(output, checkout) for output in cell["outputs"] if output.get("name") != "stderr"]
        if values: cell["source"] = with_values("".join(cell["source"]), values)
    return cell


def keep(run):
    "Write the notebook of a run into docs/executed/."
    manifest, checkout = read(run/"manifest.json"), str(run.resolve()).partition("/runs/")[0]
    nb = read(run/f"{manifest['notebook']}.ipynb")
    tagged = [(cell, cell["metadata"].get("tags", [])) for cell in nb["cells"]]
    nb["cells"] = [kept_cell(cell, manifest["params"] if "parameters" in tags else {}, checkout)
                   for cell, tags in tagged if "injected-parameters" not in tags]
    nb["metadata"] = {"published": published_as(manifest).relative_to(ROOT).as_posix(), "date": manifest["date"]}
    EXECUTED.mkdir(exist_ok=True)
    path = EXECUTED/f"{manifest['notebook']}.ipynb"
    path.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: of {nb['metadata']['published']}, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    for run in sys.argv[1:]: keep(Path(run))
