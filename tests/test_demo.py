"The demo's page in a real browser (`--slow`): choose, drag, paint, draw, swap, bad uploads, paths, a telephone."
import contextlib
import io
import json
import re
import shutil
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from notebooks import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


def test_the_page_tells_nobody_and_needs_no_browser_to_be_built():
    "gradio is asked not to count before it is imported; a missing gradio is one line."
    from typer.testing import CliRunner
    from unittest.mock import patch
    from truepose.cli import app
    with patch.dict(sys.modules, {"gradio": None}):
        sys.modules.pop("truepose.page", None)
        result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 2 and "pip install 'truepose[demo]'" in result.stderr, result.output
    assert CliRunner().invoke(app, ["demo", "--weights", "gone"]).exit_code == 2
    source = (ROOT/"truepose"/"page.py").read_text(encoding="utf-8")
    assert source.index('GRADIO_ANALYTICS_ENABLED="False"') < source.index("import gradio")


@pytest.fixture(scope="module")
def served():
    "The page with random weights and one rendered person; what was drawn is written down."
    import torch
    from truepose import page
    from truepose.demo import Example, read_person
    from truepose.people.sets import people_dataset
    from truepose.photo.parser import load_parser
    from truepose.pipeline import pipeline_from_preset
    torch.manual_seed(0)
    pipe = pipeline_from_preset("tiny")
    pipe.set_progress_bar_config(disable=True)
    folder = people_dataset("test", count=1, seed=0, size=pipe.image_size, views=3)
    people = {f"p000000_{k}": read_person(folder, f"p000000_{k}") for k in range(3)}
    drawn = Image.fromarray(people["p000000_1"].image)
    desk = page.Desk(pipe, people, [Example("p000000_0", "p000000_1", drawn, .5)], load_parser())
    asked, transfer = [], page.transfer
    def watched(pipe, person, other, **options):
        asked.append((person, other))
        return transfer(pipe, person, other, **options)
    page.transfer = watched
    blocks = page.build(desk)
    _, url, _ = page.serve(blocks, port=None, wait=False)
    yield url, desk, asked, blocks
    page.transfer = transfer
    blocks.close()


