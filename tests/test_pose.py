"Poses that people hand over: the same person in every form of the field, and what must be refused."
import json
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from truepose.core import InputError
from truepose.data.joints import PoseWarning, check_pose
from truepose.data.pose import import_pose, load_keypoints, save_keypoints
from truepose.show import BONE_COLOURS, draw_skeleton

SIZE = 512, 384
PERSON = np.array([[190, 80, 1], [190, 130, 1], [150, 132, 1], [136, 200, 1], [130, 262, 1], [230, 132, 1], [246, 200, 1], [250, 262, 1],
                   [164, 262, 1], [160, 350, 1], [158, 440, 1], [214, 262, 1], [218, 350, 1], [220, 440, 1], [182, 72, 1], [198, 72, 1],
                   [172, 78, 1], [208, 78, 1]], np.float32)
COCO = PERSON[[0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]]
BODY25 = np.concatenate([np.insert(PERSON[:14], 8, (189, 262, 1), 0), PERSON[14:], np.full((6, 3), 450)])
ELSEWHERE = PERSON * (0.5, 0.5, 1) + (150, 60, 0)


def more(points, n): return np.concatenate([points, np.tile([[300, 100, 1]], (n - len(points), 1))])
def flat(points): return [float(number) for row in points for number in row]
def openpose(*people, **said): return {"version": 1.3, "people": [{"pose_keypoints_2d": flat(points)} for points in people], **said}
def instance(points): return {"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist(), "bbox": [[0, 0, 9, 9]]}


@pytest.fixture
def given(tmp_path):
    "Writes a content and reads it again as the pose of a picture."
    def read(content, size=SIZE, **options):
        (tmp_path/"pose.json").write_text(json.dumps(content))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return import_pose(tmp_path/"pose.json", size, **options)
    return read


FORMS = {
    "ours": {"image_size": list(SIZE), "keypoints": (PERSON * (1, 1, 2)).tolist()},
    "OpenPose": openpose(PERSON),
    "OpenPose 1.0": {"version": 1.0, "people": [{"pose_keypoints": flat(PERSON), "face_keypoints": []}]},
    "BODY_25": openpose(BODY25),
    "with hands apart": {"people": [{"pose_keypoints_2d": flat(PERSON), "hand_left_keypoints_2d": [1.0] * 63, "face_keypoints_2d": None}]},
    "133 flat": openpose(more(COCO, 133)), "134 flat": openpose(more(PERSON, 134)), "137 flat": openpose(more(BODY25, 137)),
    "ControlNet": [openpose(PERSON / (384, 512, 1), canvas_height=512, canvas_width=384)],
    "its null": {"people": [{"pose_keypoints_2d": flat(PERSON), "hand_right_keypoints_2d": None}], "canvas_height": 512, "canvas_width": 384},
    "half the canvas": openpose(PERSON / (2, 2, 1), canvas_height=256, canvas_width=192),
    "canvas in 64s": openpose(PERSON * (448 / 384, 576 / 512, 1), canvas_height=576, canvas_width=448),
    "editor": {"width": 192, "height": 256, "keypoints": [(PERSON[:, :2] / 2).tolist()]},
    "-1 to 1": openpose(PERSON / (192, 256, 1) - (1, 1, 0)),
    "mmpose": {"meta_info": {}, "instance_info": [instance(COCO)]}, "mmpose list": [instance(more(COCO, 133))],
    "mmpose video": {"instance_info": [{"frame_id": 1, "instances": [instance(more(COCO, 26))]}]},
    "AlphaPose cmu": {"a.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": flat(PERSON)}]}},
    "DressCode": {"keypoints": np.insert(PERSON, 3, 9, axis=1).tolist()},
    "COCO": {"images": [{"id": 4, "file_name": "a.jpg"}], "annotations": [{"image_id": 4, "keypoints": flat(COCO * (1, 1, 2))}]},
    "results": [{"image_id": "a.jpg", "category_id": 1, "keypoints": flat(COCO), "score": 2.2}],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_person(given, form):
    pose = given(FORMS[form], picture="a.jpg")
    assert pose.size == SIZE
    assert np.abs(pose.keypoints - PERSON * (1, 1, 2)).max() < 2.1  # the neck of COCO lies between the shoulders


@pytest.mark.parametrize("name", ["1.jpg", "1.PNG", "some/folder/1.jpg"])
def test_the_pose_is_that_of_the_picture(given, name):
    "Never the surest person of all pictures."
    rows = [dict(image_id=image, keypoints=flat(points), score=score)
            for image, points, score in (("2.jpg", more(COCO, 17) * (0.5, 0.5, 1), 3.0), ("1.jpg", COCO, 0.5))]
    assert np.abs(given(rows, picture=name).keypoints[0, :2] - PERSON[0, :2]).max() < 1e-3
    by_name = {row["image_id"]: openpose(PERSON * (s, s, 1)) for row, s in zip(rows, (0.5, 1))}
    assert np.abs(given(by_name, picture=name).keypoints[0, :2] - PERSON[0, :2]).max() < 1e-3
    for picture in ("3.jpg", None):
        with pytest.raises(InputError, match=r"2 pictures \(2.jpg, 1.jpg\)"): given(rows, picture=picture)


