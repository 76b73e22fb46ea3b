"The environment: every package has hashes, the lock holds the pins of settings.ini, and make installs what it says."
import importlib.util
import json
import os
import re
import subprocess
from configparser import ConfigParser

from notebooks import ROOT

CONFIG = ConfigParser(delimiters=["="])
CONFIG.read(ROOT/"settings.ini", encoding="utf-8")
SETTINGS = CONFIG["DEFAULT"]
LOCK = (ROOT/"requirements.lock").read_text(encoding="utf-8")
spec = importlib.util.spec_from_file_location("bom", ROOT/"docs"/"bom.py")
bom = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bom)


def plain(name): return re.sub("[-_.]+", "-", name).lower()


def made(*words):
    "What make would do."
    return subprocess.run(["make", "-n", "VENV=nowhere", *words], cwd=ROOT, capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""}).stdout


def test_the_lock_holds_the_pins():
    rows = bom.locked(LOCK)
    assert len(rows) == len(re.findall("^[a-z].*==", LOCK, re.M)) and all(hashes for *_, hashes in rows), "a line that has no hash"
    known = {(plain(name), version) for name, version, *_ in rows}
    pins = [pin.split("==") for kind in ("requirements", "dev_requirements", "docs_requirements") for pin in SETTINGS[kind].split()]
    missing = [f"{name}=={version}" for name, version in pins if (plain(name), version) not in known]
    assert not missing, f"settings.ini and requirements.lock differ in {missing}: run `make lock`"


def test_the_bill_is_that_of_the_lock():
    bill = json.loads((ROOT/"docs"/"bom.cdx.json").read_text(encoding="utf-8"))
    now = bom.bom(LOCK, SETTINGS["version"])
    without = [{key: value for key, value in part.items() if key != "licenses"} for bill in (bill, now) for part in bill["components"]]
    assert without[:len(without)//2] == without[len(without)//2:] and bill["metadata"] == now["metadata"], "run `make lock`"
    assert sum("licenses" in part for part in bill["components"]) > .9 * len(bill["components"])


def test_make_installs_the_lock():
    "Nothing that has no hash: the package itself is built by the setuptools of the lock."
    lines = [line for line in made("nowhere/.dev").splitlines() if "pip install" in line]
    assert [line.split("pip install ")[1] for line in lines] == ["--require-hashes -r requirements.lock", "-e . --no-deps --no-build-isolation"]


def test_another_index_is_for_torch_alone():
    "No name is looked for in two indexes; its files have other hashes, so the rest is installed by the pins."
    said = made("nowhere/.dev", "INDEX_URL=https://somewhere")
    lines = [line for line in said.splitlines() if "somewhere" in line]
    assert lines and all("--no-deps --index-url https://somewhere torch==" in line for line in lines) and "extra-index" not in said
    assert "require-hashes" not in said and not (ROOT/"nowhere").exists()
