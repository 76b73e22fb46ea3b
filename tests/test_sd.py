"Stable Diffusion folders as people have them, the activation of CLIP's weights, and diffusers' switches: each works, or is refused in one line."
import json
import shutil
from unittest.mock import patch

import numpy as np
import open_clip
import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, EulerDiscreteScheduler
from safetensors.torch import load_file, save_file

from truepose.config import METHODS, get_preset
from truepose.core import InputError, asset
from truepose.method.stable_diffusion import save_base, thin, write_sd
from truepose.pipeline import REFUSED, TruePosePipeline, pipeline_from_preset, pipeline_from_sd

WEIGHTS = "diffusion_pytorch_model.safetensors"
SIZE = (64, 48)


@pytest.fixture(scope="module")
def eye(tmp_path_factory):
    "A small region encoder in open_clip's list, with either activation."
    folder = tmp_path_factory.mktemp("eye")
    vision = dict(image_size=32, patch_size=8, width=32, head_width=16, layers=1)
    for name, quick_gelu in (("thin-eye", False), ("thin-eye-quickgelu", True)):
        sizes = dict(embed_dim=32, vision_cfg=vision, text_cfg=dict(context_length=8, vocab_size=9, width=16, heads=2, layers=1), quick_gelu=quick_gelu)
        (folder/f"{name}.json").write_text(json.dumps(sizes))
        open_clip.add_model_config(folder/f"{name}.json")
    save_file(open_clip.CLIP(**sizes).state_dict(), folder/"eye.safetensors")
    return folder/"eye.safetensors"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    "Folders of 1.5 and 2.1 as diffusers writes them."
    folder = tmp_path_factory.mktemp("sd")
    torch.manual_seed(0)
    for name in ("paper", "paper21"): write_sd(folder/name, thin(name))
    return folder


@pytest.fixture
def sd(written, tmp_path): return shutil.copytree(written/"paper", tmp_path/"sd")


