"What people really hand in: phone photographs, cut-outs, label maps that went through JPEG or a palette, other sets' folders, names of a Mac."
import io
import json
import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from truepose.core import InputError, package_dir
from truepose.data.agreement import check_map
from truepose.data.deepfashion import ShopDataset, open_people
from truepose.data.doctor import examine
from truepose.data.examples import write_example
from truepose.data.images import load_image, picture_size
from truepose.data.layouts import keep_choices
from truepose.data.parsing import load_parsing, stand_in
from truepose.data.pose import PoseWarning
from truepose.evaluate.folders import evaluate_folders
from truepose.evaluate.measure import Measuring, measure_part
from truepose.evaluate.names import check_sizes, find_pictures, match_pictures, read_truth
from truepose.evaluate.protocols import get_protocols
from truepose.photo.parser import to_labels
from truepose.show import PARSING_COLOURS

TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
         6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}  # what the sensor stores
OPENERS = {"data/images.py", "data/surface.py", "data/drawn_poses.py", "reproduce.py"}  # but the first: rendered maps, drawn skeletons, own figures


def phone(picture, orientation, path):
    "As a telephone stores it."
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.transpose(TURNS[orientation]).save(path, exif=exif)


def test_one_function_opens_pictures():
    found = {path.relative_to(package_dir()).as_posix() for path in package_dir().rglob("*.py") if re.search(r"\bImage\.open\(", path.read_text())}
    assert {name for name in found if not name.startswith("people/")} <= OPENERS, found


@pytest.mark.parametrize("orientation", TURNS)
def test_a_phone_photograph_stands_upright(tmp_path, orientation):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 22, 3), dtype=np.uint8))
    for ending in ("png", "webp"):  # both keep pixels
        phone(picture, orientation, path := tmp_path/f"a.{ending}")
        assert picture_size(path) == (32, 22)
        if ending == "png": assert (load_image(path) == np.asarray(picture)).all()


def test_every_door_turns_it(tmp_path):
    "Data sets and evaluation read the same person from a turned picture."
    plain, turned = write_example(tmp_path/"plain", "people"), write_example(tmp_path/"turned", "people")
    for path in sorted((turned/"images").iterdir()):
        with Image.open(path) as picture: upright = picture.copy()
        phone(upright, 6, path)
    mine, theirs = (open_people(folder, (64, 44), keep=False) for folder in (plain, turned))
    assert (mine.images[:] == theirs.images[:]).all()
    shops = [ShopDataset(folder, "test", (64, 44), keep=False) for folder in (plain, turned)]
    assert (shops[0].images[:] == shops[1].images[:]).all()
    source, target = mine.pairs[0]
    (tmp_path/"made").mkdir()
    with Image.open(plain/"images"/f"{target}.png") as picture: picture.save(tmp_path/"made"/f"{source}_2_{target}.png")
    folders = match_pictures(find_pictures(tmp_path/"made", "generated"), read_truth(turned), incomplete=True)
    measuring = Measuring([replace(get_protocols("strict")[0], measures=("ssim",))])
    check_sizes(folders, measuring.protocols)
    row, = measure_part(folders.pairs, folders, measuring)
    assert row["strict_ssim"] == pytest.approx(1)


PERMUTED = np.array([0, 1, 18, 3, 4, 2, 6, 7, 8, 13, 10, 11, 12, 9, 14, 15, 16, 17, 5, 19], np.uint8)  # hair, shirt, trousers, face and shoes exchanged


def spoilt(labels, how):
    "The file's bytes."
    file, coloured = io.BytesIO(), Image.fromarray(labels)
    coloured.putpalette(PARSING_COLOURS.tobytes())
    if how == "jpeg": Image.fromarray(labels).save(file, "JPEG", quality=95)
    elif how == "jpeg, then png":
        Image.fromarray(labels).save(lossy := io.BytesIO(), "JPEG", quality=90)
        Image.open(lossy).save(file, "PNG")
    elif how == "palette": coloured.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=20).save(file, "PNG")
    elif how == "bilinear": Image.fromarray(labels).resize((123, 179), Image.Resampling.BILINEAR).save(file, "PNG")
    elif how == "permuted": Image.fromarray(PERMUTED[labels]).save(file, "PNG")
    elif how == "colours": coloured.convert("RGB").save(file, "PNG")
    elif how == "mask": Image.fromarray((labels > 0).astype(np.uint8)).save(file, "PNG")
    elif how == "right": coloured.save(file, "PNG")
    return file


