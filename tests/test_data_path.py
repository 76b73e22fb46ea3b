"From a folder, whoever's it is, to a step of the training: pairs, batches, memory, kill and resume."
import os
import signal
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
import torch

from truepose.config import get_preset
from truepose.data.deepfashion import open_people
from truepose.data.examples import write_example
from truepose.data.formats import ShopName
from truepose.data.layouts import LAYOUTS
from truepose.data.shards import open_set, write_shard
from truepose.method.clip import clip_from_preset
from truepose.method.codec import codec_from_preset
from truepose.train.encoded import EncodedPeople
from truepose.train.loop import step_generator
from truepose.train.pairs import TransferData

FOLDERS = [*LAYOUTS, "unlisted", "shards"]


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch): monkeypatch.setenv("TRUEPOSE_DATA", str(tmp_path/"data"))


def made(place, kind):
    "A folder of six drawn people in a layout, or of this project: without a list of pairs, or in shards."
    if kind in LAYOUTS: return write_example(place/kind, kind)
    folder = write_example(place/kind, "people")
    (folder/"pairs.csv").unlink()
    if kind == "unlisted": return folder
    files = open_set(folder)
    ending = {"images": "png", "parsing": "png", "keypoints": "json"}
    samples = [(name, {f"{part}.{end}": files.find(part, name).read_bytes() for part, end in ending.items()})
               for name in files.names]
    for k in range(2): write_shard(place/"packed"/f"people-000{k}.tar", samples[3*k:3*k + 3])
    return place/"packed"


def networks():
    torch.manual_seed(0)
    preset = get_preset("tiny")
    return codec_from_preset(preset), clip_from_preset(preset)


def split_of(kind): return "test" if kind == "wpose" else "train"  # WPose is a test set


@pytest.mark.parametrize("kind", FOLDERS)
def test_two_steps_from_any_folder(kind, tmp_path):
    from truepose.method.model import model_from_preset
    from truepose.method.objective import make_scheduler
    from truepose.train.loop import fit, read_history
    from truepose.train.transfer import TransferObjective
    people = open_people(made(tmp_path, kind), (64, 44), split_of(kind))
    data = TransferData(EncodedPeople(*networks(), people))
    pairs = {(people.names[a], people.names[b]) for a, b in data.pairs.tolist()}
    assert pairs == set(people.pairs) and len(pairs) == 12
    objective = TransferObjective(model_from_preset("tiny"), make_scheduler())
    before = [p.clone() for p in objective.parameters()]
    ended = fit(objective, lambda g: data.batch(2, g, targets=2), tmp_path/"run",
                steps=2, lr=1e-3, warmup=1, log_every=1)
    assert ended.finished and ended.step == 2
    assert all(np.isfinite(row["loss"]) for row in read_history(tmp_path/"run"/"history.csv"))
    assert any(not torch.equal(a, b) for a, b in zip(before, objective.parameters()))


@pytest.mark.parametrize("size", [(256, 176), (512, 352)], ids=str)
@pytest.mark.parametrize("kind", ["patn", "nted", "wpose", "shards"])
def test_batches_of_the_fields_sizes(kind, size, tmp_path):
    people = open_people(made(tmp_path, kind), size, split_of(kind), keep=False)
    batch = TransferData(EncodedPeople(*networks(), people, keep=False)).batch(2, step_generator(0, 0), targets=2)
    latents = (48, size[0]//4, size[1]//4)
    assert {key: tuple(value.shape) for key, value in batch.items()} == dict(
        source_images=(2, 3, *size), source_regions=(2, *size), source_latents=(2, *latents), embeddings=(2, 14, 32),
        present=(2, 14), target_regions=(4, *size), target_keypoints=(4, 18, 3), target_latents=(4, *latents))
    assert batch["source_regions"].amax((1, 2)).min() > 0 and batch["present"][:, 1:].any(1).all()
    joints = batch["target_keypoints"]
    assert (joints[..., :2] >= 0).all() and (joints[..., 0] <= size[1]).all() and (joints[..., 1] <= size[0]).all()


PRELUDE = """
import os, signal, sys, time
import psutil, torch
from truepose.config import get_preset
from truepose.data.deepfashion import open_people
from truepose.method.clip import clip_from_preset
from truepose.method.codec import codec_from_preset
from truepose.method.model import model_from_preset
from truepose.method.objective import make_scheduler
from truepose.train.encoded import EncodedPeople
from truepose.train.loop import fit, step_generator
from truepose.train.pairs import TransferData
from truepose.train.transfer import TransferObjective

torch.manual_seed(0)
codec, clip = codec_from_preset(get_preset("tiny")), clip_from_preset(get_preset("tiny"))
"""

TRAINING = PRELUDE + """
folder, run, keep, workers, dies_at = *sys.argv[1:3], sys.argv[3] == "keep", *map(int, sys.argv[4:])
people = open_people(folder, (64, 44), keep=keep)
for array in (people.images, people.regions, people.keypoints): array.workers = workers
data, calls = TransferData(EncodedPeople(codec, clip, people, keep=keep)), []
def make_batch(generator):
    calls.append(1)
    if len(calls) == dies_at: os.kill(os.getpid(), signal.SIGKILL)
    return data.batch(2, generator)
objective = TransferObjective(model_from_preset("tiny"), make_scheduler())
fit(objective, make_batch, run, steps=4, lr=1e-3, warmup=1, checkpoint_steps=1)
torch.save(objective.state_dict(), run + "/weights.pt")
"""


def run(script, *arguments):
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], env={**os.environ, "OMP_NUM_THREADS": "1"},
                          capture_output=True, text=True, timeout=600)


