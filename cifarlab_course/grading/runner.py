"""Run notebooks' cells in child processes, and say what values they compute. Judges nothing.

Started as a script by `judge.Runner`, in a sandbox or not; it imports none of its neighbours.
Standard input is a socket. Each message on it brings another socket, that of one attempt, which
a child of its own serves; so no child can speak in the place of another. On that one go, as
lines of JSON:

    {"cells": [...], "checks": [...]}  ->  {"text": "...", "error": null}, for each as it ends
    {"steps": [[kind, code], ...]}     ->  {"values": [...]}

and back on the first one a number when all is ready, and one when a child has ended: how it did.
The second request is sent after the cells have run, so that no cell can have read it. What the
right values are, no process here ever knows.
"""

import contextlib
import ctypes
import decimal
import importlib
import io
import json
import numbers
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time

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


# ------------------------------------------------------------------------------- one attempt


def plain(value, depth: int = 0):
    """A value as JSON has it; what is not a number, text or list of such becomes a dict."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth < 8:
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, numbers.Real | decimal.Decimal):  # a fraction, NumPy's numbers
            return float(value)
        if isinstance(value, list | tuple):
            return [plain(item, depth + 1) for item in value]
        torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
        if torch and isinstance(value, torch.Tensor):  # or of a class made from it
            return value.detach().as_subclass(torch.Tensor).tolist()
        if numpy and isinstance(value, numpy.ndarray | numpy.generic):
            return plain(value.tolist(), depth + 1)
    return {"unfit": type(value).__name__}


def told(error: BaseException | None) -> list[str] | None:
    """The kind of an error and what it says, which a learner's own class may refuse to say."""
    if error is None:
        return None
    try:
        text = str(error)[:KEPT]
    except BaseException:
        text = ""
    return [type(error).__name__, text]


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
    return {"text": kept.text, "error": told(error)}


def take_steps(steps: list, names: dict) -> list:
    """The values of the "ask" steps, plain; an error becomes a dict."""
    values = []
    for kind, code in steps:
        try:
            if kind == "do":
                exec(code, names)
            else:
                values.append(plain(eval(code, names)))
        except BaseException as error:
            if kind == "ask":
                values.append({"error": type(error).__name__})
    return values


def serve(shell, connection: socket.socket) -> None:
    """One attempt, in its child."""
    with open(os.devnull, "r+b") as nowhere:
        for descriptor in (0, 1, 2):
            os.dup2(nowhere.fileno(), descriptor)
    sys.stdin = io.StringIO()
    sys.path[0] = ""  # a module of one's own can be imported, as in Jupyter
    lines = connection.makefile("rw", encoding="utf-8")
    first = json.loads(lines.readline())
    for source in first["cells"] + first["checks"]:
        print(json.dumps(run_cell(shell, source)), file=lines, flush=True)
    if not (line := lines.readline()):  # nothing is asked
        return
    second = json.loads(line)
    # A copy: what the steps name does not change what the answer's functions see.
    values = take_steps(second["steps"], dict(shell.user_ns))
    print(json.dumps({"values": values}), file=lines, flush=True)


# ------------------------------------------------------------------------------- the sandbox


def limit(memory: int, processes: int, file: int, user: int) -> None:
    """Bound what this process, and each that it starts, may take: bytes of memory, processes of
    this user, bytes of a file, open files. Become that user, unless it is 0.

    Raises: RuntimeError if the system does not hold to it, as for its administrator.
    """
    if user:
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
    else:
        if child == 0:
            os._exit(0)
        raise RuntimeError("the system does not bound the number of processes")
    # A child has the same user, and must not reach into this process.
    if ctypes.CDLL(None).prctl(4, 0, 0, 0, 0):  # PR_SET_DUMPABLE
        raise RuntimeError("the system does not keep a process from being written to")


def standing() -> tuple:
    """What a process may take of the machine: its limits and its priorities.

    A process of the same user may change another's, so that later attempts would have less.
    """
    names = sorted(name for name in dir(resource) if name.startswith("RLIMIT_"))
    return (
        *(resource.getrlimit(getattr(resource, name)) for name in names),
        os.getpriority(os.PRIO_PROCESS, 0),
        sorted(os.sched_getaffinity(0)),
        os.sched_getscheduler(0),
        os.sched_getparam(0).sched_priority,
    )


def clear(folders: list[str]) -> None:
    """End all processes of the sandbox but this one and the first, and empty its folders.

    Raises: OSError, RecursionError or RuntimeError if something stays; end this process then.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while {int(name) for name in os.listdir("/proc") if name.isdigit()} - {1, os.getpid()}:
        if time.monotonic() > deadline:
            raise RuntimeError("a process of an attempt does not end")
        time.sleep(0.001)
    for folder in folders:
        for left in os.scandir(folder):
            shutil.rmtree(left.path) if left.is_dir(follow_symlinks=False) else os.unlink(left.path)


# -------------------------------------------------------------------------------------- all


def make_shell():
    """The shell that runs cells as a notebook does."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

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
    return Shell.instance(config=config)


def attempt(shell, connection: socket.socket, folder: str) -> int:
    """Have a child serve an attempt, in a folder of its own; how it ended."""
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            serve(shell, connection)
        finally:
            os._exit(0)
    connection.close()
    return os.waitpid(child, 0)[1]


def main() -> None:
    """Load what the exercises use, once; then a child for each attempt.

    Arguments: what to import beforehand, separated by commas; in a sandbox also the namespace of
    processes outside it, the folders in it that can be written to, the first of them home, and
    all of `limit`'s.
    """
    control = socket.socket(fileno=0)
    for name in filter(None, sys.argv[1].split(",")):
        importlib.import_module(name)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # a child that is forked may use no others
    shell = make_shell()
    folders: list[str] = []
    if sys.argv[2:]:
        folders = sys.argv[3].split(",")
        outside = os.readlink("/proc/self/ns/pid") == sys.argv[2]
        if outside or not all(map(os.path.ismount, folders)):
            raise RuntimeError("this is no sandbox, and to clear it would do harm")
        clear(folders)
        limit(*map(int, sys.argv[4:]))
    stood = standing()
    control.sendall(b"0\n")
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            break
        connection = socket.socket(fileno=descriptors[0])
        if folders:
            status = attempt(shell, connection, folders[0])
            clear(folders)
            if standing() != stood:
                raise RuntimeError("an attempt changed what those after it may take")
        else:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                status = attempt(shell, connection, folder)
        control.sendall(b"%d\n" % status)


if __name__ == "__main__":
    main()
