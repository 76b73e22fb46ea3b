"The command line: fast help, one sentence per mistake, no traceback, nothing left behind."
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from truepose.cli import app
from truepose.data.pose import save_keypoints

COMMANDS = ("people", "unpack", "doctor", "shards", "pose", "parse", "generate", "edit", "transfer", "train",
            "run", "publish", "export", "evaluate", "compare", "reproduce", "demo")


def call(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def refused(*args, words):
    "The command stops with code 2, one sentence that holds all these words, and no traceback."
    result = call(*args)
    assert result.exit_code == 2, result.output
    message = result.stderr.strip()
    assert message.startswith("error: ") and "\n" not in message, message
    assert "Traceback" not in message, message
    for word in words: assert word in message, message


@pytest.fixture
def inputs(tmp_path):
    "A grey person of the right size: picture, parsing map, pose."
    Image.fromarray(np.full((128, 88, 3), 128, np.uint8)).save(tmp_path/"a.png")
    parsing = np.zeros((128, 88), np.uint8)
    parsing[20:100, 30:60] = 5
    Image.fromarray(parsing).save(tmp_path/"a_parsing.png")
    save_keypoints(tmp_path/"b.json", np.tile([44.0, 64.0, 2.0], (18, 1)), (128, 88))
    return tmp_path


def generate(folder, **changes):
    "Arguments of `generate` with some replaced."
    options = dict(source=folder/"a.png", parsing=folder/"a_parsing.png", pose=folder/"b.json",
                   out=folder/"out.png") | changes
    words = ["generate"]
    for key, value in options.items(): words += [f"--{key.replace('_', '-')}", value]
    return words


def test_help_is_fast_and_loads_nothing_heavy():
    heavy = "torch", "numpy", "diffusers", "matplotlib", "PIL"
    code = ("import sys; from truepose.cli import app\n"
            "try: app(['--help'])\nexcept SystemExit: pass\n"
            f"print([m for m in {heavy} if m in sys.modules])")
    def of_children():  # seconds of a core; what else runs on the machine does not count
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime
    seconds = []
    for _ in range(2):
        started = of_children()
        command = [sys.executable, "-c", code]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seconds.append(of_children() - started)
    assert out.strip().endswith("[]"), out
    for name in COMMANDS: assert name in out
    assert min(seconds) < .5, seconds


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = call(command, "--help")
    assert result.exit_code == 0 and "Usage" in result.output
    assert re.search(rf"Example:\n\s+truepose {command} ", result.output), "its help has no example"
    assert call(command, "-h").output == result.output


def test_examples_name_options_that_exist():
    "Each `--option` of an example is one of that command."
    from truepose.cli import EXAMPLES
    for name, example in EXAMPLES.items():
        there = set(re.findall(r"^\s+(?:-\w, )?(--[\w-]+)", call(name, "--help").output, re.M))
        assert set(re.findall(r"(?<=\s)--[\w-]+", example)) <= there, name


def test_version_exit_codes_and_completion():
    from truepose import __version__
    assert call("--version").output == f"truepose {__version__}\n"
    assert all(f"{code} " in call("--help").output.split("Exit codes:")[1] for code in (0, 1, 2, 130))
    shell = dict(os.environ, _TRUEPOSE_COMPLETE="complete_bash", COMP_WORDS="truepose ge", COMP_CWORD="1")
    command = [sys.executable, "-c", "from truepose.cli import app; app(prog_name='truepose')"]
    done = subprocess.run(command, env=shell, capture_output=True, text=True)
    assert done.stdout.split() == ["generate"], done


@pytest.mark.parametrize("change, words", [
    (dict(source="gone.png"), ("gone.png", "no such file")),
    (dict(parsing="gone.png"), ("gone.png", "no such file")),
    (dict(pose="gone.json"), ("gone.json", "no such file")),
    (dict(source_pose="gone.json"), ("gone.json", "no such file")),
    (dict(out="out.bmp"), ("out.bmp", ".png")),
    (dict(weights="gone"), ("gone",)),
    (dict(label_set="coco"), ("coco", "cihp")),
])
def test_generate_refuses(inputs, change, words):
    refused(*generate(inputs, **{"weights": weights(inputs)} | change), words=words)


def weights(folder):
    "Something that looks like a saved pipeline of 128x88: refusals come before it is loaded."
    (folder/"weights").mkdir(exist_ok=True)
    index = {"_class_name": "TruePosePipeline", "image_height": 128, "image_width": 88}
    (folder/"weights"/"model_index.json").write_text(json.dumps(index))
    return folder/"weights"


def test_generate_refuses_bad_content(inputs):
    bad = inputs/"bad.png"
    options = dict(weights=weights(inputs))
    bad.write_text("no picture")
    refused(*generate(inputs, source=bad, **options), words=("bad.png", "not a readable picture"))
    Image.new("F", (88, 128)).save(inputs/"bad.tiff")
    refused(*generate(inputs, source=inputs/"bad.tiff", **options), words=("bad.tiff", "mode F"))
    Image.fromarray(np.zeros((64, 44), np.uint8)).save(bad)
    refused(*generate(inputs, parsing=bad, **options), words=("bad.png", "(64, 44)"))
    Image.fromarray(np.full((128, 88), 77, np.uint8)).save(bad)
    refused(*generate(inputs, parsing=bad, **options), words=("bad.png", "label 77"))
    Image.fromarray(np.zeros((128, 88, 3), np.uint8)).save(bad)
    refused(*generate(inputs, parsing=bad, **options), words=("bad.png", "mode RGB"))
    bad = inputs/"bad.json"
    bad.write_text(json.dumps({"image_size": [128, 88], "keypoints": [[1, 1, 2]] * 17}))
    refused(*generate(inputs, pose=bad, **options), words=("bad.json", "18 joints", "17"))
    bad.write_text(json.dumps({"image_size": [128, 128], "keypoints": [[1, 1, 2]] * 18}))
    refused(*generate(inputs, pose=bad, **options), words=("bad.json", "128x128", "128x88"))
    refused(*generate(inputs, source_pose=bad, **options),
            words=("bad.json", "128x128", "128x88", "this picture"))
    assert not (inputs/"out.png").exists()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    "A saved pipeline of 64x44 with random weights."
    import torch
    from truepose.pipeline import pipeline_from_preset
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    pipeline_from_preset("tiny").save_pretrained(folder)
    return folder


def test_generate_writes_a_picture_that_repeats(inputs, tiny):
    "From inputs twice the network's size; the same seed, the same file; another seed, another one."
    for out, seed in (("one.png", 0), ("two.png", 0), ("three.png", 1)):
        result = call(*generate(inputs, weights=tiny, out=inputs/out, steps=2, seed=seed))
        assert result.exit_code == 0, result.output
    one, two, three = ((inputs/f"{name}.png").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three
    with Image.open(inputs/"one.png") as picture:
        assert picture.size == (44, 64) and picture.mode == "RGB"


def test_generate_takes_steps_and_guidance_from_the_weights(inputs, tmp_path):
    "What is not asked for is what was saved with the pipeline."
    import torch
    from truepose.pipeline import TruePosePipeline, pipeline_from_preset
    torch.manual_seed(0)
    made = pipeline_from_preset("tiny")
    parts = {name: getattr(made, name) for name in ("codec", "clip", "model", "scheduler")}
    saved = dict(num_inference_steps=3, guidance_pose=1.2, guidance_source=1.4)
    pipe = TruePosePipeline(**parts, image_height=64, image_width=44, **saved)
    pipe.save_pretrained(tmp_path/"pipe")
    result = call(*generate(inputs, weights=tmp_path/"pipe", out=inputs/"saved.png"))
    assert result.exit_code == 0 and "3 steps" in result.output, result.output
    asked = dict(same=dict(steps=3, guidance=1.4, guidance_pose=1.2), other=dict(steps=2))
    for out, options in asked.items():
        call(*generate(inputs, weights=tmp_path/"pipe", out=inputs/f"{out}.png", **options))
    pictures = [(inputs/f"{name}.png").read_bytes() for name in ("saved", "same", "other")]
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.fixture
def photo(tmp_path):
    "A telephone's photograph, stored on its side with a note to turn it, and its pose."
    person = np.full((300, 400, 3), 90, np.uint8)
    person[60:260, 150:230] = (180, 60, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(person)).save(tmp_path/"photo.jpg", exif=exif)
    standing = [[190, 75], [190, 100], [170, 102], [162, 130], [160, 160], [210, 102], [218, 130], [220, 160], [178, 165],
                [176, 205], [176, 250], [202, 165], [204, 205], [204, 250], [185, 70], [195, 70], [178, 73], [202, 73]]
    rows = [[x, y, 0.9] for x, y in standing]
    people = {"people": [{"pose_keypoints_2d": sum(rows, [])}]}
    (tmp_path/"openpose.json").write_text(json.dumps(people))
    return tmp_path


@pytest.fixture(scope="module")
def tiny_parser(tmp_path_factory):
    "A saved parser with random weights."
    import torch
    from truepose.photo.parser import parser_network
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("parser")
    parser_network((64, 44), (8, 16)).save_pretrained(folder)
    return folder


def test_photo_to_generated_picture(photo, tiny, tiny_parser):
    "pose, parse, generate: each takes what the one before wrote."
    from truepose.data.pose import load_keypoints
    source = photo/"source.png"
    result = call("pose", photo/"photo.jpg", "--from", photo/"openpose.json", "--size", 64,
                  "--out", photo/"pose.json", "--frame", source, "--overlay", photo/"joints.png")
    assert result.exit_code == 0 and "18 of 18 joints in 64x44" in result.output, result.output
    keypoints, size = load_keypoints(photo/"pose.json")
    assert size == (64, 44) and (keypoints[:, 2] == 2).all()
    assert (keypoints[:, :2] < size[::-1]).all()
    result = call("parse", source, "--parser", tiny_parser, "--pose", photo/"pose.json",
                  "--out", photo/"parsing.png", "--overlay", photo/"regions.png")
    assert result.exit_code == 0 and "%" in result.output, result.output
    for name in ("joints", "regions"):
        with Image.open(photo/f"{name}.png") as picture:
            assert picture.size == (44, 64) and picture.mode == "RGB"
    labels, joints = np.zeros((64, 44), np.uint8), keypoints[:, :2].round().astype(int)
    (left, top), (right, bottom) = joints[:14].min(0), joints[:14].max(0)
    neck, hips = joints[1, 1], joints[[8, 11], 1].max()
    labels[neck - 1:hips, left - 1:right + 2] = 5
    labels[hips:bottom + 2, joints[8, 0] - 1:joints[11, 0] + 2] = 9
    labels[top - 5:neck - 1, joints[0, 0] - 4:joints[0, 0] + 5] = 13
    Image.fromarray(labels).save(photo/"parsing.png")  # random weights parse no person
    given = dict(source=source, parsing=photo/"parsing.png", pose=photo/"pose.json")
    result = call(*generate(photo, weights=tiny, **given, source_pose=given["pose"], steps=1))
    assert result.exit_code == 0 and (photo/"out.png").is_file(), result.output


def test_pose_and_parse_keep_the_photographs_size(photo, tiny_parser):
    "Upright: the note in the file is obeyed by both."
    from truepose.data.pose import load_keypoints
    pose = "pose", photo/"photo.jpg", "--from", photo/"openpose.json", "--out", photo/"pose.json"
    parse = "parse", photo/"photo.jpg", "--parser", tiny_parser, "--out", photo/"parsing.png"
    assert call(*pose).exit_code == call(*parse).exit_code == 0
    assert load_keypoints(photo/"pose.json")[1] == (300, 400)
    with Image.open(photo/"parsing.png") as picture: assert picture.size == (400, 300)


def test_pose_refuses(photo, monkeypatch):
    out, words = ("--out", photo/"pose.json"), ("TRUEPOSE_MEDIAPIPE", "make pose")
    refused("pose", photo/"gone.jpg", *out, words=("gone.jpg", "no such file"))
    refused("pose", photo/"openpose.json", *out, words=("openpose.json", "not a readable picture"))
    refused("pose", photo/"photo.jpg", "--out", photo/"pose.txt", words=("pose.txt", ".json"))
    jpeg, empty = ("--frame", photo/"frame.jpg"), ("--from", photo/"empty.json")
    refused("pose", photo/"photo.jpg", *out, *jpeg, words=("frame.jpg", ".png"))
    (photo/"empty.json").write_text('{"people": []}')
    refused("pose", photo/"photo.jpg", *out, *empty, words=("empty.json", "no person"))
    for python in (sys.executable, photo/"none"):
        monkeypatch.setenv("TRUEPOSE_MEDIAPIPE", str(python))
        refused("pose", photo/"photo.jpg", *out, words=(str(python), *words))
    assert not (photo/"pose.json").exists()


def test_parse_refuses(photo, tiny_parser):
    out, ours = ("--out", photo/"parsing.png"), ("--parser", tiny_parser)
    refused("parse", photo/"gone.jpg", *out, *ours, words=("gone.jpg", "no such file"))
    refused("parse", photo/"photo.jpg", "--out", photo/"parsing.jpg", words=("parsing.jpg", ".png"))
    refused("parse", photo/"photo.jpg", *out, "--parser", photo, words=(str(photo), "config.json"))
    save_keypoints(photo/"pose.json", np.ones((18, 3)), (64, 44))
    refused("parse", photo/"photo.jpg", *out, *ours, "--pose", photo/"pose.json",
            words=("pose.json", "64x44", "300x400"))
    assert not (photo/"parsing.png").exists()


def test_pose_of_a_real_photograph(tmp_path):
    "Where MediaPipe is: NASA's portrait of Eileen Collins, from scikit-image."
    from skimage import data
    from truepose.core import InputError
    from truepose.photo.photo import MediaPipePose
    from truepose.data.pose import load_keypoints
    try: MediaPipePose().close()
    except InputError: pytest.skip("no MediaPipe here: make pose")
    Image.fromarray(data.astronaut()).save(tmp_path/"astronaut.png")
    result = call("pose", tmp_path/"astronaut.png", "--out", tmp_path/"pose.json")
    assert result.exit_code == 0, result.output
    keypoints, _ = load_keypoints(tmp_path/"pose.json")
    assert np.linalg.norm(keypoints[0, :2] - (223, 128)) < 10  # the nose
    assert keypoints[10, 2] == 0  # no ankle


def test_people_refuses(tmp_path):
    refused("people", words=("--out", "--verify"))
    refused("people", "--out", tmp_path/"a", "--split", "dev",
            words=("dev", "train, val, test or wild"))
    refused("people", "--out", tmp_path/"a", "--size", 100, words=("100", "256"))
    refused("people", "--verify", tmp_path/"gone", words=("gone", "not a folder"))
    refused("people", "--out", tmp_path/"a", "--name", "huge", words=("huge", "small"))
    assert not (tmp_path/"a").exists()


ONE = "--count", 1, "--seed", 7, "--size", 64, "--views", 2  # one small person, twice


def test_people_are_written_verified_and_repeatable(tmp_path):
    for name in ("one", "two"):
        result = call("people", *ONE, "--split", "test", "--out", tmp_path/name)
        assert result.exit_code == 0, result.output
    assert call("people", "--verify", tmp_path/"one").exit_code == 0
    manifests = [tmp_path/name/"manifest.json" for name in ("one", "two")]
    files = [json.loads(path.read_text())["files"] for path in manifests]
    assert files[0] == files[1] and any(name.startswith("parsing/") for name in files[0])
    image = next((tmp_path/"one"/"images").iterdir())
    Image.new("RGB", (44, 64)).save(image)
    refused("people", "--verify", tmp_path/"one", words=(image.name, "missing or changed"))


def test_people_in_shards_verified_and_unpacked(tmp_path):
    result = call("people", *ONE, "--shards", "--out", tmp_path/"set")
    assert result.exit_code == 0 and (tmp_path/"set"/"people-0000.tar").is_file(), result.output
    assert call("people", "--verify", tmp_path/"set").exit_code == 0
    unpacked = call("unpack", tmp_path/"set", "--out", tmp_path/"atr", "--label-set", "atr")
    assert unpacked.exit_code == call("people", "--verify", tmp_path/"atr").exit_code == 0
    with Image.open(next((tmp_path/"atr"/"parsing").iterdir())) as labels:
        assert np.asarray(labels).max() <= 17
    refused("unpack", tmp_path/"atr", "--out", tmp_path/"again", words=("atr", "people-*.tar"))
    refused("unpack", tmp_path/"set", "--out", tmp_path/"atr", words=("atr", "not empty"))
    refused("unpack", tmp_path/"set", "--out", tmp_path/"coco", "--label-set", "coco",
            words=("coco", "cihp"))
    (tmp_path/"set"/"people-0000.tar").write_bytes(b"half")
    refused("people", "--verify", tmp_path/"set", words=("people-0000.tar", "missing or changed"))


@pytest.mark.parametrize("layout", ["patn", "gfla", "nted", "pcdms", "wpose", "people"])
def test_doctor_passes_a_correct_folder(tmp_path, layout):
    from truepose.data.examples import write_example
    before = sorted(write_example(tmp_path/"folder", layout).rglob("*"))
    result = call("doctor", tmp_path/"folder", "--subset", "--sheet", tmp_path/"sheet.png")
    assert result.exit_code == 0 and "nothing to complain about" in result.output, result.output
    with Image.open(tmp_path/"sheet.png") as sheet: assert min(sheet.size) > 300
    after = sorted((tmp_path/"folder").rglob("*"))
    assert after == before, "the doctor writes nothing into the folder"


def test_doctor_names_file_fault_and_fix(tmp_path):
    from truepose.data.examples import write_example
    folder = write_example(tmp_path/"folder", "patn", kind="bordered")
    poses = folder/"fasion-resize-annotation-test.csv"
    exchanged = poses.read_text().replace("keypoints_y:keypoints_x", "keypoints_x:keypoints_y")
    poses.write_text(exchanged)
    result = call("doctor", folder, "--sheet", tmp_path/"sheet.png")
    assert result.exit_code == 1 and (tmp_path/"sheet.png").is_file()
    said = result.output.splitlines()
    for words in ((poses.name, "x and y are exchanged", "exchange the names"),
                  ("12 test pairs instead of 8,570", "--subset"),
                  ("48,674",), ("4,038",), ("3,144",), ("3,586",),
                  ("6 of 12 test pairs show an item that never occurs in training",)):
        assert any(all(word in line for word in words) for line in said), words
    poses.unlink()
    result = call("doctor", folder, "--subset", "--sheet", tmp_path/"none.png")
    assert result.exit_code == 1 and "no sheet is drawn" in result.stderr
    assert not (tmp_path/"none.png").exists()


def test_doctor_refuses(tmp_path):
    refused("doctor", tmp_path/"gone", words=("gone", "no such folder"))
    refused("doctor", tmp_path, "--frame", "512", words=("--frame", "bordered"))
    refused("doctor", tmp_path, "--label-set", "coco", words=("coco", "cihp"))
    refused("doctor", tmp_path, "--sheet", "a.jpg", words=("a.jpg", ".png"))


def write_noise(*paths):
    "A picture of 64x44 under each name."
    rng = np.random.default_rng(0)
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 44, 3), np.uint8)).save(path)


