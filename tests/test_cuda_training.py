"What trains, samples and measures on a GPU, on tensors that say they are on one (tests/pretend_cuda.py): nothing meets a tensor of the CPU."
import pytest
import torch

from pretend_cuda import PretendCuda, on_gpu
from truepose.config import METHODS, get_preset
from truepose.people.sets import people_dataset
from truepose.data.deepfashion import open_people
from truepose.data.folder import read_attributes
from truepose.evaluate.metrics import pair_measures
from truepose.finish.network import Finisher
from truepose.method.clip import CaptionedCrops, ClipObjective, clip_from_preset
from truepose.method.model import model_from_preset
from truepose.pipeline import paper_or_ours, pipeline_from_preset
from truepose.photo.parser import backgrounds
from truepose.train.encoded import EncodedPeople
from truepose.train.finisher import Drawings, FinisherObjective, draw_pairs
from truepose.train.loop import step_generator
from truepose.train.pairs import TransferData
from truepose.train.transfer import TransferObjective, preview, validation

TINY = get_preset("tiny")


@pytest.fixture(scope="module")
def folder(): return people_dataset("train", 2, 0, TINY.finished_size, 3)


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    with PretendCuda(): return pipeline_from_preset("tiny").to("cuda")


@pytest.fixture(scope="module")
def encoded(folder, pipe):
    "Rendered people, encoded on the device."
    with PretendCuda():
        return TransferData(EncodedPeople(pipe.codec, pipe.clip, open_people(folder, TINY.image_size, keep=False), "cuda", keep=False))


@pytest.fixture
def data(encoded):
    with PretendCuda(): yield encoded


def learns(objective, batch):
    "A step of it leaves gradients on the device."
    loss, numbers = objective(batch, step_generator(0, 1))
    loss.backward()
    grads = [p.grad for p in objective.parameters() if p.grad is not None]
    assert grads and all(map(on_gpu, grads)) and loss.isfinite() and all(map(on_gpu, numbers.values()))


def on_device(batch): return {name: value.to("cuda") for name, value in batch.items()}


def test_the_pretence_is_sharp():
    with PretendCuda():
        there, here = torch.ones(2, 2, device="cuda"), torch.ones(2, 2)
        assert there.device.type == (there + 1)[0].device.type == "cuda" and here.device.type == "cpu"
        for wrong in (lambda: there + here, lambda: here[there.long()], lambda: torch.randn(2, generator=torch.Generator(), device="cuda")):
            with pytest.raises(RuntimeError): wrong()
        with pytest.raises(TypeError): there.numpy()
        assert (there.cpu() + here).numpy().shape == (2, 2)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_a_step(name, data, pipe):
    model_class, options = paper_or_ours(METHODS[name].model_options(TINY.latent_factor))
    correspondence = .1 if METHODS[name].correspondence_loss else 0.
    objective = TransferObjective(model_from_preset("tiny", model_class, **options).to("cuda"), pipe.scheduler,
                                  correspondence_weight=correspondence, min_snr_gamma=5., drop_source=.5)
    batch = data.batch(2, step_generator(0, 0), targets=2)
    assert all(map(on_gpu, batch.values()))
    learns(objective, batch)


def test_pictures_and_numbers_on_the_way(data, pipe):
    objective = TransferObjective(pipe.model, pipe.scheduler, correspondence_weight=.1).eval()
    rows = preview(pipe.model, pipe.codec, pipe.scheduler, data.of_pairs(data.pairs[:2]), steps=2)
    assert not any(on_gpu(picture) for row in rows for picture in row) and rows[0][0].numpy().shape == (3, 64, 44)
    numbers = validation(objective, pipe.codec, data, data.pairs[:3], pair_measures, steps=2)
    assert {"mse", "t999", "upper", "ssim"} <= set(numbers)


@pytest.mark.parametrize("part", ["finisher", "head_finisher"])
def test_a_finisher_takes_a_step(part, data, pipe, folder):
    drawn = draw_pairs(pipe, data, sources=1, targets=2, seed=0)
    assert not any(map(on_gpu, drawn.values())), "drawings are kept in a file"
    finisher = Finisher(pipe.model.config.look, scale=TINY.finish_scale, **getattr(TINY, part))
    drawings = Drawings(drawn, data, open_people(folder, TINY.finished_size, keep=False), finisher, backgrounds())
    batch = on_device(drawings.batch(2, step_generator(0, 0)))
    learns(FinisherObjective(finisher.to("cuda")), batch)


def test_the_region_encoder_takes_a_step(folder):
    people, clip = open_people(folder, TINY.image_size, keep=False), clip_from_preset("tiny")
    crops = CaptionedCrops(people, read_attributes(people.folder), clip.config.image_size)
    batch = crops.batch(4, step_generator(0, 0))
    with PretendCuda(): learns(ClipObjective(clip, len(crops.vocabulary)).to("cuda"), on_device(batch))
