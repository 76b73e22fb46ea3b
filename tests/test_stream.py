"Shards of any folder, read in a row: the same batches on any number of processes, from any place, and nothing wrong passes."
import itertools
import os
import signal
import tarfile
import time
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from truepose.config import get_preset
from truepose.core import InputError, read_json, write_json
from truepose.data.deepfashion import open_people
from truepose.data.examples import write_example
from truepose.data.folder import People
from truepose.data.packing import pack_folder, write_shards
from truepose.data.shards import write_shard
from truepose.train import stream
from truepose.train.stream import Order, PairStream, Reading, open_stream, read_manifest, read_whole

SIZE = (32, 24)


class Dots(People):
    "Persons of two to four views; each picture says by its colour who it is."
    def __init__(self, folder, persons=11):
        names = [f"p{i}_{view}" for i in range(persons) for view in range(2 + i % 3)]
        super().__init__(folder, SIZE, names, "dots", "", keep=False)

    def load(self, name):
        person, view = map(int, name[1:].split("_"))
        image = np.zeros((*SIZE, 3), np.uint8) + np.array([person, view, 0], np.uint8)
        regions = np.full(SIZE, 3, np.uint8)
        regions[:, 0] = 0  # not symmetric
        return image, regions, np.ones((18, 3), np.float32)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    place = tmp_path_factory.mktemp("dots")
    return write_shards(Dots(place), place/"packed", persons=2)  # six shards, uneven


def pattern(folder): return f"{folder}/people-{{000000..{len(list(folder.glob('people-*.tar'))) - 1:06d}}}.tar"


def batches(folder, n, done=0, rank=0, world=1, accumulate=1, lanes=4, window=1, workers=0, targets=1):
    shards, size = read_manifest(pattern(folder))
    how = Reading(Order(shards, 0), size, 3, targets, accumulate, lanes, window)
    loader = DataLoader(PairStream(how, done, rank, world), batch_size=None, num_workers=workers)
    return list(itertools.islice(loader, n))


def who(batch): return [tuple(picture[0, -1, :2].tolist()) for picture in batch["images"]]


def equal(a, b): return len(a) == len(b) and all(torch.equal(x[key], y[key]) for x, y in zip(a, b) for key in x)


@pytest.mark.parametrize("layout", ["patn", "gfla", "nted", "pcdms", "people"])
def test_a_folder_packed_is_the_folder(layout, tmp_path):
    folder = write_example(tmp_path/layout, layout)
    if layout == "people": packed = [write_shards(open_people(folder, (64, 44), keep=False), tmp_path/"out"/"train")]
    else: packed = pack_folder(folder, tmp_path/"out", size=(64, 44))
    people, pairs = open_people(folder, (64, 44), "train", keep=False), []
    for part in packed:
        again = open_people(part, (64, 44), keep=False)
        pairs += again.pairs
        for name in again.names:
            for a, b in zip(people.load(name), again.load(name)): np.testing.assert_allclose(a, b, atol=.006)
    assert sorted(pairs) == sorted(people.pairs) and len(packed) == (1 if layout == "people" else 2)


