"Broken and odd inputs, made by a generator: what is wrong, at which door, and how the answer is judged. Used by tests and by e40_broken_inputs."
import copy
import functools
import gzip
import hashlib
import io
import json
import math
import os
import pickle
import re
import resource
import shutil
import signal
import struct
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from typer.testing import CliRunner

from truepose import runs as truepose_runs
from truepose.cli import app, read_settings
from truepose.core import InputError, asset, read_json, seed_everything, write_json
from truepose.data.deepfashion import ShopDataset, open_people
from truepose.data.doctor import examine
from truepose.data.examples import write_example
from truepose.data.folder import PeopleDataset, read_attributes
from truepose.data.images import load_image, picture_size
from truepose.data.packing import write_shards
from truepose.data.pairs import read_pairs
from truepose.data.parsing import load_parsing
from truepose.data.pose import load_keypoints, save_keypoints
from truepose.data.shards import LoadedShard, json_bytes, open_set, png_bytes, read_shard, write_shard
from truepose.data.splits import open_splits
from truepose.data.surface import load_surface
from truepose.data.tables import read_numbers, read_table, write_table
from truepose.data.weights import load_network, read_state
from truepose.method.clip import clip_from_folder, clip_from_open_clip
from truepose.method.codec import PatchCodec, load_codec
from truepose.method.stable_diffusion import check_sd_folder, thin, write_sd
from truepose.people.persons import make_person
from truepose.people.records import person_samples
from truepose.people.sets import people_dataset, write_named
from truepose.people.writing import content_of, unpack_people, verify_people, write_people
from truepose.photo.parser import SegFormerParser, load_parser
from truepose.pipeline import TruePosePipeline, pipeline_from_preset, pipeline_from_sd
from truepose.train.loop import fit, load_checkpoint, read_history
from truepose.train.stream import read_manifest

BAD = ("traceback", "silent", "unclear", "leftover", "memory", "hang")
MEMORY, SECONDS, WAIT = 3e9, 20, 180  # more is bad: bytes, seconds of processor time, and of waiting


@dataclass
class Case:
    "One broken input at one door."
    kind: str  # of input: pictures, maps, poses, tables, yaml, manifests, shards, weights, checkpoints, numbers, calls, places
    name: str  # what is wrong, and the door
    run: object  # function of a folder: words for the command line, or a function without arguments
    says: tuple = ()  # words of which one has to be in the answer: file, field, option
    odd: bool = False  # it may be taken as well
    sound: bool = False  # nothing is wrong: it has to be taken

    @property
    def title(self): return f"{self.kind}: {self.name}"


# --- judging ---------------------------------------------------------------------------------------------------------------------------

def peak_bytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"): return int(line.split()[1]) * 1024
    return 0


def forget_peak():
    try: Path("/proc/self/clear_refs").write_text("5")
    except OSError: pass


class Hang(BaseException): pass


def _rings(*_): raise Hang()


def answer(case, place):  # (kind of answer, text)
    "refused, taken, traceback or hang; and what was said."
    try:
        wanted = case.run(place)
        if not isinstance(wanted, list):
            wanted()
            return "taken", ""
        result = CliRunner().invoke(app, [str(word) for word in wanted])
    except InputError as e: return "refused", str(e)
    except Hang: return "hang", ""
    except (Exception, pickle.PicklingError) as e: return "traceback", f"{type(e).__name__}: {e}"
    if isinstance(result.exception, Hang): return "hang", ""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return "traceback", f"{type(result.exception).__name__}: {result.exception}"
    said = result.stderr + (result.stdout if wanted[0] == "doctor" else "")
    if "TRUEPOSE_TRACEBACK=1" in said: return "traceback", said  # nobody foresaw it
    return ("taken" if result.exit_code == 0 else "refused"), said


def judge(case):  # {"verdict", "said", "seconds", "gigabytes"}
    "The answer to one case, in a folder of its own: clear, fine (taken, as it may be), or one of `BAD`."
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        place = Path(place)
        forget_peak()
        before, begun = peak_bytes(), time.process_time()
        old = [signal.signal(number, _rings) for number in (signal.SIGALRM, signal.SIGPROF)]
        signal.alarm(WAIT)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try: how, said = answer(case, place)
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            for number, handler in zip((signal.SIGALRM, signal.SIGPROF), old): signal.signal(number, handler)
        seconds, grown = time.process_time() - begun, peak_bytes() - before
        out = place / "out"
        left = how != "taken" and "doctor" not in case.name and (out.is_symlink() or out.exists())  # the doctor's sheet shows what is wrong
        said = said.replace(str(place) + "/", "")
    usage = said.startswith("Usage:")
    lines = [line for line in re.split(r"[\r\n]+", said.strip()) if not re.search(r"^warning: |^\s*$|\d+(%\||it \[)", line)]
    verdict = how
    if how == "taken": verdict = "fine" if case.odd or case.sound else "silent"
    elif how == "refused" and case.sound: verdict = "unclear"
    elif how == "refused":
        one = usage or len(lines) == 1 or "doctor" in case.name
        named = not case.says or any(word in said for word in case.says)
        verdict = "clear" if one and named and len(said) < 4000 else "unclear"
    if grown > MEMORY: verdict = "memory"
    elif left and verdict in ("clear", "unclear"): verdict = "leftover"
    return dict(kind=case.kind, name=case.name, verdict=verdict, said=" ".join(said.split())[:400], seconds=seconds, gigabytes=grown / 1e9)


# --- good inputs, made once ------------------------------------------------------------------------------------------------------------

class Good:
    "Inputs without fault, from which broken ones are made."
    def __init__(self, root):
        self.root = Path(root)
        shop = write_example(self.root / "people", "people")
        for folder in ("images", "parsing", "keypoints"):
            for path in sorted((shop / folder).iterdir())[2::3]: path.unlink()  # two persons, two views
        self.names = sorted(path.stem for path in (shop / "images").iterdir())
        pairs = [(a, b) for a in self.names for b in self.names if a != b and a.rsplit("_", 1)[0] == b.rsplit("_", 1)[0]]
        (shop / "pairs.csv").write_text("from,to\n" + "".join(f"{a},{b}\n" for a, b in pairs))
        for name in self.names:  # the size of 128x88, twice that of the network
            for kind, how in (("images", Image.Resampling.BOX), ("parsing", Image.Resampling.NEAREST)):
                with Image.open(shop / kind / f"{name}.png") as picture: small = picture.resize((88, 128), how)
                small.save(shop / kind / f"{name}.png")
        self.people, self.first = shop, self.names[0]
        self.picture, self.map, self.pose = (shop / kind / f"{self.first}.{end}" for kind, end in (("images", "png"), ("parsing", "png"), ("keypoints", "json")))
        self.pairs = pairs
        self.generated = self.root / "generated"
        self.generated.mkdir()
        for a, b in pairs: shutil.copy(shop / "images" / f"{b}.png", self.generated / f"{a}_2_{b}.png")
        (self.root / "pairs2.csv").write_text("from,to\n" + "".join(f"{a},{b}\n" for a, b in pairs))
        self.set = self._set(self.root / "set")

    @functools.cached_property
    def weights(self):
        "A saved pipeline of the size `tiny`."
        torch.manual_seed(0)
        pipeline_from_preset("tiny").save_pretrained(self.root / "weights")
        return self.root / "weights"

    @functools.cached_property
    def packed(self): return write_shards(PeopleDataset(self.people, (64, 44), keep=False), self.root / "packed")

    def _set(self, folder):
        "What `truepose people --shards` would have written, of grey pictures."
        samples = []
        for view in range(2):
            grey, flat = np.full((16, 8, 3), 100 + view, np.uint8), np.zeros((16, 8), np.uint8)
            flat[2:14, 2:6] = 5
            files = {f"{kind}.png": png_bytes(grey) for kind in ("images", "surface", "fine")}
            files |= {"parsing.png": png_bytes(flat), "depth.png": png_bytes(flat.astype(np.uint16))}
            files["keypoints.json"] = json_bytes({"image_size": [16, 8], "keypoints": [[4, 8, 2]] * 18})
            files["attributes.json"] = json_bytes({"name": f"p000000_{view}", "sources": [], "thrown_out": []})
            samples.append((f"p000000_{view}", files))
        write_shard(folder / "people-0000.tar", samples)
        (folder / "pairs.csv").write_text("from,to\np000000_0,p000000_1\n")
        self.parameters = {"split": "test", "count": 1, "seed": 0, "size": [16, 8], "views": 2, "version": 1, "shards": True}
        return vouch(folder, self.parameters)

    def copy(self, folder, to):
        shutil.copytree(folder, to)
        return to


def vouch(folder, parameters):
    "A manifest that fits the files."
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.suffix in (".tar", ".csv")}
    try: content = content_of(folder)
    except InputError: content = ""
    write_json(folder / "manifest.json", {"params": parameters, "files": files, "content": content, "label_set": "cihp", "images": 2})
    return folder


# --- pictures --------------------------------------------------------------------------------------------------------------------------

def encoded(picture, form, **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth=8, colour=2, data=b"", before=b"", after=b"IEND"):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(data)) + chunk(after, b"")


