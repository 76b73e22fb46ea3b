"Commands that are stopped at random moments, gone on with, and held against uninterrupted ones: for e41_kills and test_kills."
import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
MARK = "TRUEPOSE_KILLS"  # a variable by which the processes that a command starts are known
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LIBRARIES = ["torch", "numba", "diffusers", "accelerate", "pandas", "papermill", "truepose.cli", "truepose.batch", "truepose.people.sets",
             "truepose.evaluate.folders", "truepose.evaluate.methods", "truepose.train.transfer", "truepose.finish.lookup"]


# What is stopped: each takes an empty or begun folder and goes on with it.

def files(place):
    "Sixty small files, one at a time: the writing and the lock alone."
    from truepose.core import alone, atomic_write
    with alone(place, "writing"):
        for i in range(60):
            if (place/f"{i}.txt").exists(): continue
            with atomic_write(place/f"{i}.txt") as path, open(path, "w") as file:
                file.write("half ")
                file.flush()
                time.sleep(.01)
                file.write(f"and half of {i}")


def truepose(*words):
    "The command itself."
    from truepose.cli import main
    sys.argv = ["truepose", *map(str, words)]
    main()


def people(place): truepose("people", "--size", 64, "--views", 2, "--count", 8, "--out", place)


def training(place, steps=12):
    from two_processes import train
    train(place, 1, steps)


def two_processes(place):
    "The same in two processes that agree over a port."
    import socket
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    os.environ.update(WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), ACCELERATE_USE_CPU="true")
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(int(os.fork() == 0))
    try: training(place, 8)
    except BaseException: os._exit(1)  # the other one has ended
    os._exit(0)


def transfer(place):
    truepose("transfer", "--data", place.parent/"fashion", "--weights", place.parent/"pipe", "--steps", 4, "--batch", 3, "--out", place)


def evaluation(place): truepose("evaluate", "--generated", place.parent/"made", "--truth", place.parent/"people", "--out", place/"scores.json")


def measures(place):
    "A test split through a method, as e03_evaluate does."
    import torch
    from truepose.evaluate import methods
    from truepose.pipeline import TruePosePipeline
    torch.set_num_threads(1)
    pairs = methods.drawn_pairs(place.parent/"people", (64, 44), 12, 0)
    pipe = TruePosePipeline.from_pretrained(place.parent/"pipe")
    named = dict(copy=methods.copy_source, drawn=methods.truepose(pipe, num_inference_steps=4))
    methods.evaluate(pairs, named, place, {}, batch_size=4, progress=False)


def notebook(place):
    "An experiment by `truepose run`: its kernel writes files one at a time."
    from truepose.runs import run
    cells = ['results_folder = ""\nplace = ""', f"import sys; sys.path.insert(0, {str(ROOT/'tests')!r})\nfrom pathlib import Path\n"
             "from kills import files\nfiles(Path(place))\n(Path(results_folder)/'metrics.json').write_text('1')"]
    made = [dict(id=f"c{i}", cell_type="code", execution_count=None, outputs=[], source=source, metadata=dict(tags=[] if i else ["parameters"]))
            for i, source in enumerate(cells)]
    kernel = dict(display_name="python3", language="python", name="python3")
    path = place.parent/"e90_kills.ipynb"
    path.write_text(json.dumps(dict(nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel), cells=made)))
    run(path, dict(place=str(place/"files")), runs=place.parent/"runs", results=place/"results", live=False)


STAND_IN = """#!{python}
"In the place of truepose: writes its file slowly."
import os, sys, time
from pathlib import Path
made = Path("runs/e")/f"tiny-{{sys.argv[-1].split('=')[1]}}"
time.sleep(1.5)
made.mkdir(parents=True, exist_ok=True)
(made/"a.txt").write_text("a")
manifest = Path("runs/e/1/manifest.json")
manifest.parent.mkdir(parents=True, exist_ok=True)
manifest.write_text('{{"params": {{"steps": 1}}}}')
print("written:", manifest.parent)
"""


