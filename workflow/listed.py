"""The list of runs (runs.yaml): what there is, what is done already, and what the rest costs.

    python workflow/listed.py [GROUP ...]    says it; `all`: of the groups of `make reproduce-all`, nothing: of all

A run is done if what it left says that it was made with the parameters that are listed now: the manifest of a
result or of a training, the hashes of its inputs in the note of a figure. Times of files say nothing, for in a
fresh clone they are arbitrary. Figures alone are another matter (`make figures`): all of them are drawn, from what
is published. Read by the Snakefile, by make and by the tests; it needs PyYAML alone."""
import hashlib
import itertools
import json
import shlex
import sys
from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
VIEW = ("published", "base", "ablation", "families", "nano_rows", "figures")  # groups of `make reproduce-all`


@dataclass(frozen=True)
class Row:
    "One run, or one command that makes data."
    makes: str  # folder below results/, runs/ or data/; a figure without its ending
    command: str  # of truepose
    groups: tuple  # in the file a text with blanks
    needs: tuple = ()  # what other rows make; a text too
    minutes: float = 0  # on one core of the slow kind
    threads: int = 1
    gpu: str = ""  # what the command gets besides on a GPU
    gpu_minutes: float = 0
    announced: str = ""  # what must still be written before it can run
    pattern: str = ""  # `makes` as it stands in the file, for all rows of an entry

    @property
    def name(self): return self.makes.replace("/", "_").replace("-", "_").replace(".", "_")

    @property
    def words(self): return shlex.split(self.command)

    @property
    def notebook(self):
        target = Path(self.words[1])
        return target.parent.name if target.suffix == ".yaml" else target.name

    def listed(self, root):
        "Parameters that differ from the notebook's defaults: those of the file, then those of the command."
        target, words = Path(self.words[1]), self.words
        if target.suffix == ".yaml" and not (root/target).is_file(): raise SystemExit(f"{self.makes}: {target}: no such file")
        of_file = {"variant": target.stem} | yaml.safe_load((root/target).read_text(encoding="utf-8")) if target.suffix else {}
        return of_file | dict(pair.split("=", 1) for flag, pair in zip(words, words[1:]) if flag == "-p")


def filled(value, names):
    "A value of the list with `{method}` and the like in it."
    return value.format(**names) if isinstance(value, str) else value


def read_rows(path=None):
    "makes -> Row; an entry with `each` stands for a row of each combination."
    rows = {}
    for entry in yaml.safe_load(Path(path or ROOT/"workflow/runs.yaml").read_text(encoding="utf-8"))["runs"]:
        each = entry.pop("each", {})
        for values in itertools.product(*each.values()):
            names = entry | dict(zip(each, values))
            row = {key: filled(value, names) for key, value in entry.items()}
            row = Row(**row | {key: tuple(row.get(key, "").split()) for key in ("groups", "needs")}, pattern=entry["makes"])
            if row.makes in rows: raise SystemExit(f"{path}: two rows make {row.makes}")
            rows[row.makes] = row
    return {makes: replace(row, needs=tuple(found_needs(row, rows))) for makes, row in rows.items()}


def found_needs(row, rows):
    "What it needs, with * and [] in it resolved."
    for need in row.needs:
        found = [makes for makes in rows if makes == need or fnmatchcase(makes, need)]
        if not found: raise SystemExit(f"{row.makes} needs {need}, which no row makes")
        yield from found


def same(listed, found):
    "Whether a value typed in the list is the one of a manifest."
    if isinstance(found, bool): return str(listed).lower() == str(found).lower()
    if isinstance(found, (int, float)): return float(listed) == found
    return str(listed) == str(found)


def differing(listed, found):
    "Names of parameters with another value; those that the notebook no longer has, or had not yet, are left out."
    return [name for name, value in listed.items() if name in found and not same(value, found[name])]


def read_json(path): return json.loads(path.read_text(encoding="utf-8"))


def why(row, root=ROOT):
    "What must be done: `missing`, what changed, or nothing."
    if row.announced: return "missing"
    if row.makes.startswith("data/"): return "" if (root/row.makes/"manifest.json").is_file() else "missing"
    if row.makes.startswith("figures/"): return why_figure(row, root)
    listed = row.listed(root)
    if row.makes.startswith("results/"): found = [root/row.makes/"manifest.json"]
    else: found = sorted((root/"runs"/row.notebook/str(listed.get("variant", "base"))).glob("*/manifest.json"))
    manifests = [read_json(path)["params"] for path in found if path.is_file() and (root/row.makes).is_dir()]
    changed = [differing(listed, params) for params in manifests]
    if not changed: return "missing"
    return "" if [] in changed else f"changed: {', '.join(changed[-1])}"


