"What every reader owes to any input, by Hypothesis: something valid, or an InputError of one line; and what is written is read again as it was. Few examples; with --slow many, and others each time."
import contextlib
import io
import json
import math
import string
import sys
import tarfile
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings, strategies as st

from truepose import core
from truepose.cli import read_settings
from truepose.core import InputError, as_path, check_size, check_whole, read_json, write_json
from truepose.data.pairs import read_pairs
from truepose.data.pose import load_keypoints, save_keypoints
from truepose.data.pose_files import import_pose
from truepose.data.shards import LoadedShard, read_shard, write_shard
from truepose.data.tables import read_numbers, read_table, write_table
from truepose.people.writing import read_manifest, verify_people
from truepose.train import stream

SLOW = "--slow" in sys.argv
some = settings(max_examples=400 if SLOW else 8, deadline=None, database=None, derandomize=not SLOW, suppress_health_check=list(HealthCheck))


@contextlib.contextmanager
def refused_or_valid():
    "Anything but an InputError of one line fails."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try: yield
        except InputError as e:
            said = str(e)
            assert said.strip() and len(said.splitlines()) == 1 and len(said) < 4000, said


@pytest.fixture(scope="module")
def place():
    with tempfile.TemporaryDirectory() as folder: yield Path(folder)


# --- what may come -------------------------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=12) | st.sampled_from(["", "a", "../x", "/etc/x", "\0", "4", "nan", "ä"])
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2, 10**12, 10**400, True, 1e300])
ANYTHING = st.recursive(st.none() | st.booleans() | NUMBERS | TEXTS,
                        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12)
FIELDS = st.sampled_from(["image_size", "keypoints", "people", "pose_keypoints_2d", "pose_keypoints", "bodies", "joints", "instance_info", "instances", "keypoint_scores",
                          "images", "annotations", "image_id", "id", "file_name", "width", "height", "canvas_width", "canvas_height", "score", "frame_id"])
COORDINATES = st.floats(-50, 600) | NUMBERS | st.none()
POINTS = st.lists(st.lists(COORDINATES, min_size=2, max_size=4), max_size=20) | st.lists(COORDINATES, max_size=60) | st.sampled_from([[[5, 6, 2]] * 18, [5.0, 6.0, .9] * 18, [[5.0, 6.0]] * 17])
POSES = st.recursive(ANYTHING | POINTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner | POINTS, max_size=5), max_leaves=10)
SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
SHOWN = st.tuples(st.integers(0, 17600), st.integers(0, 25600), st.integers(1, 2)).map(lambda xyv: [xyv[0] / 100, xyv[1] / 100, xyv[2]])
NAMES = st.text(string.ascii_letters + string.digits + "_-äß ", min_size=1, max_size=12).map(str.strip).filter(bool)
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), max_size=8)


# --- readers -------------------------------------------------------------------------------------------------------------------------------

@some
@given(content=POSES, size=st.none() | SIZES)
def test_poses(place, content, size):
    path = place/"pose.json"
    path.write_text(json.dumps(content))
    for read in (lambda: load_keypoints(path, size), lambda: import_pose(path, size)):
        with refused_or_valid():
            joints, frame = read()[:2]
            assert joints.shape == (18, 3) and joints.dtype == np.float32 and np.isfinite(joints).all()
            assert set(joints[:, 2].tolist()) <= {0, 1, 2} and len(frame) == 2 and min(frame) > 0
            assert size is None or tuple(frame) == size