def workflow(place):
    "Snakemake on a list of two runs."
    (place/"params/e").mkdir(parents=True, exist_ok=True)
    (place/"params/e/x.yaml").write_text("steps: 1\n")
    (place/"truepose").write_text(STAND_IN.format(python=sys.executable))
    (place/"truepose").chmod(0o755)
    row = "- {{groups: g, makes: runs/e/tiny-{0}, command: run params/e/x.yaml -p variant={0}, needs: {1}}}\n"
    (place/"runs.yaml").write_text("runs:\n" + row.format("a", "''") + row.format("b", "runs/e/tiny-a"))
    places = ROOT, Path(sys.executable).parents[2]  # a clone may use another checkout's environments
    snakemake = next(path for path in (place/".venv-workflow/bin/snakemake" for place in places) if path.exists())
    command = [snakemake, "-s", ROOT/"workflow/Snakefile", "-d", place/"own", "--nolock", "-c", "1", "g", "--config",
               f"root={place}", f"list={place}/runs.yaml", f"truepose={place}/truepose"]
    sys.exit(subprocess.run(list(map(str, command))).returncode)


WHAT = dict(files=files, people=people, training=training, two_processes=two_processes, transfer=transfer, evaluation=evaluation,
            measures=measures, notebook=notebook, workflow=workflow)


def prepare(root, what):
    "What they read."
    root.mkdir(parents=True, exist_ok=True)
    if what == "transfer":
        from truepose.data.examples import write_example
        write_example(root/"fashion", "patn")
    if what in ("transfer", "measures"):
        from truepose.pipeline import pipeline_from_preset
        pipeline_from_preset("tiny").save_pretrained(root/"pipe")
    if what in ("evaluation", "measures"):
        from truepose.people.sets import write_people
        write_people(root/"people", "test", 2, size=(64, 44), views=2)
    if what == "evaluation":  # what the source shows
        import shutil
        (root/"made").mkdir()
        for line in (root/"people/pairs.csv").read_text().split()[1:]:
            source, target = line.split(",")
            shutil.copy(root/f"people/images/{source}.png", root/f"made/{source}_2_{target}.png")


# What is compared: contents, without dates and times.

def hashed(data): return hashlib.sha256(data).hexdigest()


def content(place):
    "Name -> SHA-256 of what a result consists of."
    found = {}
    earlier = sorted(place.rglob("step_*.pt"))[:-1]  # which checkpoints lie beside the last one, the moment of a stop decides
    for path in sorted(set(place.rglob("*")) - set(earlier)):
        name = path.relative_to(place).as_posix()
        if not path.is_file() or name.startswith(("own/", "tensorboard/")) or path.name in ("transfer.json", "settings.json"): continue
        data = path.read_bytes()
        if path.name == "manifest.json": data = json.dumps({key: json.loads(data).get(key) for key in ("files", "content")}).encode()
        if path.suffix == ".csv": data = "\n".join(",".join(row) for row in without(data.decode(), ("minutes", "seconds"))).encode()
        if path.suffix == ".pt": data = tensors(path)
        found[name] = hashed(data)
    return found


def without(text, columns):
    "The cells of a table, without some columns; numbers as such."
    import csv
    rows = list(csv.reader(text.splitlines()))
    kept = [i for i, name in enumerate(rows[0]) if name not in columns]
    return [[number(row[i]) for i in kept] for row in rows]


def number(cell):
    try: return repr(float(cell))
    except ValueError: return cell


def tensors(path):
    "All weights of a checkpoint, and its step."
    import torch
    state = torch.load(path, weights_only=True)
    named = [(name, state["objective"][name]) for name in sorted(state["objective"])]
    named += list(enumerate(state["ema"]["shadow_params"]))
    return str(state["step"]).encode() + b"".join(str(name).encode() + value.numpy().tobytes() for name, value in named)


def remains(root):
    "Temporary files and locks."
    known = (".writing-", ".old-", ".scores-")
    return sorted(path.name for path in root.rglob("*") if path.name.startswith(known) or path.name.endswith(".lock") or path.name == "parts")