def evaluation(generated, truth, out):
    return "evaluate", "--generated", generated, "--truth", truth, "--out", out


def test_evaluate_of_the_truth_itself_is_perfect(tmp_path):
    truth = tmp_path/"truth"
    write_noise(truth/"a.png", truth/"b.png")
    result = call(*evaluation(truth, truth, tmp_path/"out.json"))
    assert result.exit_code == 0, result.output
    measures = json.loads((tmp_path/"out.json").read_text())
    assert measures["ssim"] == 1 and measures["n_pairs"] == 2
    assert {"lpips", "fid_clean", "face_ssim"} <= {entry["name"] for entry in measures["absent"]}


def test_evaluate_under_two_protocols(tmp_path):
    generated, truth = tmp_path/"generated", tmp_path/"truth"
    names = "a_0_to_a_1", "b_1_2_b_0_vis"
    write_noise(*(generated/f"{name}.png" for name in names), *(truth/f"{name}.png" for name in ("a_0", "a_1", "b_0", "b_1")))
    command = evaluation(generated, truth, tmp_path/"out.json")
    result = call(*command, "--protocol", "strict,dptn", "--bounds")
    assert result.exit_code == 0, result.output
    measures = json.loads((tmp_path/"out.json").read_text())
    assert measures["protocols"]["dptn"]["psnr_db"] > measures["psnr_db"]
    assert "copy_source_ssim" in measures
    assert not list(tmp_path.glob(".out*"))
    refused(*command, "--protocol", "strict,clfd", words=("clfd", "cfld"))
    (tmp_path/"out.csv").rename(tmp_path/"other.csv")
    result = call(*command, "--against", tmp_path/"other.csv")
    assert result.exit_code == 0 and "against other.csv" in result.output, result.output
    found = json.loads((tmp_path/"out.json").read_text())["against"]["measures"]["strict_ssim"]
    assert found["n_pairs"] == 2 and abs(found["difference"]) < 1e-5  # the table has six digits
    refused(*command, "--against", tmp_path/"gone.csv", words=("gone.csv", "truepose evaluate"))
    refused(*command, "--against", tmp_path/"out.json", words=("out.json", "truepose evaluate"))


