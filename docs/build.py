"""The notebooks as a site that needs no network: nbs/ -> _sphinx/pages/ -> _site/ (`make docs`).

nbdev's own pages show an exported function as a signature and hide its code. Here the code is the text, so this bridge takes
the notebooks as they are, with their stored outputs, and runs nothing: it obeys the `#|` directives, puts each exported name
as a heading above its code, and links every backticked name to it through nbdev's index of the package, _modidx.py.
Notebooks are stored as their defaults make them, in seconds and with random weights. So a figure's page shows the committed
figure, an experiment's page names the published runs, and a stored picture of either says in the picture what it is.
"""
import ast
import base64
import io
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
RESULTS, FIGURES = ROOT/"results", ROOT/"figures"
DOCUMENTS = {"README.md": "start", "DATASET.md": "cards/dataset", "truepose/assets/nano/README.md": "cards/nano",
             "truepose/assets/micro/README.md": "cards/micro", "truepose/assets/parser/README.md": "cards/parser",
             "workflow/README.md": "workflow", "CONTRIBUTING.md": "contributing", "SECURITY.md": "security", "CITATION.cff": "cite"}
TITLES = {"start": "Install, results, limits <start>"}  # others have their own
SECTIONS = [("Start", r"README"), ("Results", r"figures/"), ("The method", r"method/"), ("Ours: lookup and finishers", r"finish/"),
            ("Tutorials", r"tutorials/|what_goes_wrong|consent_and_misuse"), ("The doors", r"[89]\d_"),
            ("Data that people bring", r"data/"), ("Rendered people", r"people/"), ("Training", r"train/"), ("Photographs", r"photo/"),
            ("Measures", r"evaluate/"), ("Experiments", r"experiments/"), ("Ground", r"0\d_"),
            ("Cards of data and models", r"DATASET|truepose/"), ("The project", r"workflow/|CONTRIBUTING|SECURITY|CITATION")]


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


def is_tiny(nb):
    "Whether the stored outputs are those of random weights."
    return any(re.search(r"""^preset\s*=\s*["']tiny""", source(cell), re.M) for cell in nb["cells"] if cell["cell_type"] == "code")


def labelled(png, words):
    "The picture, base64, with a strip above it that says what it is."
    from PIL import Image, ImageDraw, ImageFont
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    letters = ImageFont.load_default(11)
    width = max(picture.width, round(letters.getlength(words)) + 12)
    sheet = Image.new("RGB", (width, picture.height + 18), "white")
    sheet.paste(picture, (0, 18))
    ImageDraw.Draw(sheet).text((6, 2), words, "#aa3322", letters)
    sheet.save(file := io.BytesIO(), "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def published(stem):
    "The runs of an experiment whose numbers are quoted: a line for each, and their pictures."
    folder, rows, pictures = RESULTS/stem, [], []
    for path in sorted(folder.rglob("manifest.json")):
        manifest, run = json.loads(path.read_text(encoding="utf-8")), path.parent
        clean = "" if not manifest["dirty"] else ", from a changed checkout"
        device, params = manifest["device"], manifest["params"]
        changes = ", ".join(f"{name} {params[name]}" for name in ("preset", "seed", "n_pairs") if name in params)
        rows.append(f"| `{run.relative_to(ROOT)}` | {changes} | {device['gpu'] or device['cpu']} | {manifest['date'][:10]}{clean} |")
        pictures += sorted(run.glob("*.png"))
    return rows, pictures


class Bridge:
    "Turns notebooks into pages that link to each other."
    def __init__(self):
        self.labels, self.pages, self.anchored = symbols(), {name: page_name(name) for name in notebooks()}, set()
        self.documents = {(ROOT/name).resolve(): page for name, page in DOCUMENTS.items() if (ROOT/name).is_file()}
        self.modules = {f"truepose.{page.replace('/', '.')}": page for name, page in self.pages.items()
                        if re.search(r"(^|/)\d\d_[^/]*$", name)}

    def prose(self, text, folder, where):
        "Markdown with links to names, notebooks and pictures that hold on the site; `where` is said of a picture without words."

        def link(match):
            label, target = match[2], match[3].split("#")[0]
            if re.match(r"\w+:|#|$", target): return match[0]
            path = (folder/target).resolve()
            if match[1]:  # a picture
                if not path.is_file(): return f"*(not made yet: {target})*"
                if not label.strip(): sys.exit(f"{where}: the picture {target} has no alternative text")
                shutil.copy2(path, PAGES/"_pictures"/path.name)
                return f"![{label}](/_pictures/{path.name})"
            if path.suffix == ".ipynb" and path.is_relative_to(NBS):
                other = self.pages.get(path.relative_to(NBS).as_posix())
                return f"[{label}](/{other}.ipynb)" if other else label
            if path in self.documents: return f"[{label}](/{self.documents[path]}.ipynb)"
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

    def code(self, cell, found, code, module, level, tiny=False, drawn=False):
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
        if drawn: outputs = [o for o in outputs if "image/png" not in o.get("data", {})]  # the committed figure stands above
        if tiny: outputs = [self.told(output) for output in outputs]
        if "fig-cap" in found: prompts["figure"] = {"caption": found["fig-cap"].strip("\"'")}
        return cells + [{"cell_type": "code", "metadata": {"tags": tags, "mystnb": prompts}, "source": code,
                         "outputs": outputs, "execution_count": None}]

    @staticmethod
    def told(output):
        "A stored picture with the words that it was made with random weights."
        data = output.get("data", {})
        if "image/png" not in data: return output
        png = labelled("".join(data["image/png"]), "at the notebook's defaults: random weights, no result")
        return {**output, "data": {"text/plain": data.get("text/plain", ""), "image/png": png}}

    def results(self, name):
        "What stands above an experiment's or a figure's notebook: what was published of it."
        folder, stem = Path(name).parts[0], Path(name).stem
        if folder == "figures":
            path = FIGURES/f"{stem}.png"
            if not path.is_file(): return "*Not drawn yet: its results are not published.*"
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            words = about.get("alt") or f"{stem}, as committed in figures/"
            return f"{self.shown([path], words)}\n\n*{about.get('caption') or words}*\n\nBelow: how it is drawn from `results/`."
        rows, pictures = published(stem)
        if not rows: return "*No run of it is published.* Below: the notebook at its defaults."
        table = "\n".join(["| published run | parameters | device | date |", "| --- | --- | --- | --- |", *rows])
        return f"{table}\n\n{self.shown(pictures[:4], f'pictures of a published run of {stem}')}\n\nBelow: the notebook at its defaults, in seconds."

    def shown(self, pictures, words):
        "Pictures of the repository as Markdown."
        lines = []
        for path in pictures:
            copy = "-".join(path.relative_to(ROOT).parts[1:])
            shutil.copy2(path, PAGES/"_pictures"/copy)
            lines.append(f"![{words}](/_pictures/{copy})")
        return "\n\n".join(lines)

    def document(self, path):
        "A Markdown file of the repository as a page."
        text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.S)  # fields for hubs
        if path.suffix != ".md": text = f"# Cite\n\n`{path.name}`\n\n```yaml\n{text}```"
        return [markdown(self.prose(text, path.parent, path.name))]

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
        quoted = name.startswith(("experiments/", "figures/"))
        tiny, drawn = quoted and is_tiny(nb), name.startswith("figures/") and (FIGURES/f"{Path(name).stem}.png").is_file()
        for cell in nb["cells"]:
            if cell["cell_type"] == "markdown":
                text = self.prose(source(cell), (NBS/name).parent, name)
                levels = re.findall(r"^(#{2,3}) ", text, re.M)
                if levels: level = len(levels[-1]) + 1
                cells.append(markdown(text))
            elif cell["cell_type"] == "code":
                shown = self.code(cell, *directives(cell), module, level, tiny, drawn)
                both_import = bool(shown and cells) and imports_cell(shown[0]) and imports_cell(cells[-1])
                if both_import: cells[-1]["source"] += "\n" + shown[0]["source"]
                else: cells += shown
        made = f"`nbs/{name}`" + (f" → `truepose.{module}`" if module else "")
        if cells and name != "index.ipynb": cells.insert(1, markdown(f"{{.truepose-from}}\n{made}"))
        if cells and quoted: cells.insert(2, markdown(self.results(name)))
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
        members = [TITLES.get(page, page) for name, page in pages.items() if re.match(pattern, name)]
        if members: trees.append("```{toctree}\n:hidden:\n:caption: " + title + "\n\n" + "\n".join(members) + "\n```")
    return "\n\n".join([*trees, "```{toctree}\n:hidden:\n:caption: Reference\n\nsymbols\n```"])


