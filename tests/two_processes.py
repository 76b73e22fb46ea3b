"Steps of TruePose at `tiny` on random latents; a notebook of test_distributed.py calls it, in one process and in two."
import torch
from truepose.config import get_preset
from truepose.finish.lookup import LookupModel
from truepose.method.model import model_from_preset
from truepose.method.objective import make_scheduler
from truepose.train.loop import fit
from truepose.train.transfer import TransferObjective


def make_batch(generator):
    "Two pairs; all that a batch of `TransferData` has."
    def randn(*shape): return torch.randn(shape, generator=generator)
    regions = torch.randint(13, (2, 64, 44), generator=generator)
    return dict(source_images=randn(2, 3, 64, 44).clamp(-1, 1), source_latents=randn(2, 48, 16, 11),
                embeddings=randn(2, 14, 32), present=torch.ones(2, 14, dtype=torch.bool),
                source_regions=regions, target_latents=randn(2, 48, 16, 11),
                target_regions=regions.flip(2), target_keypoints=randn(2, 18, 3).abs() * 20)


def train(folder, accumulate, steps, spoil_step=0):
    "A training; in `spoil_step` the loss is no number."
    torch.manual_seed(0)
    model = model_from_preset("tiny", LookupModel, **get_preset("tiny").model)
    objective, done = TransferObjective(model, make_scheduler()), []

    def spoil(objective, given, loss_and_numbers):
        if objective.training: done.append(1)
        loss, numbers = loss_and_numbers
        return (loss * float("nan"), numbers) if len(done) == spoil_step else (loss, numbers)
    objective.register_forward_hook(spoil)
    return fit(objective, make_batch, folder, steps=steps, lr=1e-3, warmup=1, accumulate=accumulate, log_every=1,
               checkpoint_steps=2, validate=lambda objective: {"ones": 1.0}, validate_steps=2)