def test_evaluate_refuses(tmp_path):
    for name in ("generated", "truth"): (tmp_path/name).mkdir()
    generated, truth, out = tmp_path/"generated", tmp_path/"truth", tmp_path/"o.json"
    refused(*evaluation(tmp_path/"gone", truth, out), words=("gone", "not a folder"))
    refused(*evaluation(generated, truth, tmp_path/"o.txt"), words=("o.txt", ".json"))
    refused(*evaluation(generated, truth, out), words=("no pictures",))
    Image.new("RGB", (44, 64)).save(tmp_path/"generated"/"a.png")
    Image.new("RGB", (88, 128)).save(tmp_path/"truth"/"a.png")
    refused(*evaluation(generated, truth, out), words=("a.png", "(64, 44)", "(128, 88)"))
    assert not (tmp_path/"o.json").exists()


def test_evaluate_wants_all_pairs_of_a_list(tmp_path):
    generated, truth = tmp_path/"generated", tmp_path/"truth"
    write_noise(*(generated/f"{p}_0_2_{p}_1.png" for p in "ab"), *(truth/f"{p}_{i}.png" for p in "abc" for i in (0, 1)))
    (tmp_path/"pairs.csv").write_text("from,to\na_0,a_1\nb_0,b_1\nc_0,c_1\n")
    command = *evaluation(generated, truth, tmp_path/"out.json"), "--pairs", tmp_path/"pairs.csv"
    refused(*command, words=("1 of", "c_0", "--incomplete"))
    result = call(*command, "--incomplete")
    assert result.exit_code == 0 and "2 pairs of 2 persons" in result.output, result.output


