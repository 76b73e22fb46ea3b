"A hundred broken inputs of e40_broken_inputs, those that cost little; and bytes changed at random."
import json

import pytest
from typer.testing import CliRunner

import broken
from truepose import cli
from truepose.core import InputError, atomic_write
from truepose.people.writing import unpack_people, verify_people

CHEAP = {  # kind: what the names of its cases end in, and one of how many is taken
    "pictures": ("at load_image", 1), "maps": ("at load_parsing", 2), "poses": ("at load_keypoints", 3), "tables": ("at read_pairs", 3), "yaml": ("at --also", 3),
    "manifests": ("at people --verify", 4), "shards": ("at read_shard", 3), "calls": (("at load_image", "at open_people", "at make_person"), 1)}


@pytest.fixture(scope="module")
def good(tmp_path_factory): return broken.Good(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("kind", CHEAP)
def test_answers_help(good, kind):
    ending, each = CHEAP[kind]
    cases = [case for case in broken.KINDS[kind](good) if case.name.endswith(ending) and "100,000" not in case.name and "20,000" not in case.name][::each]
    found = [broken.judge(case) for case in cases]
    bad = [(row["name"], row["verdict"], row["said"]) for row in found if row["verdict"] in broken.BAD]
    assert len(cases) > 5 and not bad, bad


def test_bytes_at_random(good):
    found = broken.fuzz(good, 1.0, formats=("PNG", "JPEG", "map", "pose", "pose values", "COCO values", "pairs", "manifest values", "tar", "YAML"))
    assert all(counts["tried"] for counts in found.values())
    assert not {name: counts["raw"] for name, counts in found.items() if counts["raw"]}


def test_a_fault_of_ours_is_one_line(monkeypatch):
    "And all of it, if asked for."
    def fault(*_, **__): return [][3]
    monkeypatch.setattr(cli, "check_place", fault)
    words = ["unpack", "a", "--out", "b"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 1 and len(result.stderr.strip().splitlines()) == 1
    assert "IndexError" in result.stderr and "TRUEPOSE_TRACEBACK=1" in result.stderr
    monkeypatch.setenv("TRUEPOSE_TRACEBACK", "1")
    assert isinstance(CliRunner().invoke(cli.app, words).exception, IndexError)


def test_a_changed_shard_gets_no_manifest(good, tmp_path):
    "`unpack` verifies before it vouches, and leaves nothing of what it refuses."
    tampered = good.copy(good.set, tmp_path/"set")
    broken.write_shard(tampered/"people-0000.tar", [("p000000_0", {"images.png": b"another"})])
    with pytest.raises(InputError, match="people-0000.tar"): unpack_people(tampered, tmp_path/"out")
    assert not (tmp_path/"out").exists()
    assert verify_people(unpack_people(good.set, tmp_path/"out")) == len(json.loads((tmp_path/"out"/"manifest.json").read_text())["files"])


def test_private_files_stay_private(tmp_path):
    "And of a link the file is written that it leads to."
    real, link = tmp_path/"real.txt", tmp_path/"link.txt"
    real.touch(0o600)
    link.symlink_to(real)
    with atomic_write(link) as temporary: temporary.write_text("new")
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o600
