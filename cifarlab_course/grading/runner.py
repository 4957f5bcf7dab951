"""Run notebooks' cells in child processes, and say what values they compute. Judges nothing.

Started as a script by `judge.Runner`, in a sandbox or not; it imports none of its neighbours.
One request a line comes in, answers a line go out, both JSON:

    {"cells": [...], "checks": [...]}  ->  {"cells": [outputs, ...], "checks": [outputs, ...]}
    {"steps": [[kind, code], ...]}     ->  {"values": [...]}
                                       ->  {"ended": status}, by the parent, in any case

The second request is sent after the cells have run, so that no cell can have read it. What the
right values are, no process here ever knows.
"""

import contextlib
import importlib
import io
import json
import os
import resource
import sys

KEPT = 10_000  # characters of what a cell prints


class Kept(io.TextIOBase):
    """A stream that keeps the first `KEPT` characters and forgets the rest."""

    def __init__(self) -> None:
        self.text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if len(self.text) < KEPT:
            self.text += text[: KEPT - len(self.text)]
        return len(text)


def plain(value, depth: int = 0):
    """A value as JSON has it; what is not a number, text or list of such becomes a dict."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth < 8 and isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if type(value).__module__.partition(".")[0] in ("numpy", "torch") and hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    return {"unfit": type(value).__name__}


def run_cell(shell, source: str) -> dict:
    """What a cell prints, and the error it ends with, if any."""
    kept = Kept()
    streams = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = kept
    try:
        result = shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
    except BaseException as raised:  # a cell may break the shell itself
        error = raised
    finally:
        sys.stdout, sys.stderr = streams
    told = None if error is None else [type(error).__name__, str(error)[:KEPT]]
    return {"text": kept.text, "error": told}


def take_steps(steps: list, namespace: dict) -> list:
    """The values of the "ask" steps, plain; an error becomes a dict."""
    values = []
    for kind, code in steps:
        try:
            if kind == "do":
                exec(code, namespace)
            else:
                values.append(plain(eval(code, namespace)))
        except BaseException as error:
            if kind == "ask":
                values.append({"error": f"{type(error).__name__}: {error}"[:500]})
    return values


def serve(shell, requests, answers, first: dict) -> None:
    """One notebook, in the child."""
    with open(os.devnull, "r+b") as nowhere:
        for descriptor in (0, 1, 2):
            os.dup2(nowhere.fileno(), descriptor)
    sys.stdin = io.StringIO()
    ran = {part: [run_cell(shell, source) for source in first[part]] for part in first}
    print(json.dumps(ran), file=answers, flush=True)
    second = json.loads(requests.readline())
    values = take_steps(second["steps"], shell.user_ns)
    print(json.dumps({"values": values}), file=answers, flush=True)


def limit(memory: int, processes: int, file: int, user: int) -> None:
    """Bound what this process, and each that it starts, may take: bytes of memory, processes of
    this user, bytes of a file, open files. Become that user, unless it is 0.

    Raises: RuntimeError if the system does not hold to it, as for its administrator.
    """
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory ends, this ends first
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write("10")  # who grades, and the machine's other work, go first
    if user:
        os.chmod(".", 0o777)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for what, value in (
        (resource.RLIMIT_AS, 3 * memory),  # PyTorch maps gigabytes that it never touches
        (resource.RLIMIT_FSIZE, file),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (value, value))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, processes))
    try:
        child = os.fork()
    except BlockingIOError:
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        return
    if child == 0:
        os._exit(0)
    raise RuntimeError("the system does not bound the number of processes")


def main() -> None:
    """Load what the exercises use, once; then a child for each notebook.

    Arguments: what to import beforehand, separated by commas, and all of `limit`'s or none.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    for name in filter(None, sys.argv[1].split(",")):
        importlib.import_module(name)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # a child that is forked may use no others
    if sys.argv[2:]:
        limit(*map(int, sys.argv[2:]))
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8", buffering=1)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")

    class Shell(InteractiveShell):
        def enable_gui(self, gui=None) -> None:
            """Nothing: `%matplotlib inline` asks for it, and there is no window."""

        def _tee(self, channel):
            """Nothing: IPython would keep all that is printed, gigabytes if need be."""
            return contextlib.nullcontext()

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Minimal"
    shell = Shell.instance(config=config)
    for line in iter(requests.readline, ""):
        child = os.fork()
        if child == 0:
            try:
                serve(shell, requests, answers, json.loads(line))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"ended": status}), file=answers, flush=True)


if __name__ == "__main__":
    main()
