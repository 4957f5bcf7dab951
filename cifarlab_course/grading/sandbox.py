"""Confine a runner: no network, no files but its own, bounded memory, processes and output.

Bubblewrap does it, with the namespaces of the Linux kernel. What a submission can see of the disk
is Python, the package and one empty folder in memory, which goes when it ends.
"""

import contextlib
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from cifarlab_course import ROOT
from cifarlab_course.grading.judge import SCRIPT, Runner, Stopped

MEMORY = 2**31  # bytes, all processes of a submission together
PROCESSES = 32
TASKS = 2 * PROCESSES  # processes and threads, the kernel's own bound
FOLDER = 2**26  # bytes that it may write, to a folder in memory
HOME = "/tmp/home"
SYSTEM = "/usr /bin /sbin /lib /lib32 /lib64 /etc/alternatives /etc/ld.so.cache".split()
ENVIRONMENT = {
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": HOME,
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "OMP_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "PIP_NO_INDEX": "1",  # without a network pip would try for minutes
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": str(ROOT),
    "TQDM_DISABLE": "1",
}
REMEDY = (
    "Install bubblewrap 0.8 or newer (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf "
    "install bubblewrap) on a Linux that allows user namespaces; or grade in a virtual machine "
    "that you can throw away, with --unsafe (UNSAFE=1 behind make)."
)


def confined(command: list[str]) -> list[str]:
    """`command`, to be run by bubblewrap.

    Linux does not bound the administrator's processes. So one who grades needs no namespace of
    users: the sandbox becomes a user of its own instead, whom nobody else is.
    """
    python = dict.fromkeys([sys.prefix, sys.base_prefix])
    seen = [*SYSTEM, *python, str(ROOT / "cifarlab"), str(SCRIPT)]
    above = {str(each): None for path in seen for each in reversed(Path(path).parents[:-1])}
    user = 0 if os.geteuid() else 2**30 + secrets.randbelow(2**30)
    become = ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID") if user else ("--unshare-user",)
    return [
        *("bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", *become),
        *("--unshare-cgroup-try", "--die-with-parent"),
        *("--proc", "/proc", "--dev", "/dev", "--size", str(FOLDER), "--tmpfs", "/tmp"),
        *(part for path in above if path != "/tmp" for part in ("--perms", "755", "--dir", path)),
        *(part for path in seen for part in ("--ro-bind-try", path, path)),
        *("--dir", HOME, "--chdir", HOME),
        # What bubblewrap lays out in memory besides that folder has no bound of its own.
        *("--remount-ro", "/", "--remount-ro", "/dev"),
        *command,
        *map(str, (MEMORY, TASKS, FOLDER, user)),
    ]


def watch(process: subprocess.Popen) -> None:
    """Look at all processes of a sandbox.

    The kernel bounds the memory of each process, not of all together; so it is counted here.

    Raises: Stopped if they are too many or too large.
    """
    try:
        inside = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return  # it has ended, which the reader of its answers will see
    if len(inside) > PROCESSES:
        raise Stopped(f"it started more than {PROCESSES} processes")
    if sum(map(memory, inside)) > MEMORY:
        raise Stopped(f"it took more than {MEMORY / 2**30:g} GiB of memory")


def memory(number: int) -> int:
    """Bytes that a process holds, its share of what it shares, without libraries; 0 if it ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        sizes = [line.split() for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))]
        return sum(int(size) * 1024 for _, size, _ in sizes) + sum(nameless_files(number))
    return 0


def nameless_files(number: int) -> Iterator[int]:
    """Sizes of the open files that a process keeps in memory, outside any folder."""
    with os.scandir(f"/proc/{number}/fd") as descriptors:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                if os.readlink(descriptor.path).startswith("/memfd:"):
                    yield os.stat(descriptor.path).st_blocks * 512


def refusal() -> str:
    """Why this system cannot confine a submission; empty if it can."""
    if platform.system() != "Linux" or not shutil.which("bwrap"):
        return f"Submissions run in bubblewrap, which is not installed here. {REMEDY}"
    tried = subprocess.run(confined(["true"]), capture_output=True, text=True, env=ENVIRONMENT)
    if tried.returncode:
        return f"bubblewrap does not work here: {tried.stderr.strip()}. {REMEDY}"
    return ""


def runner(seconds: float, imports: str, *, unsafe: bool = False) -> Runner:
    """A runner in a sandbox of its own, or (`unsafe`) in none; `refusal` says if one can be had.

    Bubblewrap stays in the sandbox as process 1, and what it was started with can be read there:
    so it gets none of our environment.
    """
    if unsafe:
        ours = {name: value for name, value in os.environ.items() if name != "SECRET"}
        ours |= {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
        return Runner(seconds, environment=ours, imports=imports)
    return Runner(seconds, confined, watch, ENVIRONMENT, imports)