def test_compare_makes_a_table(tmp_path):
    truth = tmp_path/"truth"
    write_noise(*(truth/f"{p}_{i}.png" for p in "ab" for i in (0, 1)))
    for method, form in (("one", "{0}_0_2_{0}_1_vis"), ("two", "{0}_0_to_{0}_1")):
        write_noise(*(tmp_path/method/f"{form.format(p)}.png" for p in "ab"))
    command = ("compare", tmp_path/"one", tmp_path/"two", "--truth", truth, "--out", tmp_path/"out")
    result = call(*command, "--protocol", "dptn")
    assert result.exit_code == 0, result.output
    table = (tmp_path/"out"/"field.md").read_text()
    assert "one" in table and "two" in table and "field.csv" in result.output
    refused("compare", tmp_path/"gone", "--truth", truth, "--out", tmp_path/"out", words=("gone",))


def test_shards_of_a_deepfashion_folder(tmp_path):
    from truepose.data.deepfashion import open_people
    from truepose.data.examples import write_example
    folder = write_example(tmp_path/"fashion", "patn")
    words = "shards", "--data", folder, "--out", tmp_path/"shards", "--split", "test", "--size", 64
    for _ in range(2):
        result = call(*words)
        assert result.exit_code == 0 and "shards/test" in result.output, result.output
    packed = open_people(tmp_path/"shards"/"test", (64, 44), "test")
    assert set(packed.pairs) == set(open_people(folder, (64, 44), "test").pairs)
    refused(*words, "--persons", 1, words=("another persons",))
    refused(*words, "--split", "dev", words=("dev", "train or test"))


