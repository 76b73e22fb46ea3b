"Whole sets through the evaluator: every naming scheme, lists of pairs, what is kept, what is refused, many methods at once."
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from truepose.core import InputError, read_json
from truepose.data.examples import write_example
from truepose.data.formats import shop_name
from truepose.data.parsing import LABEL_SETS, REGIONS, stand_in
from truepose.evaluate import folders as folders_module, sets as sets_module
from truepose.evaluate.field import compare_results
from truepose.evaluate.folders import evaluate_folders
from truepose.evaluate.methods import save_png
from truepose.evaluate.names import read_truth

SCHEMES = {  # how thirteen repositories name the picture of a pair
    "PATN": "{s}___{t}_vis.png", "ADGAN": "{s}.jpg___{t}.jpg_vis.png", "PISE": "{s}_2_{t}_vis.jpg", "GFLA": "{s}_2_{t}_vis.png",
    "DPTN": "deep{s}_2_deep{t}_vis.png", "CASD": "{s}___{t}_vis.jpg", "NTED": "{s}_2_{t}_vis.webp", "SPGNet": "{s}__{t}.png",
    "PIDM": "deep{s}_2_{t}_vis.png", "PCDMs": "{s}_to_{t}.png", "CFLD": "sub/{s}_to_{t}.png", "MCLD": "{s}_2_{t}.png",
    "Leffa": "images/{ps}_2_{pt}.png"}


@pytest.fixture
def shop(tmp_path):
    "DeepFashion in small: originals of 550x375, twelve test pairs of two items, one of which is trained on in another colour."
    write_example(tmp_path/"shop", "patn")
    return tmp_path/"shop"


