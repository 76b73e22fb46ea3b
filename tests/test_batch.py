"`truepose transfer`: the same pictures one by one, in batches, by two processes, and after a kill."
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from truepose import batch
from truepose.cli import app
from truepose.core import InputError
from truepose.data.examples import write_example
from truepose.pipeline import TruePosePipeline, pipeline_from_preset

from pretend_cuda import PretendCuda

STEPS = "--steps", 1
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
          "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    "A DeepFashion folder with 12 test pairs, and a saved pipeline of 64x44 with random weights."
    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    pipeline_from_preset("tiny").save_pretrained(folder/"tiny")
    write_example(folder/"fashion", "patn")
    return folder


def words(given, out, *more):
    fixed = "transfer", "--data", given/"fashion", "--weights", given/"tiny", "--device", "cpu"
    return [str(word) for word in (*fixed, "--out", out, *STEPS, *more)]


def transfer(given, out, *more): return CliRunner().invoke(app, words(given, out, *more))


def pictures(folder):
    "Name -> integers [h, w, 3]."
    out = {}
    for path in sorted(folder.glob("[!.]*.png")):
        with Image.open(path) as picture: out[path.name] = np.asarray(picture, int)
    return out


def furthest(one, other):
    "The largest difference in grey levels of two sets of the same names."
    assert one.keys() == other.keys()
    return max(np.abs(one[name] - other[name]).max() for name in one)


@pytest.fixture(scope="module")
def made(given):
    "All pictures, in batches of eight."
    result = transfer(given, given/"made")
    assert result.exit_code == 0 and "12 of 12 there" in result.output, result.output
    return pictures(given/"made")


def test_one_by_one_and_in_batches(given, made, tmp_path):
    assert transfer(given, tmp_path/"single", "--batch", 1).exit_code == 0
    assert furthest(made, pictures(tmp_path/"single")) <= 1


def test_as_the_experiments_make_them(given, made):
    "e03_evaluate's pictures are those of the same seed."
    from truepose.data.pairs import PairDataset
    from truepose.evaluate.methods import pair_seed, truepose
    pipe = TruePosePipeline.from_pretrained(given/"tiny", dtype=torch.float32)
    people, pairs = batch.open_pairs(given/"fashion", "test", pipe.image_size)
    pair = PairDataset(people, pairs)[5]
    picture = truepose(pipe, num_inference_steps=1)([pair], [pair_seed(0, pair["name"])])[0]
    assert np.abs(picture.astype(int) - made[f"{batch.pair_name(*pairs[5])}.png"]).max() <= 1


def test_interrupted_and_gone_on_with(given, made, tmp_path, monkeypatch):
    "What is there stays, half a picture never stands there, and the whole equals an uninterrupted set."
    save, count = batch.save_made, []
    def interrupting(picture, path):
        count.append(path)
        if len(count) == 3: raise KeyboardInterrupt
        save(picture, path)
    monkeypatch.setattr(batch, "save_made", interrupting)
    result = transfer(given, tmp_path/"out")
    assert result.exit_code == 130 and "the same command goes on" in result.output
    assert furthest(pictures(tmp_path/"out"), {path.name: made[path.name] for path in count[:2]}) == 0
    refused = transfer(given, tmp_path/"out", "--seed", 1)
    assert refused.exit_code == 2 and "seed was 0, now it is 1" in refused.output
    result = transfer(given, tmp_path/"out")
    assert "12 pictures made, 12 of 12 there" in result.output, result.output
    assert furthest(made, pictures(tmp_path/"out")) == 0
    assert "0 pictures made, 12 of 12" in transfer(given, tmp_path/"out").output


def test_killed_while_a_picture_is_written(given, made, tmp_path):
    "Half a picture stands under no picture's name, and the same command makes the rest, here of a CSV, byte for byte."
    pairs = [name.removesuffix(".png").split("_2_") for name in list(made)[:5]]
    (tmp_path/"some.csv").write_text("from,to\n" + "".join(f"{source}.jpg,{target}.jpg\n" for source, target in pairs))
    asked = "--pairs", tmp_path/"some.csv", "--batch", 2
    def stopped():
        save, begun = Image.Image.save, []
        def half(picture, place, *more, **named):
            save(picture, place, *more, **named)
            begun.append(place)
            if len(begun) < 3: return
            Path(place).write_bytes(Path(place).read_bytes()[:99])
            os.kill(os.getpid(), signal.SIGKILL)
        torch.set_num_threads(1)  # after a fork, a second one may wait for ever
        with patch.object(Image.Image, "save", half): transfer(given, tmp_path/"out", *asked)
    process = multiprocessing.get_context("fork").Process(target=stopped)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL and len(pictures(tmp_path/"out")) == 2
    assert len(list((tmp_path/"out").glob(".*.png"))) == 1  # the half one, under a name of its own
    for out in ("out", "whole"): assert transfer(given, tmp_path/out, *asked).exit_code == 0
    files = [{path.name: path.read_bytes() for path in (tmp_path/out).glob("[!.]*.png")} for out in ("out", "whole")]
    assert files[0] == files[1] and len(files[0]) == 5 and not list((tmp_path/"out").glob(".*"))