@pytest.mark.slow  # test_training kills a training too
def test_killed_and_resumed_is_as_never_killed(tmp_path):
    "Killed while the caches are half full, then with another number of workers; never killed, and without any cache."
    folder = made(tmp_path, "gfla")
    killed = run(TRAINING, folder, tmp_path/"killed", "keep", 3, 3)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    for name, keep, workers in (("killed", "keep", 1), ("whole", "no", 2)):
        done = run(TRAINING, folder, tmp_path/name, keep, workers, 0)
        assert done.returncode == 0, done.stderr[-2000:]
        assert ("goes on at step" in done.stdout) == (name == "killed"), done.stdout
    one, two = (torch.load(tmp_path/name/"weights.pt", weights_only=True) for name in ("killed", "whole"))
    assert one and all(torch.equal(one[name], two[name]) for name in one)


def test_two_processes_fill_one_cache(tmp_path):
    "At the same time, in another order; what each of them read is what decoding gives."
    folder = made(tmp_path, "patn")
    reads = ("import sys; import numpy as np; from truepose.data.deepfashion import open_people; "
             "people = open_people(sys.argv[1], (256, 176)); order = np.arange(6)[::int(sys.argv[2])]; "
             "np.save(sys.argv[3], people.images[order][::int(sys.argv[2])])")
    starts = [[sys.executable, "-c", reads, str(folder), step, str(tmp_path/f"{step}.npy")] for step in ("1", "-1")]
    processes = [subprocess.Popen(command) for command in starts]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    decoded = open_people(folder, (256, 176), keep=False).images[:]
    for step in ("1", "-1"): assert np.array_equal(np.load(tmp_path/f"{step}.npy"), decoded)
    kept = open_people(folder, (256, 176)).images.store
    assert all(np.array_equal(kept.get("images", i), decoded[i]) for i in range(6))


def large_folder(folder, example, pictures, pairs):
    "A training split of that many pictures; all files are links to the six of an example."
    views = {path.stem.rsplit("_", 1)[1]: path for path in sorted((example/"train_highres").iterdir())}
    poses = (example/"fasion-resize-annotation-train.csv").read_text().splitlines()
    rows, lines = [poses[0]], ["from,to"]
    for part in ("train_highres", "parsing"): (folder/part).mkdir(parents=True)
    for i in range(pictures//3 + 1):
        names = [ShopName("WOMEN", "Shorts", f"{i:08d}", "01", view).name for view in views]
        for name, path, pose in list(zip(names, views.values(), poses[1:]))[:pictures - len(rows) + 1]:
            os.link(path, folder/"train_highres"/f"{name}.jpg")
            os.link(example/"parsing"/f"{path.stem}.png", folder/"parsing"/f"{name}.png")
            rows.append(f"{name}.jpg:" + pose.split(":", 1)[1])
        lines += [f"{a}.jpg,{b}.jpg" for a, b in permutations(names[:max(0, pictures - 3*i)], 2)]
    lines += lines[1:pairs - len(lines) + 2]  # some pairs twice: the benchmark has more than three views of some
    assert len(rows) == pictures + 1 and len(lines) == pairs + 1
    (folder/"fasion-resize-annotation-train.csv").write_text("\n".join(rows) + "\n")
    (folder/"fasion-resize-pairs-train.csv").write_text("\n".join(lines) + "\n")
    return folder


MEASURE = PRELUDE + """
def resident(): return psutil.Process().memory_info().rss / 1e6
before, begun = resident(), time.perf_counter()
data = TransferData(EncodedPeople(codec, clip, open_people(sys.argv[1], (512, 352), keep=False), keep=False))
opened, seconds = resident(), time.perf_counter() - begun
for step in range(12): batch = data.batch(4, step_generator(0, step), targets=3)
print(len(data.people.names), len(data.pairs), opened - before, resident() - opened, seconds)
"""


def test_memory_of_the_true_size(tmp_path, request):
    "48,674 pictures and 101,966 pairs at 512x352: what is resident after opening them, and after batches."
    if not request.config.getoption("--slow"): pytest.skip("writes 97,348 links and opens them: --slow")
    folder = large_folder(tmp_path/"fashion", made(tmp_path, "patn"), 48_674, 101_966)
    done = run(MEASURE, folder)
    assert done.returncode == 0, done.stderr[-2000:]
    pictures, pairs, opened, batches, seconds = map(float, done.stdout.split())
    print(f"{opened:.0f} MB and {seconds:.0f} s to open, {batches:.0f} MB for batches")
    assert (pictures, pairs) == (48_674, 101_966)
    assert opened < 500, "MB: names, paths, keypoints and pairs"
    assert batches < 1500, "MB: a batch, what decoding and encoding need, and the last 256 pictures"