def write_method(folder, shop, scheme, strength, size=(64, 44), skip=0):
    "The truth, made small, with noise; named by the scheme."
    truth, noise = read_truth(shop), np.random.default_rng(strength)
    for source, target in truth.wanted[skip:]:
        small = np.asarray(Image.open(truth.pictures[target]).convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS))
        made = (small + noise.normal(0, 4 * strength, small.shape)).clip(0, 255).astype(np.uint8)
        as_path = {key: shop_name(name).path.replace("/", "_") for key, name in (("ps", source), ("pt", target))}
        path = folder/scheme.format(s=source, t=target, **as_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        quality = dict(lossless=True) if path.suffix == ".webp" else dict(quality=100)
        Image.fromarray(made).save(path, **quality if path.suffix != ".png" else {})
    return folder


def test_thirteen_methods_in_their_own_names(shop, tmp_path, monkeypatch):
    results = [write_method(tmp_path/"results"/name, shop, scheme, strength)
               for strength, (name, scheme) in enumerate(SCHEMES.items(), 1)]
    done = []
    whole = folders_module.measure_part
    monkeypatch.setattr(folders_module, "measure_part", lambda part, **given: done.append(len(part)) or whole(part, **given))
    call = lambda **more: compare_results(results, shop, tmp_path/"out", "vtoneval", progress=False, **more)
    found = call()
    assert list(found["reports"]) == [*SCHEMES, "copy_source", "codec_roundtrip"] and done == [12] * 15
    table = pd.read_csv(tmp_path/"out"/"field.csv")
    ssim = table[(table.measure == "ssim") & (table.subset == "all")].set_index("method").value
    lossless = [name for name, scheme in SCHEMES.items() if not scheme.endswith("jpg")]
    assert (ssim[lossless].diff().dropna() < 0).all(), "more noise, less like the truth"
    assert all(report["n_pairs"] == 12 for report in found["reports"].values())
    clean = table[(table.measure == "ssim") & (table.subset == "clean") & (table.method == "CFLD")]
    assert clean.n_pairs.tolist() == [6], "the other item is trained on in another colour"
    assert {"front->back", "side->front"} <= set(table.subset)
    tests = pd.read_csv(tmp_path/"out"/"against_first.csv")
    assert set(tests.against) == {"PATN"} and len(set(tests.method)) == 14
    text = (tmp_path/"out"/"field.md").read_text()
    assert "12 pairs of 2 persons by: DeepFashion item" in text and "X-MDPT-L" in text and "wizwand.com" in text
    assert Image.open(tmp_path/"out"/"pairs.png").width > 15 * 100

    done.clear()
    next((tmp_path/"results"/"PIDM").iterdir()).touch()
    (tmp_path/"out"/"MCLD.json").unlink()
    call()
    assert done == [12, 12], "the method whose picture is another, and the one that was not there; the others have not changed"


def test_only_common_pairs_are_compared(shop, tmp_path):
    whole = write_method(tmp_path/"whole", shop, "{s}_2_{t}.png", 1)
    part = write_method(tmp_path/"part", shop, "{s}_to_{t}.png", 2, skip=3)
    args = [whole, part], shop, tmp_path/"out", "vtoneval"
    with pytest.raises(InputError, match="part: generated: 3 of the 12 pairs .* are missing"): compare_results(*args, progress=False)
    found = compare_results(*args, incomplete=True, progress=False)
    assert {report["n_pairs"] for report in found["reports"].values()} == {9}
    assert "only the 9 pairs that all sets have are compared (whole 12, part 9)" in found["notes"]


def test_killed_in_the_second_method_it_goes_on(shop, tmp_path, monkeypatch):
    results = [write_method(tmp_path/name, shop, "{s}_2_{t}.png", strength) for strength, name in enumerate("ab", 1)]
    whole, calls = folders_module.measure_part, []

    def dying(part, **given):
        calls.append(len(part))
        if len(calls) == 4: raise KeyboardInterrupt
        return whole(part, **given)

    monkeypatch.setattr(folders_module, "measure_part", dying)
    monkeypatch.setattr(folders_module, "SAVE_EVERY", 5)  # three parts a method
    call = lambda out: compare_results(results, shop, out, "vtoneval", progress=False)["reports"]
    with pytest.raises(KeyboardInterrupt): call(tmp_path/"out")
    calls[:] = [0] * 9
    resumed = call(tmp_path/"out")
    assert len(calls) - 9 == 3 * 3, "of the four sets, the first one was done"
    straight = call(tmp_path/"other")
    assert all(resumed[name] == straight[name] for name in "ab")


@pytest.mark.parametrize("n, names", [(3, "pidm,pcdms"), (66, "pidm")])
def test_without_weights_a_tail_is_no_crash(n, names, tmp_path):
    "pidm and pcdms do not count the last incomplete batch in LPIPS, which is absent here."
    for k in range(n):
        for part in ("made", "truth"): save_png(tmp_path/part/f"p{k}_0.png", np.full((20, 16, 3), k, np.uint8))
    found = evaluate_folders(tmp_path/"made", tmp_path/"truth", None, names, progress=False)
    for name in names.split(","):
        assert found["protocols"][name]["n_pairs"] == n and found["protocols"][name]["psnr_db"] == 100
        assert {"lpips", "fid_pgpis"} <= {entry["name"] for entry in found["protocols"][name]["absent"]}


def write_noise(folder, names, size=(64, 44)):
    for k, name in enumerate(names): save_png(folder/f"{name}.png", np.random.default_rng(k).integers(0, 256, (*size, 3), np.uint8))


def test_a_third_of_the_results_is_refused(tmp_path):
    names = [f"p{k}_0" for k in range(12)]
    write_noise(tmp_path/"truth", names)
    write_noise(tmp_path/"made", names[:4])
    call = lambda **more: evaluate_folders(tmp_path/"made", tmp_path/"truth", tmp_path/"o.json", progress=False, **more)
    assert any("8 of the 12 true pictures" in note for note in call()["notes"]), "nobody says which pairs there are: only said"
    (tmp_path/"truth"/"pairs.csv").write_text("from,to\n" + "".join(f"{name},{name}\n" for name in names))
    (tmp_path/"o.json").unlink()
    with pytest.raises(InputError, match="8 of the 12 pairs of .*pairs.csv are missing, e.g. .*--incomplete"): call()
    assert not (tmp_path/"o.json").exists()
    found = call(incomplete=True)
    assert found["n_pairs"] == 4 and found["notes"][0] == "incomplete: 4 of the 12 pairs of pairs.csv"
    (tmp_path/"four.csv").write_text("from,to\n" + "".join(f"{name},{name}\n" for name in names[:4]))
    assert call(pairs=tmp_path/"four.csv")["n_pairs"] == 4


def test_a_folder_of_one_person_is_refused(tmp_path):
    for part in ("made", "truth"): write_noise(tmp_path/part, ["img_1", "img_2"])
    with pytest.raises(InputError, match="one person"): evaluate_folders(tmp_path/"made", tmp_path/"truth", progress=False)


def test_label_sets(tmp_path):
    "The same map in CIHP's and in ATR's ids gives the same face, or is refused."
    regions = stand_in((128, 88)).numpy()
    names = [{"upper": "upper-clothes", "lower": "pants", "shoes": "left-shoe", "torso": "background"}.get(name, name.replace("_", "-"))
             for name in REGIONS]
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (128, 88, 3), np.uint8)
    made = np.where((regions == REGIONS.index("face"))[..., None], 128, truth).astype(np.uint8)  # only the face is wrong
    found = {}
    for kind in ("cihp", "atr"):
        ids = np.array([LABEL_SETS[kind].index(name) if name in LABEL_SETS[kind] else 0 for name in names], np.uint8)
        for path, array in (("images", truth), ("parsing", ids[regions])): save_png(tmp_path/kind/path/"p1_0.png", array)
        save_png(tmp_path/"made"/"p1_0.png", made)
        found[kind] = evaluate_folders(tmp_path/"made", tmp_path/kind, progress=False, label_set=kind)
    assert found["cihp"]["face_ssim"] == found["atr"]["face_ssim"] < .5 < found["cihp"]["clothes_ssim"]
    with pytest.raises(InputError, match="say --label-set atr"): evaluate_folders(tmp_path/"made", tmp_path/"atr", progress=False)
    with pytest.raises(InputError, match="unknown in label set 'atr'"):
        evaluate_folders(tmp_path/"made", tmp_path/"cihp", progress=False, label_set="atr")


