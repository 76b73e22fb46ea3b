"The script that makes mistakes on purpose: each of its mutants is another program, and those that were explained are still there."
import ast

import yaml

from mutants import REASONS, key, mistakes, mutants, mutated, path_of, script

MODULE = "finish.windows"


def test_each_mutant_is_one_change_that_compiles():
    rows, plain = list(mutants(MODULE)), ast.unparse(ast.parse(path_of(MODULE).read_text()))
    assert len(rows) > 60 and {"operator", "comparison", "constant", "arguments", "method"} <= {row["kind"] for row in rows}
    for row in rows[::7]:
        changed = ast.unparse(ast.parse(mutated(MODULE, row["number"])))
        assert changed != plain and compile(changed, MODULE, "exec")
        assert sum(a != b for a, b in zip(plain.splitlines(), changed.splitlines())) <= 2, row


def test_a_notebook_becomes_a_script_of_its_checks():
    cells = dict(script(MODULE))
    assert any("_restore(['whole', 'in_regions', 'group_windows'])" in text for text in cells.values())
    assert not any("def crop(" in text for text in cells.values())


def test_what_is_explained_is_there():
    "A reason whose line has changed is taken out of tests/mutants.yaml."
    rows = yaml.safe_load(REASONS.read_text())
    there = {module: {key(row) for row in mutants(module)} for module in {row["module"] for row in rows}}
    gone = [row for row in rows if key(row) not in there[row["module"]]]
    assert not gone and all(row["reason"].startswith(("equivalent: ", "not meaningful: ")) for row in rows)


def test_each_named_mistake_changes_one_place():
    rows = list(mistakes(["data.joints", "data.parsing", "train.transfer", "train.loop", "pipeline", "train.finisher", "method.codec"]))
    assert len(rows) == 12
    for row in rows:
        text = path_of(row["module"]).read_text()
        changed = mutated(row["module"], row["number"])
        assert text.count(row["before"]) == 1 and changed != text, row["number"]
        compile(changed, row["module"], "exec")