def test_two_processes_make_the_same(given, made, tmp_path, request):
    if not request.config.getoption("--slow"): pytest.skip("two processes under accelerate launch: --slow")
    command = [*LAUNCH, str(Path(sys.executable).parent/"truepose"), *words(given, tmp_path/"two")]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 of 12 there" in done.stdout
    assert furthest(made, pictures(tmp_path/"two")) == 0
    assert json.loads((tmp_path/"two"/"transfer.json").read_text())["processes"] == 2


def test_the_evaluator_reads_the_names(given, made, tmp_path):
    words = ("evaluate", "--generated", given/"made", "--truth", given/"fashion"/"test_highres",
             "--protocol", "cfld", "--out", tmp_path/"measures.json")
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path/"measures.json").read_text())["n_pairs"] == 12


@pytest.mark.parametrize("layout", ["nted", "pcdms", "wpose", "people"])
def test_pairs_of_every_layout(tmp_path, layout):
    people, pairs = batch.open_pairs(write_example(tmp_path/"folder", layout), "test", (64, 44))
    assert len(pairs) == 12 and {name for pair in pairs for name in pair} <= people.index.keys()
    assert all("/" not in batch.pair_name(*pair) for pair in pairs)


def test_half_precision(given, made, tmp_path):
    "bfloat16 weights make pictures near those of float32, and are not mixed with them."
    assert transfer(given, tmp_path/"half", "--dtype", "bfloat16", "--limit", 4).exit_code == 0
    half = pictures(tmp_path/"half")
    assert len(half) == 4
    assert np.mean([np.abs(half[name] - made[name]).mean() for name in half]) < 12
    refused = transfer(given, tmp_path/"half", "--limit", 4)
    assert refused.exit_code == 2 and "dtype was bfloat16, now it is float32" in refused.output


def test_on_a_gpu(given, made, tmp_path):
    "On tensors that say they are on one: nothing mixes devices, and the pictures are the same."
    pipe = TruePosePipeline.from_pretrained(given/"tiny", dtype=torch.float32)
    people, pairs = batch.open_pairs(given/"fashion", "test", pipe.image_size)
    with PretendCuda():
        pipe.to("cuda")
        assert pipe.device.type == "cuda"
        with patch.object(batch, "best_dtype", lambda device: torch.bfloat16):
            settings = batch.picture_settings(pipe, people, pairs, 0, {})
        names = list(dict.fromkeys(source for source, _ in pairs))[:2]
        encoded = batch.encode_sources(pipe, people, names)
        drawn = batch.draw_pairs(pipe, people, pairs[:4], encoded, 0, dict(num_inference_steps=1))
    assert (settings["device"], settings["products"]) == ("cuda", "bfloat16")
    there = {f"{batch.pair_name(*pair)}.png": picture.astype(int) for pair, picture in zip(pairs, drawn)}
    assert furthest(there, {name: made[name] for name in there}) <= 1


@pytest.mark.parametrize("change, said", [
    (("--data", "gone"), ("gone", "no such folder")),
    (("--pairs", "tests"), ("'tests'", "test, train")),
    (("--weights", "gone"), ("gone", "model_index.json")),
    (("--dtype", "float8"), ("float8", "bfloat16")),
    (("--device", "tpu"), ("tpu", "cpu or cuda")),
    (("--label-set", "coco"), ("coco", "cihp")),
])
def test_refusals(given, tmp_path, change, said):
    result = transfer(given, tmp_path/"out", *change)
    assert result.exit_code == 2 and not (tmp_path/"out").exists(), result.output
    for word in said: assert word in result.stderr, result.stderr


def test_what_is_broken_is_found_before_the_first_picture(tmp_path):
    folder = write_example(tmp_path/"fashion", "patn")
    pipe = pipeline_from_preset("tiny")
    people, pairs = batch.open_pairs(folder, "test", pipe.image_size)
    last = folder/"parsing"/f"{pairs[-1][0]}.png"
    Image.new("L", (375, 550)).save(last)
    people, pairs = batch.open_pairs(folder, "test", pipe.image_size)
    with pytest.raises(InputError, match="nothing but background"):
        batch.transfer_pairs(pipe, people, pairs, tmp_path/"out", progress=False)
    last.write_bytes(last.read_bytes()[:60])
    with pytest.raises(InputError, match=last.name): batch.open_pairs(folder, "test", pipe.image_size)
    with pytest.raises(InputError, match=last.name):  # one that the look at some files has missed
        batch.transfer_pairs(pipe, people, pairs, tmp_path/"out", progress=False)
    assert not pictures(tmp_path/"out")
