"Garments of other people with every kind of network: with finishers, the paper's alone, from Stable Diffusion; and from a shell."
import json

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


def test_garments_from_a_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    pipeline_from_preset("tiny").save_pretrained("tiny")
    for name, level in (("a", 0), ("b", 180)):
        picture, labels, pose = person((64, 44), level)
        Image.fromarray(picture).save(f"{name}.png")
        Image.fromarray(labels).save(f"{name}_parsing.png")
        save_keypoints(f"{name}.json", pose, (64, 44))
    Image.fromarray(labels[::2, ::2]).save("small_parsing.png")

    def told(line):
        done = CliRunner().invoke(app, f"{line} --source a.png --parsing a_parsing.png --pose a.json --weights tiny".split())
        return done.exit_code, done.output

    code, said = told("generate --out c.png --garment upper=b.png:b_parsing.png:b.json --garment shoes=b.png:b_parsing.png")
    assert code == 0, said
    code, said = told("edit --out d.png --garment upper=b.png:b_parsing.png --seam 2")
    assert code == 0 and "upper changed, seam 2" in said
    for garment, why in (("coat=b.png:b_parsing.png", "does not show it"), ("shirt=b.png:b_parsing.png", "is no region"),
                         ("upper=b.png:small_parsing.png", "parse the same picture"), ("upper=b.png", "REGION=PICTURE:PARSING")):
        code, said = told(f"{'edit' if 'small' in garment else 'generate'} --out e.png --garment {garment}")
        assert code == 2 and why in said, said