@pytest.fixture
def params(tmp_path):
    "A file of parameters in the folder of a notebook."
    path = tmp_path/"e03_evaluate"/"mine.yaml"
    path.parent.mkdir()
    path.write_text("n_pairs: 3")
    return path


def test_train_and_reproduce_refuse(tmp_path, params):
    refused("train", params, "-p", "n_pairz=3", words=("n_pairz", "did you mean `n_pairs`"))
    refused("train", params, "-p", "n_pairs=many", words=("n_pairs", "int"))
    refused("train", params, "-p", "n_pairs", words=("NAME=VALUE",))
    gone = tmp_path/"e03_evaluate"/"gone.yaml"
    refused("train", params, gone, words=("gone.yaml", "no such file"))
    elsewhere = tmp_path/"mine.yaml"
    elsewhere.write_text("n_pairs: 3")
    refused("train", elsewhere, words=("mine.yaml", "params/<notebook>/", "is unknown"))
    refused("run", elsewhere, words=("mine.yaml", "params/<notebook>/", "is unknown"))
    params.write_text("n_pairz: 3")
    refused("train", params, words=("mine.yaml", "n_pairz", "did you mean `n_pairs`"))
    refused("run", "e99_nothing", words=("e99_nothing", "e03_evaluate"))
    refused("publish", tmp_path, words=())
    refused("reproduce", "--preset", "huge", words=("huge", "nano"))


