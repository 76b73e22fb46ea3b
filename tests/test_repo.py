"The rules that hold the repository together (CONTRIBUTING.md): notebooks against the package, against papermill, against pip."
import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections import Counter
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest

from notebooks import NBS, ROOT, all_notebooks, cells, code, default_exp, name, parameter_cells, source

SETTINGS = ConfigParser(delimiters=["="])
SETTINGS.read(ROOT/"settings.ini", encoding="utf-8")
SETTINGS = SETTINGS["DEFAULT"]
MODULES = [p for p in all_notebooks() if re.match(r"\d\d_", p.name)]
PAPERMILL = [p for p in all_notebooks() if p.parent.name in ("experiments", "figures")]
EVERY = pytest.mark.parametrize("path", all_notebooks(), ids=name)


def run(*command, cwd=ROOT, **env):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def fingerprints(folder):
    "Relative path -> content hash of notebooks and modules, and settings.ini."
    files = [p for pattern in ("nbs/**/*.ipynb", "truepose/**/*.py", "settings.ini") for p in folder.glob(pattern)
             if ".ipynb_checkpoints" not in p.parts]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def copy_sources(to):
    "Only what nbdev and pip read: so local edits count, and stay untouched."
    to.mkdir()
    for file in ("settings.ini", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE", "CITATION.cff"):
        shutil.copy2(ROOT/file, to)
    for folder in ("nbs", "truepose"):
        shutil.copytree(ROOT/folder, to/folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return to


def test_notebooks_and_package_agree(tmp_path):
    "nbdev_export and nbdev_clean, run in a copy, change nothing."
    copy = copy_sources(tmp_path/"copy")
    before = fingerprints(copy)
    for command in ("nbdev_export", "nbdev_clean"): run(Path(sys.executable).parent/command, cwd=copy, PYTHONPATH=str(copy))
    after = fingerprints(copy)
    changed = sorted(f for f in before.keys() | after.keys() if before.get(f) != after.get(f))
    assert not changed, f"run nbdev_export and nbdev_clean, then look at the diff of {', '.join(changed)}"


def test_exported_modules_have_a_notebook():
    "A module whose notebook is gone would stay in the package unnoticed."
    exported = {f"{default_exp(p).replace('.', '/')}.py" for p in all_notebooks() if default_exp(p)}
    present = {p.relative_to(ROOT/"truepose").as_posix() for p in (ROOT/"truepose").rglob("*.py")}
    assert {p for p in present if not p.endswith("__init__.py")} - {"_modidx.py"} == exported


def test_one_notebook_per_module():
    "nbdev lets the later of two notebooks overwrite the earlier's module, silently."
    exports = Counter(default_exp(p) for p in all_notebooks() if default_exp(p))
    assert not [module for module, times in exports.items() if times > 1]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_is_named_by_its_notebook(path):
    "nbs/method/50_hpfa.ipynb is truepose.method.hpfa: same folder, same name."
    folder = path.parent.relative_to(NBS).parts
    assert default_exp(path) == ".".join((*folder, path.stem[3:]))


def test_numbers_are_given_once():
    "Within a folder; a number is a place in the reading order."
    places = Counter((path.parent, path.name[:2]) for path in [*MODULES])
    assert not [f"{folder.name}/{number}" for (folder, number), times in places.items() if times > 1]


@pytest.mark.parametrize("path", PAPERMILL, ids=name)
def test_experiments_export_nothing(path): assert default_exp(path) is None


@pytest.mark.parametrize("path", [p for p in PAPERMILL if not p.name.startswith("e00_")], ids=name)
def test_exactly_one_parameters_cell(path):
    "Without the tag papermill runs the defaults and says nothing."
    found = parameter_cells(path)
    assert len(found) == 1, f"{name(path)} has {len(found)} cells tagged `parameters`"
    names = [source(c) for c in code(path)]
    assert names.index(source(found[0])) <= 2, "the parameters stand at the top"


# What may import what: a module imports lower numbers of its own folder, and from the places before it in this list.
ARROWS = ["core", "config", "show", "runs", "figures", "reproduce", "data", "people", "method", "finish", "pipeline", "looks", "photo", "applications", "train", "evaluate", "batch", "rerun", "demo", "page", "cli"]
KNOWN_PEOPLE = {"people", "demo", "cli"}  # nothing else that is exported knows the rendered benchmark
AHEAD = {"pipeline", "looks", "people"}  # what a check may look ahead to, to show what the trained network does


def place(module):
    "Where a module stands: (place of its folder, its number)."
    folder = module.split(".")[0]
    return ARROWS.index(folder), NUMBER.get(module, 0)


NUMBER = {default_exp(p): int(p.name[:2]) for p in MODULES}


def imported(text):
    "Modules of this package that a cell imports, as `data.pose`."
    found = set(re.findall(r"^\s*(?:from|import)\s+truepose\.([\w.]+)", text, re.M))
    for line in re.findall(r"^\s*from\s+truepose\s+import\s+(.+)$", text, re.M): found |= set(re.findall(r"\w+", line)) & NUMBER.keys()
    return found


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_import_what_stands_before_them(path):
    module = default_exp(path)
    for cell in code(path):
        text = source(cell)
        exported = re.search(r"^#\|\s*export", text, re.M)
        wrong = {m for m in imported(text) if place(m) >= place(module) and m != module}
        if not exported: wrong -= {m for m in wrong if m.split(".")[0] in AHEAD}
        assert not wrong, f"{name(path)} imports what comes later: {sorted(wrong)}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_its_users_know_the_rendered_people(path):
    if default_exp(path).split(".")[0] in KNOWN_PEOPLE: return
    for cell in code(path):
        if re.search(r"^#\|\s*export", source(cell), re.M): assert not any(m.startswith("people") for m in imported(source(cell)))


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name == "method"], ids=name)
def test_the_method_stands_alone(path):
    "The paper's method imports nothing that is ours."
    for cell in code(path):
        if re.search(r"^#\|\s*export", source(cell), re.M): assert not any(m.startswith("finish") for m in imported(source(cell)))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_cells_read_aloud(path):
    "An exported cell is one idea: at most 40 lines, unless the text before it says why not; no line is longer than 100 characters."
    before = ""
    for cell in cells(path):
        text = source(cell)
        if cell["cell_type"] == "markdown": before = text
        elif re.search(r"^#\|\s*export", text, re.M):
            lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#|")]
            assert len(lines) <= 40 or "one cell" in before, f"{name(path)}: {len(lines)} lines from {lines[0]!r}"
        if cell["cell_type"] == "code":
            assert not [line for line in text.splitlines() if len(line) > 100], f"{name(path)}: a line of more than 100 characters in {text[:80]!r}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_check_follows_each_export(path):
    "Before the next cell is exported, something is asserted of the last; imports and constants need none."
    open_cell = None
    for cell in code(path):
        text = source(cell)
        if not re.search(r"^#\|\s*export", text, re.M):
            if re.search(r"\bassert|\btest_|\braises\(", text): open_cell = None
            continue
        defines = [n for n in ast.parse(text).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
        if not defines: continue
        assert open_cell is None, f"{name(path)}: nothing is checked between {open_cell} and {defines[0].name}"
        open_cell = defines[0].name


@EVERY
def test_title_and_subtitle(path):
    first = cells(path)[0]
    assert first["cell_type"] == "markdown"
    assert re.match(r"#\s+\S.*\n+>\s+\S", source(first)), "begin with `# Title`, then `> one sentence`"


@EVERY
def test_stored_notebook_is_small(path):
    size = path.stat().st_size
    assert size < 500_000, f"{name(path)} has {size/1000:.0f} kB: fewer or smaller stored pictures"


@EVERY
def test_no_machine_paths(path):
    "Neither in cells nor in what they printed."
    place = re.compile(r"(?<![\w.:/\-])/(?:home|root|Users|work|tmp|usr|opt|mnt|media|var)/[\w.\-]+")
    found = []
    for cell in cells(path):
        texts = [source(cell)]
        for output in cell.get("outputs", []):
            texts.append("".join(output.get("text", "")))
            texts += ["".join(v) for k, v in output.get("data", {}).items() if k.startswith("text/")]
        found += [hit[0] for text in texts for hit in place.finditer(text)]
    assert not found, f"{name(path)}: {found}"


@EVERY
def test_no_stored_errors(path):
    errors = [o.get("ename") for c in cells(path) for o in c.get("outputs", []) if o["output_type"] == "error"]
    assert not errors, f"{name(path)} was stored with {errors}"


@EVERY
def test_kernel_is_the_environments_own(path):
    "Any other kernel name stops papermill on a machine that has no such kernel."
    kernel = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("kernelspec", {}).get("name", "python3")
    assert kernel == "python3"


def test_import_is_light():
    "`import truepose` alone loads nothing heavy; the times are for the reader."
    heavy = "torch", "diffusers", "transformers", "open_clip", "numba", "matplotlib", "nbdev", "fastcore", "anny"
    loaded = run(sys.executable, "-c", f"import truepose, sys; print([m for m in {heavy} if m in sys.modules])")
    assert loaded.strip() == "[]"
    for label, command in {"import truepose": [sys.executable, "-c", "import truepose"],
                           "truepose --help": [Path(sys.executable).parent/"truepose", "--help"]}.items():
        started = time.perf_counter()
        run(*command)
        print(f"{label}: {time.perf_counter() - started:.2f} s")


def test_package_does_without_nbdev():
    "nbdev and fastcore are for development: no exported module imports them."
    imports = re.compile(r"^\s*(?:from|import)\s+(?:nbdev|fastcore|execnb)\b", re.M)
    users = [p.name for p in (ROOT/"truepose").rglob("*.py") if imports.search(p.read_text(encoding="utf-8"))]
    assert not users


def test_requirements_cover_the_imports():
    "What an exported module imports is a requirement, so that `pip install .` suffices."
    named = {"PIL": "pillow", "skimage": "scikit-image", "open_clip": "open_clip_torch", "yaml": "pyyaml"}
    known = {re.split("[=<>]", pin)[0].lower() for pin in SETTINGS["requirements"].split()} | {"truepose", "huggingface_hub", "jupyter_client"}  # the last two come with diffusers and papermill
    known |= {"peft", "bitsandbytes", "rtmlib", "onnxruntime", "gradio"}  # optional: LoRA, 8-bit AdamW, RTMPose and the demo say so themselves where they are missing
    imports = {}
    for path in (ROOT/"truepose").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import): modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0: modules = [node.module]
            else: continue
            imports |= {module.split(".")[0]: path.name for module in modules}
    missing = {m: file for m, file in imports.items() if m not in sys.stdlib_module_names and named.get(m, m).lower() not in known}
    assert not missing, f"add to requirements in settings.ini: {missing}"


