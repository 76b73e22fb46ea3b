"""A notebook as a page: obeys the `#|` directives, puts each exported name as a heading above its code, and links every
backticked name to it. Nothing is run; the stored outputs are shown."""
import ast
import functools
import io
import json
import re
import runpy
from collections import Counter
from configparser import ConfigParser
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NBS, PAGES = ROOT/"nbs", ROOT/"_sphinx"/"pages"
PICTURES = "/_pictures"  # of PAGES: pictures of the repository
HEAVY, WIDTH = 60_000, 1100  # bytes from which on a picture is made lighter, pixels that it has as JPEG
EXPORTS = {"export", "exports", "exporti"}


@functools.cache
def settings():
    "The package's own: name, links, author."
    config = ConfigParser(delimiters=["="])
    config.read(ROOT/"settings.ini", encoding="utf-8")
    return config["DEFAULT"]


def repository():
    "Where the files of the repository are seen."
    return f"{settings()['git_url']}/blob/{settings()['branch']}"


class PageError(Exception):
    "What a page may not be."


def source(cell): return "".join(cell["source"])
def markdown(text): return {"cell_type": "markdown", "metadata": {}, "source": text}


def notebooks():
    "Name below nbs/ -> path, in reading order."
    paths = [p for p in NBS.rglob("*.ipynb") if not any(part.startswith((".", "_")) for part in p.relative_to(NBS).parts)]
    return {p.relative_to(NBS).as_posix(): p for p in sorted(paths)}


def page_name(name):
    "`data/10_pose.ipynb` becomes page `data/pose`, as its module is named; experiments and figures keep their numbers."
    if name == "index.ipynb": return "overview"
    return re.sub(r"(^|/)\d\d_", r"\1", name.removesuffix(".ipynb"))


def module_of(path):
    "Module that a notebook exports, without `truepose.`; None if it exports none."
    found = re.search(r"#\|\s*default_exp\s+([\w.]+)", path.read_text(encoding="utf-8"))
    return found[1] if found else None


def symbols():
    "Exported name, as it may be written in backticks -> its full name; a short name of two things is left out."
    index = runpy.run_path(str(ROOT/"truepose"/"_modidx.py"))["d"]["syms"]
    names, seen = {}, {}
    for full in (name for of_module in index.values() for name in of_module):
        parts = full.split(".")
        for k in range(2, len(parts)):
            seen.setdefault(".".join(parts[k:]), []).append(full)
        names[full] = full
    names |= {short: full[0] for short, full in seen.items() if len(full) == 1}
    return {short: full for short, full in names.items() if not short.split(".")[-1].startswith("_") and short != "truepose"}


def directives(cell):
    "The `#|` lines of a code cell as a dict, and the code without them."
    lines = source(cell).split("\n")
    found = dict(re.match(r"#\|\s*([\w-]+)\s*:?\s*(.*)", line).groups() for line in lines if re.match(r"#\|\s*[\w-]+", line))
    return found, "\n".join(line for line in lines if not line.startswith("#|")).strip("\n")


@functools.cache
def parsed(code):
    "Its statements; none of a cell with magics."
    try: return ast.parse(code).body
    except SyntaxError: return []


def only_imports(code):
    nodes = parsed(code)
    return bool(nodes) and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in nodes)


def imports_cell(cell): return cell["cell_type"] == "code" and only_imports(cell["source"])


def defined(code):
    "Names of the functions, classes and methods by @patch that a cell defines."
    names = []
    for node in parsed(code):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)): continue
        patched = any(getattr(d, "id", "") == "patch" for d in node.decorator_list)
        owner = f"{ast.unparse(node.args.args[0].annotation)}." if patched else ""
        names.append(owner + node.name)
    return names


def joined(outputs):
    "Stored outputs; what a cell prints line by line is one."
    made = []
    for output in outputs:
        printed = [one for one in (*made[-1:], output) if one.get("output_type") == "stream"]
        if len(printed) < 2: made.append(dict(output))
        else: made[-1]["text"] = "".join("".join(one["text"]) for one in printed)
    return made


