"""The notebooks as a site that needs no network: nbs/ -> _sphinx/pages/ -> _site/ (`make docs`).

nbdev's own pages show an exported function as a signature and hide its code. Here the code is the text, so this bridge takes
the notebooks as they are, with their stored outputs, and runs nothing: it obeys the `#|` directives, puts each exported name
as a heading above its code, and links every backticked name to it through nbdev's index of the package, _modidx.py.
"""
import ast
import json
import re
import runpy
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS, WORK, SITE = ROOT/"nbs", ROOT/"_sphinx", ROOT/"_site"
PAGES = WORK/"pages"
SECTIONS = [("Tutorials", r"tutorials/|what_goes_wrong|consent_and_misuse"), ("The method", r"method/"), ("Ours: lookup and finishers", r"finish/"),
            ("The doors", r"[89]\d_"), ("Data that people bring", r"data/"), ("Rendered people", r"people/"),
            ("Training", r"train/"), ("Photographs", r"photo/"), ("Measures", r"evaluate/"),
            ("Experiments", r"experiments/"), ("Figures", r"figures/"), ("Ground", r"0\d_")]


def source(cell): return "".join(cell["source"])
def markdown(text): return {"cell_type": "markdown", "metadata": {}, "source": text}


def notebooks():
    "Name below nbs/ -> path, in reading order."
    paths = [p for p in NBS.rglob("*.ipynb") if not any(part.startswith((".", "_")) for part in p.relative_to(NBS).parts)]
    return {p.relative_to(NBS).as_posix(): p for p in sorted(paths)}


def page_name(name):
    "`data/10_pose.ipynb` becomes page `data/pose`, as its module is named; experiments and figures keep their numbers."
    return re.sub(r"(^|/)\d\d_", r"\1", name.removesuffix(".ipynb"))


def symbols():
    "Exported name, as it may be written in backticks -> label; a short name of two things is left out."
    index = runpy.run_path(str(ROOT/"truepose"/"_modidx.py"))["d"]["syms"]
    labels, seen = {}, {}
    for full in (name for names in index.values() for name in names):
        parts = full.split(".")
        for k in range(2, len(parts)):
            seen.setdefault(".".join(parts[k:]), []).append(full)
        labels[full] = full
    labels |= {short: full[0] for short, full in seen.items() if len(full) == 1}
    return {short: label for short, label in labels.items() if not short.split(".")[-1].startswith("_") and short != "truepose"}


def anchor(label, labels):
    "Its target on the site, where upper and lower case are one: a class gives way to a function of the same letters."
    twin = any(other != label and other.lower() == label.lower() for other in labels)
    return f"{label}.class" if twin and label.split(".")[-1][:1].isupper() else label


def directives(cell):
    "The `#|` lines of a code cell as a dict, and the code without them."
    lines = source(cell).split("\n")
    found = dict((re.match(r"#\|\s*([\w-]+)\s*:?\s*(.*)", line).groups() for line in lines if re.match(r"#\|\s*[\w-]+", line)))
    return found, "\n".join(line for line in lines if not line.startswith("#|")).strip("\n")


def defined(code, labels, module):
    "Exported names that a cell defines: functions, classes, methods by @patch."
    try: nodes = ast.parse(code).body
    except SyntaxError: return []  # a cell with magics
    names = []
    for node in nodes:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)): continue
        patched = any(getattr(d, "id", "") == "patch" for d in node.decorator_list)
        owner = f"{ast.unparse(node.args.args[0].annotation)}." if patched else ""
        names.append(owner + node.name)
    return [n for n in names if f"truepose.{module}.{n}" in labels]


def only_imports(code):
    try: nodes = ast.parse(code).body
    except SyntaxError: return False
    return bool(nodes) and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in nodes)


def imports_cell(cell): return cell["cell_type"] == "code" and only_imports(cell["source"])


