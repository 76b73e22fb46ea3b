"""The pipeline on a GPU, on machines without one: tensors of the CPU that say they are on `cuda:0`.

torch's FakeTensorMode has no values, and TruePose asks for some (how many tokens show a face). These tensors have them. What raises on a GPU raises here, down to single operations:
both devices in one operation, `numpy()` without `cpu()`. The numbers are those of the CPU, so that pictures can be compared.
"""
import contextlib
import json
from unittest.mock import patch

import numpy as np
import open_clip
import pytest
import torch
from diffusers import DDPMScheduler
from torch.utils._python_dispatch import TorchDispatchMode

from truepose.config import get_preset
from truepose.finish.network import Finisher
from truepose.method.stable_diffusion import thin, write_sd
from truepose.pipeline import TruePosePipeline, pipeline_from_preset, pipeline_from_sd

aten = torch.ops.aten
CUDA = torch.device("cuda:0")
MOVES = {aten._to_copy.default, aten.copy_.default}  # what reads one device and writes another
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}  # by an index that may be on the CPU


class OnCuda(torch.Tensor):
    "A tensor of the CPU that says it is on a GPU."
    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
                                                   dtype=inner.dtype, device=CUDA, requires_grad=inner.requires_grad)

    def __init__(self, inner): self.inner = inner

    def __repr__(self, **_): return f"OnCuda({self.inner})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None): return run(func, args, kwargs or {})


def each(change, value):
    "The value with another tensor for every one in it."
    if isinstance(value, torch.Tensor): return change(value)
    if isinstance(value, (list, tuple)): return type(value)(each(change, part) for part in value)
    return value


def inside(x): return x.inner if isinstance(x, OnCuda) else x


def outside(x): return x if isinstance(x, OnCuda) else OnCuda(x)


def run(func, args, kwargs):
    "The operation on the CPU; what comes out is where a GPU would have it."
    # 1. kernels that only a GPU has
    if func is aten._fused_sdp_choice.default: return 0  # attention is written out
    if func in (aten._softmax.default, aten._log_softmax.default) and args[2]: args = (args[0].float(), args[1], False)
    # 2. which devices meet
    tensors = []
    each(tensors.append, (args, tuple(kwargs.values())))
    judged = [args[0], *args[2:3]] if func in INDEXING and isinstance(args[0], OnCuda) else tensors
    devices = {isinstance(x, OnCuda) for x in judged if isinstance(x, OnCuda) or (isinstance(x, torch.Tensor) and x.ndim)}
    if len(devices) > 1 and func not in MOVES:
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found cuda:0 and cpu")
    # 3. the operation
    wanted = kwargs.get("device")
    options = {name: each(inside, value) for name, value in kwargs.items()} | ({} if wanted is None else {"device": torch.device("cpu")})
    out = func(*each(inside, args), **options)
    if func is aten._local_scalar_dense.default: return out
    # 4. in place, or new
    if func._schema.is_mutable: return kwargs.get("out", args[0])
    on_cuda = any(isinstance(x, OnCuda) for x in tensors) if wanted is None else torch.device(wanted).type == "cuda"
    return each(outside, out) if on_cuda else out


class Factories(TorchDispatchMode):
    "Tensors that are made on the GPU, or moved to it."
    def __torch_dispatch__(self, func, types, args=(), kwargs=None): return run(func, args, kwargs or {})