def broken_pictures(good):  # {fault: (bytes or function of a path, ending, odd)}
    with Image.open(good.picture) as opened: picture = opened.convert("RGB")
    whole, photo = good.picture.read_bytes(), encoded(picture, "JPEG")
    raw = np.asarray(picture)
    rows = b"".join(b"\0" + row.tobytes() for row in raw)
    gif = encoded(picture, "GIF", save_all=True, append_images=[Image.new("RGB", picture.size, "red")])
    exif = Image.Exif()
    exif[0x0112] = 9
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"
    def folder(path): path.mkdir(parents=True)
    def link(path): path.symlink_to("nowhere")
    def loop(path): path.symlink_to(path.name)
    faults = {
        "missing": lambda path: None, "a folder": folder, "a link to nowhere": link, "a link to itself": loop,
        "no bytes": b"", "a text": b"this is no picture\n", "html": b"<!DOCTYPE html><html>404</html>", "zeros": bytes(5000), "JSON": b'{"a": 1}',
        "a PDF": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "a pointer of git-lfs": pointer,
        "gzip": gzip.compress(whole), "a pickle": pickle.dumps({"a": 1}), "a zip": b"PK\3\4" + whole,
        "PNG cut in the head": whole[:20], "PNG cut in half": whole[:len(whole) // 2], "PNG cut near the end": whole[:-30], "JPEG cut": photo[:len(photo) // 2],
        "JPEG cut in the head": photo[:30], "PNG with a wrong checksum": whole[:40] + bytes([whole[40] ^ 255]) + whole[41:],
        "PNG of width 0": png(0, 128), "PNG of 2^31 pixels a side": png(2**31 - 1, 2**31 - 1), "PNG of 60,000 a side": png(60_000, 60_000),
        "PNG of 20,000 a side, all there": lambda path: path.write_bytes(png(20_000, 20_000, 1, 0, bytes(2501 * 20_000))), "PNG without data": png(88, 128),
        "PNG with too little data": png(88, 128, data=rows[:3000]), "PNG with a bad filter": png(88, 128, data=b"\7" * len(rows)),
        "PNG, a text of 20 MB": png(88, 128, data=rows, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000), 1))),
        "PNG, many texts": png(88, 128, data=rows, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 900_000)) * 100),
        "PNG, a profile of 20 MB": png(88, 128, data=rows, before=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(20_000_000), 1))),
        "16-bit grey PNG": encoded(Image.fromarray(raw[..., 0].astype(np.uint16) * 256), "PNG"), "TIFF of floats": encoded(Image.fromarray(raw[..., 0].astype(np.float32)), "TIFF"),
        "CMYK JPEG": encoded(picture.convert("CMYK"), "JPEG"), "TIFF, 32 bits": encoded(Image.new("I", picture.size), "TIFF"), "LAB TIFF": encoded(Image.new("LAB", picture.size), "TIFF"),
        "a moving GIF": gif, "a moving PNG": encoded(picture, "PNG", save_all=True, append_images=[Image.new("RGB", picture.size, "red")]),
        "BMP of 2^31 a side": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(100),
        "PPM of 10^9 a side": b"P6 1000000000 1000000000 255\n" + bytes(100), "PPM of no number": b"P6 a b 255\n", "TGA head": bytes([0, 0, 2] + [255] * 15) + bytes(50),
        "TIFF with a loop": b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "WEBP cut": encoded(picture, "WEBP")[:200], "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }
    odd = {
        "JPEG named .png": photo, "grey": encoded(picture.convert("L"), "PNG"), "palette": encoded(picture.quantize(16), "PNG"), "transparent": encoded(picture.convert("RGBA"), "PNG"),
        "EXIF turns 9 times": encoded(picture, "JPEG", exif=exif), "EXIF broken": photo[:2] + b"\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff" + photo[2:],
        "trailing bytes": whole + b"more", "progressive JPEG": encoded(picture, "JPEG", progressive=True), "MPO": encoded(picture, "MPO"), "ICO": encoded(picture.resize((64, 64)), "ICO"),
        "one pixel": encoded(Image.new("RGB", (1, 1)), "PNG"), "one row": encoded(Image.new("RGB", (5000, 1)), "PNG"), "black and white": encoded(picture.convert("1"), "PNG"),
    }
    return {name: (fault, False) for name, fault in faults.items()} | {name: (fault, True) for name, fault in odd.items()}


def lay(path, fault):
    "Put a fault where the file would be."
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() or path.is_symlink(): path.unlink()
    if callable(fault): fault(path)
    else: path.write_bytes(fault)
    return path


def generate(good, place, **changes):
    options = dict(source=good.picture, parsing=good.map, pose=good.pose, out=place / "out" / "a.png", weights=good.weights, steps=1) | changes
    words = ["generate"]
    for key, value in options.items():
        if value is not None: words += [f"--{key.replace('_', '-')}", value]
    return words


def evaluate(good, place, generated=None, truth=None, **more):
    words = ["evaluate", "--generated", generated or good.generated, "--truth", truth or good.people, "--out", place / "out" / "m.json", "--pairs", good.root / "pairs2.csv"]
    for key, value in more.items(): words += [f"--{key}", value]
    return words


def people_with(good, place, kind, fault, ending="png"):
    "The people, with one file of a kind broken."
    folder = good.copy(good.people, place / "people")
    lay(folder / kind / f"{good.first}.{ending}", fault)
    return folder


def picture_cases(good):
    for number, (fault, (content, odd)) in enumerate(broken_pictures(good).items()):
        doors = {
            "load_image": lambda place, content=content: lambda: load_image(lay(place / "bad.png", content)),
            "generate --source": lambda place, content=content: generate(good, place, source=lay(place / "bad.png", content)),
            "parse": lambda place, content=content: ["parse", lay(place / "bad.png", content), "--out", place / "out" / "p.png"],
            "pose --from": lambda place, content=content: ["pose", lay(place / "bad.png", content), "--from", good.pose, "--out", place / "out" / "p.json"],
            "a drawn skeleton": lambda place, content=content: lambda: load_keypoints(lay(place / "bad.png", content)),
            "a surface map": lambda place, content=content: lambda: load_surface(lay(place / "bad.png", content), (64, 44)),
            "evaluate --generated": lambda place, content=content: evaluate(good, place, generated=made_with(good, place, content)),
            "evaluate --truth": lambda place, content=content: evaluate(good, place, truth=people_with(good, place, "images", content)),
            "doctor": lambda place, content=content: ["doctor", people_with(good, place, "images", content), "--sheet", place / "out" / "s.png"],
            "shards": lambda place, content=content: ["shards", "--data", people_with(good, place, "images", content), "--split", "test", "--size", 128, "--out", place / "out"],
        }
        names = list(doors)
        kept = names[:1] + [names[1 + (number + k * 3) % (len(names) - 1)] for k in range(3)]  # every door, not each with every fault
        for door in dict.fromkeys(kept):
            missing = fault == "missing" and door not in ("load_image", "generate --source", "parse", "pose --from")
            yield Case("pictures", f"{fault}, at {door}", doors[door], ("bad.png", good.first, good.first[:30]), odd or missing)


def made_with(good, place, content):
    folder = good.copy(good.generated, place / "made")
    lay(sorted(folder.iterdir())[0], content)
    return folder


# --- parsing maps ----------------------------------------------------------------------------------------------------------------------

def broken_maps(good):
    with Image.open(good.map) as opened: whole = opened.copy()
    ids, raw = np.asarray(whole), good.map.read_bytes()
    few = {name: content for name, (content, odd) in broken_pictures(good).items()
           if name in ("a folder", "no bytes", "a text", "PNG cut in half", "PNG cut near the end", "PNG of 60,000 a side", "PNG of width 0", "a link to nowhere", "a pickle", "PNG, a text of 20 MB")}
    def saved(array, form="PNG", **options): return encoded(array if isinstance(array, Image.Image) else Image.fromarray(array), form, **options)
    noise = np.random.default_rng(0).integers(0, 20, ids.shape, dtype=np.uint8)
    faults = few | {
        "in colours": saved(whole.convert("RGB")), "with alpha": saved(whole.convert("RGBA")), "JPEG": saved(whole.convert("L"), "JPEG"), "unknown ids": saved(np.where(ids > 0, 77, 0).astype(np.uint8)),
        "16 bits": saved(ids.astype(np.uint16)), "one bit": saved(whole.convert("1")), "floats": saved(ids.astype(np.float32), "TIFF"), "all 255": saved(np.full_like(ids, 255)),
        "another size": saved(ids[:64, :44].copy()), "one pixel": saved(ids[:1, :1].copy()), "only backdrop": saved(np.zeros_like(ids)), "noise": saved(noise),
        "head down": saved(ids[::-1].copy()), "smoothed": saved(np.asarray(whole.convert("L").resize((44, 64), Image.Resampling.BILINEAR).resize((88, 128), Image.Resampling.BILINEAR))),
        "a moving picture": saved(whole.convert("L"), "GIF", save_all=True, append_images=[Image.new("L", whole.size, 3)])}
    return faults


def map_cases(good):
    for fault, content in broken_maps(good).items():
        says = ("bad.png", good.first, good.first[:30], "parsing", "maps/")
        says += ("source_parsing",)
        if fault == "16 bits":  # ids below 256 are taken as they are
            for door, run in {"load_parsing": lambda place, c=content: lambda: load_parsing(lay(place / "bad.png", c)), "generate": lambda place, c=content: generate(good, place, parsing=lay(place / "bad.png", c))}.items(): yield Case("maps", f"{fault}, at {door}", run, says, True)
            continue
        shape = fault in ("another size", "one pixel", "only backdrop", "head down")  # no single file tells
        yield Case("maps", f"{fault}, at load_parsing", lambda place, c=content: lambda: load_parsing(lay(place / "bad.png", c)), says, shape or fault == "noise")
        yield Case("maps", f"{fault}, at generate", lambda place, c=content: generate(good, place, parsing=lay(place / "bad.png", c)), says)
        yield Case("maps", f"{fault}, at evaluate", lambda place, c=content: evaluate(good, place, truth=people_with(good, place, "parsing", c)), says, fault in ("only backdrop", "head down", "a folder"))  # one of a few
        yield Case("maps", f"{fault}, at doctor", lambda place, c=content: ["doctor", people_with(good, place, "parsing", c), "--sheet", place / "out" / "s.png"], says, fault in ("only backdrop", "head down"))
        yield Case("maps", f"{fault}, at shards", lambda place, c=content: ["shards", "--data", people_with(good, place, "parsing", c), "--split", "test", "--size", 128, "--out", place / "out"], says, fault in ("only backdrop", "head down"))


# --- poses -----------------------------------------------------------------------------------------------------------------------------

