"diffusers' habits that the notebook of the pipeline names and does not itself check."
import io

import numpy as np
import pytest
import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback, SDCFGCutoffCallback

from truepose.core import InputError
from truepose.pipeline import TruePosePipeline, as_asked, pipeline_from_preset


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    return pipeline_from_preset("tiny")


@pytest.fixture(autouse=True)
def quiet(pipe): pipe.set_progress_bar_config(disable=True)


def person(size=(64, 44)):
    labels = np.zeros(size, np.uint8)
    labels[size[0]//2:, 8:-8] = 5
    joints = np.column_stack([np.random.default_rng(0).random((18, 2)) * size[::-1], np.full(18, 2)])
    return np.full((*size, 3), 90, np.uint8), labels, joints


def drawn(pipe, **options):
    options = dict(num_inference_steps=1, output_type="pt", generator=torch.Generator().manual_seed(0)) | options
    return pipe(*person(), **options).images


def test_the_progress_bar_obeys(pipe):
    written = io.StringIO()
    pipe.set_progress_bar_config(disable=False, desc="drawing", file=written)
    drawn(pipe)
    assert "drawing: 100%" in written.getvalue()


class Zeros(PipelineCallback):
    tensor_inputs = ["latents"]

    def callback_fn(self, pipeline, step_index, timesteps, callback_kwargs):
        assert step_index < pipeline.num_timesteps
        return dict(latents=callback_kwargs["latents"] * 0)


def test_callbacks_of_diffusers_classes(pipe):
    for callback in (Zeros(), MultiPipelineCallbacks([Zeros(), Zeros()])):
        assert drawn(pipe, callback_on_step_end=callback, output_type="latent").abs().max() == 0
    with pytest.raises(InputError, match="'prompt_embeds' is not to be had"): drawn(pipe, callback_on_step_end=SDCFGCutoffCallback())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_works_on_a_processor(dtype):
    torch.manual_seed(0)
    pipe = pipeline_from_preset("tiny")
    pipe.set_progress_bar_config(disable=True)
    whole, half = drawn(pipe), drawn(pipe.to(dtype))
    assert half.dtype == torch.float32 and (whole - half).abs().mean() < .02


def test_the_same_networks_in_another_pipeline(pipe):
    slower = TruePosePipeline.from_pipe(pipe, num_inference_steps=7)
    assert slower.model is pipe.model and slower.image_size == pipe.image_size
    assert (slower.config.num_inference_steps, pipe.config.num_inference_steps) == (7, 2)
    assert slower.config.guidance_source == pipe.config.guidance_source


def test_one_pixel_that_is_no_number_is_refused():
    picture = torch.zeros(1, 3, 4, 4)
    picture[0, 0, 1, 2] = torch.nan
    with pytest.raises(InputError, match="no finite picture"): as_asked(picture, "pil")


def test_a_setting_that_no_pipeline_has(tmp_path):
    (tmp_path/"model_index.json").write_text('{"_class_name": "TruePosePipeline", "misspelt": 1}')
    with pytest.raises(InputError, match="no setting 'misspelt'"): TruePosePipeline.from_pretrained(tmp_path)
