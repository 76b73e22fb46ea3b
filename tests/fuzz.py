"""Bytes that find new ways through the readers, by atheris (pip install atheris): python tests/fuzz.py poses -max_total_time=300
A reader returns, or raises an InputError of one line; anything else ends the search, and the bytes are kept as crash-*."""
import inspect
import io
import json
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["truepose.core", "truepose.data"]):
    from truepose.core import InputError
    from truepose.data import pose_files, shards, tables
    from truepose.data.pairs import read_pairs
from truepose.people import writing  # and with it the renderer, in which nothing is sought
from truepose.train import stream

for module in (writing, stream):
    for name, part in vars(module).items():
        if inspect.isfunction(part) and part.__module__ == module.__name__: atheris.instrument_func(part)

PLACE = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
FILE, SET = PLACE / "a.csv", PLACE / "set"
SET.mkdir()


def poses(data):
    for size in (None, (128, 88)):
        with refused(): pose_files.load_keypoints(io.BytesIO(data), size)
        with refused(): pose_files.import_pose(io.BytesIO(data), size)


def lists(data):
    FILE.write_bytes(data)
    with refused(): tables.read_table(FILE)
    with refused(): tables.read_numbers(FILE)
    with refused(): read_pairs(FILE)


def manifests(data):
    (SET / "manifest.json").write_bytes(data)
    with refused(): writing.verify_people(SET)
    with refused(): stream.read_manifest(f"{SET}/people-{{000000..000000}}.tar")


def tars(data):
    with refused():
        shard = shards.LoadedShard(data, "a.tar")
        for name in shard.names: assert "/" not in name


class refused:
    "Of a block: an InputError of one line is no fault."
    def __enter__(self): return self

    def __exit__(self, kind, error, traceback):
        if not isinstance(error, InputError): return False
        assert len(str(error).splitlines()) == 1, str(error)
        return True


def seeds():
    "What is right, to begin with."
    people = {"people": [{"pose_keypoints_2d": [5.0] * 54}], "canvas_height": 128, "canvas_width": 88}
    ours = {"image_size": [128, 88], "keypoints": [[40, 50 + i, 2] for i in range(18)]}
    coco = {"images": [{"id": 1, "file_name": "a.png", "height": 128, "width": 88}], "annotations": [{"image_id": 1, "keypoints": [5, 6, 2] * 17}]}
    mmpose = {"instance_info": [{"keypoints": [[5.0, 6.0]] * 17, "keypoint_scores": [1.0] * 17}]}
    one = {"params": {"split": "test"}, "files": {"pairs.csv": "0" * 64}, "content": ""}
    several = {"params": {}, "splits": {"test": ""}, "name": "small", "version": 1}
    packed = {"params": {}, "size": [64, 44], "shards": [{"file": "people-000000.tar", "sources": 1, "pictures": 2, "pairs": 2, "bytes": 10, "sha256": "0" * 64}]}
    with tempfile.TemporaryDirectory() as place:
        path = shards.write_shard(Path(place) / "a.tar", [("p0_0", {"images.png": b"1", "keypoints.json": b"{}"}), ("p0_1", {"images.png": b"2"})])
        tar = path.read_bytes()
    def texts(*values): return [json.dumps(value).encode() for value in values]
    return dict(poses=texts(people, ours, coco, mmpose, [people], {"a.png": people}), manifests=texts(one, several, packed), tars=[tar],
                lists=[b"from,to\na,b\n", b"step,loss\n1,.5\n2,\n", b'from;to\n"a";"b"\n', "from,to\nä,b\n".encode("utf-16")])


DOORS = dict(poses=poses, lists=lists, manifests=manifests, tars=tars)

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in DOORS: sys.exit(f"name one of {', '.join(DOORS)}, then libFuzzer's options, e.g. -max_total_time=300")
    corpus = PLACE / "corpus"
    corpus.mkdir()
    for number, content in enumerate(seeds()[name]): (corpus / str(number)).write_bytes(content)
    atheris.Setup([sys.argv[0], str(corpus), "-max_len=20000", *sys.argv[1:]], DOORS[name])
    atheris.Fuzz()