def broken_poses(good):
    whole = json.loads(good.pose.read_text())
    size, rows = whole["image_size"], whole["keypoints"]
    def ours(**change): return json.dumps(whole | change).encode()
    def row(*values): return ours(keypoints=[list(values)] + rows[1:])
    people = lambda points, **more: json.dumps({"people": [{"pose_keypoints_2d": points}], **more}).encode()
    flat = [value for x, y, v in rows for value in (x, y, 1.0)]
    huge = b'{"image_size": [256, 176], "keypoints": [[' + b"9" * 5000 + b", 1, 2]]}"
    def folder(path): path.mkdir(parents=True)
    def large(path):
        with path.open("wb") as file: file.truncate(400_000_000)
    faults = {
        "missing": lambda path: None, "a folder": folder, "400 MB": large, "no bytes": b"", "a text": b"no pose", "null": b"null", "a number": b"3", "a word": b'"pose"', "true": b"true", "an empty list": b"[]", "an empty object": b"{}",
        "cut": good.pose.read_bytes()[:-40], "deep": b"[" * 100_000, "deep objects": b'{"a":' * 50_000, "a number of 5,000 digits": huge, "bytes of another encoding": "{\"keypoints\": \"ä\"}".encode("latin-1"),
        "zero bytes": bytes(100), "a PNG": good.picture.read_bytes(), "a pickle": pickle.dumps(whole),
        "keypoints null": ours(keypoints=None), "keypoints a word": ours(keypoints="abc"), "keypoints a number": ours(keypoints=7), "no keypoints": json.dumps({"image_size": size}).encode(),
        "17 joints": ours(keypoints=rows[:17]), "19 joints": ours(keypoints=rows + rows[:1]), "no joints": ours(keypoints=[]), "rows of two": ours(keypoints=[r[:2] for r in rows]), "rows of nine": ours(keypoints=[r * 3 for r in rows]),
        "a row of words": row("a", "b", "c"), "a row null": ours(keypoints=[None] + rows[1:]), "a coordinate null": row(None, 3, 2), "a coordinate a list": row([1], 3, 2), "a coordinate an object": row({}, 3, 2),
        "NaN": row(math.nan, 3, 2), "infinite": row(math.inf, 3, 2), "1e300": row(1e300, 3, 2), "10^400": row(10**400, 3, 2), "10^12": row(1e12, 3, 2), "visibility 7": row(3, 3, 7), "visibility -1": row(3, 3, -1), "visibility a half": row(3, 3, .5),
        "nobody": ours(keypoints=[[0, 0, 0]] * 18), "all far away": ours(keypoints=[[x + 1e6, y, v] for x, y, v in rows]), "shares": ours(keypoints=[[x / size[1], y / size[0], v] for x, y, v in rows]),
        "x and y exchanged": ours(keypoints=[[y, x, v] for x, y, v in rows]), "size a word": ours(image_size="256x176"), "size null": ours(image_size=None), "size of one": ours(image_size=[256]), "size 0": ours(image_size=[0, 0]),
        "size negative": ours(image_size=[-256, 176]), "size of words": ours(image_size=["a", "b"]), "size 10^12": ours(image_size=[10**12, 10**12]), "size a half": ours(image_size=[.5, .5]), "size turned": ours(image_size=size[::-1]),
        "people null": b'{"people": null}', "people of nulls": b'{"people": [null, 3]}', "people nobody": b'{"people": []}', "joints a word": people("abc"), "joints null": people([None] * 54), "joints of objects": people([{}] * 54), "53 numbers": people(flat[:53]),
        "a million numbers": people([1.0] * 1_000_000), "canvas of words": people(flat, canvas_height="a", canvas_width="b"), "canvas 10^15": people(flat, canvas_height=10**15, canvas_width=10**15), "confidences of words": people([1.0, 1.0, "x"] * 18),
        "annotations of nulls": b'{"images": [null], "annotations": [null, 3]}', "annotations a word": b'{"images": [], "annotations": "a"}', "annotations without images": json.dumps({"annotations": [{"keypoints": [1, 2, 2] * 17, "image_id": {}}]}).encode(),
        "COCO, ids of lists": json.dumps({"images": [{"id": [1], "height": 9, "width": 9}], "annotations": [{"keypoints": [1, 2, 2] * 17, "image_id": [1]}]}).encode(),
        "instances a word": b'{"instance_info": "a"}', "instances of nulls": b'{"instance_info": [null]}', "scores too few": json.dumps({"instance_info": [{"keypoints": [[1, 2]] * 17, "keypoint_scores": [1]}]}).encode(),
        "scores null": json.dumps({"instance_info": [{"keypoints": [[1, 2]] * 17, "keypoint_scores": None}]}).encode(), "instances deep": json.dumps({"instance_info": [{"instances": [{"instances": 3}]}]}).encode(),
        "points of nothing": json.dumps({"instance_info": [{"keypoints": [[]] * 17, "keypoint_scores": [1] * 17}]}).encode(), "results of words": json.dumps([{"keypoints": "a", "image_id": 1}]).encode(), "results, score a word": json.dumps([{"keypoints": [1, 2, 2] * 17, "score": "x"}]).encode(),
        "names above nulls": b'{"a.jpg": {"people": null}}', "names above bodies of words": b'{"a.jpg": {"bodies": ["a"]}}', "bodies without joints": b'{"a.jpg": {"bodies": [{}]}}', "editor of nothing": b'{"width": 3, "height": 4, "keypoints": null}',
        "editor of lists": b'{"width": 3, "height": 4, "keypoints": [[[]]]}', "DressCode of words": json.dumps({"keypoints": [["a", 1, 1, 1]] * 18}).encode(), "a list of lists": b"[[[[]]]]", "a list of people null": b'[{"people": null}]',
    }
    odd = {"BOM": b"\xef\xbb\xbf" + good.pose.read_bytes(), "more fields": ours(version=3, author=None), "numbers as floats": ours(keypoints=[[float(x), float(y), float(v)] for x, y, v in rows])}
    return {name: (content, False) for name, content in faults.items()} | {name: (content, True) for name, content in odd.items()}


def pose_cases(good):
    for number, (fault, (content, odd)) in enumerate(broken_poses(good).items()):
        says = ("bad.json", good.first, good.first[:30], "keypoints")
        doors = {
            "generate --pose": lambda place, c=content: generate(good, place, pose=lay(place / "bad.json", c)),
            "generate --source-pose": lambda place, c=content: generate(good, place, source_pose=lay(place / "bad.json", c)),
            "pose --from": lambda place, c=content: ["pose", good.picture, "--from", lay(place / "bad.json", c), "--out", place / "out" / "p.json", "--frame", place / "out" / "f.png", "--size", 128],
            "parse --pose": lambda place, c=content: ["parse", good.picture, "--pose", lay(place / "bad.json", c), "--out", place / "out" / "p.png"],
            "doctor": lambda place, c=content: ["doctor", people_with(good, place, "keypoints", c, "json"), "--sheet", place / "out" / "s.png"],
            "shards": lambda place, c=content: ["shards", "--data", people_with(good, place, "keypoints", c, "json"), "--split", "test", "--size", 128, "--out", place / "out"],
        }
        names = list(doors)
        far = fault in ("1e300", "10^12", "all far away")  # what lies outside is dropped where others remain
        odd = odd or fault in ("annotations without images", "COCO, ids of lists")  # the joints are there
        yield Case("poses", f"{fault}, at load_keypoints", lambda place, c=content: lambda: load_keypoints(lay(place / "bad.json", c), (128, 88)), says, odd or far or fault in ("nobody", "shares", "x and y exchanged", "size 10^12"))
        for door in (names[number % 6], names[(number + 2) % 6]):
            yield Case("poses", f"{fault}, at {door}", doors[door], says, odd or fault in ("1e300", "10^12") or fault == "shares" or (fault, door) in (("nobody", "shards"), ("x and y exchanged", "doctor"), ("x and y exchanged", "shards")))


# --- tables ----------------------------------------------------------------------------------------------------------------------------

def table_cases(good):
    a, b = good.pairs[0]
    line = f"{a},{b}\n"
    def folder(path): path.mkdir(parents=True)
    faults = {
        "missing": lambda path: None, "a folder": folder, "no bytes": b"", "blanks": b"\n \n\n", "a header alone": b"from,to\n", "no header": line.encode(), "one column": b"from\na\n", "other columns": b"source,target\na,b\n",
        "a column twice": b"from,to,to\na,b,c\n", "a name empty": f"from,to\n,{b}\n".encode(), "a row short": f"from,to\n{a}\n".encode(), "a quote open": f'from,to\n"{a},{b}\n'.encode(), "quotes inside": f'from,to\n{a}"x"y,{b}\n'.encode(),
        "zero bytes": b"from,to\na\0b,c\n", "binary": bytes(range(256)) * 20, "a PNG": good.picture.read_bytes(), "latin-1": "from,to\nä,b\n".encode("latin-1"), "half of UTF-16": ("from,to\n" + line).encode("utf-16")[:-1],
        "a cell of 20 MB": b"from,to\n" + b"a" * 20_000_000 + b",b\n", "100,000 columns": b"from,to" + b",x" * 100_000 + b"\na,b\n", "unknown names": b"from,to\nnobody,noone\n",
        "names that lead out": b"from,to\n../../etc/passwd,/etc/shadow\n", "names with zeros": b"from,to\nx\x01y,z\n", "JSON": b'[{"source_image": 1}]', "a list": b"[1, 2]", "a pickle": pickle.dumps([1]),
    }
    odd = {"semicolons": f"from;to\n{a};{b}\n".encode(), "UTF-16": ("from,to\n" + line).encode("utf-16"), "Windows' ends": f"from,to\r\n{line}".encode(), "BOM": b"\xef\xbb\xbffrom,to\n" + line.encode(), "blanks around": f"from , to\n {a} , {b} \n".encode(), "endings": f"from,to\n{a}.png,{b}.jpg\n".encode()}
    for fault, content in (faults | odd).items():
        says = ("bad.csv", "pairs.csv", "nobody", "noone", "people/")
        doors = {"read_pairs": lambda place, c=content: lambda: read_pairs(lay(place / "bad.csv", c), good.names),
                 "transfer --pairs": lambda place, c=content: ["transfer", "--data", good.people, "--weights", good.weights, "--steps", 1, "--out", place / "out", "--pairs", lay(place / "bad.csv", c)],
                 "evaluate --pairs": lambda place, c=content: evaluate(good, place, pairs=lay(place / "bad.csv", c)),
                 "doctor": lambda place, c=content: ["doctor", with_list(good, place, c), "--sheet", place / "out" / "s.png", "--subset"],
                 "evaluate --against": lambda place, c=content: evaluate(good, place, against=lay(place / "bad.csv", c))}
        for door, run in doors.items():
            if door == "evaluate --pairs" and fault in ("no header", "JSON", "a list"): continue  # other forms, which it reads by what is in them
            missing = fault == "missing" and door == "doctor"
            yield Case("tables", f"{fault}, at {door}", run, says, fault in odd and door != "evaluate --against" or missing or fault == "100,000 columns")
    for text in ("name,ssim\na,x\n", "name,ssim\na,1e999\n", "name,ssim\n,\n", "ssim\n1\n"):
        yield Case("tables", f"numbers {text!r}", lambda place, t=text: lambda: read_numbers(lay(place / "bad.csv", t.encode()), ("name",), ("name",)), ("bad.csv",), "x" not in text and "name" in text)


def with_list(good, place, content):
    folder = good.copy(good.people, place / "people")
    lay(folder / "pairs.csv", content)
    return folder


# --- files of parameters ---------------------------------------------------------------------------------------------------------------

def yaml_cases(good):
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}, *{chr(97 + i)}, *{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(12))
    def folder(path): path.mkdir(parents=True)
    faults = {
        "missing": lambda path: None, "a folder": folder, "a text": b"no colon here", "a list": b"- a\n- b\n", "a number": b"3\n", "null": b"~\n", "binary": bytes(range(256)), "zero bytes": bytes(20), "half a quote": b'variant: "a\n',
        "tabs": b"variant:\n\t- a\n", "a key that is a number": b"1: 2\n", "a key that is a list": b"[a]: 2\n", "a key that is null": b"~: 2\n", "an unknown key": b"seeds: 3\n", "a word for a number": b"seed: three\n", "a list for a number": b"seed: [1]\n",
        "null for a number": b"seed:\n", "a half for a whole": b"seed: 1.5\n", "a seed of 70 bits": b"seed: 1180591620717411303424\n", "a seed below 0": b"seed: -1\n", "persons 0": b"persons: 0\n", "persons -1": b"persons: -1\n", "views -3": b"views: -3\n",
        "height 0": b"height: 0\n", "height NaN": b"height: .nan\n", "a key twice": b"seed: 1\nseed: 2\n", "a program": b"seed: !!python/object/apply:os.system ['true']\n", "a name": b"seed: !!python/name:os.system\n", "a tag": b"seed: !x 3\n",
        "a date that is none": b"variant: 2024-99-99\n", "laughs": laughs.encode(), "deep": b"a: " + b"[" * 1200, "a variant that leads out": b"variant: ../../x\n", "a variant of blanks": b"variant: 'a b'\n", "a variant of 300 letters": b"variant: " + b"a" * 300,
        "half of UTF-16": "variant: a\n".encode("utf-16")[:-1], "two documents": b"seed: 1\n---\nseed: 2\n", "an anchor that is none": b"seed: *a\n", "a merge of words": b"<<: abc\n", "10^400": b"seed: 1" + b"0" * 400 + b"\n", "a number of 5,000 digits": b"seed: 1" + b"0" * 5000 + b"\n"}
    for fault, content in faults.items():
        def file(place, c): return lay(place / "params" / "e24_stream" / "bad.yaml", c)
        def stand_in(words):
            def call():
                with patch.object(truepose_runs, "run", lambda *_, **__: Path("nowhere")): result = CliRunner().invoke(app, [str(word) for word in words])
                if result.exit_code == 0: return
                if result.exception is not None and not isinstance(result.exception, SystemExit): raise result.exception
                if "this is a fault" in result.stderr: raise RuntimeError(result.stderr)
                raise InputError(result.stderr)
            return call
        says = ("bad.yaml", "bad", "seed", "variant")
        yield Case("yaml", f"{fault}, at run", lambda place, c=content: stand_in(["run", file(place, c)]), says)
        yield Case("yaml", f"{fault}, at train", lambda place, c=content: stand_in(["train", file(place, c)]), says)
        yield Case("yaml", f"{fault}, at --also", lambda place, c=content: lambda: read_settings("e24_stream", [file(place, b"seed: 1\n").rename(place / "good.yaml"), file(place, c)], []), says)
    for setting in ("seed", "=", "seed=", "seed=x", "persons=-1", "persons=0", "seeds=1", "seed=1e999", "variant=../x", "seed=nan", "height=9" + "9" * 400):
        yield Case("yaml", f"-p {setting[:20]}", lambda place, s=setting: lambda: read_settings("e24_stream", [], [s]), (setting.split("=")[0] or "no parameter",))