@contextlib.contextmanager
def opened(url, shown="#the-other canvas", **viewport):
    "The page in Chromium; refuses to have asked anybody else for anything."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport=viewport)
        tab.set_default_timeout(60_000)
        asked, faults = [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.goto(url)
        tab.wait_for_selector(shown)
        tab.wait_for_timeout(2000)
        yield tab
        elsewhere = [a for a in asked if not re.match(rf"{url}|data:|blob:", a)]
        assert not elsewhere and not faults, (elsewhere, faults)
        browser.close()


def at(tab, who, x, y):  # pixels of the picture -> of the window
    box = tab.locator(f"#{who} canvas").bounding_box()
    return float(box["x"] + x / 44 * box["width"]), float(box["y"] + y / 64 * box["height"])


def drag(tab, who, start, end):
    tab.locator(f"#{who} canvas").scroll_into_view_if_needed()
    tab.mouse.move(*at(tab, who, *start))
    tab.mouse.down()
    tab.mouse.move(*at(tab, who, *end), steps=5)
    tab.mouse.up()


def canvas(tab, who): return tab.evaluate(f"document.querySelector('#{who} canvas').toDataURL()")


def changed(tab, k, before):
    "Waits until the source (0) or the result (1) shows another picture."
    tab.wait_for_function("([k, before]) => document.querySelectorAll('.drawn img')[k].src !== before",
                          arg=[k, before])


def picture(tab, k): return tab.locator(".drawn img").nth(k).get_attribute("src")


@needs_browser
@pytest.mark.slow
def test_what_is_painted_in_a_notebook_comes_back(served):
    from truepose import page
    person = served[1].people["p000000_1"]
    mine = page.correction(person)
    _, url, _ = page.serve(mine.page, port=None, wait=False)
    with opened(url, "#the-person canvas", width=1000, height=900) as tab:
        tab.locator("#the-person [data-mode=regions]").click()
        tab.locator("#the-person [name=region]").select_option(label="face")
        drag(tab, "the-person", (10, 40), (30, 40))
        tab.locator("button", has_text="Keep").click()
        said = tab.locator("text=Kept:").inner_text()
    mine.page.close()
    painted = mine.person.labels != person.labels
    assert said.startswith(f"Kept: {painted.sum()} pixels and 0 joints") and painted.sum() > 20
    assert set(mine.person.labels[painted]) == {13} and np.array_equal(mine.person.image, person.image)


@needs_browser
@pytest.mark.slow
def test_choose_drag_paint_draw_and_swap(served):
    url, desk, asked, _ = served
    with opened(url, width=1400, height=1000) as tab:
        # 1. another person from the gallery
        before = canvas(tab, "the-person")
        tab.locator(".people").first.locator("button.thumbnail-lg").nth(2).click()
        tab.wait_for_function("before => document.querySelector('#the-person canvas').toDataURL() !== before", arg=before)
        # 2. a joint is dragged, a region painted
        neck = desk.people["p000000_1"].keypoints[1, :2]
        drag(tab, "the-other", neck, (22, 30))
        tab.locator("#the-person [data-mode=regions]").click()
        tab.locator("#the-person select").select_option(label="coat")
        drag(tab, "the-person", (20, 40), (26, 40))
        # 3. drawn with both
        before = picture(tab, 1)
        tab.get_by_role("button", name="Draw").click()
        changed(tab, 1, before)
        with Image.open(io.BytesIO(urllib.request.urlopen(picture(tab, 1)).read())) as made:
            assert made.text["Description"].startswith("Synthetic image")
        (person, other), = asked
        assert np.abs(other.keypoints[1, :2] - (22, 30)).max() < 1, other.keypoints[1]
        assert np.array_equal(person.image, desk.people["p000000_2"].image)
        assert (person.labels == 7).sum() > 50 and not (desk.people["p000000_2"].labels == 7).any()
        # 4. a click shows what was looked at
        before = picture(tab, 0)
        tab.locator(".drawn img").nth(1).click()
        changed(tab, 0, before)
        # 5. a garment, then a refusal in words
        tab.get_by_role("tab", name="Garment swap").click()
        tab.get_by_role("button", name="Swap").click()
        tab.get_by_text("asked of a picture that does not show it").wait_for()
        tab.get_by_label("upper").first.uncheck()
        tab.get_by_label("dress").first.check()
        before = picture(tab, 1)
        tab.get_by_role("button", name="Swap").click()
        changed(tab, 1, before)
        # 6. an example
        before = picture(tab, 1)
        tab.locator(".examples button.thumbnail-lg").first.click()
        changed(tab, 1, before)


def written(image, kind):
    image.save(file := io.BytesIO(), kind)
    return file.getvalue()


BAD = {"notes.png": (b"no picture", "notes.png: not a readable picture"),
       "wide.png": (written(Image.new("1", (9000, 9000)), "PNG"), "wide.png: 9000x9000 pixels; save it below 40 million pixels"),
       "print.jpg": (written(Image.new("CMYK", (99, 99)), "JPEG"), "print.jpg: mode CMYK")}


@needs_browser
@pytest.mark.slow
def test_uploads_good_and_bad(served, tmp_path):
    url, *_ = served
    with opened(url, width=1400, height=1000) as tab:
        upload = tab.locator("input[type=file]").first
        for name, (content, words) in BAD.items():
            (tmp_path/name).write_bytes(content)
            upload.set_input_files(tmp_path/name)
            said = tab.get_by_text(words)
            said.wait_for()
            assert "/tmp" not in said.inner_text()
        before = canvas(tab, "the-person")
        (tmp_path/"me.jpg").write_bytes(written(Image.new("RGB", (300, 400), "teal"), "JPEG"))
        upload.set_input_files(tmp_path/"me.jpg")
        tab.get_by_text("No pose estimator is installed").wait_for()
        assert canvas(tab, "the-person") != before


@needs_browser
@pytest.mark.slow
def test_a_telephone(served):
    url, desk, asked, _ = served
    with opened(url, width=390, height=844) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert all(tab.get_by_role("tab", name=name).is_visible() for name in ("Transfer", "Garment swap", "Region edit"))
        n = len(asked)
        neck = desk.people["p000000_1"].keypoints[1, :2]
        drag(tab, "the-other", neck, (20, 28))
        before = picture(tab, 1)
        tab.get_by_role("button", name="Draw").click()
        changed(tab, 1, before)
        assert np.abs(asked[n][1].keypoints[1, :2] - (20, 28)).max() < 1


@pytest.mark.slow
def test_no_path_of_the_server_is_readable(served):
    url, *_ = served
    for path in ("/etc/passwd", ROOT/"settings.ini", ROOT/"truepose"/"assets"/"nano"/"model_index.json", "../../etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"{url}gradio_api/file={path}", timeout=30)
        assert refusal.value.code in (403, 404), path
    with pytest.raises(urllib.error.HTTPError): urllib.request.urlopen(f"{url}docs", timeout=30)


@pytest.mark.slow
def test_a_file_of_the_server_is_no_upload(served):
    "A request that names a picture of the server instead of one that was uploaded."
    url, _, _, blocks = served
    upload, = [k for k, fn in blocks.fns.items() if fn.inputs and type(fn.inputs[0]).__name__ == "UploadButton"][:1]
    picture = dict(path=str(ROOT/"figures"/"f02_qualitative.png"), meta=dict(_type="gradio.FileData"))
    body = json.dumps(dict(data=[picture], fn_index=upload, session_hash="stranger")).encode()
    request = urllib.request.Request(f"{url}gradio_api/queue/join", body, {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=30)
        said = urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash=stranger", timeout=60).read().decode()
    except urllib.error.HTTPError as e: said = f'"success":false {e.code}'
    assert '"success":false' in said.replace(" ", "") and "base64" not in said, said[:500]
