"Garments of other people with every kind of network: with finishers, the paper's alone, from Stable Diffusion; and from a shell."
import json
from unittest.mock import patch

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from truepose.applications import combine, edit, several
from truepose.cli import app
from truepose.config import get_preset
from truepose.core import InputError
from truepose.data.parsing import stand_in
from truepose.data.pose import save_keypoints
from truepose.evaluate.methods import pair_seed
from truepose.finish.network import Finisher
from truepose.method.stable_diffusion import thin, write_sd
from truepose.photo.parser import to_labels
from truepose.pipeline import TruePosePipeline, pipeline_from_preset, pipeline_from_sd

BODY = np.array([(22, 8), (22, 13), (15, 13), (11, 22), (10, 30), (29, 13), (33, 22), (34, 30), (18, 33), (18, 46), (18, 58),
                 (26, 33), (26, 46), (26, 58), (21, 7), (23, 7), (19, 8), (25, 8)], float)


def finished():
    pipe, tiny = pipeline_from_preset("tiny"), get_preset("tiny")
    return TruePosePipeline(*(pipe.components[name] for name in ("codec", "clip", "model", "scheduler")), 128, 88,
                            Finisher(**tiny.finisher), Finisher(**tiny.head_finisher))


def paper(): return pipeline_from_preset("tiny", lookup=0, input_skip=False, gate_init=1.)
def reference(): return pipeline_from_preset("tiny", look="reference")


@pytest.fixture(scope="module")
def sd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sd")
    sizes = dict(embed_dim=32, vision_cfg=dict(image_size=32, patch_size=8, width=32, head_width=16, layers=1), text_cfg={})
    (folder/"thin-eye-82.json").write_text(json.dumps(sizes))
    open_clip.add_model_config(folder/"thin-eye-82.json")
    torch.manual_seed(0)
    write_sd(folder/"sd", thin("paper"))
    return lambda: pipeline_from_sd(folder/"sd", "thin-eye-82", None, (64, 48), gate_init=1.)


def person(size, level):
    rng = np.random.default_rng(level)
    picture = rng.integers(level, level + 60, (*size, 3)).astype(np.uint8)
    pose = np.column_stack([BODY * [size[1] / 44, size[0] / 64], np.full(18, 2)])
    return picture, to_labels(stand_in(size)), pose


@pytest.mark.parametrize("kind", ["finished", "paper", "reference", "sd"])
def test_every_kind_of_network_takes_a_region_from_another_source(kind, request):
    torch.manual_seed(0)
    pipe = (request.getfixturevalue("sd") if kind == "sd" else globals()[kind])()
    pipe.set_progress_bar_config(disable=True)
    (dark, labels, pose), (light, *_) = person(pipe.image_size, 0), person(pipe.image_size, 180)
    a, b = (pipe.encode_source(picture, labels, source_pose=pose) for picture in (dark, light))

    def drawn(source):
        noise = torch.Generator().manual_seed(0)
        return pipe(source_states=source, target_pose=pose, num_inference_steps=1, output_type="pt", generator=noise).images

    alone = drawn(a)
    torch.testing.assert_close(drawn(combine(pipe, {"upper": a}, a)), alone, atol=.03, rtol=0)  # one's own shirt
    assert not torch.equal(drawn(combine(pipe, {"upper": b}, a)), alone)
    assert torch.isfinite(drawn(several(pipe, [a, b]))).all()
    with pytest.raises(InputError, match="'coat' is asked of a picture that does not show it"): combine(pipe, {"coat": b}, a)
    made, = edit(pipe, dark, labels, pose, {"upper": b}, seam=3, num_inference_steps=1, generator=torch.Generator().manual_seed(0))
    changed = (np.asarray(made) != dark).any(-1)
    rows, columns = np.nonzero(labels == 5)
    inside = slice(rows.min() - 3, rows.max() + 4), slice(columns.min() - 3, columns.max() + 4)
    assert changed[inside].any()
    changed[inside] = False
    assert not changed.any()


