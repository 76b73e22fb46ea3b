"Nothing from outside is unpickled or run, nothing looks for the network unasked, what is written on the way is private, and no fault comes in pages."
import ast
import importlib
import pkgutil
import socket

import huggingface_hub.constants
import pytest
import typer

import truepose
from conftest import ATTEMPTS
from notebooks import ROOT, name
from truepose import cli
from truepose.core import alone, asset, atomic_folder, atomic_write


def given(call, name):
    "An argument's value; None if it is not given."
    return next((ast.unparse(word.value) for word in call.keywords if word.arg == name), None)


@pytest.mark.parametrize("path", [path for path in (ROOT/"truepose").rglob("*.py") if path.name != "_modidx.py"], ids=name)
def test_nothing_from_outside_is_run(path):
    "`people.workers` pickles between a process and the ones that it began; `yaml` reads plain values."
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import) and path.name != "workers.py":
            assert not {alias.name for alias in node.names} & {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
        if not isinstance(node, ast.Call): continue
        called = ast.unparse(node.func)
        if called == "torch.load": assert given(node, "weights_only") == "True"
        if called == "yaml.load": assert "class Once(yaml.SafeLoader)" in text
        assert given(node, "allow_pickle") in (None, "False") and given(node, "shell") in (None, "False")
        assert called not in ("eval", "exec", "os.system", "os.popen", "torch.jit.load", "tempfile.mktemp") and not called.endswith((".extractall", ".extract"))


@pytest.mark.slow
def test_nobody_looks_for_the_network(monkeypatch, tmp_path):
    "Not at import, nor where a part is saved and loaded, though the hub's own switch be on; `conftest` watches in every test."
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for module in pkgutil.walk_packages(truepose.__path__, "truepose."): importlib.import_module(module.name)
    from truepose.method.codec import load_codec
    from truepose.photo.parser import load_parser
    load_codec(asset("nano")/"codec").save_pretrained(tmp_path)
    load_codec(tmp_path), load_parser()
    assert not ATTEMPTS


def test_an_attempt_is_seen():
    "Also where the refusal is swallowed."
    with pytest.raises(ConnectionRefusedError): socket.create_connection(("elsewhere.example", 80), timeout=1)
    assert ATTEMPTS == ["elsewhere.example"]
    ATTEMPTS.clear()


def test_what_is_written_is_private_until_it_is_whole(tmp_path):
    with atomic_write(tmp_path/"file") as path:
        path.write_text("half")
        assert path.stat().st_mode & 0o077 == 0
    with atomic_folder(tmp_path/"folder") as path: assert path.stat().st_mode & 0o077 == 0
    with alone(tmp_path/"folder", "testing"): assert (tmp_path/".folder.lock").stat().st_mode & 0o077 == 0


def fault(*_, **__): return [][3]


@pytest.mark.parametrize("command", cli.app.registered_commands, ids=lambda command: command.callback.__name__)
def test_every_command_says_a_fault_in_one_line(command, monkeypatch, capsys):
    "And all of it, if asked for."
    monkeypatch.setattr(command.callback.__wrapped__, "__code__", fault.__code__)
    with pytest.raises(typer.Exit) as ended: command.callback()
    said = capsys.readouterr().err
    assert ended.value.exit_code == 1 and len(said.splitlines()) == 1 and "IndexError" in said and "TRUEPOSE_TRACEBACK=1" in said
    monkeypatch.setenv("TRUEPOSE_TRACEBACK", "1")
    with pytest.raises(IndexError): command.callback()