def test_pip_metadata():
    import truepose
    info = metadata.metadata("truepose")
    assert info["Version"] == truepose.__version__ == SETTINGS["version"]
    assert info["Requires-Python"] == f">={SETTINGS['min_python']}"
    assert "Apache-2.0" in (info["License-Expression"] or info["License"] or "")
    assert info["Summary"] == SETTINGS["description"] and info["Description-Content-Type"] == "text/markdown"
    needs = metadata.requires("truepose")
    for pin in SETTINGS["requirements"].split():
        exactly = any(need.startswith(f"{pin};") for need in needs)  # in the extra `dev`
        assert pin.replace("==", ">=") in needs and exactly, "older than settings.ini: pip install -e '.[dev]'"
    scripts = {e.name: e.value for e in metadata.entry_points(group="console_scripts") if e.dist.name == "truepose"}
    assert scripts == {"truepose": "truepose.cli:main"}


def test_citation_has_the_version():
    assert re.search(r"^version: (\S+)$", (ROOT/"CITATION.cff").read_text(encoding="utf-8"), re.M)[1] == SETTINGS["version"]


def test_wheel_is_whole(tmp_path):
    "What pip would install: every module, every asset, the licence; nothing else."
    copy = copy_sources(tmp_path/"copy")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path, copy)
    names = zipfile.ZipFile(next(tmp_path.glob("truepose-*.whl"))).namelist()
    inside = {n for n in names if n.startswith("truepose/")}
    present = {str(p.relative_to(ROOT)) for p in (ROOT/"truepose").rglob("*")
               if p.is_file() and "__pycache__" not in p.parts and not p.name.startswith(".")}
    assert inside == present
    assert any(n.endswith("/LICENSE") for n in names) and any(n.endswith("/NOTICE") for n in names)
    assert {n.split("/")[0] for n in names} == {"truepose", f"truepose-{SETTINGS['version']}.dist-info"}