def test_families_have_no_regions_to_take():
    pipe = pipeline_from_preset("tiny", family="textures")
    a = pipe.encode_source(*person((64, 44), 0)[:2])
    with pytest.raises(InputError, match="no streams for regions"): combine(pipe, {"upper": a}, a)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    "A saved pipeline; persons a and b, and c in a dress, each with map and pose; a data set of a and c in another pose."
    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    pipeline_from_preset("tiny").save_pretrained(folder/"tiny")
    for name, level in (("a", 0), ("b", 180), ("c", 90)):
        picture, labels, pose = person((64, 44), level)
        if name == "c": labels = np.where(np.isin(labels, (5, 9)), 6, labels).astype(np.uint8)
        for view in range(2):
            for kind in ("images", "parsing", "keypoints"): (folder/name/kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder/name/"images"/f"{name}_{view}.png")
            Image.fromarray(labels).save(folder/name/"parsing"/f"{name}_{view}.png")
            save_keypoints(folder/name/"keypoints"/f"{name}_{view}.json", pose + (view, 0, 0), (64, 44))
        Image.fromarray(picture).save(folder/f"{name}.png")
        Image.fromarray(labels).save(folder/f"{name}_parsing.png")
        save_keypoints(folder/f"{name}.json", pose, (64, 44))
    Image.fromarray(labels[::2, ::2]).save(folder/"small_parsing.png")
    Image.fromarray(picture[:, :30]).save(folder/"narrow.png")
    Image.fromarray(labels[:, :30]).save(folder/"narrow_parsing.png")
    return folder


DOORS = dict(generate="--pose a.json --source-pose a.json --out NAME.png", edit="--pose a.json --out NAME.png", transfer="--out NAME --device cpu --limit 1")
WRONG = {"coat=b.png:b_parsing.png": "'coat' is asked of a picture that does not show it; it shows hair, face, upper",
         "shirt=b.png:b_parsing.png": "'shirt' is no region; choose of hair",
         "dress=b.png:b_parsing.png": "'dress' is asked of a picture that does not show it",
         "upper=b.png:small_parsing.png": "small_parsing.png: size (32, 22) (height, width) is not the picture's (64, 44); parse the same picture",
         "upper=narrow.png:narrow_parsing.png": "narrow.png: size 64x30 (height x width) has not the shape of 64x44",
         "upper=b.png": "write REGION=PICTURE:PARSING or", "upper=b.png:gone.png": "gone.png"}


def told(given, door, garments, name="out", who="a"):
    "What the command says, and its exit code."
    words = f"{door} --weights tiny --steps 1 {DOORS[door]}".replace("NAME", name).replace("a.json", f"{who}.json")
    words += f" --data {who}" if door == "transfer" else f" --source {who}.png --parsing {who}_parsing.png"
    with pytest.MonkeyPatch.context() as here:
        here.chdir(given)
        done = CliRunner().invoke(app, [*words.split(), *(word for garment in garments for word in ("--garment", garment))])
    return done.exit_code, done.output


@pytest.mark.parametrize("door", DOORS)
def test_every_command_refuses_alike(given, door):
    "In one line that names the file or the garment, and before a network is loaded."
    for garment, why in WRONG.items():
        with patch.object(TruePosePipeline, "from_pretrained", side_effect=AssertionError("loaded")):
            code, said = told(given, door, [garment])
        assert code == 2 and why in said and any(name in said for name in garment.split("=")[1].split(":")), (garment, said)
    code, said = told(given, door, ["upper=b.png:b_parsing.png"] * 2)
    assert code == 2 and "upper is given twice" in said
    code, said = told(given, door, ["upper=b.png:b_parsing.png"], who="c")
    assert code == 2 and "wears a dress; give upper and lower together" in said, said


def test_every_door_makes_the_same_picture(given):
    "Library, generate, edit and transfer, of one seed; a garment may come with its pose."
    garments = ["upper=b.png:b_parsing.png:b.json", "shoes=b.png:b_parsing.png:b.json"]
    pipe = TruePosePipeline.from_pretrained(given/"tiny")
    pipe.set_progress_bar_config(disable=True)
    (dark, labels, pose), (light, *_) = person((64, 44), 0), person((64, 44), 180)
    a, b = (pipe.encode_source(picture, labels, source_pose=pose) for picture in (dark, light))
    worn = combine(pipe, {"upper": b, "shoes": b}, a)

    def by_library(door, seed, pose=pose):
        noise = torch.Generator().manual_seed(seed)
        if door != "edit": return pipe(source_states=worn, target_pose=pose, num_inference_steps=1, generator=noise).images[0]
        return edit(pipe, dark, labels, pose, {"upper": b, "shoes": b}, num_inference_steps=1, generator=noise)[0]

    for door in DOORS:
        code, said = told(given, door, garments, f"made_{door}")
        assert code == 0, said
    for door in ("generate", "edit"): assert_near(given/f"made_{door}.png", by_library(door, 0))
    assert_near(given/"made_transfer"/"a_0_2_a_1.png", by_library("transfer", pair_seed(0, "a_0__a_1"), pose + (1, 0, 0)))


def assert_near(path, picture):
    with Image.open(path) as made: gap = np.abs(np.asarray(made, int) - np.asarray(picture))
    assert gap.mean() < 1, f"{path}: {gap.mean():.2f} levels of 255 apart"  # bfloat16, and batches of other sizes
