"Sphinx: how the pages look. docs/build.py writes them; nothing here reaches for the network."
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).resolve().parent.parent
config = ConfigParser(delimiters=["="])
config.read(root/"settings.ini", encoding="utf-8")
settings = config["DEFAULT"]

project, release, copyright = settings["title"], settings["version"], settings["copyright"]
author = settings["author"]
extensions = ["myst_nb", "sphinx_copybutton"]

nb_execution_mode = "off"  # the outputs are those that were stored, and committed
nb_render_markdown_format = "myst"  # else a table that a cell prints is no table
nb_ipywidgets_js = {}  # else myst-nb asks a server for require.js
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline", "attrs_block", "colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

extensions += ["sphinx.ext.mathjax"]
mathjax_path = "tex-svg.js"  # copied from the package sphinx-mathjax-offline: one file, its own glyphs

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = [str(root/"_sphinx"/"pages"/"_static")]
html_css_files = ["truepose.css"]
html_favicon = str(root/"docs"/"favicon.svg")
myst_html_meta = {"description": settings["description"], "author": author}
html_show_sphinx = False
html_last_updated_fmt = None  # the same sources give the same pages
html_theme_options = {"navbar_persistent": [],  # else there are two search boxes
                      "show_toc_level": 2, "show_navbar_depth": 2, "home_page_in_toc": True, "use_fullscreen_button": False,
                      "icon_links": [{"name": "the paper", "url": "https://arxiv.org/abs/2502.03426", "icon": "fa-solid fa-file-lines"},
                                     {"name": "the repository", "icon": "fa-brands fa-git-alt", "url": settings["git_url"]}]}
