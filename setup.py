"pip's view of settings.ini: version, requirements and scripts are written there, once."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

root = Path(__file__).resolve().parent
config = ConfigParser(delimiters=["="])
config.read(root/"settings.ini", encoding="utf-8")
settings = config["DEFAULT"]


def pins(key): return settings[key].split()
def at_least(pinned): return [pin.replace("==", ">=") for pin in pinned]  # the oldest version that was tried is the pinned one


runtime = pins("requirements")
setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(root/"README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    author_email=settings["author_email"],
    url=settings["git_url"],
    keywords=settings["keywords"].split(),
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Science/Research",
                 "Programming Language :: Python :: 3", "Topic :: Scientific/Engineering :: Image Processing"],
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=[settings["lib_path"], settings["lib_path"] + ".*"]),
    package_data={settings["lib_name"]: ["assets/**"]},
    include_package_data=True,
    install_requires=at_least(runtime),
    extras_require={"dev": runtime + pins("dev_requirements"),  # exact: development and CI
                    "demo": pins("demo_requirements"),
                    "docs": pins("docs_requirements"),
                    "bake": pins("bake_requirements")},
    entry_points={"console_scripts": settings["console_scripts"].split("\n"),
                  "nbdev": [f"{settings['lib_name']}={settings['lib_path']}._modidx:d"]},
    zip_safe=False,
)
