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
MODULES = [p for p in all_notebooks() if p.parent == NBS and re.match(r"\d\d_", p.name)]
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
    present = {str(p.relative_to(ROOT/"truepose")) for p in (ROOT/"truepose").rglob("*.py")}
    assert present - {"__init__.py", "_modidx.py"} == exported


def test_one_notebook_per_module():
    "nbdev lets the later of two notebooks overwrite the earlier's module, silently."
    exports = Counter(default_exp(p) for p in all_notebooks() if default_exp(p))
    assert not [module for module, times in exports.items() if times > 1]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_is_named_by_its_notebook(path): assert default_exp(path) == path.stem[3:]


@pytest.mark.parametrize("path", PAPERMILL, ids=name)
def test_experiments_export_nothing(path): assert default_exp(path) is None


@pytest.mark.parametrize("path", [p for p in PAPERMILL if not p.name.startswith("e00_")], ids=name)
def test_exactly_one_parameters_cell(path):
    "Without the tag papermill runs the defaults and says nothing."
    found = parameter_cells(path)
    assert len(found) == 1, f"{name(path)} has {len(found)} cells tagged `parameters`"
    names = [source(c) for c in code(path)]
    assert names.index(source(found[0])) <= 2, "the parameters stand at the top"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_import_lower_numbers(path):
    "A cell that is not exported may look ahead to `truepose.pipeline` alone: to show what the trained network does."
    number = {default_exp(p): int(p.name[:2]) for p in MODULES}
    for cell in code(path):
        text = source(cell)
        imported = set(re.findall(r"^\s*(?:from|import)\s+truepose\.(\w+)", text, re.M))
        for line in re.findall(r"^\s*from\s+truepose\s+import\s+(.+)$", text, re.M):
            imported |= set(re.findall(r"\w+", line)) & number.keys()
        if not re.search(r"^#\|\s*export", text, re.M): imported -= {"pipeline"}
        higher = sorted(m for m in imported if number.get(m, 0) > int(path.name[:2]))
        assert not higher, f"{name(path)} imports from higher numbers: {higher}"


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
    users = [p.name for p in (ROOT/"truepose").glob("*.py") if imports.search(p.read_text(encoding="utf-8"))]
    assert not users


def test_requirements_cover_the_imports():
    "What an exported module imports is a requirement, so that `pip install .` suffices."
    named = {"PIL": "pillow", "skimage": "scikit-image", "open_clip": "open_clip_torch", "yaml": "pyyaml"}
    known = {re.split("[=<>]", pin)[0].lower() for pin in SETTINGS["requirements"].split()} | {"truepose", "huggingface_hub"}
    known |= {"peft", "bitsandbytes", "rtmlib", "onnxruntime"}  # optional: LoRA, 8-bit AdamW and RTMPose say so themselves where they are missing
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
