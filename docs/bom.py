"""The bill of materials (`make lock`): docs/bom.cdx.json, in the form CycloneDX 1.6. What requirements.lock
installs on any machine, with the licences that the installed packages name; the hashes stand in the lock."""
import hashlib
import json
import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK, BOM = ROOT/"requirements.lock", ROOT/"docs"/"bom.cdx.json"


def locked(text):  # [(name, version, marker or "", hashes)]
    "What a lock holds."
    lines = text.replace("\\\n", " ").splitlines()
    rows = (re.fullmatch(r"([\w.-]+)==(\S+)(?: *; *(.*?))?((?: +--hash=\S+)+) *", line) for line in lines)
    return [(row[1], row[2], (row[3] or "").strip(), row[4].split()) for row in rows if row]


def licence(name, version):
    "As the installed package says it: an expression, a name, or the classifiers; None if it is not installed."
    try: about = metadata.metadata(name)
    except metadata.PackageNotFoundError: return None
    if about["Version"] != version: return None
    if about["License-Expression"]: return {"expression": about["License-Expression"]}
    classified = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    named = (about["License"] or "").strip()
    said = named if named != "UNKNOWN" and len(named.splitlines()) == 1 else ", ".join(classified)
    return {"license": {"name": said}} if said else None


def component(name, version, marker):
    "One package."
    purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
    made = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    found = licence(name, version)
    if found: made["licenses"] = [found]
    if marker: made["properties"] = [{"name": "marker", "value": marker}]  # on which machines
    return made


def bom(text, version):
    "The whole bill."
    lock = {"type": "file", "name": LOCK.name, "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(text.encode()).hexdigest()}]}
    ours = {"type": "library", "name": "truepose", "version": version, "licenses": [{"license": {"id": "Apache-2.0"}}], "components": [lock]}
    parts = [component(name, number, marker) for name, number, marker, _ in locked(text)]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": ours}, "components": parts}


if __name__ == "__main__":
    made = bom(LOCK.read_text(encoding="utf-8"), metadata.version("truepose"))
    BOM.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{BOM.relative_to(ROOT)}: {len(made['components'])} packages, {sum('licenses' in part for part in made['components'])} with their licence")