@contextlib.contextmanager
def pretend_cuda(bf16=False):  # whether the GPU computes bfloat16 fast, and so whole precision under autocast
    "A machine with one GPU."
    torch._C._ensureCUDADeviceGuardSet()  # no driver is asked, as for torch's own fake tensors
    gpu = {"_lazy_init": lambda: None, "is_available": lambda: True, "device_count": lambda: 1, "is_bf16_supported": lambda *_, **__: bf16}
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor` makes its numbers on the CPU and moves them
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with patch.multiple("torch.cuda", **gpu), Factories(): yield
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def test_what_raises_on_a_gpu_raises():
    "The pretence itself."
    with pretend_cuda(bf16=True):
        here, there = torch.ones(3), torch.tensor([1., 2, 3], device="cuda")
        assert there.is_cuda and there.device == CUDA and there.sum().item() == 6
        with pytest.raises(RuntimeError, match="same device"): here + there
        with pytest.raises(RuntimeError): there.numpy()
        assert (there.cpu() + here).tolist() == [2, 3, 4] and (there * torch.tensor(2.)).device == CUDA
        assert there[torch.tensor([2])].item() == 3  # as on a GPU
        with pytest.raises(RuntimeError, match="same device"): here[torch.tensor([2], device="cuda")]
        there.view(3, 1).add_(1)
        assert there.cpu().tolist() == [2, 3, 4]
        layer = torch.nn.Linear(3, 2).to("cuda")
        with torch.autocast("cuda", dtype=torch.bfloat16): assert layer(there).dtype == torch.bfloat16


SIZE = (128, 88)


def inputs(size, label=5):
    "Two sources with a shirt and a face, and their poses, of which the second lacks its head."
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for _ in range(2)]
    maps = np.zeros((2, *size), np.uint8)
    maps[:, size[0] // 2:, 8:-8] = label
    maps[0, 8:size[0] // 4, 16:-16] = 13
    poses = np.concatenate([rng.random((2, 18, 2)) * size[::-1], np.full((2, 18, 1), 2)], -1).astype(np.float32)
    poses[1, [0, 14, 15, 16, 17], 2] = 0
    return pictures, maps, poses


def tiny():
    "All parts with random weights, finishers too."
    torch.manual_seed(0)
    pipe, sizes = pipeline_from_preset("tiny"), get_preset("tiny")
    last = [Finisher(**config).eval() for config in (sizes.finisher, sizes.head_finisher)]
    for weight in pipe.model.parameters(): weight.data += .02 * torch.randn_like(weight)
    for finisher in last:
        for weight in finisher.parameters(): weight.data += .02 * torch.randn_like(weight)
    pipe = TruePosePipeline(pipe.codec, pipe.clip, pipe.model, pipe.scheduler, *SIZE, *last)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe, *given, **options):
    options = dict(num_inference_steps=1, guidance_pose=1, guidance_source=1, output_type="pt") | options
    return pipe(*given, generator=torch.Generator().manual_seed(0), **options).images


def on_the_cpu(pipe, *given, **options):
    "The same in whole precision here."
    with patch("truepose.pipeline.autocast", lambda device: contextlib.nullcontext()): return drawn(pipe, *given, **options)


def test_the_pipeline_draws_the_same_on_a_gpu():
    "Two sources, two poses each, guidance, finishers: all of a call, from arrays to pictures."
    pictures, maps, poses = inputs(SIZE)
    four, guided = poses.repeat(2, 0), dict(num_inference_steps=2, guidance_pose=1.3, guidance_source=1.6)
    pipe = tiny()
    expected = on_the_cpu(pipe, pictures, maps, four, poses, **guided)
    with pretend_cuda():
        pipe.to("cuda")
        source = pipe.encode_source(pictures, maps, source_pose=poses)
        made = drawn(pipe, target_pose=four, source_states=source, **guided)
    assert source.states.context.device == made.device == CUDA
    torch.testing.assert_close(made.inner, expected, atol=1e-3, rtol=0)


def test_other_calls_on_a_gpu():
    "Samples of one pose as PIL images, no source, no seed, another scheduler."
    pictures, maps, poses = inputs(SIZE)
    given = pictures[0], maps[0], poses[0]
    pipe = tiny()
    expected = on_the_cpu(pipe, *given, num_images_per_pose=2, finish=False)
    with pretend_cuda():
        pipe.to("cuda")
        pil = drawn(pipe, *given, num_images_per_pose=2, finish=False, output_type="pil")
        blind = drawn(pipe, *given, guidance_source=0)  # nobody looks at the source
        pipe.scheduler = DDPMScheduler.from_config(pipe.scheduler.config)  # draws noise in every step
        free = pipe(*given, num_inference_steps=2, output_type="pt").images
    assert blind.device == free.device == CUDA
    for image, picture in zip(pil, expected): assert np.abs(np.asarray(image) / 255 - picture.movedim(0, -1).numpy()).max() < .02
    assert pil[0] != pil[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_every_precision_draws_on_a_gpu(dtype):
    "Half precision of weights, and whole weights under autocast."
    pictures, maps, poses = inputs(SIZE)
    pipe = tiny()
    expected = on_the_cpu(pipe, pictures, maps, poses, poses)
    with pretend_cuda(bf16=True):
        pipe.to("cuda", dtype)
        made = drawn(pipe, pictures, maps, poses, poses).cpu()
    assert made.dtype == torch.float32 and (made - expected).abs().mean() < .05


@pytest.mark.parametrize("preset, dtype, options", [("paper", torch.float16, {}), ("paper21", torch.float32, dict(lookup=8, input_skip=True))])
def test_stable_diffusion_draws_on_a_gpu(tmp_path, preset, dtype, options):
    "A thin one of SD 1.5, in half precision and by the method of the paper; one of 2.1 with what is ours."
    pictures, maps, poses = inputs((64, 48))
    write_sd(tmp_path, thin(preset))
    vision = dict(image_size=32, patch_size=8, width=32, head_width=16, layers=1)
    (tmp_path/"gpu-eye.json").write_text(json.dumps(dict(embed_dim=32, vision_cfg=vision, text_cfg={})))
    open_clip.add_model_config(tmp_path/"gpu-eye.json")
    pipe = pipeline_from_sd(tmp_path, "gpu-eye", None, (64, 48), dtype, **options)
    pipe.set_progress_bar_config(disable=True)
    with pretend_cuda(bf16=True): made = drawn(pipe.to("cuda"), pictures, maps, poses).cpu()
    assert made.shape == (2, 3, 64, 48) and made.isfinite().all()