# --- manifests -------------------------------------------------------------------------------------------------------------------------

def manifest_cases(good):
    whole = json.loads((good.set / "manifest.json").read_text())
    def changed(**change): return json.dumps(whole | change).encode()
    def without(name): return json.dumps({key: value for key, value in whole.items() if key != name}).encode()
    def folder(path): path.mkdir(parents=True)
    files = whole["files"]
    faults = {
        "missing": lambda path: None, "a folder": folder, "no bytes": b"", "a text": b"no manifest", "null": b"null", "a number": b"3", "a word": b'"a"', "a list": b"[]", "empty": b"{}", "cut": (good.set / "manifest.json").read_bytes()[:-20], "deep": b"[" * 100_000,
        "no params": without("params"), "params null": changed(params=None), "params a list": changed(params=[]), "no files": without("files"), "files null": changed(files=None), "files a list": changed(files=list(files)), "files empty": changed(files={}),
        "hashes null": changed(files=dict.fromkeys(files)), "hashes wrong": changed(files=dict.fromkeys(files, "0" * 64)), "hashes numbers": changed(files=dict.fromkeys(files, 3)), "a file too many": changed(files=files | {"gone.tar": "0" * 64}), "a file too few": changed(files={"pairs.csv": files["pairs.csv"]}),
        "a file outside": changed(files=files | {"../../etc/passwd": "0" * 64}), "a file at the root": changed(files=files | {"/etc/passwd": "0" * 64}), "splits null": changed(splits=None), "splits a word": changed(splits="test"), "splits a list": changed(splits=["test"]),
        "splits outside": changed(splits={"..": ""}, name="small", version=1), "splits gone": changed(splits={"test": ""}, name="small", version=1), "a name that leads out": changed(splits={"test": ""}, name="../../x", version=1), "content a number": changed(content=3), "no content": without("content"),
        "a name of 300 letters": changed(files={"a" * 300: "0" * 64}), "a name with a zero": changed(files={"a\0b": "0" * 64}), "a name that is empty": changed(files={"": "0" * 64})}
    odd = {"more fields": changed(author="somebody")}
    for fault, content in (faults | odd).items():
        def spoilt(place, c=content):
            folder = good.copy(good.set, place / "set")
            lay(folder / "manifest.json", c)
            return folder
        yield Case("manifests", f"{fault}, at people --verify", lambda place, s=spoilt: ["people", "--verify", s(place)], ("manifest.json", "set"), fault in odd)
        yield Case("manifests", f"{fault}, at unpack", lambda place, s=spoilt: ["unpack", s(place), "--out", place / "out"], ("manifest.json", "set"), fault in odd)
        if fault not in ("missing", "content a number", "a file too few"):  # without one, the set is unfinished
            yield Case("manifests", f"{fault}, at people --out", lambda place, s=spoilt: lambda: write_people(s(place), "test", 1, 0, (16, 8), 2, shards=True), ("manifest.json", "set"), fault in odd or fault.startswith(("hashes wrong", "a file too many", "a name of")))
    packed = json.loads((good.packed / "manifest.json").read_text())
    rows = packed["shards"]
    def row(**change): return json.dumps(packed | {"shards": [rows[0] | change] + rows[1:]}).encode()
    streams = {"missing": lambda path: None, "a folder": folder, "no bytes": b"", "a text": b"a", "null": b"null", "a list": b"[]", "empty": b"{}", "shards null": json.dumps(packed | {"shards": None}).encode(), "shards of words": json.dumps(packed | {"shards": ["a"]}).encode(), "shards none": json.dumps(packed | {"shards": []}).encode(),
               "size a word": json.dumps(packed | {"size": "a"}).encode(), "size of words": json.dumps(packed | {"size": ["a", "b"]}).encode(), "size of one": json.dumps(packed | {"size": [64]}).encode(), "size 0": json.dumps(packed | {"size": [0, 0]}).encode(), "size 10^12": json.dumps(packed | {"size": [10**12, 3]}).encode(),
               "bytes a word": row(bytes="a"), "bytes -1": row(bytes=-1), "bytes 10^15": row(bytes=10**15), "sources a half": row(sources=.5), "file null": row(file=None), "file a list": row(file=[1]), "file outside": row(file="../x.tar"), "hash null": row(sha256=None)}
    for fault, content in streams.items():
        def spoilt_pack(place, c=content):
            folder = good.copy(good.packed, place / "packed")
            lay(folder / "manifest.json", c)
            return folder
        yield Case("manifests", f"packed, {fault}, at a training", lambda place, s=spoilt_pack: lambda: read_manifest(str(s(place) / "people-{000000..000000}.tar")), ("manifest.json", "people-", "packed"), fault == "bytes 10^15")


# --- shards ----------------------------------------------------------------------------------------------------------------------------

def broken_shards(good):
    whole = (good.set / "people-0000.tar").read_bytes()
    samples = [(name, {".".join(key): value for key, value in files.items()}) for name, files in read_shard(good.set / "people-0000.tar")]
    def tar(members, form=tarfile.USTAR_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            for member, content in members: archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()
    def member(name, content=b"", **fields):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in fields.items(): setattr(info, key, value)
        return info, content
    plain = [member(f"{name}.{ending}", content) for name, files in samples for ending, content in files.items()]
    def swapped(ending, content): return tar([member(info.name, content) if info.name.endswith(ending) else (info, data) for info, data in plain])
    def lacking(ending): return tar([(info, data) for info, data in plain if not info.name.endswith(ending)])
    far = tarfile.TarInfo("p000000_0.images.png")
    far.size = 2**40
    sparse = tarfile.TarInfo("p000000_0.images.png")
    sparse.size, sparse.pax_headers = 512, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "p000000_0.images.png", "GNU.sparse.realsize": str(2**40)}
    odd_size = tarfile.TarInfo("p000000_0.images.png")
    odd_size.pax_headers = {"size": "abc"}
    folder = lambda path: path.mkdir(parents=True)
    return {
        "a folder": folder, "no bytes": b"", "a text": b"no archive" * 100, "gzip": gzip.compress(whole), "a zip": b"PK\3\4" + bytes(2000), "cut in a head": whole[:300], "cut in a file": whole[:700], "cut between": whole[:1024], "cut at the end": whole[:-9000], "zeros": bytes(10240),
        "a head of 255": b"\xff" * 512 + whole[512:], "a checksum wrong": bytes([whole[0] ^ 1]) + whole[1:], "a terabyte": far.tobuf() + bytes(2048), "sparse, a terabyte": sparse.tobuf(tarfile.PAX_FORMAT) + b"0\n".ljust(512, b"\0") + bytes(2048),
        "a size of letters": odd_size.tobuf(tarfile.PAX_FORMAT) + bytes(2048), "names that lead out": tar([member("../x.images.png", b"a")]), "names at the root": tar([member("/etc/x.images.png", b"a")]), "a link": tar([member("a.images.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")]),
        "a hard link": tar([member("a.images.png", type=tarfile.LNKTYPE, linkname="/etc/passwd")]), "a pipe": tar([member("a.images.png", type=tarfile.FIFOTYPE)]), "a device": tar([member("a.images.png", type=tarfile.CHRTYPE)]), "a folder inside": tar([member("a.images.png", type=tarfile.DIRTYPE)]),
        "a name of another form": tar([member("a.png", b"a")]), "a program": tar([member("a.images.exe", b"a")]), "a name twice": tar(plain + plain[:1]), "a name of 5,000 letters": tar([member("a" * 5000 + ".images.png", b"a")], tarfile.GNU_FORMAT), "no pictures": lacking("images.png"),
        "no joints": lacking("keypoints.json"), "no maps": lacking("parsing.png"), "pictures of no bytes": swapped("images.png", b""), "pictures of text": swapped("images.png", b"text"), "joints of text": swapped("keypoints.json", b"text"), "joints null": swapped("keypoints.json", b"null"),
        "maps of text": swapped("parsing.png", b"text"), "maps in colours": swapped("parsing.png", png_bytes(np.zeros((16, 8, 3), np.uint8))), "a picture of 60,000 a side": swapped("images.png", png(60_000, 60_000))}


def shard_cases(good):
    whole = ("pictures of no bytes", "pictures of text", "joints of text", "joints null", "maps of text", "maps in colours", "a picture of 60,000 a side", "no joints", "no maps", "no pictures")  # the archive is
    def dataset(folder):
        people = PeopleDataset(folder, (16, 8), keep=False)
        return [people.load(name) for name in people.names]
    for fault, content in broken_shards(good).items():
        def spoilt(place, c=content, again=True):
            folder = good.copy(good.set, place / "set")
            lay(folder / "people-0000.tar", c)
            return vouch(folder, good.parameters) if again and not callable(c) else folder
        says = ("people-0000.tar", "set", "bad.tar")
        yield Case("shards", f"{fault}, at read_shard", lambda place, c=content: lambda: list(read_shard(lay(place / "bad.tar", c))), says, fault in whole or fault in ("zeros", "a size of letters"))
        yield Case("shards", f"{fault}, at a data set", lambda place, s=spoilt: lambda: dataset(s(place)), says)
        yield Case("shards", f"{fault}, at unpack", lambda place, s=spoilt: ["unpack", s(place), "--out", place / "out", "--label-set", "lip"], says, fault in whole and "maps" not in fault or fault == "zeros")
        if not callable(content): yield Case("shards", f"{fault}, at a training", lambda place, c=content: lambda: LoadedShard(c, "bad.tar"), says, fault in whole or fault in ("zeros", "a size of letters"))


