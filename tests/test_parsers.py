"SCHP, as a network of its ONNX format that is made here: what is blue is upper clothes; and the well-known parsers as the command opens them."
import math

import numpy as np
import pytest
from PIL import Image

from truepose.core import InputError
from truepose.photo.parser import SCHPParser


def save(path, labels, side):
    "Three outputs, as SCHP has: the first is wrong, the second counts, the third are edges; each fourth pixel, corners included."
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    from onnx import TensorProto, helper, numpy_helper
    wrong, right, bias = np.zeros((labels, 3, 1, 1), np.float32), np.zeros((labels, 3, 1, 1), np.float32), np.zeros(labels, np.float32)
    right[min(4 + labels // 20, labels - 1), 0] = 10  # the first channel is blue; upper-clothes is 5 in LIP, 4 in ATR
    bias[2] = 1e3
    constants = [numpy_helper.from_array(value, name) for name, value in dict(wrong=wrong, right=right, bias=bias, none=0 * bias).items()]
    nodes = [helper.make_node("Conv", ["input.1", weight, shift], [out], strides=[4, 4]) for weight, shift, out in (("wrong", "bias", "parsing"), ("right", "none", "fused"), ("wrong", "none", "edge"))]
    image = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, side, side])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("parsing", "fused", "edge")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "made", [image], outputs, constants), ir_version=10, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


@pytest.mark.parametrize("labels, side, name", [(20, 97, "lip"), (18, 129, "atr")])
def test_labels_lie_where_they_belong(labels, side, name, tmp_path):
    "In a picture of any shape, small or large: right of a line all is blue, and upper clothes (5 in CIHP)."
    parse = SCHPParser(save(tmp_path/"parsing.onnx", labels, side))
    assert parse.label_set == name
    for height, width, line in ((100, 60, 37), (90, 200, 120), (300, 410, 155)):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, :line, 0], image[:, line:, 2] = 255, 255  # red, blue
        found = parse(image)
        assert found.shape == (height, width) and set(np.unique(found)) == {0, 5}
        coarse = 1 + 4 * max(height, width) / side  # a pixel of the network's, and black bars begin beside the first
        inner = found[math.ceil(coarse):-math.ceil(coarse)]
        assert np.abs((inner == 0).sum(1) - line).max() <= coarse


def test_other_networks_are_refused(tmp_path):
    with pytest.raises(InputError, match="7 labels.*Pascal"): SCHPParser(save(tmp_path/"pascal.onnx", 7, 65))


def test_command(tmp_path):
    from test_cli import call, refused
    network = save(tmp_path/"parsing_lip.onnx", 20, 65)
    Image.fromarray(np.full((64, 44, 3), (0, 0, 255), np.uint8)).save(tmp_path/"photo.png")
    result = call("parse", tmp_path/"photo.png", "--parser", network, "--out", tmp_path/"parsing.png")
    assert result.exit_code == 0 and "upper-clothes" in result.output, result.output
    refused("parse", tmp_path/"photo.png", "--parser", "fashn", "--out", tmp_path/"fashn.png", words=("fashn", "HF_HUB_OFFLINE"))
    assert not (tmp_path/"fashn.png").exists()
