"What earlier versions wrote still loads: a pipeline and a result of 26 November (0.1.0, modules under their old names), a set of 27 November, a training's checkpoint of the 28th (749bd9c)."
import json
import shutil

import numpy as np
import torch
from PIL import Image
from torch import nn

from notebooks import ROOT
from truepose.core import read_json
from truepose.data.deepfashion import open_people
from truepose.evaluate.methods import read_rows
from truepose.people.writing import verify_people
from truepose.pipeline import TruePosePipeline
from truepose.train.loop import fit, read_history

BEFORE, GOLDEN = (ROOT/"tests"/"fixtures"/name for name in ("before", "golden"))


def test_an_old_pipeline_draws_what_it_drew(monkeypatch):
    "Random weights in half precision; the code of that day drew the picture, in float32 (it stands in commit 8317c60)."
    monkeypatch.setattr("truepose.core.best_dtype", lambda device="cpu": torch.float32)
    pipe = TruePosePipeline.from_pretrained(BEFORE/"pipeline", dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    picture = np.asarray(Image.open(GOLDEN/"source.png").resize((44, 64), Image.Resampling.BOX))
    labels = np.asarray(Image.open(GOLDEN/"parsing.png").resize((44, 64), Image.Resampling.NEAREST))
    pose = np.array(json.loads((GOLDEN/"poses.json").read_text())["target"], np.float32) / (4, 4, 1)
    # guidance with all three branches
    made = pipe(picture, labels, pose, num_inference_steps=2, guidance_pose=1.3, guidance_source=1.6, generator=torch.Generator().manual_seed(0)).images[0]
    off = np.abs(np.asarray(made).astype(int) - np.asarray(Image.open(BEFORE/"drawn.png")))
    assert off.mean() < .1 and off.max() <= 3, f"off by {off.mean():.2f}, at most {off.max()}"


def test_an_old_set_is_whole_and_read(tmp_path):
    assert verify_people(BEFORE/"people") == 3 * 6 + 3
    people = open_people(BEFORE/"people", (64, 44), keep=False)
    image, labels, joints = people.load("p000000_1")
    assert (len(people), image.shape, labels.max() > 4, (joints[:, 2] > 0).sum() > 9) == (3, (64, 44, 3), True, True)


def test_an_old_result_is_read():
    rows = read_rows(BEFORE/"result"/"pairs.csv")
    assert [row["name"] for row in rows][:2] == ["p000000_0__p000000_2", "p000001_1__p000001_5"]
    assert abs(rows[0]["ssim"] - .477028) < 1e-9 and rows[0]["method"] == "copy_source"
    assert read_json(BEFORE/"result"/"metrics.json")["truepose_n_pairs"] == 128
    assert {"params", "commit", "versions"} <= read_json(BEFORE/"result"/"manifest.json").keys()


class Line(nn.Module):
    "Learns to give back the first two of four numbers."
    def __init__(self):
        super().__init__()
        self.model = nn.Linear(4, 2)

    def forward(self, batch, generator=None): return (self.model(batch["x"]) - batch["x"][:, :2]).square().mean(), {}


def test_an_old_training_goes_on(monkeypatch, tmp_path):
    "Stopped after three steps by the code of that day; that code went on to these weights at six."
    monkeypatch.setattr("truepose.core.best_dtype", lambda device="cpu": torch.float32)
    shutil.copytree(BEFORE/"training", tmp_path/"model")
    line = Line()
    ended = fit(line, lambda generator: dict(x=torch.randn(8, 4, generator=generator)), tmp_path/"model", 6, lr=.1, warmup=0, decay="constant", log_every=1, trackers=())
    weights = torch.tensor([[.4879740, -.0125175, -.1458252, -.0492992], [-.1004700, .6586012, .0003474, .0208418]])
    assert ended.step == 6 and [row["step"] for row in read_history(tmp_path/"model"/"history.csv")] == [1, 2, 3, 4, 5, 6]
    assert torch.allclose(line.model.weight, weights, atol=1e-5)