def said_of(text):
    "The last sentence of some Markdown in plain words: the alternative text of a picture below it."
    text = re.sub(r"```.*?```|\$\$.*?\$\$", "", text, flags=re.S)
    lines = [line.strip("#> *") for line in text.splitlines() if line.strip("#> *") and not line.startswith("|")]
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|[`*_$]", r"\1", lines[-1] if lines else "")
    return re.split(r"(?<=[.!?]) ", plain.strip())[-1][:200]


def lighter(picture):
    "Its file and that file's ending: 256 colours, as is enough for a drawing, or JPEG, whichever is smaller."
    picture = picture.convert("RGB")
    few, small = picture.quantize(256, dither=Image.Dither.NONE), picture.copy()
    small.thumbnail((WIDTH, 10 * WIDTH))
    files = {"png": io.BytesIO(), "jpg": io.BytesIO()}
    few.save(files["png"], "png", optimize=True)
    small.save(files["jpg"], "jpeg", quality=85, optimize=True)
    return min(((file.getvalue(), ending) for ending, file in files.items()), key=lambda made: len(made[0]))


def copied(path):
    "A picture of the repository, laid where Sphinx finds it; its address. A heavy one is made lighter."
    folder, place = PAGES/PICTURES.strip("/"), "-".join(path.relative_to(ROOT).parts)
    data, ending = path.read_bytes(), path.suffix[1:]
    if len(data) >= HEAVY and ending != "webp": data, ending = lighter(Image.open(path))  # a film stays one
    place = f"{place.rpartition('.')[0]}.{ending}"
    (folder/place).write_bytes(data)
    return f"{PICTURES}/{place}"


class Bridge:
    "Turns notebooks and documents into pages that link to each other."
    def __init__(self, documents):  # file of the repository -> page
        self.names, self.pages = symbols(), {name: page_name(name) for name in notebooks()}
        self.documents = {(ROOT/name).resolve(): page for name, page in documents.items()}
        self.modules = {name: module_of(path) for name, path in notebooks().items()}
        self.page_of = {f"truepose.{module}": self.pages[name] for name, module in self.modules.items() if module}
        exporting = {name: path for name, path in notebooks().items() if self.modules[name]}
        self.anchored = {full for name, path in exporting.items() for full in self.exported(name, path)}
        self.spellings = Counter(full.lower() for full in self.anchored)

    def exported(self, name, path):
        "Full names that have their place on this notebook's page."
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            found, code = directives(cell) if cell["cell_type"] == "code" else ({}, "")
            if found.keys() & EXPORTS and "hide" not in found:
                yield from (f"truepose.{self.modules[name]}.{n}" for n in defined(code)
                            if f"truepose.{self.modules[name]}.{n}" in self.names)

    def anchor(self, full):
        "Its target on the site, where upper and lower case are one: a class gives way to a function of the same letters."
        return f"{full}.class" if self.spellings[full.lower()] > 1 and full.split(".")[-1][:1].isupper() else full

    def link(self, label, target, folder):
        "A link of a text that lies in `folder`, as it holds on the site; None: as it is."
        if re.match(r"\w+:|#|$", target): return None
        path = (folder/target.split("#")[0]).resolve()
        if path.is_relative_to(NBS) and path.suffix == ".ipynb":
            page = self.pages.get(path.relative_to(NBS).as_posix())
            return f"[{label}](/{page}.ipynb)" if page else label
        if path in self.documents: return f"[{label}](/{self.documents[path]}.ipynb)"
        return f"[{label}]({repository()}/{path.relative_to(ROOT).as_posix()})" if path.is_file() else label

    def picture(self, label, target, folder, where):
        "A picture of a text that lies in `folder`."
        if re.match(r"\w+:", target): return None
        path = (folder/target).resolve()
        if not path.is_file(): raise PageError(f"{where}: there is no picture {target}")
        return f"![{label}]({copied(path)})"

    def name_link(self, match):
        "A backticked name with a link to its code, if it has a place on the site."
        page = self.page_of.get(match[1])
        if page: return f"[`{match[1]}`](/{page}.ipynb)"
        full = self.names.get(match[1].removesuffix("()"))
        return f"[`{match[1]}`](#{self.anchor(full)})" if full in self.anchored else match[0]

    def prose(self, text, folder, where):
        "Markdown with links to names, notebooks and pictures that hold on the site."
        def linked(match):
            label, target = match[2], match[3]
            made = self.picture(label, target, folder, where) if match[1] else self.link(label, target, folder)
            return match[0] if made is None else made
        parts = re.split(r"(^```.*?^```|^~~~.*?^~~~)", text, flags=re.M | re.S)
        for i in range(0, len(parts), 2):
            part = re.sub(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]*)\)", linked, parts[i])
            parts[i] = re.sub(r"(?<![`\[\w])`([A-Za-z_][\w.]*(?:\(\))?)`(?![`\]])", self.name_link, part)
        return "".join(parts)

    def heading(self, code, module, level):
        "The exported names of a cell as a heading with their anchors, or None."
        names = [n for n in defined(code) if f"truepose.{module}.{n}" in self.anchored]
        if not names: return None
        words = ", ".join(f"`{n}`" for n in names[:4]) + (", ..." if len(names) > 4 else "")
        targets = "".join(f"({self.anchor(f'truepose.{module}.{n}')})=\n" for n in names)
        return markdown(f"{targets}\n{'#' * level} {words}\n")

    def printed(self, output, folder, where):
        "A stored output; the links of Markdown hold on the site, as those of a text do."
        data = output.get("data", {})
        if "text/markdown" not in data: return output
        return output | {"data": data | {"text/markdown": self.prose("".join(data["text/markdown"]), folder, where)}}

    def code(self, cell, module, level, alt):
        "One code cell as it is shown: perhaps a heading, the code without directives, the stored outputs."
        found, code = directives(cell)
        for_nbdev = not code or re.match(r"_all_\s*=", code) or found.keys() & {"hide", "default_exp"}
        if for_nbdev or found.get("include") == "false": return []
        folded = found.get("code-fold") == "true" or only_imports(code)
        tags = ["remove-input"] if found.get("echo") == "false" or "hide_input" in found else ["hide-input"] * folded
        about = {"image": {"alt": found.get("fig-alt", alt).strip("\"'")}}
        if "fig-cap" in found: about["figure"] = {"caption": found["fig-cap"].strip("\"'")}
        if only_imports(code): about |= {"code_prompt_show": "Imports", "code_prompt_hide": "Imports"}
        hidden = found.get("output") == "false" or "hide_output" in found
        outputs = [] if hidden else joined(o for o in cell.get("outputs", []) if o.get("name") != "stderr"
                                           and not any("widget" in kind for kind in o.get("data", {})))
        heading = self.heading(code, module, level) if found.keys() & EXPORTS else None
        shown = {"cell_type": "code", "metadata": {"tags": tags, "mystnb": about}, "source": code,
                 "outputs": outputs, "execution_count": None}
        return [heading, shown] if heading else [shown]

    def cells(self, nb, name):
        "The cells of a notebook as they are shown; imports that follow each other are one cell."
        shown, level, alt, folder = [], 3, name, (NBS/name).parent
        for cell in nb["cells"]:
            if cell["cell_type"] == "markdown":
                text = self.prose(source(cell), folder, name)
                levels = re.findall(r"^(#{2,3}) ", text, re.M)
                if levels: level = len(levels[-1]) + 1
                alt = said_of(source(cell)) or alt
                shown.append(markdown(text))
            elif cell["cell_type"] == "code":
                new = self.code(cell, self.modules[name], level, alt)
                for last in new[-1:]: last["outputs"] = [self.printed(o, folder, name) for o in last["outputs"]]
                if new and shown and imports_cell(new[0]) and imports_cell(shown[-1]):
                    shown[-1]["source"] += "\n" + new[0]["source"]
                else: shown += new
        return shown

    def document(self, path):
        "A Markdown file of the repository as a page."
        text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.S)  # fields for hubs
        if path.suffix != ".md": text = f"# Cite\n\nThe paper, and this software (`{path.name}`):\n\n```yaml\n{text}```"
        return [markdown(self.prose(text, path.parent, path.name))]


def write_page(cells, page):
    "A page for Sphinx."
    path = PAGES/f"{page}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    for i, cell in enumerate(cells): cell["id"] = f"cell-{i}"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
              "language_info": {"name": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