JOINTS = np.array([(88, 32), (88, 46), (62, 48), (50, 90), (44, 120), (114, 48), (126, 90), (132, 120), (76, 130), (72, 180), (72, 230), (100, 130), (104, 180),
                   (104, 230), (84, 29), (92, 29), (80, 31), (96, 31)], float)  # on the figure of `stand_in`


@pytest.mark.parametrize("how, said", {"jpeg": "JPEG changes label ids", "jpeg, then png": "JPEG and interpolation", "palette": "new palette", "bilinear": "interpolation",
                                       "permuted": "noses, eyes and ears", "colours": "colours instead of label ids", "mask": "a mask of 0 and 1"}.items())
def test_a_spoilt_label_map_is_refused(tmp_path, how, said):
    labels = to_labels(stand_in((256, 176)))
    (path := tmp_path/"labels.png").write_bytes(spoilt(labels, "right").getvalue())
    pose = np.column_stack([JOINTS, np.full(18, 2)])
    assert (load_parsing(path) == labels).all()
    check_map(path, (256, 176), "cihp", pose)
    path.write_bytes(spoilt(labels, how).getvalue())
    with pytest.raises(InputError, match=said): check_map(path, (256, 176), "cihp", pose)


def test_maps_in_another_label_set_reach_no_training(tmp_path):
    "A PATN folder parsed by `truepose parse`, whose ids are CIHP's, is not read as LIP's."
    folder = write_example(tmp_path/"patn", label_set="cihp")
    with pytest.raises(InputError, match="say --label-set cihp"): open_people(folder, (64, 44))
    assert len(open_people(folder, (64, 44), label_set="cihp")) == 6
    with pytest.raises(InputError, match="look like lip"): open_people(write_example(tmp_path/"lip"), (64, 44), label_set="atr")


@pytest.mark.parametrize("files, title", [(["train/image/00000_00.jpg", "train/cloth/00000_00.jpg", "train_pairs.txt", "test_pairs.txt"], "VITON"),
                                          (["upper_body/images/000000_0.jpg", "upper_body/train_pairs.txt", "train_pairs.txt"], "DressCode"),
                                          (["bounding_box_test/0001_c1s1_001051_00.jpg", "query/0001_c1s1_001051_00.jpg"], "Market-1501"),
                                          (["IMG_0001.JPG", "ein Bild.jpeg"], "2 photographs"), (["test_pairs.txt", "pose.zip"], "unknown"), ([], "unknown")])
def test_the_doctor_calls_no_set_by_another_name(tmp_path, files, title):
    for file in files:
        (tmp_path/file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path/file).write_text("000000_0.jpg 000001_1.jpg\n")
    said = examine(tmp_path)
    assert said.title.startswith(title) and "DeepFashion" not in said.title and not said.healthy


def test_names_as_a_mac_writes_them(tmp_path):
    "Letters and their accents apart, blanks, upper-case endings, in a folder with an accent."
    folder = write_example(tmp_path/"Gäste 2", "people")
    old = next(path.stem for path in sorted((folder/"images").iterdir()))
    new = "Zoë und " + old
    for kind in ("images", "parsing", "keypoints"):
        path = next((folder/kind).glob(f"{old}.*"))
        path.rename(path.with_stem(unicodedata.normalize("NFD", new)))
    listed = (folder/"pairs.csv").read_text().replace(old, unicodedata.normalize("NFC", new)).replace(".jpg", ".JPG")
    (folder/"pairs.csv").write_text(listed, encoding="utf-16")
    people = open_people(folder, (64, 44), keep=False)
    assert len(people.pairs) == 12 and all(name in people.index for pair in people.pairs for name in pair)