# One of them, stopped.

def act(what, place, mark, log):
    "In a process of its own."
    os.environ.update({MARK: mark, "OMP_NUM_THREADS": "1"})
    sys.path.insert(0, str(ROOT/"tests"))
    with open(log, "ab") as said:
        for number in (1, 2): os.dup2(said.fileno(), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False, buffering=1) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgid(0, 0)
    WHAT[what](place)


def marked(mark):
    "Processes that carry the mark."
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark: found.append(process)
    return found


def alive(processes): return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


class Started:
    "A command at work."
    def __init__(self, what, root, context):
        self.what, self.place, self.mark = what, root/"cut", f"{os.getpid()}-{time.monotonic_ns()}"
        before = self._seen()
        self.process = context.Process(target=act, args=(what, self.place, self.mark, root/"log.txt"))
        self.process.start()
        while self.process.is_alive() and self._seen() == before: time.sleep(.005)
        self.begun = time.perf_counter()  # when it has written or locked something

    def _seen(self): return sorted(str(path) for path in self.place.parent.rglob("*cut*")) + sorted(str(p) for p in self.place.rglob("*"))

    def wait(self): self.process.join(1200)

    def stop(self, number):
        "Signalled; what its end was like."
        family = alive([psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)])
        if self.what in ("workflow", "two_processes"): os.killpg(self.process.pid, number)  # as a terminal and a queue do
        else: os.kill(self.process.pid, number)
        sent = time.perf_counter()
        self.process.join(180)
        took, hung = time.perf_counter() - sent, self.process.is_alive()
        until = time.perf_counter() + 30
        while alive([*family, *marked(self.mark)]) and time.perf_counter() < until: time.sleep(.1)
        left = alive([*family, *marked(self.mark)])
        for process in left: process.kill()
        self.process.join()
        return dict(ended_s=round(took, 2), hung=hung, exit_code=self.process.exitcode, orphans=len(left))


def soak(what, kills, root, chance, method="forkserver", signals=SIGNALS):
    "Rows: a command was stopped so many times, gone on with, and compared with an uninterrupted one."
    context = multiprocessing.get_context(method)
    prepare(root, what)
    whole = Started(what, root, context)
    whole.wait()
    assert whole.process.exitcode == 0, (root/"log.txt").read_text()[-3000:]
    seconds, wanted = time.perf_counter() - whole.begun, content(root/"cut")
    empty(root)
    rows, chain = [], []
    while len(rows) < kills or chain:
        if len(rows) < kills and (not chain or chance.random() < .5):
            started, moment = Started(what, root, context), chance.uniform(0, .9*seconds)
            started.process.join(moment)
            if started.process.is_alive():
                number = signals[len(rows) % len(signals)]
                chain.append(dict(what=what, signal=signal.Signals(number).name, moment_s=round(moment, 3), share=round(moment/seconds, 3))
                             | started.stop(number))
                rows.append(chain[-1])
                continue
            finished = started.process.exitcode
            if not chain: seconds = min(seconds, time.perf_counter() - started.begun)  # the machine is quieter now
        else:
            done = Started(what, root, context)
            done.wait()
            finished = done.process.exitcode
        equal, left = content(root/"cut") == wanted, remains(root)
        for number, row in enumerate(chain): row |= dict(stops=len(chain), equal=equal and finished == 0, remains=len(left))
        if not (equal and finished == 0 and not left): keep(root, wanted, finished, left)
        chain = []
        empty(root)
    return rows


def keep(root, wanted, finished, left):
    "Says what differs."
    found = content(root/"cut")
    print("exit", finished, "remains", left, "differ", [n for n in {*wanted, *found} if wanted.get(n) != found.get(n)][:9])
    print((root/"log.txt").read_text()[-1500:])


def empty(root):
    "Nothing of the last one stays."
    import shutil
    for path in [root/"cut", root/"runs", root/"log.txt", *root.glob(".*")]:
        if path.is_dir(): shutil.rmtree(path)
        elif path.exists(): path.unlink()
