"""Mutants of the package: does a check notice when one operator, number, comparison, condition, statement or argument is another?

    python tests/mutants.py --seconds 1200 --out mutants.json        a random sample for so long (of the processor)
    python tests/mutants.py --modules finish.windows                  every mutant of a module

First come the mistakes of tests/mistakes.yaml, then mutants in random order. Each is judged by the cells of its own notebook that export
nothing (their names come from the mutated module), then by the tests of `TESTS`. One process has loaded torch; each mutant runs in a fork
of it, in which truepose is imported anew.
What `--out` holds already is not judged again, if neither the module nor its notebook or tests have changed: a run that was stopped goes
on. tests/mutants.yaml lists survivors that no check can or should notice, with the reason; they are drawn, but not judged again."""
import argparse
import ast
import copy
import functools
import hashlib
import importlib.abc
import importlib.util
import itertools
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from notebooks import ROOT, all_notebooks, code, default_exp, source

sys.path.insert(0, str(ROOT))  # this checkout's truepose

GROUPS = ("method", "train", "data", "evaluate", "finish", "pipeline")
DRAWN = ["test_upgrade.py", "test_golden.py"]  # what networks draw is what they drew
TESTS = {"pipeline": [*DRAWN, "test_pipeline.py"], "method": DRAWN, "finish": ["test_golden.py"], "data.parsing": DRAWN,
         "data.pose": [*DRAWN, "test_pose.py"], "data.joints": [*DRAWN, "test_pose.py"], "evaluate": ["test_evaluate.py"],
         "data.deepfashion": ["test_deepfashion.py"], "train.stream": ["test_stream.py"]}
REASONS, MISTAKES = ROOT/"tests"/"mutants.yaml", ROOT/"tests"/"mistakes.yaml"
LIMIT = 90  # seconds of processor for one mutant

# ---- what a mutant is

OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add,
             ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
               ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
METHODS = {"sum": "mean", "mean": "sum", "amax": "amin", "amin": "amax", "argmax": "argmin", "argmin": "argmax", "any": "all",
           "all": "any", "min": "max", "max": "min", "cos": "sin", "sin": "cos"}
SILENT = {"print", "say", "warn", "info"}  # calls whose words are not mutated


def in_words(node): return " ".join(ast.unparse(node).split())[:90]
def in_line(error): return " ".join(str(error).split())[:70]


def changes(node):
    "(kind, mutated copy) of one node; () for most."
    def other(**fields):
        new = copy.copy(node)
        for name, value in fields.items(): setattr(new, name, value)
        return new
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
        text = isinstance(getattr(node, "left", None), (ast.JoinedStr, ast.List)) or isinstance(getattr(node, "left", None), ast.Constant) and isinstance(node.left.value, str)
        if not text: yield "operator", other(op=OPERATORS[type(node.op)]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)): yield "operator", node.operand
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield "comparison", other(ops=[COMPARISONS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.BoolOp): yield "operator", other(op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    if isinstance(node, (ast.If, ast.IfExp)): yield "condition", other(test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Constant) and isinstance(node.value, bool): yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int): yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, float) and abs(node.value) >= 1e-3:  # less: against division by zero
        yield "constant", ast.Constant(node.value * 2)
    if isinstance(node, ast.Call) and len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args[:2]):
        first, second, *rest = node.args
        if ast.dump(first) != ast.dump(second): yield "arguments", other(args=[second, first, *rest])
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in METHODS: yield "method", other(attr=METHODS[node.attr])
    call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    into = isinstance(node, ast.Assign) and isinstance(node.targets[0], (ast.Attribute, ast.Subscript))
    if call or into or isinstance(node, ast.AugAssign): yield "statement", ast.Pass()


def silent(node):
    "Words for a reader, annotations, and what is raised: what is said is not mutated."
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)): return True
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        return name in SILENT or name.endswith(("Error", "Warning"))
    if isinstance(node, ast.Assign): return getattr(node.targets[0], "id", "") == "__all__"
    return False


def sites(tree):
    "(function, line, parent, field, index, node) of all that may be mutated."
    found = []
    def walk(node, where):
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"): continue
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(child, ast.AST) or silent(child): continue
                named = isinstance(child, (ast.FunctionDef, ast.ClassDef))
                inside = f"{where}.{child.name}".lstrip(".") if named else where
                if isinstance(child, ast.stmt): line = child.lineno
                found.append((inside, getattr(child, "lineno", 0), node, field, index, child))
                if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Call) and silent(child.value)): walk(child, inside)
    walk(tree, "")
    return found


def mutants(module):
    "All of a module: dicts that say what and where."
    number = 0
    for function, line, parent, _, _, node in sites(ast.parse(path_of(module).read_text(encoding="utf-8"))):
        for kind, new in changes(node):
            before, after = (in_words(n.test if isinstance(node, (ast.If, ast.IfExp)) else n) for n in (node, new))
            around = in_words(parent) if isinstance(node, ast.Constant) else ""
            yield dict(module=module, number=number, function=function or "module", line=line, kind=kind, before=before, after=after, around=around)
            number += 1