# --- weights ---------------------------------------------------------------------------------------------------------------------------

def config_faults(config, number, listed=None):
    "Of a config.json: `number` names a setting that is a whole number, `listed` one that is a list of them."
    def changed(**change): return json.dumps(config | change).encode()
    def folder(path): path.mkdir(parents=True)
    faults = {
        "config missing": lambda path: None, "config a folder": folder, "config of no bytes": b"", "config a text": b"{", "config null": b"null", "config a list": b"[]", "config empty": b"{}", "config deep": b"[" * 100_000,
        "an unknown setting": changed(widht=3), "a word for a number": changed(**{number: "many"}), "a number as a word": changed(**{number: "4"}), "null for a number": changed(**{number: None}), "a list for a number": changed(**{number: [[]]}), "an object for a number": changed(**{number: {}}),
        "a number below 0": changed(**{number: -4}), "0": changed(**{number: 0}), "10^12": changed(**{number: 10**12}), "10^400": changed(**{number: 10**400}), "NaN": changed(**{number: math.nan}), "a half": changed(**{number: 1.5}), "true": changed(**{number: True}), "another number": changed(**{number: 6})}
    if listed: faults |= {"a list of words": changed(**{listed: ["a", "b"]}), "an empty list": changed(**{listed: []}), "a list of 10^12": changed(**{listed: [10**12, 10**12]}), "a long list": changed(**{listed: [8] * 3000}), "a word for a list": changed(**{listed: "abc"}), "a number for a list": changed(**{listed: 3})}
    return faults


