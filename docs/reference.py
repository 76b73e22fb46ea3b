"""The reference: a page for each part of the package, every public name with its signature as it is written (the
comments give shapes, units and ranges), its sentence, and the way to its code."""
import ast

from bridge import ROOT, markdown, repository

PARTS = {"data": "what people bring", "people": "rendered people", "method": "the paper", "finish": "lookup and finishers",
         "photo": "photographs", "train": "training", "evaluate": "measures", "": "roots and doors"}


def signature(node, lines):
    "The lines of a function's head as they are written; of a class its head and what it is made with."
    if isinstance(node, ast.FunctionDef): return "\n".join(lines[node.lineno - 1:max(node.body[0].lineno - 1, node.lineno)])
    head = [lines[node.lineno - 1].rstrip(":")]
    for part in node.body:
        if isinstance(part, ast.AnnAssign): head.append(lines[part.lineno - 1])
        if isinstance(part, ast.FunctionDef) and part.name == "__init__": head.append(signature(part, lines))
    return "\n".join(head)


def methods(node):
    "Public methods of a class, with their lines."
    if isinstance(node, ast.FunctionDef): return []
    return [part for part in node.body if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")]


def sentence(node): return (ast.get_docstring(node) or "").split("\n")[0]


def public(tree):
    "The names of `__all__`."
    assigned = (node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__")
    return next((ast.literal_eval(node.value) for node in assigned), [])


def entry(node, module, lines, bridge):
    "A function or a class: heading, sentence, signature, source."
    name, full = node.name, f"truepose.{module}.{node.name}"
    chapter = f"[explained](#{bridge.anchor(full)}) · " if full in bridge.anchored else ""
    file = f"truepose/{module.replace('.', '/')}.py"
    text = [f"### `{name}`", sentence(node), f"```python\n{signature(node, lines)}\n```"]
    text += [f"- `.{part.name}`: {sentence(part)}" for part in methods(node)]
    return "\n\n".join([*text, f"{chapter}[source]({repository()}/{file}#L{node.lineno})"])


def of_module(module, bridge):
    "The public names of a module, as Markdown."
    path = ROOT/"truepose"/f"{module.replace('.', '/')}.py"
    code = path.read_text(encoding="utf-8")
    tree = ast.parse(code)
    names = public(tree)
    kinds = ast.FunctionDef, ast.ClassDef
    defined = {node.name: node for node in tree.body if isinstance(node, kinds) and node.name in names}
    entries = [entry(node, module, code.split("\n"), bridge) for node in defined.values()]
    values = [f"`{name}`" for name in names if name not in defined]
    chapter = bridge.page_of[f"truepose.{module}"]
    head = [f"## `truepose.{module}`", f"{ast.get_docstring(tree) or ''} ([chapter](/{chapter}.ipynb))"]
    return "\n\n".join([*head, *(["Values: " + ", ".join(values)] if values else []), *entries])


def pages(bridge):
    "Name of a page -> its cells."
    modules = [name.removeprefix("truepose.") for name in bridge.page_of]
    made = {}
    for part, title in PARTS.items():
        mine = [module for module in modules if ("." in module and module.split(".")[0] or "") == part]
        name = part or "roots"
        whole = f"truepose.{part}" if part else "truepose"
        texts = [f"# Reference: `{whole}`, {title}", *(of_module(module, bridge) for module in mine)]
        made[f"reference/{name}"] = [markdown("\n\n".join(texts))]
    return made
