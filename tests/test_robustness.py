"What experiments on disturbed inputs and on sampling are told: lists of conditions and cells, fewer persons, and tables that f08 and f09 read."
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from notebooks import NBS, code, source

from truepose.core import InputError


def defined(notebook, name, **known):
    "What a cell of a notebook defines, in a name space of its own."
    text = next(source(cell) for cell in code(NBS/notebook) if f"def {name}(" in source(cell))
    space = {"InputError": InputError} | known
    exec(text, space)
    return space[name]


@pytest.fixture(scope="module")
def read_cells(): return defined("experiments/e04_sampling.ipynb", "read_cells", cells="ddim: 1: 1 1")


def test_cells_of_a_grid(read_cells):
    grid = read_cells("ddim: 1 2: 1 1, 1.3 1.6; unipc ddim: 2: 1 1")
    told = [tuple(cell.values()) for cell in grid]
    assert told == [("ddim", 1, 1, 1), ("ddim", 1, 1.3, 1.6), ("ddim", 2, 1, 1), ("ddim", 2, 1.3, 1.6), ("unipc", 2, 1, 1)]


@pytest.mark.parametrize("text,words", [("ddim: 1", "is not SAMPLERS"), ("ddim: 1: 1 1 2", "is not SAMPLERS"), ("ddim: x: 1 1", "is not SAMPLERS"),
                                        ("heun: 1: 1 1", "'heun' is unknown"), ("ddim: 0: 1 1", "at least one step"), ("ddim: : 1 1", "no cell")])
def test_wrong_cells_are_refused(read_cells, text, words):
    with pytest.raises(InputError, match=words): read_cells(text)


def test_fewer_persons_are_among_more():
    from hashlib import sha256

    from truepose.data.splits import persons_of, with_pairs
    of_fewer = defined("experiments/e14_train_transfer.ipynb", "of_fewer", sha256=sha256, persons_of=persons_of, with_pairs=with_pairs)
    people = SimpleNamespace(pairs=[(f"p{i}_0", f"p{i}_1") for i in range(9)])
    three, five = (of_fewer(people, n).pairs for n in (3, 5))
    assert len(three) == 3 and len(five) == 5 and set(three) < set(five) < set(people.pairs)
    assert of_fewer(people, 9).pairs == people.pairs
    with pytest.raises(InputError, match="there are 9"): of_fewer(people, 10)


def table_of(conditions):
    "As `e32_robustness` writes it: people differ, each condition takes a tenth."
    from truepose.evaluate.rows import row_table
    hard = np.random.default_rng(0).normal(.5, .1, 12)
    rows = [dict(row=row, seed=0, name=f"p{i}_0", person=f"p{i}", ssim=hard[i] - .1 * k) for k, row in enumerate(conditions) for i in range(12)]
    return row_table(pd.DataFrame(rows), ("ssim",), dict.fromkeys(conditions[1:], conditions[0]))


def test_each_condition_is_paired_with_the_undisturbed():
    table = table_of(["undisturbed", "eroded 1", "eroded 2"]).set_index("row")
    assert np.allclose(table.difference[["eroded 1", "eroded 2"]].astype(float), [-.1, -.2])
    assert table.difference.isna()["undisturbed"]