def mistakes(modules):
    "Those that were made once, as mutants that have a name for a number."
    for row in yaml.safe_load(MISTAKES.read_text(encoding="utf-8")):
        if row["module"] not in modules: continue
        line = path_of(row["module"]).read_text(encoding="utf-8").partition(row["before"])[0].count("\n") + 1
        yield dict(module=row["module"], number=row["mistake"], function="", line=line, kind="mistake", before=row["before"], after=row["after"],
                   around=row["mistake"])


def mutated(module, number):
    "The module's source with that change; None: as it is."
    text = path_of(module).read_text(encoding="utf-8")
    if number is None: return text
    if isinstance(number, str):
        (row,) = [row for row in mistakes([module]) if row["number"] == number]
        return text.replace(row["before"], row["after"], 1)
    tree = ast.parse(text)
    every = ((parent, field, index, new) for _, _, parent, field, index, node in sites(tree) for _, new in changes(node))
    for place in itertools.islice(every, number, number + 1): put(*place)
    return ast.unparse(ast.fix_missing_locations(tree))


def put(parent, field, index, node):
    if index is None: setattr(parent, field, node)
    else: getattr(parent, field)[index] = node


# ---- what judges it

NOTEBOOKS = {default_exp(path): path for path in all_notebooks() if default_exp(path)}


def path_of(module): return ROOT/"truepose"/f"{module.replace('.', '/')}.py"


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    "Imports one module of truepose from another source."
    def __init__(self, module, text): self.name, self.text, self.path = f"truepose.{module}", text, path_of(module)
    def find_spec(self, name, path=None, target=None):
        if name == self.name: return importlib.util.spec_from_file_location(name, self.path, loader=self)
    def create_module(self, spec): return None
    def exec_module(self, module): exec(compile(self.text, str(self.path), "exec"), vars(module))