def test_a_file_names_notebook_and_variant(params, monkeypatch):
    "`run FILE`, `run NOTEBOOK --params FILE` and `train FILE` ask for the same; -p wins."
    asked = []
    monkeypatch.setattr("truepose.runs.run", lambda *given: asked.append(given))
    for words in (("run", params), ("run", "e03_evaluate", "--params", params), ("train", params),
                  ("train", params, params, "-p", "variant=other", "-p", "n_pairs=4")):
        result = call(*words)
        assert result.exit_code == 0, result.output
    mine, other = dict(variant="mine", n_pairs=3), dict(variant="other", n_pairs=4)
    assert asked == [("e03_evaluate", mine)] * 3 + [("e03_evaluate", other)] * 2


def test_a_second_file_is_laid_over_the_first(params, monkeypatch):
    "`train A --also B`: B's lines win, the variant is A-B, every positional file gets it; -p wins over all."
    asked = []
    monkeypatch.setattr("truepose.runs.run", lambda *given: asked.append(given))
    over = params.with_name("over.yaml")
    over.write_text("n_pairs: 5\nseed: 2")
    for words in (("train", params, params, "--also", over), ("train", params, "--also", over, "-p", "seed=9"),
                  ("train", params, "--also", over, "--also", over)):
        result = call(*words)
        assert result.exit_code == 0, result.output
    laid = dict(variant="mine-over", n_pairs=5, seed=2)
    twice = laid | dict(variant="mine-over-over")
    assert [given for _, given in asked] == [laid, laid, laid | dict(seed=9), twice]
    over.write_text("n_pairz: 5")
    refused("train", params, "--also", over, words=("over.yaml", "did you mean `n_pairs`"))