def test_one_person_has_no_interval(tmp_path):
    "Two pairs that seem to be of one person: refused; of two, of whom one has a face: said, not printed."
    rng, grey = np.random.default_rng(0), np.full((64, 44), 5, np.uint8)
    def picture(path, noise=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((np.full((64, 44, 3), 120) + rng.integers(-noise, noise + 1, (64, 44, 3))).astype(np.uint8)).save(path)
    for person in ("a", "b"):
        picture(tmp_path/"made"/f"{person}_0_2_{person}_1.png", 20)
        for view in (0, 1): picture(tmp_path/"truth"/"images"/f"{person}_{view}.png", 10)
    (tmp_path/"truth"/"parsing").mkdir()
    for person in ("a", "b"):
        labels = grey.copy()
        labels[:20] = 13 if person == "a" else 0
        Image.fromarray(labels).save(tmp_path/"truth"/"parsing"/f"{person}_1.png")
    found = evaluate_folders(tmp_path/"made", tmp_path/"truth", progress=False)
    assert "ssim_low95" in found and "face_ssim" in found and found["face_ssim_low95"] is None
    assert any("no interval for face_ssim" in note for note in found["notes"])


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 334643268\n"


def test_pointers_of_git_lfs_are_named_wherever_a_file_is_opened(tmp_path):
    "A repository cloned without git-lfs: each kind of file, whoever opens it."
    from truepose.core import asset, read_json
    from truepose.data.tables import read_table
    from truepose.method.clip import clip_from_open_clip
    from truepose.method.codec import load_codec
    from truepose.method.stable_diffusion import thin, write_sd
    from truepose.photo.parser import SegFormerParser, load_parser
    from truepose.pipeline import TruePosePipeline, pipeline_from_preset, pipeline_from_sd
    def cloned(folder):
        for path in folder.rglob("*.safetensors"): path.write_text(POINTER)
        return folder
    pipeline_from_preset("tiny").save_pretrained(tmp_path/"pipe")
    cloned(tmp_path/"pipe")
    for weights in ("pipe/model", "sd/vae"): (tmp_path/weights).mkdir(parents=True, exist_ok=True)
    write_sd(tmp_path/"sd", thin("paper"))
    cloned(tmp_path/"sd")
    for name, config in (("parser", (asset("parser")/"config.json").read_text()), ("segformer", '{"model_type": "segformer"}')):
        (tmp_path/name).mkdir()
        (tmp_path/name/"config.json").write_text(config)
    for name in ("segformer/model.safetensors", "parser/diffusion_pytorch_model.safetensors", "clip.safetensors", "a.png", "a.json", "a.csv"): (tmp_path/name).write_text(POINTER)
    calls = dict(pipeline=lambda: TruePosePipeline.from_pretrained(tmp_path/"pipe"), codec=lambda: load_codec(tmp_path/"pipe"/"codec"),
                 clip_folder=lambda: clip_from_open_clip("ViT-L-14", tmp_path/"pipe"/"clip"),
                 clip_file=lambda: clip_from_open_clip("ViT-L-14", f"openai:{tmp_path/'clip.safetensors'}"),
                 sd=lambda: pipeline_from_sd(tmp_path/"sd", "ViT-S-32-alt", None, (64, 48)), parser=lambda: load_parser(tmp_path/"parser"),
                 segformer=lambda: SegFormerParser(tmp_path/"segformer"), picture=lambda: load_image(tmp_path/"a.png"), pose=lambda: read_json(tmp_path/"a.json"),
                 table=lambda: read_table(tmp_path/"a.csv", ("from", "to")))
    for name, call in calls.items():
        with pytest.raises(InputError, match="is a pointer of git-lfs, not the file itself; run `git lfs pull`"): call()


def test_diffusers_generic_door(tmp_path, monkeypatch):
    "A saved folder opens by `DiffusionPipeline`, also where truepose was not imported before; or it says in a line how."
    import diffusers
    from diffusers.utils import dynamic_modules_utils
    from truepose.pipeline import TruePosePipeline, pipeline_from_preset
    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path/"cache"))
    monkeypatch.delattr(diffusers, "TruePosePipeline")
    pipeline_from_preset("tiny").save_pretrained(tmp_path/"pipe")
    with pytest.raises(ValueError, match="trust_remote_code=True"): diffusers.DiffusionPipeline.from_pretrained(tmp_path/"pipe")
    pipe = diffusers.DiffusionPipeline.from_pretrained(tmp_path/"pipe", trust_remote_code=True)
    assert type(pipe) is TruePosePipeline and pipe.image_size == (64, 44)
    assert TruePosePipeline.from_pretrained(tmp_path/"pipe").image_size == (64, 44)