def defined(text):
    "Names that a cell binds at its top."
    names = []
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)): names.append(node.name)
        elif isinstance(node, ast.Assign): names += [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return names


def script(module):
    "(number, code) of a notebook's cells; exported ones become what they import and `_restore` of what they define."
    for number, cell in enumerate(code(NOTEBOOKS[module])):
        text = source(cell)
        if re.search(r"^#\|\s*(eval:\s*false|slow|gpu|default_exp|hide\s+nbdev)", text, re.M): continue
        if re.search(r"^#\|\s*exporti?\b", text, re.M):
            imports = [ast.unparse(n) for n in ast.parse(text).body if isinstance(n, (ast.Import, ast.ImportFrom))]
            text = "\n".join([*imports, f"_restore({defined(text)})"])
        yield number, text


def cells_notice(module):
    "Which cell fails, as text; None if none does. Cells run in the module's own namespace, as they do in the notebook."
    from IPython.display import display
    folder = os.getcwd()
    try: space = vars(importlib.import_module(f"truepose.{module}"))
    except Exception as e: return f"import: {type(e).__name__} {in_line(e)}"
    exported = dict(space)
    def restore(names): space.update({name: exported[name] for name in names if name in exported})
    os.chdir(NOTEBOOKS[module].parent)
    space.update(display=display, _restore=restore)
    for number, text in script(module):
        try: exec(compile(text, f"{module} cell {number}", "exec"), space)
        except BaseException as e: return f"cell {number}: {type(e).__name__} {in_line(e)}"
    os.chdir(folder)


def tests_of(module):
    "Files of its tests."
    files = TESTS.get(module, TESTS.get(module.split(".")[0], []))
    return [ROOT/"tests"/name for name in files if (ROOT/"tests"/name).is_file()]


def tests_notice(module):
    "Whether one of its tests fails."
    files = list(map(str, tests_of(module)))
    if not files: return None
    import pytest
    return "tests" if pytest.main(["-x", "-q", "-p", "no:cacheprovider", *files]) else None


def judge(module, text, limit=LIMIT, by=(cells_notice, tests_notice)):
    "(what noticed it or None, seconds of processor), in a fork."
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        signal.alarm(20 * limit)  # for one that waits
        sys.meta_path.insert(0, Mutated(module, text))
        nowhere = open(os.devnull, "w")
        for stream in (0, 1, 2): os.dup2(nowhere.fileno(), stream)
        try: noticed = next(filter(None, (notice(module) for notice in by)), None)
        except BaseException as e: noticed = type(e).__name__
        os.write(writing, json.dumps(noticed).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer: said = answer.read()
    _, _, used = os.wait4(child, 0)
    return json.loads(said) if said else "time limit or crash", used.ru_utime + used.ru_stime


def warm_up():
    "Loads what truepose imports, but nothing of truepose; without threads, which would not survive a fork."
    if "diffusers" in sys.modules: return
    listed = "import sys; before = set(sys.modules); import truepose.cli, truepose.train.transfer, truepose.photo.parser, truepose.evaluate.measure, IPython, fastcore.test, pytest, matplotlib.pyplot"
    listed += "; print(*[m for m in sys.modules if not m.startswith('truepose') and '__' not in m and m not in before])"
    names = subprocess.run([sys.executable, "-c", listed], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        try: importlib.import_module(name)
        except Exception: pass
    import torch
    torch.set_num_threads(1)


# ---- a sample

def listed_reasons():
    "(module, function, before, after, around) -> reason."
    rows = yaml.safe_load(REASONS.read_text(encoding="utf-8")) if REASONS.is_file() else []
    return {key(row): row["reason"] for row in rows or []}


def key(row): return tuple(str(row.get(name, "")) for name in ("module", "function", "before", "after", "around"))


def drawn(modules, seed):
    "Mutants in random order, the groups by turns; the order of a module's does not depend on others."
    by_group = {}
    for module in modules:
        chance = random.Random(f"{seed} {module}")
        by_group.setdefault(module.split(".")[0], []).extend((chance.random(), row) for row in mutants(module))
    by_group = {name: [row for _, row in sorted(group, key=lambda ranked: ranked[0])] for name, group in by_group.items()}
    while any(by_group.values()):
        for group in by_group.values():
            if group: yield group.pop()


@functools.cache
def digest(module):
    "Of the module and all that judges it."
    paths = [path_of(module), NOTEBOOKS[module], *tests_of(module)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def used():
    "Seconds of processor so far, with what forks used."
    return sum(os.times()[:4])


def said(row):
    around = f"  in {row['around']}" if row["around"] else ""
    return f"{row['module']}:{row['line']} {row['function']}  {row['kind']}: {row['before']}  ->  {row['after']}{around}"


def sample(modules, seed, count, seconds, limit, known):
    "Judges mutants until there are so many or the time is used; those that are known take none."
    reasons, begun = listed_reasons(), used()
    for row in itertools.chain(mistakes(modules) if count else [], drawn(modules, seed)):
        if row["kind"] != "mistake":
            if not count or used() - begun > seconds: return
            count -= 1
        row |= dict(digest=digest(row["module"]), noticed="", reason=reasons.get(key(row), ""), seconds=0.0)
        before = known.get((row["module"], row["number"], row["digest"]))
        if row["reason"]: yield row
        elif before: yield row | dict(noticed=before["noticed"], seconds=before["seconds"])
        else:
            noticed, took = judge(row["module"], mutated(row["module"], row["number"]), limit)
            print(f"{took:5.1f} s {'' if noticed else 'NOT NOTICED '}{said(row)} | {noticed}", flush=True)
            yield row | dict(noticed=noticed or "", seconds=round(took, 1))


def unsound(rows, limit, sound):
    "Modules all of whose mutants were noticed, and which are complained of as they are, too; adds the others to `sound`."
    survived = {row["module"] for row in rows if not row["noticed"] and not row["reason"]}
    found, tests = {}, {}
    for module in sorted({row["module"] for row in rows} - survived):
        if digest(module) in sound: continue
        text, files = mutated(module, None), tuple(tests_of(module))
        noticed, _ = judge(module, text, limit, [cells_notice])
        if not noticed and files not in tests: tests[files], _ = judge(module, text, limit, [tests_notice])  # once for all modules that share them
        noticed = noticed or tests[files]
        if noticed: found[module] = noticed
        else: sound.append(digest(module))
    return found


def save(path, **content):
    "At once; nothing of truepose may be imported here."
    beside = path.with_suffix(".writing")
    beside.write_text(json.dumps(content, indent=0))
    os.replace(beside, path)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--modules", nargs="*", help="e.g. method.caa; all of the six groups without it")
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--count", type=int, default=10 ** 9, help="0: only says how many there are")
    ask.add_argument("--seconds", type=float, default=1e9, help="of the processor")
    ask.add_argument("--limit", type=int, default=LIMIT, help="seconds of processor for one mutant")
    ask.add_argument("--out", type=Path)
    args = ask.parse_args()
    modules = args.modules or [m for m in NOTEBOOKS if m.split(".")[0] in GROUPS]
    there = {module: sum(1 for _ in mutants(module)) for module in modules}
    if args.count: warm_up()
    before = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    known = {(row["module"], row["number"], row["digest"]): row for row in before.get("rows", [])}
    rows, sound = [], before.get("sound", [])
    for row in sample(modules, args.seed, args.count, args.seconds, args.limit, known):
        rows.append(row)
        if args.out and known.setdefault((row["module"], row["number"], row["digest"]), row) is row:
            save(args.out, there=there, rows=list(known.values()), sound=sound)
    wrong = unsound(rows, args.limit, sound)
    rows = [row for row in rows if row["module"] not in wrong]
    if args.out: save(args.out, there=there, rows=rows, sound=sound, unsound=wrong)
    survivors = [row for row in rows if not row["noticed"]]
    print(f"{sum(there.values())} mutants, {len(rows)} judged, {len(rows) - len(survivors)} noticed, {sum(bool(row['reason']) for row in survivors)} not meaningful, "
          f"{sum(not row['reason'] for row in survivors)} open; not judged, for they fail as they are: {wrong or 'none'}")


if __name__ == "__main__": main()