class Bridge:
    "Turns notebooks into pages that link to each other."
    def __init__(self):
        self.labels, self.pages, self.anchored = symbols(), {name: page_name(name) for name in notebooks()}, set()
        self.modules = {f"truepose.{page.replace('/', '.')}": page for name, page in self.pages.items()
                        if re.search(r"(^|/)\d\d_[^/]*$", name)}

    def prose(self, text, name):
        "Markdown with links to names, notebooks and pictures that hold on the site."
        folder = (NBS/name).parent

        def link(match):
            label, target = match[2], match[3].split("#")[0]
            if re.match(r"\w+:|#|$", target): return match[0]
            path = (folder/target).resolve()
            if match[1]:  # a picture
                if not path.is_file(): return f"*(not made yet: {target})*"
                shutil.copy2(path, PAGES/"_pictures"/path.name)
                return f"![{label}](/_pictures/{path.name})"
            if path.suffix == ".ipynb" and path.is_relative_to(NBS):
                other = self.pages.get(path.relative_to(NBS).as_posix())
                return f"[{label}](/{other}.ipynb)" if other else label
            return f"{label} ({target})" if label.strip("`") != target else label

        def name_link(match):
            page = self.modules.get(match[1])
            if page: return f"[`{match[1]}`](/{page}.ipynb)"
            label = self.labels.get(match[1].removesuffix("()"))
            return f"[`{match[1]}`](#{anchor(label, self.anchored)})" if label in self.anchored else match[0]

        parts = re.split(r"(^```.*?^```|^~~~.*?^~~~)", text, flags=re.M | re.S)
        for i in range(0, len(parts), 2):
            part = re.sub(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]*)\)", link, parts[i])
            parts[i] = re.sub(r"(?<![`\[\w])`([A-Za-z_][\w.]*(?:\(\))?)`(?![`\]])", name_link, part)
        return "".join(parts)

    def code(self, cell, found, code, module, level):
        "One code cell as it is shown: perhaps a heading with anchors, the code without directives, the stored outputs."
        for_nbdev = not code or re.match(r"_all_\s*=", code) or found.keys() & {"hide", "default_exp"}
        if for_nbdev or found.get("include") == "false": return []
        cells, tags = [], []
        if found.keys() & {"export", "exports", "exporti"}:
            names = [n for n in defined(code, self.labels, module) if f"truepose.{module}.{n}" in self.anchored]
            if names:
                heading = ", ".join(f"`{n}`" for n in names[:4]) + (", ..." if len(names) > 4 else "")
                targets = "".join(f"({anchor(f'truepose.{module}.{n}', self.anchored)})=\n" for n in names)
                cells.append(markdown(f"{targets}\n{'#' * level} {heading}\n"))
        if found.get("echo") == "false" or "hide_input" in found: tags.append("remove-input")
        elif found.get("code-fold") == "true" or only_imports(code): tags.append("hide-input")
        prompts = {"code_prompt_show": "Imports", "code_prompt_hide": "Imports"} if only_imports(code) else {}
        outputs = [dict(o) for o in cell.get("outputs", [])
                   if o.get("name") != "stderr" and not any("widget" in kind for kind in o.get("data", {}))]
        if found.get("output") == "false" or "hide_output" in found: outputs = []
        if "fig-cap" in found: prompts["figure"] = {"caption": found["fig-cap"].strip("\"'")}
        return cells + [{"cell_type": "code", "metadata": {"tags": tags, "mystnb": prompts}, "source": code,
                         "outputs": outputs, "execution_count": None}]

    def anchors(self, name, module):
        "What will have a place to link to: found before any page is written, so that links may point ahead."
        for cell in json.loads((NBS/name).read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] != "code": continue
            found, code = directives(cell)
            if found.keys() & {"export", "exports", "exporti"} and "hide" not in found:
                self.anchored |= {f"truepose.{module}.{n}" for n in defined(code, self.labels, module)}

    def page(self, name, module):
        nb = json.loads((NBS/name).read_text(encoding="utf-8"))
        cells, level = [], 3
        for cell in nb["cells"]:
            if cell["cell_type"] == "markdown":
                text = self.prose(source(cell), name)
                levels = re.findall(r"^(#{2,3}) ", text, re.M)
                if levels: level = len(levels[-1]) + 1
                cells.append(markdown(text))
            elif cell["cell_type"] == "code":
                shown = self.code(cell, *directives(cell), module, level)
                both_import = bool(shown and cells) and imports_cell(shown[0]) and imports_cell(cells[-1])
                if both_import: cells[-1]["source"] += "\n" + shown[0]["source"]
                else: cells += shown
        made = f"`nbs/{name}`" + (f" → `truepose.{module}`" if module else "")
        if cells and name != "index.ipynb": cells.insert(1, markdown(f"{{.truepose-from}}\n{made}"))
        return cells

    def write(self, cells, page):
        path = PAGES/f"{page}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        for i, cell in enumerate(cells): cell["id"] = f"cell-{i}"
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                  "language_info": {"name": "python"}}
        path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")