def test_a_folder_that_departs_from_its_layout_says_so_once(tmp_path):
    "Joints in another frame: refused with the way to keep it; kept, everyone reads them alike."
    plain, other = write_example(tmp_path/"plain", "patn"), write_example(tmp_path/"other", "patn")
    for path in other.glob("*annotation*.csv"):
        header, *lines = path.read_text().splitlines()
        def wider(numbers): return [x if x < 0 else x + 40 for x in json.loads(numbers)]
        rows = [line.split(":") for line in lines]
        path.write_text("\n".join([header, *(f"{name}:{y}:{wider(x)}" for name, y, x in rows)]) + "\n")
    (other/"parsing").rename(other/"maps")
    with pytest.raises(InputError, match="truepose doctor FOLDER --frame bordered --keep"): open_people(other, (64, 44), "test", keep=False)
    found = examine(other, subset=True)
    assert not found.healthy and "--parsing" in str(found) and examine(other, subset=True, frame="bordered", parsing="maps").healthy
    keep_choices(other, frame="bordered")
    with pytest.raises(InputError, match="parsing: no parsing map for 6 of 6"): open_people(other, (64, 44), "test", keep=False)
    keep_choices(other, parsing="maps")
    assert examine(other, subset=True).healthy
    mine, theirs = (open_people(folder, (64, 44), "test", keep=False) for folder in (plain, other))
    assert np.abs(mine.keypoints[:] - theirs.keypoints[:]).max() < .1 and (mine.regions[:] == theirs.regions[:]).all()
    assert set(read_truth(other).maps) == set(read_truth(plain).maps)
    (other/"truepose.json").write_text('{"frame": "cubist"}')
    with pytest.raises(InputError, match="truepose.json: frame is 'cubist'; choose one of"): open_people(other, (64, 44), "test", keep=False)


def test_the_doctor_misses_pictures_of_a_people_folder(tmp_path):
    folder = write_example(tmp_path/"people", "people")
    for path in (folder/"images").iterdir(): path.unlink()
    found = examine(folder, subset=True)
    assert not found.healthy and "people/images: no pictures" in str(found)


@pytest.fixture(scope="module")
def pipe():
    from truepose.pipeline import pipeline_from_preset
    pipe = pipeline_from_preset("tiny")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def given():  # what a call of `tiny` takes
    picture = np.random.default_rng(0).integers(0, 256, (64, 44, 3), dtype=np.uint8)
    pose = np.column_stack([STANDING * [44/512, 64/512], np.full(18, 2)])
    return picture, to_labels(stand_in((64, 44))), pose


STANDING = np.array([(256, 80), (256, 140), (216, 140), (200, 210), (196, 280), (296, 140), (312, 210), (316, 280), (230, 280), (228, 370),
                     (226, 460), (282, 280), (284, 370), (286, 460), (248, 72), (264, 72), (238, 78), (274, 78)], float)
PICTURES = {"uint8 tensor": (lambda p: torch.from_numpy(p).permute(2, 0, 1), "expected floats in"), "0..1 tensor": (lambda p: torch.rand(3, 64, 44), "expected floats in"),
            "channels last": (lambda p: torch.zeros(64, 44, 3), "expected"), "floats": (lambda p: p / 255, "of values in"), "a path": (lambda p: "a.png", "load_image"),
            "none": (lambda p: [], "no picture is given"), "CMYK": (lambda p: Image.fromarray(p).convert("CMYK"), "mode CMYK"),
            "16 bits": (lambda p: Image.new("I;16", (44, 64)), "8-bit RGB"), "four channels": (lambda p: np.dstack([p, p[..., :1]]), "expected uint8"),
            "another size": (lambda p: p[:32], "32x44 pixels"), "two of unlike kinds": (lambda p: [p, p / 255], "of values in")}
MAPS = {"a path": (lambda m: "map.png", "load_parsing"), "colours": (lambda m: np.dstack([m] * 3), "as of colours"), "floats": (lambda m: m / 2, "integer id"),
        "another size": (lambda m: m[:32], "32x44"), "two sizes": (lambda m: [m, m[:9]], "9x44"), "none": (lambda m: [], "none is given"),
        "too many": (lambda m: [m, m], "2 maps for 1"), "other ids": (lambda m: m + 100, "is unknown in label set")}