def signatures(module):
    "Public name of a module -> (arguments, first sentence of its docstring)."
    path = ROOT/"truepose"/f"{module.replace('.', '/')}.py"
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)): continue
        said = (ast.get_docstring(node) or "").split("\n")[0]
        arguments = f"({', '.join(a.arg for a in node.args.args)})" if isinstance(node, ast.FunctionDef) else ""
        found[node.name] = arguments, said
    return found


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
        lines += ["", f"## `truepose.{module}`", ""]
        known = signatures(module)
        for label in labels:
            short = label.removeprefix(f"truepose.{module}.")
            arguments, said = known.get(short, ("", ""))
            lines.append(f"- [`{short}{arguments}`](#{anchor(label, bridge.anchored)})" + (f" {said}" if said else ""))
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
    for file in ("truepose.css", "favicon.svg"): shutil.copy2(ROOT/"docs"/file, PAGES/"_static")
    shutil.copy2(mathjax(), PAGES/"_static")
    bridge = Bridge()
    modules = {}
    for name, path in notebooks().items():
        found = re.search(r"#\|\s*default_exp\s+([\w.]+)", path.read_text(encoding="utf-8"))
        modules[name] = found[1] if found else None
        bridge.anchors(name, modules[name])
    for name, page in bridge.pages.items():
        cells = bridge.page(name, modules[name])
        if name == "index.ipynb": cells.append(markdown(contents(bridge.pages | DOCUMENTS)))
        bridge.write(cells, page)
    for path, page in bridge.documents.items(): bridge.write(bridge.document(path), page)
    if "index.ipynb" not in bridge.pages: bridge.write([markdown("# TruePose\n\n" + contents(bridge.pages))], "index")
    bridge.write(symbol_page(bridge), "symbols")
    options = ["-q", "-W", "--keep-going", "-b", "html", "-c", ROOT/"docs", "-d", WORK/"doctrees"]
    done = subprocess.run([sys.executable, "-m", "sphinx", *options, PAGES, WORK/"html"])
    if done.returncode: sys.exit(done.returncode)
    (WORK/"html").rename(SITE)
    check_offline()
    print(f"{len(bridge.pages) + len(bridge.documents) + 1} pages: open {SITE.relative_to(ROOT)}/index.html")


if __name__ == "__main__": main()