def contents(pages):
    "The site's tree of contents: sections in reading order."
    trees = []
    for title, pattern in SECTIONS:
        members = [page for name, page in pages.items() if re.match(pattern, name)]
        if members: trees.append("```{toctree}\n:hidden:\n:caption: " + title + "\n\n" + "\n".join(members) + "\n```")
    return "\n\n".join([*trees, "```{toctree}\n:hidden:\n:caption: Reference\n\nsymbols\n```"])


def module_of(label, bridge):
    "`truepose.data.pose.pose_map` is of the module `data.pose`: the longest name of a module that it begins with."
    found = [name for name in bridge.modules if label.startswith(f"{name}.")]
    return max(found, key=len).removeprefix("truepose.")


def symbol_page(bridge):
    "Every exported name, by module."
    lines = ["# All names", "", "> What the package exports, by module; each name leads to its code."]
    by_module = {}
    for label in sorted(bridge.anchored):
        if not any(part.startswith("_") for part in label.split(".")): by_module.setdefault(module_of(label, bridge), []).append(label)
    for module, labels in by_module.items():
        links = (f"[`{label.removeprefix(f'truepose.{module}.')}`](#{anchor(label, bridge.anchored)})" for label in labels)
        lines += ["", f"## `truepose.{module}`", "", " · ".join(links)]
    return [markdown("\n".join(lines))]


def mathjax():
    "The one file of MathJax that needs no fonts."
    files = metadata.files("sphinx-mathjax-offline")  # its folder has hyphens: it cannot be imported by name
    return next(Path(f.locate()) for f in files if f.name == "tex-svg.js")


def check_offline():
    "No page may load a script, a style or a picture from elsewhere."
    loads = re.compile(r"""<(?:script|img|iframe|source)[^>]*\bsrc=["'](?:https?:)?//[^"']+"""
                       r"""|<link[^>]*\brel=["'](?:stylesheet|preload)["'][^>]*href=["'](?:https?:)?//[^"']+""")
    found = {f"{page.relative_to(SITE)}: {hit[:200]}" for page in SITE.rglob("*.html")
             for hit in loads.findall(page.read_text(encoding="utf-8"))}
    if found: sys.exit("these would be loaded from the network:\n" + "\n".join(sorted(found)))


def main():
    for folder in (WORK, SITE): shutil.rmtree(folder, ignore_errors=True)
    for folder in ("_pictures", "_static"): (PAGES/folder).mkdir(parents=True)
    shutil.copy2(ROOT/"docs"/"truepose.css", PAGES/"_static")
    shutil.copy2(mathjax(), PAGES/"_static")
    bridge = Bridge()
    modules = {}
    for name, path in notebooks().items():
        found = re.search(r"#\|\s*default_exp\s+([\w.]+)", path.read_text(encoding="utf-8"))
        modules[name] = found[1] if found else None
        bridge.anchors(name, modules[name])
    for name, page in bridge.pages.items():
        cells = bridge.page(name, modules[name])
        if name == "index.ipynb": cells.append(markdown(contents(bridge.pages)))
        bridge.write(cells, page)
    if "index.ipynb" not in bridge.pages: bridge.write([markdown("# TruePose\n\n" + contents(bridge.pages))], "index")
    bridge.write(symbol_page(bridge), "symbols")
    options = ["-q", "-W", "--keep-going", "-b", "html", "-c", ROOT/"docs", "-d", WORK/"doctrees"]
    done = subprocess.run([sys.executable, "-m", "sphinx", *options, PAGES, WORK/"html"])
    if done.returncode: sys.exit(done.returncode)
    (WORK/"html").rename(SITE)
    check_offline()
    print(f"{len(bridge.pages) + 1} pages: open {SITE.relative_to(ROOT)}/index.html")


if __name__ == "__main__": main()
