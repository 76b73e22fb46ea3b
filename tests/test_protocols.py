"Each protocol's numbers computed a second time, with the libraries that its repository calls: OpenCV, PIL, torchvision, scikit-image, lpips."
import copy
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchvision import transforms

from pretend_cuda import CUDA, PretendCuda

from truepose.evaluate.features import load_encoder, lpips_distances
from truepose.evaluate.protocols import PROTOCOLS, direction, grouping, kept, prepare, score_pair, seen, split_pair

cv2 = pytest.importorskip("cv2", reason="OpenCV comes with the development requirements (rtmlib)", exc_type=ImportError)
FIELD = [name for name in PROTOCOLS if name not in ("strict", "vtoneval")]
SIZES = [((256, 176), (1101, 750)), ((512, 512), (1101, 750)), ((256, 256), (256, 256)), ((512, 352), (512, 352)), ((256, 176), (256, 176))]


def pair(generated_size, truth_size, seed=0):
    "A truth with stripes finer than any file, and a noisy copy of it in other colours, of another size."
    rng, (h, w) = np.random.default_rng(seed), truth_size
    down, right = np.mgrid[:h, :w] * (1101 / h)
    colours = np.asarray(Image.fromarray(rng.integers(0, 256, (9, 6, 3), np.uint8)).resize((w, h), Image.NEAREST))
    truth = np.where(((right + .2 * down) % 5.3 < 2.6)[..., None], 255 - colours // 2, colours).astype(np.uint8)
    changed = Image.fromarray(truth).resize(generated_size[::-1], Image.BILINEAR)
    return (np.asarray(changed) * .8 + rng.normal(10, 9, (*generated_size, 3))).clip(0, 255).astype(np.uint8), truth


def by_pil(image, size): return np.asarray(Image.fromarray(image).resize(size[::-1], Image.BICUBIC))


def of_cfld(generated, truth, size):
    "transform_test on a PIL picture; F.interpolate, clamp, and the cast to bytes. In [0, 1]."
    truth = transforms.Compose([transforms.Resize(size, transforms.InterpolationMode.BICUBIC, antialias=True), transforms.ToTensor()])(Image.fromarray(truth))
    made = F.interpolate(transforms.ToTensor()(Image.fromarray(generated))[None], size, mode="bicubic", antialias=True)
    made = (made.float() * 255).clamp(0, 255).to(torch.uint8).float() / 255
    return [x.permute(1, 2, 0).numpy() for x in (made[0], truth)]


def by_cv2(generated, truth, file, size, how):
    "Files made by PIL, read as float32, resized by OpenCV. In [0, 1]."
    return [cv2.resize(by_pil(image, file).astype(np.float32), size[::-1], interpolation=how) / 255 for image in (generated, truth)]


def as_files(generated, truth, size): return [by_pil(image, size).astype(np.float32) / 255 for image in (generated, truth)]


def theirs(name, generated, truth):
    "The pictures that FID and LPIPS see, those that SSIM and PSNR see, sigma."
    if name.startswith(("cfld", "mcld")): seen_by_all, sigma = of_cfld(generated, truth, (512, 352) if "512" in name else (256, 176)), 1.5
    elif name == "pidm":
        return by_cv2(generated, truth, (256, 256), (256, 176), cv2.INTER_LINEAR), as_files(generated, truth, (256, 256)), 1.2
    elif name == "pcdms": seen_by_all, sigma = by_cv2(generated, truth, (256, 256), (256, 176), cv2.INTER_CUBIC), 1.2
    elif name == "pcdms_512": seen_by_all, sigma = by_cv2(generated, truth, (512, 512), (512, 352), cv2.INTER_CUBIC), 1.2
    elif name == "gfla": seen_by_all, sigma = as_files(generated, truth, (256, 256)), 1.5
    else:
        files, white = as_files(generated, truth, (256, 176)), np.ones((2, 256, 256, 3), np.float32)
        white[:, :, 40:216] = files
        return files, list(white), 1.5
    return seen_by_all, seen_by_all, sigma


@pytest.mark.parametrize("name", FIELD)
def test_measures_of_a_pair(name):
    for seed, sizes in enumerate(SIZES[1::2] if name == "mcld" or "512" in name else SIZES):
        generated, truth = pair(*sizes, seed)
        others, (made, true), sigma = theirs(name, generated, truth)
        for ours, their in zip(prepare(generated, truth, PROTOCOLS[name]), others, strict=True):
            apart = np.abs(ours.astype(np.float64) - their * 255)
            assert apart.mean() < 1e-3 and apart.max() < 1.01, (name, sizes, apart.max())  # a float's last digit may cut one level off
        ours = score_pair(generated, truth, PROTOCOLS[name])
        gaussian = dict(gaussian_weights=True, sigma=sigma, use_sample_covariance=False, channel_axis=-1)
        expected = dict(psnr_db=peak_signal_noise_ratio(true, made, data_range=1),
                        ssim_51=structural_similarity(true, made, data_range=1, win_size=51, channel_axis=-1),
                        ssim_256=structural_similarity(true * 255, made * 255, data_range=(made * 255).max() - (made * 255).min(), **gaussian))
        assert ours.keys() == expected.keys()
        for measure, value in expected.items(): assert ours[measure] == pytest.approx(value, abs=2e-4), (name, sizes, measure)


def test_floats_are_neither_rounded_nor_clipped():
    noise = np.random.default_rng(0).integers(0, 2, (1101, 750, 3)).astype(np.uint8) * 255
    values = {name: seen(noise, PROTOCOLS[name], "truth") for name in ("pidm", "pcdms", "cfld", "gfla")}
    assert {name: x.dtype.name for name, x in values.items()} == dict(pidm="float32", pcdms="float32", cfld="uint8", gfla="uint8")
    assert (values["pidm"] % 1 > .01).mean() > .5
    sharp = np.kron(np.random.default_rng(0).integers(0, 2, (32, 32, 1)), np.ones((8, 8, 3))).astype(np.uint8) * 255
    beyond = seen(sharp, PROTOCOLS["pcdms"], "truth")
    assert beyond.min() < 0 and beyond.max() > 255


def test_originals_become_files_first():
    "One aliased step would change the truth: PCDMs and PIDM resize files, not originals."
    _, truth = pair((256, 176), (1101, 750))
    for name, how in (("pidm", cv2.INTER_LINEAR), ("pcdms", cv2.INTER_CUBIC)):
        at_once = cv2.resize(truth.astype(np.float32), (176, 256), interpolation=how)
        assert np.abs(seen(truth, PROTOCOLS[name], "truth") - at_once).mean() > 10


@pytest.fixture(scope="module")
def network():
    import lpips
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"): return lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()


@pytest.mark.parametrize("name", ["cfld", "pidm", "pcdms", "gfla", "dptn"])
def test_lpips_as_the_repository_gives_its_pictures(name, network):
    pairs = [pair((512, 512), (1101, 750), seed) for seed in (0, 1)]
    batches = [torch.tensor(np.stack(side)).permute(0, 3, 1, 2) for side in zip(*(theirs(name, *one)[0] for one in pairs))]
    with torch.no_grad():
        if name == "cfld": expected = network(*batches, normalize=True)
        elif name == "pcdms": expected = network(*batches)  # [0, 1], where [-1, 1] is expected
        else: expected = network(*(2 * x - 1 for x in batches))
    prepared = [prepare(*one, PROTOCOLS[name]) for one in pairs]
    ours = lpips_distances(network, *map(list, zip(*prepared)), unit_range=PROTOCOLS[name].lpips_unit_range)
    assert [row["lpips"] for row in ours] == pytest.approx(expected.flatten().tolist(), rel=1e-3)


def test_whole_batches_count_and_small_sets_are_a_batch():
    def as_theirs(n, batch):
        batch = min(batch, n)
        return sum(batch for _ in range(n // batch))
    expected = {"pidm": (64, 64), "pcdms": (128, 64), "pcdms_512": (128, 64), "gfla": (64, 64), "dptn": (64, 1)}
    for name, protocol in PROTOCOLS.items():
        fid, lpips = expected.get(name, (1, 1))
        for n in (1, 2, 63, 64, 65, 127, 128, 129, 192, 8570, 48674):
            assert (kept(protocol, n, "fid"), kept(protocol, n, "lpips")) == (as_theirs(n, fid), as_theirs(n, lpips)), (name, n)


CATEGORIES = ("Blouses_Shirts", "Denim", "Graphic_Tees", "Jackets_Coats", "Tees_Tanks", "Suiting")
SCHEMES = ("{s}_2_{t}_vis", "{s}_2_{t}", "{s}___{t}_vis", "{s}.jpg___{t}.jpg_vis", "{s}_to_{t}", "deep{s}_to_deep{t}", "{s}__{t}")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_of_result_names_gives_its_pair(scheme):
    views = ("1front", "2side", "3back", "4full", "7additional")
    names = [f"fashion{who}{category}id{item:08}{colour:02}_{view}" for item, category in enumerate(CATEGORIES)
             for who in ("WOMEN", "MEN") for colour in (1, 12) for view in views]
    found = [split_pair(scheme.format(s=source, t=target), set(names)) for source, target in zip(names, names[1:])]
    assert found == list(zip(names, names[1:]))
    assert direction(*found[0]) == "front->side" and direction(*found[3]) == "full->additional"
    persons, rule = grouping([target for _, target in found], [source for source, _ in found])
    assert len(set(persons)) == 2 * len(CATEGORIES) and rule.startswith("DeepFashion item")


def test_encoders_and_lpips_on_a_gpu_give_the_same(network):
    "The whole way, numbers included: nothing stays on the CPU, everything comes back."
    first, second = pair((64, 48), (64, 48))
    masks = [dict(left=np.arange(48)[None].repeat(64, 0) < 24, none=None), None] * 5
    on_cpu = lpips_distances(network, [first, second] * 5, [second, first] * 5, masks), load_encoder("clip_nano", "cpu")([first, second] * 5)
    with PretendCuda():
        there = copy.deepcopy(network).to(CUDA)
        assert there.scaling_layer.shift.device == CUDA
        found = lpips_distances(there, [first, second] * 5, [second, first] * 5, masks), load_encoder("clip_nano", CUDA)([first, second] * 5)
    assert found[0] == [pytest.approx(row, abs=1e-6) for row in on_cpu[0]] and "left_lpips" in found[0][0] and "left_lpips" not in found[0][1]
    assert np.allclose(found[1], on_cpu[1], atol=1e-5)