def test_the_reference_is_read_once(tmp_path, monkeypatch):
    "Of 260 training pictures mean and covariance are kept; the second method asks the encoder for its own pictures only."
    monkeypatch.setenv("TRUEPOSE_DATA", str(tmp_path/"data"))
    asked = []

    def load_encoder(name):
        def colours(images):
            asked.append(len(images))
            return np.stack([np.asarray(image, np.float32).mean((0, 1)) for image in images])
        return colours

    monkeypatch.setattr(sets_module, "load_encoder", load_encoder)
    write_noise(tmp_path/"train", [f"t{k}" for k in range(260)], (16, 11))
    names = [f"p{k}_0" for k in range(5)]
    for part in ("truth", "a", "b"): write_noise(tmp_path/part, names)
    call = lambda method: evaluate_folders(tmp_path/method, tmp_path/"truth", None, "gfla", tmp_path/"train", progress=False)
    first = call("a")
    assert sum(asked) == 5 + 256 and first["fid_pgpis_n_reference"] == 256, "gfla counts batches of 64"
    asked.clear()
    second = call("b")
    assert sum(asked) == 5 and second["fid_pgpis"] == first["fid_pgpis"]
    (tmp_path/"train"/"t3.png").touch()
    asked.clear()
    assert call("b")["fid_pgpis"] == first["fid_pgpis"] and sum(asked) == 5 + 256, "a file of another date: taken anew"