@pytest.mark.parametrize("size", [(256, 176), (512, 352)], ids=str)
def test_the_fields_sizes(size, tmp_path):
    preset = get_preset("tiny")
    from truepose.method.clip import clip_from_preset
    from truepose.method.codec import codec_from_preset
    train, _ = pack_folder(write_example(tmp_path/"shop", "patn"), tmp_path/"out", size=size)
    assert read_json(train/"manifest.json")["size"] == list(size)
    data = open_stream(pattern(train), size, codec_from_preset(preset), clip_from_preset(preset), n=2, targets=2)
    data.seek(0, 0, 1)
    shapes = {name: tuple(rows.shape) for name, rows in data().items()}
    assert shapes["source_images"] == (2, 3, *size) and shapes["target_regions"] == (4, *size)
    assert shapes["target_latents"] == (4, 48, size[0]//4, size[1]//4)


@pytest.mark.parametrize("lanes,window", [(1, 1), (1, 3), (2, 1), (3, 2), (6, 1)])
def test_an_epoch_shows_each_source_once(lanes, window, packed):
    "Where lanes and windows divide the shards, of every lane; here the whole row is looked at, lane by lane."
    shards, _ = read_manifest(pattern(packed))
    order, sources = Order(shards, 0), sum(shard.sources for shard in shards)
    seen = Counter()
    for number in range(lanes):
        lane = stream.Lane(order, number, lanes, window, 1)
        share = sum(order[number + lanes*k].sources for k in range(len(shards)//lanes * 3))  # three epochs
        seen.update(lane[i].source for i in range(share))
    assert len(seen) == sources and set(seen.values()) == {3}


def test_targets_are_of_the_same_person_and_others(packed):
    for batch in batches(packed, 8, targets=2):
        shown = who(batch)
        for i, source in enumerate(shown[:3]):
            targets = shown[3 + 2*i:5 + 2*i]
            assert all(target[0] == source[0] and target != source for target in targets)


@pytest.mark.parametrize("lanes", [1, 4])
def test_batches_depend_on_nothing_but_seed_and_place(lanes, packed):
    "Processes, accumulation, workers and the place of a resume leave them as they are, also where lanes are shared."
    whole = batches(packed, 24, lanes=lanes)
    assert len({tuple(who(batch)) for batch in whole}) > 20
    for world, accumulate in ((2, 1), (1, 2), (3, 1), (2, 2)):
        together = world * accumulate
        parts = [batches(packed, 24 // world, rank=rank, world=world, accumulate=accumulate, lanes=lanes) for rank in range(world)]
        if together == 4: steps = [parts[rank][2*step + part] for step in range(6) for rank in range(2) for part in range(2)]
        elif accumulate == 2: steps = parts[0]
        else: steps = [batch for step in zip(*parts) for batch in step]
        assert equal(steps, whole), (world, accumulate)
    for done in (1, 7, 17): assert equal(batches(packed, 3, done, lanes=lanes), whole[done:done + 3])


def test_workers_change_nothing(packed):
    whole = batches(packed, 9, rank=1, world=2)
    assert equal(batches(packed, 9, rank=1, world=2, workers=2), whole)
    assert equal(batches(packed, 4, done=5, rank=1, world=2, workers=2), whole[5:])


def test_on_a_gpu_everything_is_there(tmp_path):
    from pretend_cuda import PretendCuda, on_gpu
    from truepose.method.clip import clip_from_preset
    from truepose.method.codec import codec_from_preset
    train, _ = pack_folder(write_example(tmp_path/"shop", "patn"), tmp_path/"out", size=(64, 44))
    codec, clip = codec_from_preset("tiny"), clip_from_preset("tiny")
    with PretendCuda():
        data = open_stream(pattern(train), (64, 44), codec, clip, n=2, targets=2, device="cuda")
        data.seek(0, 0, 1)
        assert all(map(on_gpu, data().values()))
    assert not any(map(on_gpu, codec.parameters()))  # the pipeline's own stay where they are


def test_a_resume_reads_one_window(packed, monkeypatch):
    fetched, real = [], stream.fetch
    monkeypatch.setattr(stream, "fetch", lambda url, most: fetched.append(url) or real(url, most))
    batches(packed, 1, done=100_000, lanes=4, window=2)
    assert len(fetched) == 1 + 2  # the manifest, and the shards of one window


def test_sources_of_any_kind(packed):
    import fsspec
    memory = fsspec.filesystem("memory")
    for path in packed.iterdir(): memory.pipe_file(f"/dots/{path.name}", path.read_bytes())
    wanted = [shard.sha256 for shard in read_manifest(pattern(packed))[0]]
    last = len(wanted) - 1
    for url in (f"memory://dots/people-{{000000..{last:06d}}}.tar", f"pipe:cat {packed}/people-{{000000..{last:06d}}}.tar",
                f"file://{packed}/people-{{000000..{last:06d}}}.tar"):
        shards, _ = read_manifest(url)
        assert [shard.sha256 for shard in shards] == wanted
        assert len(read_whole(shards[0])[1]) == shards[0].sources


def copied(packed, to):
    to.mkdir()
    for path in packed.iterdir(): (to/path.name).write_bytes(path.read_bytes())
    return to


def test_a_broken_shard_stops_by_name(packed, tmp_path):
    broken = copied(packed, tmp_path/"broken")
    for path in broken.glob("people-*.tar"): path.write_bytes(path.read_bytes()[:-512])
    with pytest.raises(InputError, match="people-00000.*copy the shard again"): batches(broken, 1)


def rewritten(packed, to, change):
    "The set with its first shard written anew by a function of its samples, and a manifest that agrees."
    import hashlib
    folder = copied(packed, to)
    made, path = read_json(folder/"manifest.json"), folder/"people-000000.tar"
    with tarfile.open(path) as tar:
        samples = {}
        for member in tar:
            name, ending = member.name.split(".", 1)
            samples.setdefault(name, {})[ending] = tar.extractfile(member).read()
    write_shard(path, change(samples).items())
    made["shards"] = [made["shards"][0] | dict(bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())]
    write_json(folder/"manifest.json", made)
    return folder/"people-000000.tar"


def first_batch(path):
    shards, size = read_manifest(str(path))
    return next(iter(PairStream(Reading(Order(shards, 0), size, 3, 1, 1, 1, 1), 0, 0, 1)))


def with_file(ending, content):
    def change(samples):
        for files in samples.values(): files[ending] = content
        return samples
    return change


def bomb():
    "A PNG of 30,000 x 30,000 pixels in a few bytes: only its head is there."
    import struct
    import zlib
    head = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + struct.pack(">I", 0) + b"IDAT"


@pytest.mark.parametrize("ending,content,says", [
    ("model.pkl", b"cos\nsystem\n(S'touch /tmp/x'\ntR.", "is not a plain file NAME.KIND.png"),
    ("images.png", bomb(), "images: (is 30000x30000|not a readable picture)"),
    ("images.png", b"GIF89a", "not a readable picture"),
    ("targets.json", b'["p99_0"]', "must be a list of names"),
    ("targets.json", b"[" * 100_000, "not valid JSON"),
    ("targets.json", b"[]", "has 0 sources"),
    ("keypoints.json", b"{}", "keypoints: a pose file of no form known here")], ids=lambda x: str(x)[:16])
def test_hostile_shards(ending, content, says, packed, tmp_path):
    "A shard that agrees with its manifest is still not believed."
    path = rewritten(packed, tmp_path/"hostile", with_file(ending, content))
    with pytest.raises(InputError, match=says): first_batch(path)


@pytest.mark.parametrize("field,value", [("file", "../../etc/passwd"), ("file", "pipe:touch here"), ("bytes", 2**60), ("bytes", "1"),
                                         ("sources", 0), ("sources", True), ("sha256", None)])
def test_hostile_manifests(field, value, packed, tmp_path):
    folder = copied(packed, tmp_path/"hostile")
    made = read_json(folder/"manifest.json")
    made["shards"][0][field] = value
    write_json(folder/"manifest.json", made)
    with pytest.raises(InputError, match="manifest.json: (is no manifest|does not list people-000000)"): read_manifest(pattern(folder))


class SlowDots(Dots):
    def load(self, name):
        time.sleep(.03)
        return super().load(name)


def test_writing_survives_a_kill(packed, tmp_path):
    out, slow = tmp_path/"out", SlowDots(packed.parent)
    child = os.fork()
    if not child:
        try: write_shards(slow, out, persons=2)
        finally: os._exit(1)
    deadline = time.time() + 60
    while len(list(out.glob("people-*.tar"))) < 2 and time.time() < deadline: time.sleep(.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not (out/"manifest.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("people-*.tar")}
    write_shards(Dots(packed.parent), out, persons=2)
    assert len(kept) >= 2 and all((out/name).stat().st_mtime_ns == when for name, when in kept.items())
    assert read_json(out/"manifest.json")["shards"] == read_json(packed/"manifest.json")["shards"]
    assert not list(out.glob(".writing-*"))


def test_a_training_from_shards_can_be_stopped(tmp_path):
    "Stopped after a step and run again, as in one go; through `fit`."
    from truepose.method.clip import clip_from_preset
    from truepose.method.codec import codec_from_preset
    from truepose.method.model import model_from_preset
    from truepose.method.objective import make_scheduler
    from truepose.train.loop import fit, read_history
    from truepose.train.transfer import TransferObjective
    train, _ = pack_folder(write_example(tmp_path/"shop", "patn"), tmp_path/"out", size=(64, 44))

    def run(folder, steps, accumulate=1):
        torch.manual_seed(0)
        preset = get_preset("tiny")
        codec, clip = codec_from_preset(preset), clip_from_preset(preset)
        data = open_stream(pattern(train), (64, 44), codec, clip, n=1, accumulate=accumulate, lanes=2)
        fit(TransferObjective(model_from_preset("tiny"), make_scheduler()), data, folder, steps, lr=1e-3, warmup=1, log_every=1,
            accumulate=accumulate, decay="constant", trackers=())
        return [row["loss"] for row in read_history(folder/"history.csv")]

    whole = run(tmp_path/"whole", 3, accumulate=2)
    run(tmp_path/"parts", 1, accumulate=2)
    assert run(tmp_path/"parts", 3, accumulate=2) == whole