def test_names_match_in_any_unicode_form(given):
    apart = unicodedata.normalize("NFD", "Grün.jpg")
    rows = [dict(image_id=apart, keypoints=flat(COCO)), dict(image_id="Blau.jpg", keypoints=flat(COCO * (0.5, 0.5, 1)))]
    assert given(rows, picture="Grün.jpg").keypoints[0, 1] == 80


def test_the_only_picture_is_another_one(given):
    with pytest.raises(PoseWarning, match="is the pose of b.jpg, the picture is a.jpg"):
        given([dict(image_id="b.jpg", keypoints=flat(COCO))], picture="a.jpg")


def test_several_people(given):
    two = openpose(ELSEWHERE * (1, 1, 0.7), PERSON)
    assert given(two).taken.endswith("person 2 of 2") and given(two).keypoints[0, 0] == 190
    assert given(two, person=1).keypoints[0, 0] == 245
    with pytest.raises(InputError, match="no person 3: it holds 2"): given(two, person=3)


@pytest.mark.parametrize("shift, scale", [(0, 1), (-1, 2)], ids=["0 to 1", "-1 to 1"])
def test_one_joint_outside_does_not_make_pixels_of_shares(given, shift, scale):
    "ComfyUI-ultimate-openpose-editor, pull request 47."
    shares = PERSON * (scale / 384, scale / 512, 1) + (shift, shift, 0)
    shares[13, 1] = 1.2
    found = given(openpose(shares)).keypoints
    assert np.abs(found[:13, :2] - PERSON[:13, :2]).max() < 1e-3 and (found[13] == 0).all()


REFUSED = {
    "another shape": (openpose(PERSON, canvas_height=512, canvas_width=512), {}, "another shape"),
    "a larger picture": (openpose(PERSON * (4, 4, 1)), {}, "lie outside of 512x384"),
    "x and y, outside": (openpose((PERSON + (0, 100, 0))[:, [1, 0, 2]]), dict(size=(600, 384)), "exchanged"),
    "x and y, inside": (openpose(PERSON[:, [1, 0, 2]]), dict(size=(512, 512)), "exchanged"),
    "nobody": (openpose(), {}, "no person was found"), "no joint": (openpose(PERSON * 0), {}, "no joint is known"),
    "unsure": (openpose(PERSON * (1, 1, 0.2)), {}, "no joint is known"),
    "25 cut to 18": (openpose(BODY25[:18]), {}, "not in OpenPose's order"),
    "neck at the end": (openpose(np.concatenate([COCO, PERSON[1:2]])), {}, "not in OpenPose's order"),
    "16 joints": (openpose(PERSON[:16]), {}, "16 points"), "ragged": ({"people": [{"pose_keypoints_2d": [1, 2]}]}, {}, "x, y, confidence"),
    "no size": (openpose(PERSON), dict(size=None), "does not say how large"),
    "ours in shares": ({"image_size": [512, 384], "keypoints": (PERSON / (384, 512, 0.5)).tolist()}, {}, "are shares"),
    "unknown": ({"shapes": []}, {}, "of no form known here .*it holds fields shapes"), "empty": ([], {}, "of no form"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(given, case):
    content, options, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as error: given(content, **{"size": SIZE} | options)
    assert "pose.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("pose, words", [(PERSON[:, [1, 0, 2]] * (-1, 1, 1) + (512, 0, 0), "lies on a side"),
                                         (PERSON * (-1, -1, 1) + (384, 512, 0), "head down"),
                                         (PERSON * (-1, 1, 1) + (384, 0, 0), "left and right are exchanged")])
def test_odd_poses_are_warned_of(pose, words):
    with pytest.warns(PoseWarning, match=words): check_pose(pose * (1, 1, 2), (512, 512))


def test_ours_is_scaled_and_may_be_empty(tmp_path):
    save_keypoints(tmp_path/"a.json", PERSON * (1, 1, 2), SIZE)
    assert load_keypoints(tmp_path/"a.json")[1] == SIZE
    assert load_keypoints(tmp_path/"a.json", (256, 192))[0][0].tolist() == [95, 40, 2]
    save_keypoints(tmp_path/"b.json", np.zeros((18, 3)), SIZE)
    assert not load_keypoints(tmp_path/"b.json")[0].any()  # a picture of a set may have nobody's pose
    with pytest.raises(InputError, match="no joint is known"): import_pose(tmp_path/"b.json")


def test_a_drawn_skeleton(tmp_path):
    drawn = draw_skeleton(PERSON * (1, 1, 2), SIZE)
    Image.fromarray(drawn).save(tmp_path/"a.png")
    pose = import_pose(tmp_path/"a.png", (1024, 768))
    assert np.abs(pose.keypoints - PERSON * (2, 2, 2)).max() < 2 and pose.taken == "a drawn skeleton"
    Image.fromarray(drawn[..., ::-1]).save(tmp_path/"b.png")
    with pytest.raises(InputError, match="red and blue exchanged"): load_keypoints(tmp_path/"b.png")
    both = np.maximum(draw_skeleton(ELSEWHERE * (1, 1, 2), SIZE), draw_skeleton((ELSEWHERE - (130, 0, 0)) * (1, 1, 2), SIZE))
    Image.fromarray(both).save(tmp_path/"c.png")
    with pytest.raises(InputError, match="several people"): load_keypoints(tmp_path/"c.png")
    Image.new("RGB", (44, 64), BONE_COLOURS[3]).save(tmp_path/"d.png")
    with pytest.raises(InputError, match="no skeleton on black"): load_keypoints(tmp_path/"d.png")