@some
@given(content=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_bytes_for_text(place, content):
    path = place/"any.csv"
    path.write_bytes(content)
    for read in (lambda: read_json(path), lambda: load_keypoints(path), lambda: read_table(path), lambda: read_pairs(path), lambda: read_numbers(path),
                 lambda: list(read_shard(path)), lambda: LoadedShard(content, "a.tar")):
        with refused_or_valid(): read()


@some
@given(cells=st.lists(st.lists(TEXTS | CELLS, max_size=4), max_size=5), separator=st.sampled_from(",;\t"), header=st.sampled_from(["", "from,to", "from;to", "step,loss", "a,a"]),
       columns=st.sampled_from([(), ("from", "to"), ("step",)]))
def test_tables(place, cells, separator, header, columns):
    path = place/"table.csv"
    path.write_text("\n".join([header, *map(separator.join, cells)]), encoding="utf-8", newline="")
    with refused_or_valid():
        table = read_table(path, columns)
        assert set(columns) <= set(table.columns) and not table.isna().any().any() and table.columns.is_unique
        for cell in table.to_numpy().ravel(): assert cell == cell.strip()
    with refused_or_valid():
        for row in read_numbers(path, columns=columns): assert all(isinstance(value, float) for value in row.values())
    with refused_or_valid():
        pairs = read_pairs(path)
        assert pairs and all(a and b for a, b in pairs)


MANIFEST = st.fixed_dictionaries({}, optional=dict(
    params=ANYTHING | st.fixed_dictionaries({}, optional=dict(split=TEXTS, count=NUMBERS, seed=NUMBERS)), content=ANYTHING, splits=ANYTHING | st.dictionaries(TEXTS | st.just("test"), ANYTHING, max_size=2),
    files=ANYTHING | st.dictionaries(TEXTS, TEXTS, max_size=3), name=ANYTHING, version=NUMBERS, size=ANYTHING | st.lists(NUMBERS, max_size=3),
    shards=ANYTHING | st.lists(st.dictionaries(st.sampled_from(["file", "sources", "pictures", "pairs", "bytes", "sha256"]), ANYTHING | st.just("people-000000.tar"), max_size=6), max_size=2)))


@some
@given(content=MANIFEST | ANYTHING)
def test_manifests(place, content):
    folder = place/"set"
    folder.mkdir(exist_ok=True)
    (folder/"manifest.json").write_text(json.dumps(content))
    with refused_or_valid(): assert "params" in read_manifest(folder)
    with refused_or_valid(): verify_people(folder)
    with refused_or_valid():
        shards, size = stream.read_manifest(str(folder/"people-{000000..000000}.tar"))
        assert shards and len(size) == 2


MEMBERS = st.lists(st.tuples(st.text(string.ascii_letters + "._/-0", max_size=20) | st.sampled_from(["a.images.png", "a.keypoints.json", "a.parsing.png", "../a.images.png", "/a.images.png"]),
                             st.binary(max_size=40), st.sampled_from([tarfile.REGTYPE] * 4 + [tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])), max_size=4)


@some
@given(members=MEMBERS, cut=st.integers(0, 12000), form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_shards(place, members, cut, form):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name or "x")
            info.size, info.type = len(content) if kind == tarfile.REGTYPE else 0, kind
            archive.addfile(info, io.BytesIO(content))
    content = buffer.getvalue()[:cut or None]
    with refused_or_valid():
        shard = LoadedShard(content, "a.tar")
        for name in shard.names: assert "/" not in name and not name.startswith(".")


@some
@given(text=st.text(max_size=60) | st.dictionaries(st.sampled_from(["seed", "persons", "variant", "views", "size"]) | TEXTS, ANYTHING, max_size=3).map(lambda d: json.dumps(d)))
def test_parameters(place, text):
    path = place/"params/e24_stream/a.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with refused_or_valid():
        for name, value in read_settings("e24_stream", [path], []).items(): assert isinstance(name, str)


@some
@given(value=ANYTHING | st.tuples(NUMBERS, NUMBERS) | st.binary(max_size=4))
def test_names_sizes_and_numbers(value):
    with refused_or_valid(): assert str(as_path(value))
    with refused_or_valid():
        check_size(value)
        height, width = value
        assert 1 <= min(height, width) and max(height, width) <= 8192 and isinstance(height + width, int)
    with refused_or_valid():
        check_whole(value, "seed", 0, core.SEEDS - 1)
        assert 0 <= int(value) == value


# --- there and back ------------------------------------------------------------------------------------------------------------------------

@some
@given(rows=st.lists(SHOWN | st.just([0, 0, 0]), min_size=18, max_size=18), size=st.sampled_from([(256, 176), (64, 44), (1101, 750)]))
def test_a_pose_comes_back(place, rows, size):
    path, wanted = place/"own.json", np.array(rows, np.float32)
    save_keypoints(path, wanted, size)
    found, frame = load_keypoints(path)
    assert np.array_equal(found, wanted) and frame == size


@some
@given(data=st.data(), columns=st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_a_table_comes_back(place, data, columns):
    path, cell = place/"own.csv", CELLS.filter(lambda text: text == text.strip())
    rows = data.draw(st.lists(st.fixed_dictionaries({name: cell for name in columns}).filter(lambda row: any(row.values())), min_size=1, max_size=4))
    write_table(path, rows)
    assert read_table(path, tuple(columns)).to_dict("records") == rows


@some
@given(rows=st.lists(st.fixed_dictionaries(dict(step=st.integers(0, 10**6), loss=st.floats(allow_nan=False) | st.none())), min_size=1, max_size=4))
def test_numbers_come_back(place, rows):
    path = place/"numbers.csv"
    write_table(path, rows)
    for found, row in zip(read_numbers(path, columns=("step", "loss")), rows, strict=True):
        assert found["step"] == row["step"] and (found["loss"] == row["loss"] or row["loss"] is None and math.isnan(found["loss"]))


@some
@given(content=ANYTHING)
def test_json_comes_back(place, content):
    path = place/"own.any.json"
    write_json(path, content)
    assert repr(read_json(path)) == repr(json.loads(json.dumps(content)))


@some
@given(samples=st.dictionaries(st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12),
                               st.dictionaries(st.sampled_from(["images.png", "parsing.png", "keypoints.json"]), st.binary(max_size=700), min_size=1), min_size=1, max_size=3))
def test_a_shard_comes_back(place, samples):
    path = write_shard(place/"own.tar", samples.items())
    assert {name: {".".join(key): content for key, content in files.items()} for name, files in read_shard(path)} == samples