def test_a_training_says_where_it_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("truepose.runs.run", lambda *given: "runs/x")
    monkeypatch.setattr("truepose.core.runs_dir", lambda: tmp_path)
    params = tmp_path/"e14_train_transfer"/"mine.yaml"
    params.parent.mkdir()
    params.write_text("steps: 3")
    place = str(params.with_name("tiny-mine"))
    result = call("train", params)
    assert place in result.output and "begins; stopped" in result.output, result.output
    kept = params.with_name("tiny-mine")/"model"/"checkpoints"
    kept.mkdir(parents=True)
    (kept/"step_0000002.pt").touch()
    assert "goes on from step_0000002.pt" in call("train", params).output
    assert "begins anew" in call("train", params, "-p", "restart=true").output


SLEEPS = """import os, pathlib, subprocess, time
child = subprocess.Popen(["sleep", "300"])
pathlib.Path("began").write_text(f"{os.getpid()} {child.pid}")
time.sleep(300)"""


def running(pid):
    "Whether a process is there, and no zombie."
    try: return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError: return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_a_terminated_run_leaves_no_process_behind(tmp_path):
    "SIGTERM to `truepose run`: the notebook's kernel ends, and what the kernel began."
    cells = [dict(id=f"c{i}", cell_type="code", execution_count=None, outputs=[], source=source,
                  metadata=dict(tags=tags))
             for i, (source, tags) in enumerate([("steps = 1", ["parameters"]), (SLEEPS, [])])]
    nb = dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=dict(
        display_name="python3", language="python", name="python3")), cells=cells)
    (tmp_path/"e90_sleeps.ipynb").write_text(json.dumps(nb))
    code = ("import pathlib, truepose.runs as runs; runs.runs_dir = lambda: pathlib.Path('runs')\n"
            "from truepose.cli import main; main()")
    command = [sys.executable, "-c", code, "run", "e90_sleeps.ipynb"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    began, deadline = tmp_path/"began", time.time() + 120
    while not (began.is_file() and began.read_text()) and time.time() < deadline: time.sleep(.2)
    pids = [int(pid) for pid in began.read_text().split()]
    assert all(map(running, pids))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.endswith("begins it again, with the people and pictures that it has kept\n"), said
    deadline = time.time() + 10
    while any(map(running, pids)) and time.time() < deadline: time.sleep(.2)
    assert not any(map(running, pids)), "the kernel or its child lives on"