POSES = {"shares": (lambda p: p / [44, 64, 1], "are shares"), "-1..1": (lambda p: (p - [22, 32, 0]) / [22, 32, 1], "are shares"), "nobody": (lambda p: p * [1, 1, 0], "no joint is known"),
         "outside": (lambda p: p + [99, 0, 0], "lie outside"), "confidence": (lambda p: p - [0, 0, 1.1], "visibility must be"), "NaN": (lambda p: p * np.nan, "not a number"),
         "COCO": (lambda p: p[:17], "looks like COCO"), "no visibility": (lambda p: p[:, :2], "three numbers"), "four axes": (lambda p: p[None, None], "expected [18, 3]"),
         "a path": (lambda p: "pose.json", "18 rows")}
OTHERS = {"generator": [7, np.random.default_rng(0), [torch.Generator()] * 2], "output_type": ["jpeg", "PIL", None], "num_images_per_prompt": [2], "callback_on_step_end": ["save"],
          "source_states": [np.zeros(3)], "label_set": ["schp"], "prompt": ["a person"], "height": [64]}


@pytest.mark.parametrize("argument, what", [(argument, what) for argument, kinds in enumerate((PICTURES, MAPS, POSES)) for what in kinds])
def test_what_a_call_is_given(pipe, argument, what):
    "Each kind of wrong picture, map and pose is refused by the argument's name, before anything is computed."
    inputs = list(given())
    change, said = (PICTURES, MAPS, POSES)[argument][what]
    inputs[argument] = change(inputs[argument])
    if what in ("two of unlike kinds", "two sizes"): inputs[2] = np.stack([inputs[2]] * 2)
    name = ("source_image", "source_parsing", "target_pose")[argument]
    with pytest.raises(InputError, match=f"^{name}.*{re.escape(said)}"): pipe(*inputs, num_inference_steps=1)


@pytest.mark.parametrize("name", OTHERS)
def test_other_arguments_of_a_call(pipe, name):
    for value in OTHERS[name]:
        with pytest.raises(InputError, match=name): pipe(*given(), num_inference_steps=1, **{name: value})


def test_poses_of_a_call_that_nobody_has(pipe):
    "Exchanged axes that stay in the picture are warned of; the source's pose is looked at, too, where it is known."
    picture, labels, pose = given()
    with pytest.warns(PoseWarning, match="x and y are exchanged"): pipe(picture, labels, pose[:, [1, 0, 2]] * [.7, 1, 1], num_inference_steps=1)
    with pytest.raises(InputError, match="source_pose: its x and y are shares"): pipe.encode_source(picture, labels, source_pose=pose / [44, 64, 1])
    pipe.encode_source(picture, labels, source_pose=pose * 0)  # not known


def test_maps_of_nobody_and_masks(tmp_path):
    labels = to_labels(stand_in((256, 176)))
    for name, array, said in (("mask", labels > 0, "a mask of 0 and 1"), ("empty", labels * 0, "nothing but background")):
        Image.fromarray(array.astype(np.uint8)).save(tmp_path/f"{name}.png")
        with pytest.raises(InputError, match=f"{name}.png: {said}"): check_map(tmp_path/f"{name}.png", (256, 176), "cihp")


def test_one_person_is_no_evidence(tmp_path):
    "A comparison or recall over one person is said to be none, in tables and in the command's lines."
    from truepose.cli import against_table
    from truepose.evaluate.compare import compare_tables
    rows = [dict(source="a_0", truth=f"a_{k}", person="a", ssim=.5 + k / 10) for k in range(4)]
    found = compare_tables([row | dict(ssim=row["ssim"] + row["ssim"] / 9) for row in rows], rows)
    assert found["ssim"]["p_wilcoxon"] is None and found["ssim"]["low95"] is None and found["ssim"]["n_pairs"] == 4
    said = against_table(dict(against=dict(measures=found), side_by_side=dict(ssim={})), tmp_path/"other.csv")
    assert "no test: of one person only" in said and " p " not in said
    for folder, names in (("made", ["a_0_2_a_1"]), ("truth", ["a_0", "a_1", "b_0"])):
        (tmp_path/folder).mkdir()
        for k, name in enumerate(names): Image.fromarray(np.random.default_rng(k).integers(0, 256, (64, 44, 3), dtype=np.uint8)).save(tmp_path/folder/f"{name}.png")
    report = evaluate_folders(tmp_path/"made", tmp_path/"truth", progress=False)
    assert "clip_nano_recall_at_1" not in report and any(entry["name"] == "clip_nano_recall_at_1" and "two persons" in entry["reason"] for entry in report["absent"])