ASSETS = sorted(p for p in (ROOT/"truepose"/"assets").rglob("*") if p.is_file() and not p.name.startswith("."))


@pytest.mark.parametrize("path", [p for p in ASSETS if p.suffix in (".safetensors", ".json")], ids=name)
def test_asset_loads(path):
    if path.suffix == ".json": json.loads(path.read_text(encoding="utf-8"))
    else:
        from safetensors import safe_open
        with safe_open(path, framework="numpy") as tensors: assert len(tensors.keys())


def test_assets_are_small_and_described():
    "Weights 40 MB a family, the body 12 MB, and a card beside every set of weights."
    weights = [p for p in ASSETS if p.suffix == ".safetensors" and p.parent != ROOT/"truepose"/"assets"]
    assert sum(p.stat().st_size for p in ASSETS if p not in weights) <= 13e6
    for family in {p.relative_to(ROOT/"truepose"/"assets").parts[0] for p in weights}:
        assert sum(p.stat().st_size for p in weights if family in p.parts) <= 40e6, family
        assert (ROOT/"truepose"/"assets"/family/"README.md").is_file(), f"{family} has no model card"


def test_generated_folders_are_ignored():
    if not (ROOT/".git").exists(): pytest.skip("not a git checkout")
    for folder in (".venv", "data", "runs", "checkpoints", "_proc", "_sphinx", "_site", "truepose.egg-info"):
        assert run("git", "check-ignore", f"{folder}/x").strip() == f"{folder}/x"


def test_no_source_is_ignored():
    "`data/` of the checkout is ignored; truepose/data and nbs/data are not."
    if not (ROOT/".git").exists(): pytest.skip("not a git checkout")
    files = [str(p.relative_to(ROOT)) for folder in ("truepose", "nbs") for p in (ROOT/folder).rglob("*.*")
             if p.suffix in (".py", ".ipynb") and not {"__pycache__", ".ipynb_checkpoints"} & set(p.parts)]
    done = subprocess.run(["git", "check-ignore", "--stdin"], input="\n".join(files), cwd=ROOT, capture_output=True, text=True)
    assert not done.stdout
