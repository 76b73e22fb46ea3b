"""What a built site may not be; `python docs/checks.py` asks it of _site/ again."""
import html
import re
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent.parent/"_site"
LOADED = re.compile(r"""<(?:script|img|iframe|source)[^>]*\bsrc=["'](?:https?:)?//[^"']+"""
                    r"""|<link[^>]*\brel=["'](?:stylesheet|preload)["'][^>]*href=["'](?:https?:)?//[^"']+""")
UNCAPTIONED = re.compile(r"""<p>(<img[^>]*>)</p>(?!\s*<p class="truepose-caption|\s*<p><em>)""")
COLUMNS = 120  # of a drawing in letters, which fit beside both bars in a window 1400 pixels wide
MEGABYTES = 1.0  # of pictures on a page


def article(text):
    "The part of a page that is its own."
    return text[text.find("<article"):text.find("</article>")]


def attribute(tag, name):
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return html.unescape(found[1]) if found else ""


def drawn_lines(text):
    "Lines of drawings in letters, which the style cannot break as it breaks code."
    for block in re.findall(r"<pre>(.*?)</pre>", text, re.S):
        lines = html.unescape(re.sub(r"<[^>]*>", "", block)).split("\n")
        yield from (line for line in lines if re.search("[─│└┌┴┬┐┘▶]", line))


def picture_faults(page, text):
    "Without words, without a caption, not there, too heavy together."
    sizes = {}  # bytes
    for tag in re.findall(r"<img[^>]*>", text):
        src, alt = attribute(tag, "src"), attribute(tag, "alt")
        if not alt or alt.endswith((".png", ".jpg", ".jpeg")): yield f"{src[:80]} has no alternative text"
        if src.startswith("data:"): sizes[src] = len(src)  # a picture within the page
        elif (page.parent/src).is_file(): sizes[src] = (page.parent/src).stat().st_size
        else: yield f"{src} is not there"
    size = sum(sizes.values()) / 1e6
    if size > MEGABYTES: yield f"its pictures are {size:.2f} MB"
    for tag in UNCAPTIONED.findall(text): yield f"{attribute(tag, 'src')[:80]} has no caption below it"


def page_faults(page):
    "All that is wrong with a page, a sentence each."
    whole = page.read_text(encoding="utf-8")
    yield from (f"would be loaded from the network: {found[:200]}" for found in LOADED.findall(whole))
    text = article(whole)
    yield from picture_faults(page, text)
    yield from (f"this line of a drawing is broken: {line}" for line in drawn_lines(text) if len(line) > COLUMNS)
    if page.parent.name == "figures" and "<img" not in text and "<table" not in text: yield "the page of a figure shows none"


def main():
    pages = sorted(page for page in SITE.rglob("*.html") if "_static" not in page.parts)
    found = [f"{page.relative_to(SITE)}: {fault}" for page in pages for fault in page_faults(page)]
    if found: sys.exit("\n".join(found))
    print(f"{len(pages)} pages checked")


if __name__ == "__main__": main()