def weights_faults(file):
    "Of a file of safetensors."
    from safetensors.torch import load_file, save
    weights = load_file(file)
    raw, first = file.read_bytes(), max(weights, key=lambda name: weights[name].numel())
    head = struct.unpack("<Q", raw[:8])[0]
    def changed(**change): return save({**weights, **change})
    nan, infinite = weights[first].clone(), weights[first].clone()
    nan.view(-1)[0], infinite.view(-1)[-1] = math.nan, math.inf
    table = json.loads(raw[8:8 + head])
    def retold(change):
        text = json.dumps(change(json.loads(json.dumps(table)))).encode()
        return struct.pack("<Q", len(text)) + text + raw[8 + head:]
    def offsets(t): t[first]["data_offsets"] = [0, 10**15]; return t
    def shape(t): t[first]["shape"] = [10**9, 10**9]; return t
    def dtype(t): t[first]["dtype"] = "X99"; return t
    def folder(path): path.mkdir(parents=True)
    state = io.BytesIO()
    torch.save(weights, state)
    return {
        "weights missing": lambda path: None, "weights a folder": folder, "weights of no bytes": b"", "weights a text": b"no weights at all", "weights cut in half": raw[:len(raw) // 2], "weights cut by one": raw[:-1], "weights cut in the head": raw[:100], "a head of 2^63": struct.pack("<Q", 2**63) + raw[8:], "a head of 10^9": struct.pack("<Q", 10**9) + raw[8:],
        "a pickle": pickle.dumps(weights), "torch's format": state.getvalue(), "a pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n", "a table of no JSON": struct.pack("<Q", 4) + b"{{{{" + raw, "offsets beyond the end": retold(offsets), "a shape of 10^18": retold(shape), "an unknown format of numbers": retold(dtype),
        "NaN": changed(**{first: nan}), "infinite": changed(**{first: infinite}), "a weight missing": save({name: value for name, value in weights.items() if name != first}), "a weight too many": changed(more=torch.zeros(3)), "another shape": changed(**{first: weights[first][:1].clone()}), "turned": changed(**{first: weights[first].reshape(-1)}), "another name": save({name + "x" if name == first else name: value for name, value in weights.items()}), "no weights": save({})}


def weights_cases(good):
    numbers = {"model": ("embed_dim", "pose_channels"), "codec": ("patch_size", "latents_mean"), "clip": ("layers", "mean")}
    def spoilt(place, part, file, content, source=None):
        folder = good.copy(source or good.weights, place / "weights")
        lay(folder / part / file, content) if content is not None else None
        return folder
    for number, (part, names) in enumerate(numbers.items()):
        config, file = json.loads((good.weights / part / "config.json").read_text()), good.weights / part / "diffusion_pytorch_model.safetensors"
        faults = {("config.json", name): content for name, content in config_faults(config, *names).items()}
        faults |= {(file.name, name): content for name, content in weights_faults(file).items()}
        for k, ((where, fault), content) in enumerate(faults.items()):
            says = ("config.json", "safetensors", f"weights/{part}")
            if callable(content) and fault.endswith("missing"): content = lambda path: None
            odd = fault == "a long list" and part == "codec"
            if k % 2 == number % 2 or part == "model":
                yield Case("weights", f"{part}, {fault}, at generate", lambda place, p=part, w=where, c=content: generate(good, place, weights=spoilt(place, p, w, c)), says, odd)
            else: yield Case("weights", f"{part}, {fault}, at from_pretrained", lambda place, p=part, w=where, c=content: lambda: TruePosePipeline.from_pretrained(spoilt(place, p, w, c)), says, odd)
            if part == "codec" and k % 3 == 0: yield Case("weights", f"codec, {fault}, at load_codec", lambda place, w=where, c=content: lambda: load_codec(spoilt(place, "codec", w, c) / "codec"), says)
            if part == "clip" and k % 3 == 0: yield Case("weights", f"clip, {fault}, at clip_from_open_clip", lambda place, w=where, c=content: lambda: clip_from_open_clip("ViT-L-14", spoilt(place, "clip", w, c) / "clip"), says + ("clip",))
    index = json.loads((good.weights / "model_index.json").read_text())
    def changed(**change): return json.dumps(index | change).encode()
    index_faults = {"index missing": lambda path: None, "index of no bytes": b"", "index null": b"null", "index a list": b"[]", "index empty": b"{}", "another class": changed(_class_name="StableDiffusionPipeline"), "class null": changed(_class_name=None), "a program for a part": changed(model=["os", "system"]), "a part null": changed(model=None),
                    "a part a word": changed(model="model"), "a part of objects": changed(model=[{}, {}]), "a part too many": changed(safety=["os", "system"]), "height a word": changed(image_height="64"), "height 0": changed(image_height=0), "height -64": changed(image_height=-64), "height 10^9": changed(image_height=10**9), "height null": changed(image_height=None),
                    "steps 0": changed(num_inference_steps=0), "steps 10^9": changed(num_inference_steps=10**9), "steps a word": changed(num_inference_steps="x"), "guidance NaN": changed(guidance_source=math.nan), "guidance 10^6": changed(guidance_source=10**6), "guidance a word": changed(guidance_pose="x"), "an unknown setting": changed(steps=3)}
    for fault, content in index_faults.items(): yield Case("weights", f"{fault}, at generate", lambda place, c=content: generate(good, place, weights=spoilt(place, "", "model_index.json", c), steps=None), ("model_index.json", "num_inference_steps", "guidance", "image_height"))
    scheduler = json.loads((good.weights / "scheduler" / "scheduler_config.json").read_text())
    def betas(**change): return json.dumps(scheduler | change).encode()
    schedules = {"schedule missing": lambda path: None, "schedule null": b"null", "schedule a text": b"x", "schedule of 10^12": betas(num_train_timesteps=10**12), "schedule of -1": betas(num_train_timesteps=-1), "schedule of a word": betas(num_train_timesteps="a"), "betas of words": betas(beta_start="a"), "betas NaN": betas(beta_start=math.nan),
                 "betas above 1": betas(beta_end=3.0), "betas below 0": betas(beta_start=-1.0, beta_schedule="linear"), "another prediction": betas(prediction_type="flow"), "another schedule": betas(beta_schedule="x"), "an unknown setting": betas(beta=1)}
    for fault, content in schedules.items(): yield Case("weights", f"{fault}, at generate", lambda place, c=content: generate(good, place, weights=spoilt(place, "scheduler", "scheduler_config.json", c)), ("scheduler_config.json", "prediction_type"))
    parser = asset("parser")
    config = json.loads((parser / "config.json").read_text())
    for fault, content in (config_faults(config, "layers_per_block", "block_out_channels") | weights_faults(parser / "diffusion_pytorch_model.safetensors")).items():
        where = "config.json" if fault in config_faults(config, "layers_per_block", "block_out_channels") else "diffusion_pytorch_model.safetensors"
        yield Case("weights", f"parser, {fault}, at parse --parser", lambda place, w=where, c=content: ["parse", good.picture, "--parser", spoilt(place, "", w, c, parser), "--out", place / "out" / "p.png"], ("config.json", "safetensors", "weights"), fault == "NaN" and where == "none")
    for fault, content in {"empty": b"{}", "no labels": b'{"model_type": "segformer"}', "labels a list": b'{"model_type": "segformer", "id2label": [1]}', "other labels": b'{"model_type": "segformer", "id2label": {"0": "a"}}', "10^12": b'{"model_type": "segformer", "num_encoder_blocks": 1000000000000}', "depths of words": b'{"model_type": "segformer", "depths": "abc"}'}.items():
        def segformer(place, c=content):
            lay(place / "seg" / "config.json", c)
            (place / "seg" / "model.safetensors").write_bytes((good.weights / "codec" / "diffusion_pytorch_model.safetensors").read_bytes())
            return place / "seg"
        yield Case("weights", f"SegFormer, {fault}, at parse --parser", lambda place, s=segformer: ["parse", good.picture, "--parser", s(place), "--out", place / "out" / "p.png"], ("seg",))
        yield Case("weights", f"SegFormer, {fault}, at SegFormerParser", lambda place, s=segformer: lambda: SegFormerParser(s(place)), ("seg",))


def stable_diffusion_cases(good):
    base = asset("micro")
    def spoilt(place, part, file, content):
        folder = good.copy(base, place / "sd")
        lay(folder / part / file, content)
        return folder
    for part, names in {"unet": ("cross_attention_dim", "block_out_channels"), "vae": ("patch_size", None), "pose_encoder": ("out_channels", "channels")}.items():
        config, file = json.loads((base / part / "config.json").read_text()), base / part / "diffusion_pytorch_model.safetensors"
        faults = {("config.json", name): content for name, content in config_faults(config, *names).items()} | {(file.name, name): content for name, content in weights_faults(file).items()}
        for k, ((where, fault), content) in enumerate(faults.items()):
            if part != "unet" and k % 3: continue
            yield Case("weights", f"base, {part}, {fault}", lambda place, p=part, w=where, c=content: lambda: pipeline_from_sd(spoilt(place, p, w, c), clip_pretrained=good.weights / "clip", image_size=(36, 24), pose_channels=(8, 16)), ("sd",))


# --- checkpoints -----------------------------------------------------------------------------------------------------------------------

def checkpoint_cases(good):
    pipe = TruePosePipeline.from_pretrained(good.weights)
    weights = {f"model.{name}": value for name, value in pipe.model.state_dict().items()}
    names = list(weights)
    def state(**change): return dict(step=1, minutes=1.0, seed=0, objective=weights, learnt=names, ema={"shadow_params": list(weights.values())}) | change
    def written(content):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()
    whole = written(state())
    nan = {name: torch.full_like(value, math.nan) for name, value in weights.items()}
    def bomb(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/data.pkl", zipfile.ZipFile(io.BytesIO(whole)).read([n for n in zipfile.ZipFile(io.BytesIO(whole)).namelist() if n.endswith("data.pkl")][0]))
            with archive.open("a/data/0", "w", force_zip64=True) as entry:
                for _ in range(64): entry.write(bytes(2**22))
    class Program:
        def __reduce__(self): return os.getenv, ("HOME",)
    def folder(path): path.mkdir(parents=True)
    less = {name: value for name, value in weights.items() if name != names[0]}
    faults = {
        "missing": lambda path: None, "a folder": folder, "no bytes": b"", "a text": b"no checkpoint", "cut": whole[:len(whole) // 2], "cut by 30": whole[:-30], "a pickle": pickle.dumps(state()), "a program": pickle.dumps(Program()), "a program in torch's format": written({"a": Program()}), "a zip bomb": bomb,
        "a zip of text": b"PK\3\4", "a list": written([1]), "a number": written(3), "empty": written({}), "no weights": written({"step": 1, "seed": 0}), "weights a list": written(state(objective=[1])), "weights of words": written(state(objective=dict.fromkeys(names, "a"))), "weights NaN": written(state(ema={"shadow_params": list(nan.values())})),
        "weights missing": written(state(objective=less, learnt=list(less), ema={"shadow_params": list(less.values())})), "averages too few": written(state(ema={"shadow_params": []})), "averages null": written(state(ema=None)), "averages of words": written(state(ema={"shadow_params": ["a"] * len(names)})), "names null": written(state(learnt=None)),
        "weights stretched": written(state(objective=weights | {names[0]: torch.zeros(1).expand(10**12)})), "another shape": written(state(objective=weights | {names[0]: torch.zeros(3)}, ema={"shadow_params": [torch.zeros(3)] + list(weights.values())[1:]})), "safetensors": (good.weights / "model" / "diffusion_pytorch_model.safetensors").read_bytes()}
    for fault, content in faults.items():
        yield Case("checkpoints", f"{fault}, at export", lambda place, c=content: ["export", lay(place / "bad.pt", c), "--weights", good.weights, "--out", place / "out"], ("bad.pt",), fault == "weights of words")  # all of them are averages
        yield Case("checkpoints", f"{fault}, at read_state", lambda place, c=content: lambda: read_state(lay(place / "bad.pt", c)), ("bad.pt",), fault.startswith(("empty", "no weights", "weights", "averages", "names", "another")) and fault != "weights stretched")
        if fault not in ("missing", "a folder"):
            fits = fault.startswith(("weights", "averages", "names", "another")) and fault != "weights stretched"  # the training itself looks at these
            yield Case("checkpoints", f"{fault}, at a training", lambda place, c=content: lambda: load_checkpoint(lay(place / "checkpoints" / "step_0000001.pt", c).parents[1], 0), ("step_0000001.pt",), fits)


# --- numbers, calls, places ------------------------------------------------------------------------------------------------------------

def number_cases(good):
    for option in ("guidance", "guidance_pose"):
        for value in ("nan", "inf", "-inf", "1e308", "-1", "abc", ""): yield Case("numbers", f"--{option} {value}", lambda place, o=option, v=value: generate(good, place, **{o: v}), (option.replace("_", "-"),))
    for value in ("0", "-1", "1001", "1.5", "abc", "1" + "0" * 30, "nan"): yield Case("numbers", f"--steps {value}", lambda place, v=value: generate(good, place, steps=v), ("steps",))
    for value in ("-1", str(2**70), "abc", "1.5", "nan", "1e3"): yield Case("numbers", f"--seed {value}", lambda place, v=value: generate(good, place, seed=v), ("seed",))
    for option, values in {"count": ("0", "-1", "a", "1000000000000"), "views": ("1", "0", "1000000000"), "size": ("0", "-64", "7", "64000000000", "a"), "seed": ("-1", str(2**70)), "split": ("dev",), "world": ("x",), "name": ("x",)}.items():
        for value in values: yield Case("numbers", f"people --{option} {value}", lambda place, o=option, v=value: ["people", "--count", 1, "--size", 36, "--out", place / "out", f"--{o}", v], (option,))
    for option, values in {"batch": ("0", "-1", "a"), "limit": ("0", "-1"), "steps": ("0", "1001"), "seed": ("-1", str(2**70)), "guidance": ("nan", "-1"), "device": ("tpu",), "dtype": ("int8",), "label-set": ("x",)}.items():
        for value in values: yield Case("numbers", f"transfer --{option} {value}", lambda place, o=option, v=value: ["transfer", "--data", good.people, "--weights", good.weights, "--out", place / "out", "--steps", 1, f"--{o}", v], (option, "label_set"))
    for option, values in {"size": ("0", "-128", "77", "64000000000"), "persons": ("0", "-1"), "seed": ("-1", str(2**70)), "split": ("dev",), "label-set": ("x",)}.items():
        for value in values: yield Case("numbers", f"shards --{option} {value}", lambda place, o=option, v=value: ["shards", "--data", good.people, "--size", 128, "--split", "test", "--out", place / "out", f"--{o}", v], (option, "label_set"))
    for option, value in (("protocol", "x"), ("label-set", "x"), ("protocol", "")): yield Case("numbers", f"evaluate --{option} {value}", lambda place, o=option, v=value: evaluate(good, place, **{o: v}), (option, "label_set"))
    for words in (["pose", "--size", "0"], ["pose", "--size", "64000000000"], ["pose", "--person", "0"], ["pose", "--person", "9"], ["pose", "--estimator", "x"]): yield Case("numbers", " ".join(words), lambda place, w=words: [w[0], good.picture, "--from", good.pose, "--out", place / "out" / "p.json", *w[1:], *([] if w[1] != "--size" else ["--frame", place / "out" / "f.png"])], (words[1].strip("-"), "person"))
    for garment in ("upper", "upper=", "upper=a", "=a:b", "hat=a:b", "upper=a:b:c:d", f"upper={good.picture}:{good.map}:gone.json", f"nose={good.picture}:{good.map}", f"background={good.picture}:{good.map}"): yield Case("numbers", f"--garment {garment[:20]}", lambda place, g=garment: generate(good, place, garment=g), ("garment", "a", "gone.json", "nose"))


def call_cases(good):
    def pipe():
        if not hasattr(good, "pipe"):
            good.pipe = TruePosePipeline.from_pretrained(good.weights)
            good.pipe.set_progress_bar_config(disable=True)
        return good.pipe
    picture, labels = load_image(good.picture, (64, 44)), load_parsing(good.map, "cihp", (64, 44))
    pose = load_keypoints(good.pose, (64, 44))[0]
    image = torch.from_numpy(picture.copy()).permute(2, 0, 1) / 127.5 - 1
    far = pose.copy()
    far[0, :2] = 1e12
    spot = pose.copy()
    spot[3] = math.nan
    calls = {
        "a path for a picture": dict(source_image=str(good.picture)), "Path for a picture": dict(source_image=good.picture), "no picture in a list": dict(source_image=[]), "None in a list": dict(source_image=[None]), "a mixed list": dict(source_image=[picture, "a.png"]), "a number for a picture": dict(source_image=3),
        "floats of 0 to 255": dict(source_image=picture.astype(np.float32)), "a tensor of 0 to 255": dict(source_image=image * 127.5 + 127.5), "a tensor of 0 to 1": dict(source_image=(image + 1) / 2), "a NaN": dict(source_image=image + math.nan), "an infinity": dict(source_image=image / 0), "integers": dict(source_image=(image * 100).long()), "a grey tensor": dict(source_image=image[:1]),
        "channels last": dict(source_image=image.permute(1, 2, 0)), "another size": dict(source_image=image[:, :32]), "two sizes": dict(source_image=[picture, picture[:32]]), "grey bytes": dict(source_image=picture[..., 0]), "two pictures, one map": dict(source_image=[picture, picture]), "five dimensions": dict(source_image=image[None, None]), "an empty array": dict(source_image=np.zeros((0, 0, 3), np.uint8)),
        "a path for a map": dict(source_parsing=str(good.map)), "a float map": dict(source_parsing=labels / 2), "a map of another size": dict(source_parsing=labels[:32]), "a map in colours": dict(source_parsing=np.stack([labels] * 3, -1)), "a map of 77": dict(source_parsing=labels + 77), "a map below 0": dict(source_parsing=labels.astype(int) - 9), "no map in a list": dict(source_parsing=[]), "None for a map": dict(source_parsing=None), "a number for a map": dict(source_parsing=3), "a bool map": dict(source_parsing=labels > 0),
        "a path for a pose": dict(target_pose=str(good.pose)), "None for a pose": dict(target_pose=None), "no pose in a list": dict(target_pose=[]), "17 joints": dict(target_pose=pose[:17]), "a pose of NaN": dict(target_pose=spot), "a joint far away": dict(target_pose=far), "shares": dict(target_pose=pose / [44, 64, 1]), "nobody": dict(target_pose=pose * 0), "visibility 9": dict(target_pose=pose + [0, 0, 7]), "a number for a pose": dict(target_pose=3), "words for a pose": dict(target_pose=[["a"] * 3] * 18), "three poses for two sources": dict(source_image=[picture] * 2, source_parsing=[labels] * 2, target_pose=[pose] * 3),
        "a source pose of NaN": dict(source_pose=spot), "two source poses": dict(source_pose=[pose, pose]), "words for a source pose": dict(source_pose="a"),
        "guidance NaN": dict(guidance_source=math.nan), "guidance infinite": dict(guidance_pose=math.inf), "guidance 10^9": dict(guidance_source=1e9), "guidance -1": dict(guidance_source=-1), "guidance a word": dict(guidance_source="2"), "guidance a tensor": dict(guidance_source=torch.ones(2)), "steps 0": dict(num_inference_steps=0), "steps 1,001": dict(num_inference_steps=1001), "steps a half": dict(num_inference_steps=1.5), "steps a word": dict(num_inference_steps="2"), "steps true": dict(num_inference_steps=True), "0 pictures": dict(num_images_per_pose=0), "-1 pictures": dict(num_images_per_pose=-1), "10^9 pictures": dict(num_images_per_pose=10**9),
        "too few generators": dict(generator=[torch.Generator()], num_images_per_pose=2), "too many generators": dict(generator=[torch.Generator()] * 3), "no generator in a list": dict(generator=[]), "a number for a generator": dict(generator=3), "numbers for generators": dict(generator=[3]), "another output": dict(output_type="jpg"), "no output": dict(output_type=None), "a list of outputs": dict(output_type=["pil"]),
        "another label set": dict(label_set="coco"), "no label set": dict(label_set=None), "a list of label sets": dict(label_set=["cihp"]), "an unknown argument": dict(prompt="a man"), "a misspelt argument": dict(guidance_sorce=2), "a callback that is none": dict(callback_on_step_end=3), "a callback that wants what is not": dict(callback_on_step_end=lambda *a: a[-1], callback_on_step_end_tensor_inputs=["x"]), "a callback that returns nothing": dict(callback_on_step_end=lambda *a: None), "a callback's list a number": dict(callback_on_step_end=lambda *a: a[-1], callback_on_step_end_tensor_inputs=3), "states that are none": dict(source_states="a"), "states a number": dict(source_states=3)}
    for fault, change in calls.items():
        def call(place, change=change):
            given = dict(source_image=picture, source_parsing=labels, target_pose=pose, num_inference_steps=1) | change
            return lambda: pipe()(**given)
        yield Case("calls", fault, call, (), False)
    for fault, function in {"a seed of 70 bits": lambda place: lambda: seed_everything(2**70), "a seed a half": lambda place: lambda: seed_everything(1.5), "a pipeline that is not there": lambda place: lambda: TruePosePipeline.from_pretrained(place / "gone"), "a pipeline by a name of the hub": lambda place: lambda: TruePosePipeline.from_pretrained("nobody/nothing"), "a pipeline of None": lambda place: lambda: TruePosePipeline.from_pretrained(None), "a codec that is not there": lambda place: lambda: load_codec(place), "a parser that is not there": lambda place: lambda: load_parser(place),
                            "a picture from None": lambda place: lambda: load_image(None), "a pose from None": lambda place: lambda: load_keypoints(None), "a set that is not there": lambda place: lambda: open_set(place / "gone"), "a set of nothing": lambda place: lambda: open_set(place), "people of no size": lambda place: lambda: PeopleDataset(good.people, (0, 0), keep=False).load(good.first), "verify of nothing": lambda place: lambda: verify_people(place)}.items(): yield Case("calls", fault, function)
    yield from argument_cases(good)

ODD_PATHS = {"None": None, "bytes": b"x", "a list": [], "a half": 1.5, "no letters": "", "a zero": "a\0b"}
ODD_SIZES = {"0x0": (0, 0), "-1x5": (-1, 5), "one side": (64,), "three sides": (64, 44, 3), "a word": "64x44", "a number": 64, "halves": (1.5, 2.5), "10^9": (10**9, 10**9), "words": ("a", "b"), "nulls": [None, None], "NaN": (math.nan, 4)}
ODD_SEEDS = {"-1": -1, "of 70 bits": 2**70, "a half": 1.5, "a word": "a", "None": None, "true": True, "of 5,000 digits": 10**5000}
ODD_DTYPES = {"a word": "float32", "a number": 3, "int8": torch.int8, "complex": torch.complex64}
ODD_SPLITS = {"va": "va", "None": None, "a number": 3, "no letters": "", "a list": ["train"]}


def argument_cases(good):
    "What a program hands to the library in the place of a path, a size, a seed, a dtype, a split."
    people, base = good.people, asset("micro")
    pose = load_keypoints(good.pose)[0]
    def dataset(): return PeopleDataset(people, (64, 44), keep=False)
    paths = {  # function of a value and a folder
        "load_image": lambda v, p: load_image(v), "picture_size": lambda v, p: picture_size(v), "load_parsing": lambda v, p: load_parsing(v), "load_surface": lambda v, p: load_surface(v), "load_keypoints": lambda v, p: load_keypoints(v), "save_keypoints": lambda v, p: save_keypoints(v, pose, (128, 88)),
        "read_json": lambda v, p: read_json(v), "write_json": lambda v, p: write_json(v, {}), "read_table": lambda v, p: read_table(v), "read_numbers": lambda v, p: read_numbers(v), "write_table": lambda v, p: write_table(v, [{"a": 1}]), "read_pairs": lambda v, p: read_pairs(v), "read_shard": lambda v, p: list(read_shard(v)), "write_shard": lambda v, p: write_shard(v, []), "open_set": lambda v, p: open_set(v),
        "PeopleDataset": lambda v, p: PeopleDataset(v, (64, 44)), "read_attributes": lambda v, p: read_attributes(v), "open_people": lambda v, p: open_people(v, (64, 44)), "open_splits": lambda v, p: open_splits(v, (64, 44)), "ShopDataset": lambda v, p: ShopDataset(v), "write_shards": lambda v, p: write_shards(dataset(), v), "examine": lambda v, p: examine(v),
        "load_network": lambda v, p: load_network(PatchCodec, v), "read_state": lambda v, p: read_state(v), "load_codec": lambda v, p: load_codec(v), "clip_from_folder": lambda v, p: clip_from_folder(v), "check_sd_folder": lambda v, p: check_sd_folder(v), "pipeline_from_sd": lambda v, p: pipeline_from_sd(v), "from_pretrained": lambda v, p: TruePosePipeline.from_pretrained(v),
        "load_checkpoint": lambda v, p: load_checkpoint(v, 0), "read_history": lambda v, p: read_history(v), "fit": lambda v, p: fit(None, None, v, 1, 1e-3), "write_people": lambda v, p: write_people(v, "test", 1, 0, (36, 24), 2), "verify_people": lambda v, p: verify_people(v), "unpack_people": lambda v, p: unpack_people(v, p / "out"), "unpack_people's out": lambda v, p: unpack_people(good.set, v)}
    sizes = {
        "load_image": lambda v, p: load_image(good.picture, v), "load_parsing": lambda v, p: load_parsing(good.map, "cihp", v), "load_surface": lambda v, p: load_surface(good.picture, v), "load_keypoints": lambda v, p: load_keypoints(good.pose, v), "save_keypoints": lambda v, p: save_keypoints(p / "out" / "k.json", pose, v), "PeopleDataset": lambda v, p: PeopleDataset(people, v, keep=False),
        "open_people": lambda v, p: open_people(people, v, keep=False), "ShopDataset": lambda v, p: ShopDataset(people, size=v), "write_people": lambda v, p: write_people(p / "out", "test", 1, 0, v, 2), "people_dataset": lambda v, p: people_dataset("test", 1, 0, v, 2, 1), "person_samples": lambda v, p: person_samples(0, "test", 0, v, 2), "pipeline_from_sd": lambda v, p: pipeline_from_sd(base, clip_pretrained=good.weights / "clip", image_size=v)}
    seeds = {
        "seed_everything": lambda v, p: seed_everything(v), "make_person": lambda v, p: make_person(v, "train", 0, 2), "make_person's index": lambda v, p: make_person(0, "train", v, 2), "make_person's views": lambda v, p: make_person(0, "train", 0, -1 if v is True else v), "person_samples": lambda v, p: person_samples(v, "test", 0, (36, 24), 2), "write_people": lambda v, p: write_people(p / "out", "test", 1, v, (36, 24), 2),
        "people_dataset": lambda v, p: people_dataset("test", 1, v, (36, 24), 2, 1), "write_shards": lambda v, p: write_shards(dataset(), p / "out", 64, v), "fit": lambda v, p: fit(None, None, p / "out", 1, 1e-3, seed=v)}
    dtypes = {
        "load_network": lambda v, p: load_network(PatchCodec, good.weights / "codec", v), "from_pretrained": lambda v, p: TruePosePipeline.from_pretrained(good.weights, dtype=v), "pipeline_from_sd": lambda v, p: pipeline_from_sd(base, clip_pretrained=good.weights / "clip", image_size=(36, 24), dtype=v), "write_sd": lambda v, p: write_sd(p / "out", thin("paper"), v)}
    splits = {
        "open_people": lambda v, p: open_people(people, (64, 44), v, keep=False), "ShopDataset": lambda v, p: ShopDataset(people, v), "make_person": lambda v, p: make_person(0, v, 0, 2), "a world": lambda v, p: make_person(0, "train", 0, 2, v), "write_people": lambda v, p: write_people(p / "out", v, 1, 0, (36, 24), 2), "people_dataset": lambda v, p: people_dataset(v, 1, 0, (36, 24), 2, 1), "write_named": lambda v, p: write_named(v, p / "out"), "a label set": lambda v, p: PeopleDataset(people, (64, 44), v, False)}
    for kind, doors, values in (("path", paths, ODD_PATHS), ("size", sizes, ODD_SIZES), ("seed", seeds, ODD_SEEDS), ("dtype", dtypes, ODD_DTYPES), ("split", splits, ODD_SPLITS)):
        for door, function in doors.items():
            for fault, value in values.items():
                yield Case("calls", f"{kind} {fault}, at {door}", lambda place, f=function, v=value: lambda: f(v, place))


def place_cases(good):
    def full(place): (place / "out").mkdir(); (place / "out" / "other.txt").write_text("mine"); return place / "out"
    doors = {
        "generate": (lambda place, out: generate(good, place, out=out), "png"), "parse": (lambda place, out: ["parse", good.picture, "--out", out], "png"), "pose": (lambda place, out: ["pose", good.picture, "--from", good.pose, "--out", out], "json"), "pose --frame": (lambda place, out: ["pose", good.picture, "--from", good.pose, "--size", 128, "--out", place / "p.json", "--frame", out], "png"),
        "doctor --sheet": (lambda place, out: ["doctor", good.people, "--sheet", out], "png"), "evaluate": (lambda place, out: ["evaluate", "--generated", good.generated, "--truth", good.people, "--pairs", good.root / "pairs2.csv", "--out", out], "json"),
        "people": (lambda place, out: ["people", "--count", 1, "--size", 36, "--world", "micro", "--views", 2, "--out", out], ""), "unpack": (lambda place, out: ["unpack", good.set, "--out", out], ""), "shards": (lambda place, out: ["shards", "--data", good.people, "--split", "test", "--size", 128, "--out", out], ""), "transfer": (lambda place, out: ["transfer", "--data", good.people, "--weights", good.weights, "--steps", 1, "--limit", 1, "--out", out], ""),
        "compare": (lambda place, out: ["compare", good.generated, "--truth", good.people, "--pairs", good.root / "pairs2.csv", "--protocol", "strict", "--out", out], ""), "export": (lambda place, out: ["export", good.root / "gone.pt", "--weights", good.weights, "--out", out], "")}
    def below(place, ending): (place / "file").write_text("mine"); return place / "file" / f"a.{ending}"
    def folder(place, ending): (place / f"a.{ending}").mkdir(); return place / f"a.{ending}"
    def a_file(place, ending): (place / "a").write_text("mine"); return place / "a"
    for door, (words, ending) in doors.items():
        faults = {"below a file": lambda place, e: below(place, e), "in /proc": lambda place, e: Path("/proc/nowhere") / f"a.{e}", "a name of 300 letters": lambda place, e: place / ("a" * 300 + f".{e}"), "a path of 5,000 letters": lambda place, e: place / "/".join(["a" * 200] * 25) / f"a.{e}"}
        faults |= {"a folder": folder} if ending else {"a file": a_file}
        if ending: faults["another ending"] = lambda place, e: place / "a.xyz"
        for fault, where in faults.items(): yield Case("places", f"{fault}, at {door}", lambda place, w=words, f=where, e=ending: w(place, f(place, e)), ("a", "file", "/proc", "--out", "gone.pt"))
    for door in ("unpack", "export", "shards", "people"):
        words = doors[door][0]
        yield Case("places", f"a folder of other things, at {door}", lambda place, w=words: kept(w(place, full(place)), place / "out"), ("out", "gone.pt"), door in ("people", "shards"))  # they make a folder of their own in it


def kept(words, folder):
    "The command, and that what lay in the folder is untouched."
    def call():
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert (folder / "other.txt").read_text() == "mine"
        if result.exit_code == 0: return
        said = result.stderr
        shutil.rmtree(folder)
        if "fault of TruePose" in said or not isinstance(result.exception, SystemExit): raise RuntimeError(said or repr(result.exception))
        raise InputError(said.strip())
    return call


def sound_cases(good):
    "The doors are open: with good inputs each is passed, or its refusals would tell nothing."
    a, b = good.pairs[0]
    doors = {
        "generate": lambda place: generate(good, place, source_pose=good.pose), "parse": lambda place: ["parse", good.picture, "--pose", good.pose, "--out", place / "out" / "p.png"], "pose": lambda place: ["pose", good.picture, "--from", good.pose, "--out", place / "out" / "p.json", "--frame", place / "out" / "f.png", "--size", 128],
        "evaluate": lambda place: evaluate(good, place), "doctor": lambda place: ["doctor", good.people, "--sheet", place / "out" / "s.png"], "shards": lambda place: ["shards", "--data", good.people, "--split", "test", "--size", 128, "--out", place / "out"],
        "transfer": lambda place: ["transfer", "--data", good.people, "--weights", good.weights, "--steps", 1, "--out", place / "out"], "compare": lambda place: ["compare", good.generated, "--truth", good.people, "--pairs", good.root / "pairs2.csv", "--protocol", "strict", "--out", place / "out"],
        "people --verify": lambda place: ["people", "--verify", good.set], "unpack": lambda place: ["unpack", good.set, "--out", place / "out"], "unpack as LIP": lambda place: ["unpack", good.set, "--out", place / "out", "--label-set", "lip"], "parameters": lambda place: lambda: read_settings("e24_stream", [], ["seed=3"]),
        "a base": lambda place: lambda: pipeline_from_sd(asset("micro"), clip_pretrained=good.weights / "clip", image_size=(36, 24), pose_channels=(8, 16)), "load_codec": lambda place: lambda: load_codec(good.weights / "codec"), "the clip of a folder": lambda place: lambda: clip_from_open_clip("ViT-L-14", good.weights / "clip"), "a training's shards": lambda place: lambda: read_manifest(str(good.packed / "people-{000000..000000}.tar")),
        "pairs": lambda place: lambda: read_pairs(good.people / "pairs.csv", good.names), "a set of shards": lambda place: lambda: [PeopleDataset(good.set, (16, 8), keep=False).load(name) for name in ("p000000_0", "p000000_1")]}
    for door, run in doors.items(): yield Case("sound", door, run, sound=True)


KINDS = {"sound": sound_cases, "pictures": picture_cases, "maps": map_cases, "poses": pose_cases, "tables": table_cases, "yaml": yaml_cases, "manifests": manifest_cases, "shards": shard_cases, "weights": weights_cases, "bases": stable_diffusion_cases,
         "checkpoints": checkpoint_cases, "numbers": number_cases, "calls": call_cases, "places": place_cases}


def all_cases(good, kinds=KINDS):
    for kind in kinds: yield from KINDS[kind](good)


# --- bytes changed at random -----------------------------------------------------------------------------------------------------------

def changed_bytes(content, rng):
    "One to eight places of a file changed, cut out, doubled or filled."
    data = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        if not data: break
        at, n = int(rng.integers(len(data))), int(rng.integers(1, 9))
        how = rng.integers(5)
        if how == 0: data[at] ^= 1 << int(rng.integers(8))
        elif how == 1: data[at:at + n] = rng.bytes(n)
        elif how == 2: del data[at:at + n * int(rng.integers(1, 30))]
        elif how == 3: data[at:at] = data[at:at + n]
        else: data[at:at + n] = bytes([int(rng.choice([0, 255, 127, 128, 45, 57]))]) * n
    return bytes(data)


ODD = (None, True, 0, -1, 1, 3.5, 10**12, 10**400, math.nan, math.inf, "", "a", "../x", "4", "\0", [], [[]], [None], {}, {"a": None}, [1e30] * 3, "x" * 300)


def changed_values(content, rng):
    "One to three values of a JSON file exchanged for odd ones, or taken out."
    whole = [json.loads(content)]
    for _ in range(rng.integers(1, 4)):
        places = []
        def visit(node):
            for key in (range(len(node)) if isinstance(node, list) else list(node)):
                places.append((node, key))
                if isinstance(node[key], (list, dict)): visit(node[key])
        visit(whole)
        node, key = places[rng.integers(len(places))]
        if isinstance(node, dict) and rng.integers(4) == 0: del node[key]
        else: node[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    return json.dumps(whole[0] if whole else None).encode()


def fuzz_doors(good):  # {format: (bytes, reader of a path)}; of those that end in "values", values are changed instead of bytes
    with Image.open(good.picture) as opened: picture = opened.convert("RGB").resize((22, 32))
    def forms(form, **options): return encoded(picture, form, **options)
    small = png_bytes(np.asarray(Image.open(good.map).resize((22, 32), Image.Resampling.NEAREST)))
    codec = good.weights / "codec"
    def network(path):
        folder = path.parent / "codec"
        if not folder.is_dir(): shutil.copytree(codec, folder)
        shutil.copy(path, folder / "diffusion_pytorch_model.safetensors")
        load_codec(folder)
    def config(path):
        folder = path.parent / "codec2"
        if not folder.is_dir(): shutil.copytree(codec, folder)
        shutil.copy(path, folder / "config.json")
        load_codec(folder)
    def manifest(path):
        folder = path.parent / "set"
        if not folder.is_dir(): shutil.copytree(good.set, folder)
        shutil.copy(path, folder / "manifest.json")
        verify_people(folder)
    def parameters(path):
        place = path.parent / "params" / "e24_stream" / "a.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
        read_settings("e24_stream", [place], [])
    state = io.BytesIO()
    torch.save({"step": 1, "objective": {"a": torch.ones(3)}, "learnt": ["a"]}, state)
    people = json.dumps({"people": [{"pose_keypoints_2d": [5.0] * 54}], "canvas_height": 128, "canvas_width": 88}).encode()
    def index(path):
        folder = path.parent / "weights"
        if not folder.is_dir(): shutil.copytree(good.weights, folder)
        shutil.copy(path, folder / "model_index.json")
        TruePosePipeline.from_pretrained(folder)
    coco = json.dumps({"images": [{"id": 1, "file_name": "a.png", "height": 128, "width": 88}], "annotations": [{"image_id": 1, "keypoints": [5, 6, 2] * 17}]}).encode()
    mmpose = json.dumps({"instance_info": [{"keypoints": [[5.0, 6.0]] * 17, "keypoint_scores": [1.0] * 17}]}).encode()
    by_value = {f"{name} values": (text, lambda path: load_keypoints(path, (128, 88))) for name, text in (("pose", good.pose.read_bytes()), ("OpenPose", people), ("COCO", coco), ("mmpose", mmpose))}
    by_value |= {"manifest values": ((good.set / "manifest.json").read_bytes(), manifest), "config values": ((codec / "config.json").read_bytes(), config), "index values": ((good.weights / "model_index.json").read_bytes(), index)}
    return by_value | {"PNG": (forms("PNG"), load_image), "JPEG": (forms("JPEG"), load_image), "WEBP": (forms("WEBP"), load_image), "TIFF": (forms("TIFF"), load_image), "GIF": (forms("GIF"), load_image), "BMP": (forms("BMP"), load_image), "map": (small, load_parsing),
            "pose": (good.pose.read_bytes(), lambda path: load_keypoints(path, (128, 88))), "OpenPose": (people, lambda path: load_keypoints(path, (128, 88))), "pairs": ((good.people / "pairs.csv").read_bytes(), lambda path: read_pairs(path, good.names)), "numbers": (b"name,ssim\na,0.5\nb,\n", lambda path: read_numbers(path, ("name",))),
            "manifest": ((good.set / "manifest.json").read_bytes(), manifest), "tar": ((good.set / "people-0000.tar").read_bytes(), lambda path: list(read_shard(path))), "safetensors": ((codec / "diffusion_pytorch_model.safetensors").read_bytes(), network), "config": ((codec / "config.json").read_bytes(), config),
            "checkpoint": (state.getvalue(), read_state), "YAML": (b"variant: a\nseed: 3\nsizes: 64x44\n", parameters)}


def fuzz(good, seconds, seed=0, formats=None):  # {format: {"tried", "refused", "taken", "raw": {error: example}}}
    "Each format's reader on changed bytes, until its share of the time is over."
    found, doors = {}, {name: door for name, door in fuzz_doors(good).items() if formats is None or name in formats}
    for number, (name, (content, read)) in enumerate(doors.items()):
        rng, counts = np.random.default_rng([seed, number]), dict(tried=0, refused=0, taken=0, raw={})
        end = time.perf_counter() + seconds / len(doors)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(folder) / f"bad.{ {'JPEG': 'jpg'}.get(name, 'png') if read in (load_image, load_parsing) else 'json'}"
            while time.perf_counter() < end:
                spoilt = (changed_values if name.endswith("values") else changed_bytes)(content, rng)
                path.write_bytes(spoilt)
                counts["tried"] += 1
                try:
                    read(path)
                    counts["taken"] += 1
                except InputError: counts["refused"] += 1
                except Exception as e: counts["raw"].setdefault(f"{type(e).__name__}: {str(e)[:80]}", spoilt[:400].hex())
        found[name] = counts
    return found


def limit_memory(gigabytes=4):
    "More than this beyond what is held now ends in an error instead of the machine's."
    held = next((int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData")), 0)
    resource.setrlimit(resource.RLIMIT_DATA, (held + int(gigabytes * 1e9),) * 2)


def judged(kind, good, each=1):  # rows as of `judge`
    "All cases of a kind (or one of so many), in a process of their own; one that dies costs its case alone."
    rows, start = [], 0
    while True:
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "rows.jsonl"
            child = os.fork()
            if not child: _judge_from(kind, good, each, start, file)
            status = os.waitpid(child, 0)[1]
            lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        rows += [line for line in lines if "verdict" in line]
        if status == 0: return rows
        died = [line for line in lines if "verdict" not in line][-1]
        rows.append(dict(kind=kind, name=died["name"], verdict="memory", said=f"the process ended with {status}", seconds=0.0, gigabytes=4.0))
        start = died["number"] + 1


def _judge_from(kind, good, each, start, file):
    "The child's part: never returns."
    code = 1
    try:
        limit_memory()
        with file.open("w") as lines, open(os.devnull, "w") as quiet:
            os.dup2(quiet.fileno(), 1), os.dup2(quiet.fileno(), 2)
            for number, case in enumerate(KINDS[kind](good)):
                if number < start or number % each: continue
                print(json.dumps(dict(number=number, name=case.name)), file=lines, flush=True)
                print(json.dumps(judge(case)), file=lines, flush=True)
        code = 0
    finally: os._exit(code)
