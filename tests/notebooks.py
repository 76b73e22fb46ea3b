"Which notebooks there are, and what is written in them."
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/"nbs"


def all_notebooks():
    "Every notebook, modules first, in reading order."
    found = [p for p in NBS.rglob("*.ipynb") if not any(part.startswith((".", "_")) for part in p.relative_to(NBS).parts)]
    return sorted(found, key=lambda p: (len(p.relative_to(NBS).parts), str(p)))


def name(path): return str(path.relative_to(ROOT))
def cells(path): return json.loads(path.read_text(encoding="utf-8"))["cells"]
def source(cell): return "".join(cell["source"])
def code(path): return [c for c in cells(path) if c["cell_type"] == "code"]


def default_exp(path):
    "The module a notebook exports to, or None."
    for cell in code(path):
        found = re.search(r"^#\|\s*default_exp\s+(\S+)", source(cell), re.M)
        if found: return found[1]


def parameter_cells(path):
    return [c for c in code(path) if "parameters" in c["metadata"].get("tags", [])]
