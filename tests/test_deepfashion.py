"Photographs in the field's layouts: what training and evaluation ask of a data set, and a set of the true size."
import numpy as np
import pytest
import torch

from truepose.data.pairs import PairDataset
from truepose.data.folder import view_pairs
from truepose.data.deepfashion import ShopDataset, open_people, read_listing
from truepose.data.formats import ShopName, new_item_pairs, read_pair_list, shop_name
from truepose.data.layouts import LAYOUTS
from truepose.data.examples import _pairs_text, write_example
from truepose.data.splits import open_splits
from truepose.data.checks import COUNTS
from truepose.data.doctor import examine


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    "A dataset of six drawn photographs at the size of `tiny`."
    return ShopDataset(write_example(tmp_path_factory.mktemp("shop")/"fashion", "nted"), "test", (64, 44))


def test_training_reads_photographs(people, tmp_path, monkeypatch):
    "Encoded, paired and batched as the rendered people are; every pair of the list, mirrored or not."
    from truepose.pipeline import pipeline_from_preset
    from truepose.train.encoded import EncodedPeople
    from truepose.train.pairs import TransferData
    torch.manual_seed(0)
    monkeypatch.setenv("TRUEPOSE_DATA", str(tmp_path))
    pipe = pipeline_from_preset("tiny")
    assert set(view_pairs(people.names)) == set(people.pairs), "all views of a garment in one colour: the rule behind the public list"
    batch = TransferData(EncodedPeople(pipe.codec, pipe.clip, people)).batch(2, torch.Generator().manual_seed(0))
    assert batch["target_keypoints"].shape == (2, 18, 3) and batch["source_regions"].max() > 0 and batch["present"].any()


def test_evaluation_reads_photographs(people, tmp_path):
    from truepose.evaluate.methods import copy_source, evaluate
    rows = evaluate(PairDataset(people, people.pairs), {"copy_source": copy_source}, tmp_path, {}, progress=False)
    assert len(rows) == 12 and all(0 < row["ssim"] < 1 for row in rows)


def test_workers_share_the_files(people):
    "Samples are the same from worker processes."
    loader = torch.utils.data.DataLoader(people, batch_size=6, num_workers=1)
    assert torch.equal(next(iter(loader))["image"], torch.stack([people[i]["image"] for i in range(6)]))


def test_a_set_of_the_true_size(tmp_path):
    "All lists, names and counts as in the benchmark, with small pictures: nothing to complain about, and 3,586 new pairs."
    example = write_example(tmp_path/"example", "patn", kind="cut")
    folder, views = tmp_path/"fashion", ("1front", "2side", "3back", "4full", "7additional")
    new, groups, train = {2: 5, 3: 96, 4: 250, 5: 0}, [], []
    for n, many in {2: 68, 3: 265, 4: 502, 5: 41}.items():
        for i in range(many):
            groups.append([ShopName("WOMEN", "Shorts", f"{len(groups):08d}", "01", view) for view in views[:n]])
            if i >= new[n]: train.append(groups[-1][0]._replace(variant="02").name)
    train += [ShopName("MEN", "Pants", f"{i:08d}", "01", "1front").name for i in range(COUNTS["train.lst"] - len(train))]
    shops = sum(groups, [])
    for part in ("test_highres", "parsing"): (folder/part).mkdir(parents=True)
    old = {view: f"fashionMENDenimid0000002201_{view}" for view in views[:3]}
    rows = dict(line.split(".jpg") for line in (example/"fasion-resize-annotation-test.csv").read_text().splitlines()[1:])
    lines = ["name:keypoints_y:keypoints_x"]
    for shop in shops:
        like = old.get(shop.view, old["1front"])
        (folder/"test_highres"/f"{shop.name}.jpg").write_bytes((example/"test_highres"/f"{like}.jpg").read_bytes())
        (folder/"parsing"/f"{shop.name}.png").write_bytes((example/"parsing"/f"{like}.png").read_bytes())
        lines.append(f"{shop.name}.jpg{rows[like]}")
    (folder/"fasion-resize-annotation-test.csv").write_text("\n".join(lines) + "\n")
    pairs = [(s.name, t.name) for group in groups for s in group for t in group if s != t]
    (folder/"fasion-resize-pairs-test.csv").write_text("from,to\n" + "".join(f"{s}.jpg,{t}.jpg\n" for s, t in pairs))
    spare = [ShopName("MEN", "Denim", f"{i:08d}", "01", "6flat").name for i in range(COUNTS["test.lst"] - len(shops))]
    for name, names in (("train.lst", train), ("test.lst", [shop.name for shop in shops] + spare)):
        (folder/name).write_text("".join(f"{name}.jpg\n" for name in names))
    diagnosis = examine(folder)
    assert not diagnosis.findings, diagnosis
    assert any(fact.startswith("3,586 of 8,570 test pairs") for fact in diagnosis.facts)
    listing = read_listing(folder)
    assert len(listing.pairs) == 8_570 and len(listing.images) == 3_144 and len(new_item_pairs(listing.pairs, train)) == 3_586
    assert np.stack(list(listing.keypoints.values())).shape == (3_144, 18, 3)


@pytest.mark.parametrize("layout", ["patn", "gfla", "nted", "pcdms", "people"])
def test_the_published_list_is_what_is_learnt_from(layout, tmp_path):
    "A list that leaves out pairs of the same garment: all layouts take it as it is, and hold out people of it."
    split = "test" if layout == "people" else "train"
    folder, row = write_example(tmp_path/layout, layout), LAYOUTS[layout]
    path = folder/row.pairs[0].format(split=split)
    listed = read_pair_list(path, row.pair_form)
    some = listed[:4] + listed[-3:]
    tree = layout == "nted"
    spelled = [tuple(f"img/{shop_name(name).path}.jpg" if tree else f"{name}.jpg" for name in pair) for pair in some]
    path.write_text(_pairs_text(row.pair_form, spelled))
    assert sorted(open_people(folder, (64, 44), keep=False).pairs) == sorted(some)
    splits = open_splits(folder, (64, 44), keep=False)
    assert sorted(splits.train.pairs + splits.val.pairs) == sorted(some)
    items = [{shop_name(name)[:3] for pair in part.pairs for name in pair} for part in (splits.train, splits.val)]
    assert items[0] and items[1] and not items[0] & items[1]