def started(folder, **options):
    torch.manual_seed(0)
    pipe = pipeline_from_sd(folder, "thin-eye", None, SIZE, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def person(size=SIZE):
    labels = np.zeros(size, np.uint8)
    labels[size[0]//2:, 8:-8] = 5
    joints = np.column_stack([np.random.default_rng(0).random((18, 2)) * size[::-1], np.full(18, 2)]).astype(np.float32)
    return np.full((*size, 3), 90, np.uint8), labels, joints


def drawn(pipe, **options):
    options = dict(num_inference_steps=1, output_type="pt", generator=torch.Generator().manual_seed(0)) | options
    return pipe(*person(pipe.image_size), **options).images


def changed(folder, part, **settings):
    path = folder/part/("scheduler_config.json" if part == "scheduler" else "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


# --- folders


def halved(folder):
    for part in ("unet", "vae"):
        half = {name: value.half() for name, value in load_file(folder/part/WEIGHTS).items()}
        save_file(half, folder/part/WEIGHTS.replace(".safe", ".fp16.safe"), metadata={"format": "pt"})
        (folder/part/WEIGHTS).unlink()


def of_torch(folder):
    for part in ("unet", "vae"):
        torch.save(load_file(folder/part/WEIGHTS), folder/part/WEIGHTS.replace("safetensors", "bin"))
        (folder/part/WEIGHTS).unlink()


def of_old_diffusers(folder):
    then = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = load_file(folder/"vae"/WEIGHTS)
    for new, old in then.items(): weights = {name.replace(new, old): value for name, value in weights.items()}
    save_file(weights, folder/"vae"/WEIGHTS)


def of_another_scheduler(folder):
    betas = dict(beta_start=.00085, beta_end=.012, beta_schedule="scaled_linear")
    EulerDiscreteScheduler(**betas).save_pretrained(folder/"scheduler")


@pytest.fixture(scope="module")
def expected(eye, written): return drawn(started(written/"paper"))


@pytest.mark.parametrize("change, closeness", [(halved, .01), (of_torch, 0), (of_old_diffusers, 0), (of_another_scheduler, 0)])
def test_the_folder_loads_in_every_form(sd, expected, change, closeness):
    change(sd)
    pipe = started(sd)
    assert pipe.model.dtype == torch.float32 and not (sd/"text_encoder").exists()
    assert (drawn(pipe) - expected).abs().mean() <= closeness


def test_the_2_1_kind_keeps_what_it_is(eye, written):
    pipe = started(written/"paper21")
    assert pipe.scheduler.config.prediction_type == "v_prediction" and pipe.model.config.unet["use_linear_projection"]
    half = started(written/"paper21", dtype=torch.bfloat16)  # on a CPU, too
    assert (drawn(half) - drawn(pipe)).abs().mean() < .05


OTHERS = {"inpainting": ("unet", dict(in_channels=9)), "depth": ("unet", dict(in_channels=5)), "upscaler": ("unet", dict(in_channels=7)),
          "SDXL": ("unet", dict(addition_embed_type="text_time")), "unCLIP": ("unet", dict(class_embed_type="projection")),
          "latent consistency": ("unet", dict(time_cond_proj_dim=256)), "cross_attention_dim None": ("unet", dict(cross_attention_dim=None)),
          "UNetMotionModel": ("unet", dict(_class_name="UNetMotionModel")), "AutoencoderTiny": ("vae", dict(_class_name="AutoencoderTiny")),
          "prediction_type": ("scheduler", dict(prediction_type="flow_prediction"))}


@pytest.mark.parametrize("name", OTHERS)
def test_another_model_is_refused_by_name_before_weights_are_read(sd, name):
    part, settings = OTHERS[name]
    changed(sd, part, **settings)
    for weights in sd.rglob(WEIGHTS): weights.unlink()
    with pytest.raises(InputError, match=name) as refused: pipeline_from_sd(sd, "thin-eye", None, SIZE)
    assert str(sd) in str(refused.value) and "\n" not in str(refused.value)


def test_another_layout_is_refused_by_name(sd, tmp_path):
    (tmp_path/"v1-5-pruned.safetensors").touch()
    with pytest.raises(InputError, match="from_single_file"): pipeline_from_sd(tmp_path/"v1-5-pruned.safetensors")
    with pytest.raises(InputError, match="hf download"): pipeline_from_sd("runwayml/stable-diffusion-v1-5")
    with pytest.raises(InputError, match="multiples of 8"): pipeline_from_sd(sd, "thin-eye", None, (250, 176))
    (sd/"unet"/WEIGHTS).unlink()
    with pytest.raises(InputError, match="variant fp16; found config.json"): pipeline_from_sd(sd, "thin-eye", None, SIZE)
    shutil.move(sd/"unet", sd/"transformer")
    with pytest.raises(InputError, match="SD3, Flux"): pipeline_from_sd(sd)


def test_nothing_in_a_folder_is_run(sd):
    (sd/"unet"/WEIGHTS).unlink()
    torch.save({"conv_in.weight": print}, sd/"unet"/"diffusion_pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be read as UNet2DConditionModel"): pipeline_from_sd(sd, "thin-eye", None, SIZE)


# --- the activation of CLIP's weights


def test_openai_is_built_with_quickgelu_and_stays_so(eye, sd, tmp_path):
    "A tag and a local file of its weights; from the folder that a training saves, too."
    entry = dict(mean=(.5,) * 3, std=(.5,) * 3)
    table = {"thin-eye": {"openai": dict(quick_gelu=True, **entry), "laion": entry}}
    with patch.dict("open_clip.pretrained._PRETRAINED", table), patch.object(open_clip, "download_pretrained", return_value=str(eye)) as asked:
        by_tag = pipeline_from_sd(sd, "thin-eye", "openai", SIZE)
        by_file = pipeline_from_sd(sd, "thin-eye", f"openai:{eye}", SIZE)
        plain = pipeline_from_sd(sd, "thin-eye", f"laion:{eye}", SIZE)
        with pytest.raises(InputError, match="does not say whose weights"): pipeline_from_sd(sd, "thin-eye", eye, SIZE)
        with pytest.raises(InputError, match="the model is thin-eye"): pipeline_from_sd(sd, "thin-eye-quickgelu", "laion", SIZE)
    asked.assert_called_once_with(table["thin-eye"]["openai"])
    assert [pipe.clip.config.quick_gelu for pipe in (by_tag, by_file, plain)] == [True, True, False]
    by_file.save_pretrained(tmp_path/"saved")
    again = TruePosePipeline.from_pretrained(tmp_path/"saved").clip
    crops = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        assert again.config.quick_gelu and torch.equal(again(crops), by_tag.clip(crops))
        assert not torch.equal(again(crops), plain.clip(crops))


@pytest.mark.parametrize("name, tag, asked", [("ViT-L-14", "openai", "ViT-L-14-quickgelu"), ("ViT-L-14", "laion2b_s32b_b82k", "ViT-L-14"),
                                              ("ViT-H-14", "laion2b_s32b_b79k", "ViT-H-14")])
def test_open_clip_is_asked_for_the_right_model(name, tag, asked):
    "At the sizes of `paper` and `paper21`, without their weights."
    from truepose.method import clip
    with patch.object(clip, "file_of_weights"), patch.object(clip, "image_weights"), \
         patch.object(clip, "random_tower", side_effect=StopIteration) as tower, pytest.raises(StopIteration):
        clip.clip_from_open_clip(name, tag)
    tower.assert_called_once_with(asked)
    assert name in {get_preset(preset).clip["name"] for preset in ("paper", "paper21")}


# --- diffusers' switches


def test_switches_are_refused_and_the_picture_stays():
    torch.manual_seed(0)
    pipe = pipeline_from_preset("tiny")
    pipe.set_progress_bar_config(disable=True)
    before = drawn(pipe)
    for name in REFUSED:
        with pytest.raises(InputError, match=f"^{name}: "): getattr(pipe, name)()
    for net in (pipe.model, pipe.model.source_net, pipe.model.target_net):
        for name in ("set_attention_slice", "set_attn_processor", "set_attention_backend", "fuse_qkv_projections"):
            with pytest.raises(InputError, match=f"^{name}: "): getattr(net, name)("auto")
        with pytest.raises(InputError): net.enable_xformers_memory_efficient_attention()
    assert torch.equal(drawn(pipe), before)


def test_the_autoencoder_keeps_its_switches(eye, written):
    pipe = started(written/"paper")
    before = drawn(pipe, num_images_per_pose=2)
    pipe.codec.enable_slicing()
    torch.testing.assert_close(drawn(pipe, num_images_per_pose=2), before, atol=.02, rtol=0)


def test_diffusers_own_loader_knows_the_pipeline():
    pipe = DiffusionPipeline.from_pretrained(asset("nano"))
    assert type(pipe) is TruePosePipeline and type(pipe.scheduler) is DDIMScheduler


# --- a base of our own


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    "A denoiser without a source, as `e14_train_transfer` writes it."
    torch.manual_seed(1)
    options = METHODS["clip_only"].model_options(2)
    pipe = pipeline_from_preset("micro", **options)
    torch.nn.init.normal_(pipe.model.pose_encoder.out.weight)
    folder = tmp_path_factory.mktemp("base")
    save_base(pipe.model, pipe.codec, pipe.scheduler, folder)
    return pipe, folder


@pytest.mark.parametrize("method", ["ours", "background_stream", "warp", "concat"])
def test_every_method_starts_from_a_base(base, method):
    before, folder = base
    sizes = get_preset("micro")
    pipe = pipeline_from_sd(folder, "", asset("nano") / "clip", sizes.image_size, pose_channels=sizes.pose_channels,
                            **METHODS[method].model_options(sizes.latent_factor))
    pipe.set_progress_bar_config(disable=True)
    assert pipe.scheduler.config.beta_schedule == "squaredcos_cap_v2" and pipe.codec.config.patch_size == 2
    for name in ("target_net", "pose_encoder"):
        then, now = getattr(before.model, name).state_dict(), getattr(pipe.model, name).state_dict()
        assert all(torch.equal(now[key], value) for key, value in then.items())
    image = drawn(pipe)
    assert image.shape[1:] == (3, 36, 24) and image.isfinite().all()
