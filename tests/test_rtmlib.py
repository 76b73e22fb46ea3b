"rtmlib's networks for pose, in its formats and made here: a detector that sees a box wherever there is blue, joints in a row inside of it."
import json

import numpy as np
import pytest
from PIL import Image

from truepose.core import InputError
from truepose.photo.photo import RtmlibPose

onnx = pytest.importorskip("onnx", exc_type=ImportError)
pytest.importorskip("rtmlib", exc_type=ImportError)  # also where OpenCV lacks a library of the system
BOX = (20, 40, 80, 120)  # left, top, right, bottom: as narrow as the joints' network


def save(path, side, nodes, outputs, **constants):
    from onnx import TensorProto, helper, numpy_helper
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *side])
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph([helper.make_node(kind, given, [made], **options) for kind, given, made, options in nodes], "made", [image],
                              [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs], values)
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.fixture
def weights(tmp_path):
    "The first channel, blue for rtmlib, says how sure the detector is; joint k is 2 (k - 8) pixels right of the middle of its 192 x 256 view."
    save(tmp_path/"det.onnx", (160, 160), [("Slice", ["image", "first", "last", "axis"], "blue", {}), ("ReduceMax", ["blue"], "most", {"axes": [1, 2, 3], "keepdims": 0}),
                                           ("Mul", ["most", "scale"], "sure", {}), ("Reshape", ["sure", "shape"], "score", {}), ("Concat", ["box", "score"], "found", {"axis": 2})],
         [("found", [1, 1, 5])], first=np.array([0]), last=np.array([1]), axis=np.array([1]), scale=np.float32(1 / 255), shape=np.array([1, 1, 1]), box=np.float32([[BOX]]))
    across, down = np.zeros((1, 133, 384), np.float32), np.zeros((1, 133, 512), np.float32)
    across[0, np.arange(133), np.clip(192 + 4 * (np.arange(133) - 8), 0, 383)], down[0, :, 256] = 1, 1
    across[0, 10], down[0, 10] = .1 * across[0, 10], .1 * down[0, 10]  # a wrist that it is not sure of
    save(tmp_path/"pose.onnx", (256, 192), [("Identity", ["xs"], "x", {}), ("Identity", ["ys"], "y", {})], [("x", across.shape), ("y", down.shape)], xs=across, ys=down)
    return tmp_path


def test_joints_are_found_in_the_box(weights):
    blue = np.zeros((160, 160, 3), np.uint8)
    blue[..., 2] = 255
    joints = RtmlibPose(weights)(blue)
    step = 2 / 192 * 1.25 * (BOX[2] - BOX[0])  # the view is a quarter larger than the box
    assert joints[0, 2] == 2 and np.allclose(joints[0, :2], [50 - 8 * step, 80], atol=.1)  # COCO's first is the nose
    assert np.allclose(joints[10, :2], [50 + 8 * step, 80], atol=.1)  # its last but one is the right ankle
    assert joints[4].tolist() == [0, 0, 0] and (joints[:, 2] == 2).sum() == 17  # right wrist: unsure
    red = RtmlibPose(weights)(blue[..., ::-1])  # not detected: rtmlib takes the whole picture
    assert red[10, 0] - red[0, 0] > 2 * (joints[10, 0] - joints[0, 0])


def test_bad_weights_are_named(weights):
    (weights/"pose.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match="pose.onnx.*not an ONNX network"): RtmlibPose(weights)
    (weights/"det.onnx").unlink()
    with pytest.raises(InputError, match="det.onnx: no such file"): RtmlibPose(weights)


def test_command(weights, tmp_path):
    from test_cli import call, refused
    Image.fromarray(np.full((160, 160, 3), 255, np.uint8)).save(tmp_path/"photo.png")
    result = call("pose", tmp_path/"photo.png", "--out", tmp_path/"pose.json", "--estimator", "rtmlib", "--weights", weights)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path/"pose.json").read_text())["image_size"] == [160, 160]
    refused("pose", tmp_path/"photo.png", "--out", tmp_path/"a.json", "--weights", weights, words=("--weights", "rtmlib"))
    refused("pose", tmp_path/"photo.png", "--out", tmp_path/"a.json", "--estimator", "openpose", words=("openpose", "mediapipe or rtmlib"))
