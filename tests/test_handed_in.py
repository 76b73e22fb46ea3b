"What people really hand in: phone photographs, cut-outs, label maps that went through JPEG or a palette, other sets' folders, names of a Mac."
import io
import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from truepose.core import InputError, package_dir
from truepose.data.agreement import check_map
from truepose.data.deepfashion import ShopDataset, open_people
from truepose.data.doctor import examine
from truepose.data.examples import write_example
from truepose.data.images import load_image, picture_size
from truepose.data.parsing import load_parsing, stand_in
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
                                       "permuted": "noses, eyes and ears", "colours": "colours instead of label ids", "mask": "hips and knees are hair"}.items())
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
    assert "ssim_low95" in found and "face_ssim" in found and "face_ssim_low95" not in found
    assert any("no interval for face_ssim" in note for note in found["notes"])