def why_figure(row, root):
    "Of all figures of a notebook: inputs that changed, and results that were published since."
    if not (root/f"{row.makes}.json").is_file(): return "missing"
    notes = (root/row.makes).parent.glob(f"{Path(row.makes).name.partition('_')[0]}*.json")
    inputs = {name: digest for note in notes for name, digest in read_json(note)["inputs"].items()}
    for name, digest in inputs.items():
        if not (root/name).is_file(): return f"changed: {name} is gone"
        if hashlib.sha256((root/name).read_bytes()).hexdigest() != digest: return f"changed: {name}"
    for need in row.needs:
        there = (root/need/"manifest.json").is_file()
        if there and not any(name.startswith(f"{need}/") for name in inputs): return f"changed: {need} is new"
    return ""


def left_of(rows, root=ROOT):
    "makes -> why, of rows that can run and are not done; what only served others that are done is not made again."
    reasons = {makes: why(row, root) for makes, row in rows.items()}
    for makes in reversed(rows):  # those that need it come after it
        served = [other for other, row in rows.items() if makes in row.needs]
        if served and not makes.startswith("results/") and not any(reasons[other] for other in served): reasons[makes] = ""
    blocked = set()
    for makes, row in rows.items():
        changing = [need for need in row.needs if reasons[need]]
        if makes.startswith("figures/") and changing: reasons[makes] = reasons[makes] or f"{changing[0]} will change"
        if row.announced or blocked & set(changing): blocked.add(makes)
    return {makes: reason for makes, reason in reasons.items() if reason and makes not in blocked}


def to_do(rows, groups, root=ROOT):
    "makes -> why, where these groups are asked for: all figures if nothing else is, and never what they would need; else `left_of`."
    if list(groups) != ["figures"]: return left_of(rows, root)
    return {makes: "drawn from what is published" for makes, row in rows.items() if "figures" in row.groups}


def wanted(rows, left, groups):
    "Of these groups what is left, and what that needs."
    asked = [makes for makes in left if set(groups) & set(rows[makes].groups)]
    for makes in asked: asked += [need for need in rows[makes].needs if need in left and need not in asked]
    return asked


def groups_of(rows): return list(dict.fromkeys(group for row in rows.values() for group in row.groups))


def tell(rows, left, groups, gpu=False):
    "Lines for whoever starts it: how much there is, what is left, what it costs."
    asked = wanted(rows, left, groups)
    def cost(row): return row.gpu_minutes if gpu else row.minutes
    for group in groups:
        of_group = [row for row in rows.values() if group in row.groups]
        todo = sum(row.makes in left for row in of_group)
        done = sum(not why(row) for row in of_group if row.makes not in left)
        waiting = len(of_group) - todo - done
        yield f"{group:12s}{len(of_group):4d} runs, {done} done, {todo} left" + (f", {waiting} cannot run yet" if waiting else "")
        for text in dict.fromkeys(row.announced for row in of_group if row.announced): yield f"{'':12s}     waits for {text}"
    of_entry = Counter((rows[makes].pattern, cost(rows[makes]), left[makes]) for makes in asked)
    for (pattern, minutes, reason), n in of_entry.items(): yield f"{n:4d} x {minutes:4g} min  {pattern}  ({reason})"
    minutes = sum(cost(rows[makes]) for makes in asked)
    where = "one GPU" if gpu else "one core"
    yield f"{len(asked)} runs, {minutes:.0f} minutes of {where} ({minutes / 60:.1f} hours)" if asked else "nothing is left to do"


def main(groups):
    rows = read_rows()
    groups = list(VIEW) if groups == ["all"] else groups
    unknown = set(groups) - set(groups_of(rows))
    if unknown: raise SystemExit(f"{', '.join(sorted(unknown))}: no such group; there are {', '.join(groups_of(rows))}")
    print("\n".join(tell(rows, to_do(rows, groups), groups or groups_of(rows), gpu=groups == ["gpu"])))


if __name__ == "__main__": main(sys.argv[1:])
