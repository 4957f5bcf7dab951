"""Confine a runner: no network, no files but its own, bounded memory, processes and output.

Bubblewrap does it, with the namespaces of the Linux kernel, and libseccomp says what else of that
kernel is out of reach. What a submission can see of the disk is Python, the package and two empty
folders in memory, which go when it ends.
"""

import contextlib
import ctypes
import errno
import functools
import mmap
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from cifarlab_course import ROOT
from cifarlab_course.grading.judge import SCRIPT, NotStarted, Runner, Stopped

MEMORY = 2**31  # bytes, all processes of a submission together
PROCESSES = 32
TASKS = 2 * PROCESSES  # processes and threads, the kernel's own bound
FOLDER = 2**26  # bytes that it may write, to a folder in memory
SHARED = 2**28  # bytes in /dev/shm, through which processes share arrays
SOCKET = 2**18  # bytes that the kernel may keep for a socket
FILES = 20_000  # in either folder
HOME = "/submission"  # at the top, where no other folder that is seen can lie below it
FOLDERS = HOME, "/dev/shm"  # all that it can write to
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
    "TMPDIR": HOME,
    "TQDM_DISABLE": "1",
}
# Of the kernel's calls, those that a notebook has no use for: by their use and their record they
# are where one breaks out of a sandbox, or holds memory that belongs to no process. clone and
# clone3 make processes and threads too; `write_filter` says what becomes of them.
REFUSED = """
    unshare setns mount umount2 pivot_root chroot move_mount open_tree mount_setattr fsopen fsconfig
    fsmount fspick
    ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd userfaultfd
    bpf perf_event_open io_uring_setup io_uring_enter io_uring_register
    add_key request_key keyctl open_by_handle_at name_to_handle_at fanotify_init
    kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct
    quotactl quotactl_fd syslog settimeofday clock_settime clock_adjtime adjtimex
    iopl ioperm modify_ldt personality vhangup nfsservctl lookup_dcookie
    memfd_create memfd_secret shmget shmat shmctl semget semop semctl semtimedop
    msgget msgsnd msgrcv msgctl mq_open mq_unlink vmsplice
    ioprio_set
""".split()
REMEDY = (
    "Install bubblewrap 0.8 or newer and libseccomp (Debian, Ubuntu: apt-get install bubblewrap "
    "libseccomp2; Fedora: dnf install bubblewrap libseccomp) on a Linux that allows user "
    "namespaces; or grade in a virtual machine that you can throw away, with --unsafe (UNSAFE=1 "
    "behind make)."
)
# Where memory ends, this ends first; who grades, and the machine's other work, go first.
PREPARE = 'echo 1000 > /proc/self/oom_score_adj; exec nice -n 10 "$@" 9< "$0"'


class Argument(ctypes.Structure):
    """libseccomp's `scmp_arg_cmp`: a condition on an argument of a call."""

    _fields_ = (
        ("number", ctypes.c_uint),
        ("compare", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def write_filter(file) -> None:
    """Write which calls of the kernel are refused, as libseccomp compiles it for this processor.

    Source: seccomp_init(3), seccomp_rule_add(3) and <seccomp.h>, which has the constants.
    Raises: OSError if there is no libseccomp.
    """
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    allow, refuse, masked_equal = 0x7FFF0000, 0x00050000, 7
    user_namespace, shared_nameless = 0x10000000, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
    rules = ctypes.c_void_p(library.seccomp_init(allow))

    def add(name: str, error: int, *conditions: Argument) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # newer than the library, which can't know it
            return
        array = (Argument * len(conditions))(*conditions)
        if library.seccomp_rule_add_array(rules, refuse | error, number, len(conditions), array):
            raise OSError(f"libseccomp refuses a rule for {name}")

    for name in REFUSED:
        add(name, errno.EPERM)
    # Memory of processes that share it is in none of them; files in /dev/shm have a bound.
    add("mmap", errno.EPERM, Argument(3, masked_equal, shared_nameless, shared_nameless))
    add("clone", errno.EPERM, Argument(0, masked_equal, user_namespace, user_namespace))
    add("clone3", errno.ENOSYS)  # its flags can't be seen; libraries then take clone
    if library.seccomp_export_bpf(rules, file.fileno()):
        raise OSError("libseccomp can't write its filter")
    library.seccomp_release(rules)


@functools.cache
def filter_file():
    """The filter in a file, which lasts as long as this process."""
    file = tempfile.NamedTemporaryFile(prefix="seccomp-")  # noqa: SIM115
    write_filter(file)
    return file


def confined(command: list[str], unseen: Sequence[Path] = ()) -> list[str]:
    """`command`, to be run by bubblewrap; the folders `unseen` of the package are empty there.

    Linux does not bound the administrator's processes. So one who grades needs no namespace of
    users: the sandbox becomes a user of its own instead, whom nobody else is.
    """
    python = dict.fromkeys([sys.prefix, sys.base_prefix])
    seen = [*SYSTEM, *python, str(ROOT / "cifarlab"), str(SCRIPT)]
    above = {str(folder): None for path in seen for folder in reversed(Path(path).parents[:-1])}
    user = 0 if os.geteuid() else 2**30 + secrets.randbelow(2**30)
    become = (
        ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
        if user
        else ("--unshare-user", "--disable-userns")
    )
    return [
        *("sh", "-c", PREPARE, filter_file().name),
        *bounded(),
        *("bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", *become),
        *("--unshare-cgroup-try", "--die-with-parent", "--seccomp", "9"),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--dev-bind", "/dev/null", "/dev/zero"),  # a second door to shared memory
        *("--perms", "1777", "--size", str(FOLDER), "--tmpfs", HOME),
        *("--perms", "1777", "--size", str(SHARED), "--tmpfs", "/dev/shm"),
        *(part for path in above for part in ("--perms", "755", "--dir", path)),
        *(part for path in seen for part in ("--ro-bind-try", path, path)),
        *(part for path in unseen for part in ("--tmpfs", str(path), "--remount-ro", str(path))),
        *("--chdir", HOME),
        # What bubblewrap lays out in memory besides those folders has no bound of its own; and
        # nothing is set in /proc, such as who ends first where memory ends.
        *("--remount-ro", "/", "--remount-ro", "/dev", "--remount-ro", "/proc"),
        *command,
        *(os.readlink("/proc/self/ns/pid"), ",".join(FOLDERS)),
        *map(str, (MEMORY, TASKS, FOLDER, user)),
    ]


@functools.cache
def bounded() -> tuple[str, ...]:
    """The words that have systemd bound a command by a control group; none where it can't.

    Only so does the kernel itself count what all processes hold together, its own memory for
    them included. systemd needs a variable of ours, which the command does not get.
    """
    place = os.environ.get("XDG_RUNTIME_DIR", "")
    limits = f"MemoryMax={MEMORY + FOLDER + SHARED} MemorySwapMax=0 TasksMax={2 * TASKS}".split()
    command = (
        *("env", f"XDG_RUNTIME_DIR={place}", "systemd-run", "--scope", "--quiet"),
        *(("--user",) if os.geteuid() else ()),
        *(f"--property={limit}" for limit in limits),
        *("env", "--unset=XDG_RUNTIME_DIR"),
    )
    try:
        trial = subprocess.run([*command, "true"], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return () if trial.returncode else command


def watch(process: subprocess.Popen) -> None:
    """Look at all processes of a sandbox.

    Without a control group the kernel bounds the memory of each process, not of all together; so
    it is counted here.

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
    if inside and any(files(inside[0], folder) > FILES for folder in FOLDERS):
        raise Stopped(f"it made more than {FILES} files")


def memory(number: int) -> int:
    """Bytes that a process holds, its share of what it shares, without libraries; 0 if it ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        sizes = [line.split() for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))]
        return sum(int(size) * 1024 for _, size, _ in sizes) + SOCKET * sockets(number)
    return 0


def sockets(number: int) -> int:
    """How many sockets a process has open: what waits in one is in no process's memory."""
    count = 0
    for descriptor in os.scandir(f"/proc/{number}/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(descriptor.path).startswith("socket:")
    return count


def files(number: int, folder: str) -> int:
    """How many files lie in a folder of their own that a process sees; 0 if it ended."""
    try:
        system = os.statvfs(f"/proc/{number}/root{folder}")
    except OSError:
        return 0
    return system.f_files - system.f_ffree


def refusal() -> str:
    """Why this system cannot confine a submission; empty if it can."""
    if platform.system() != "Linux" or not shutil.which("bwrap"):
        return f"Submissions run in bubblewrap, which is not installed here. {REMEDY}"
    try:
        with runner(60, "") as trial:
            trial.start()
    except (NotStarted, OSError) as error:
        return f"The sandbox does not work here: {error}. {REMEDY}"
    return ""


def runner(
    seconds: float, imports: str, *, unsafe: bool = False, unseen: Sequence[Path] = ()
) -> Runner:
    """A runner in a sandbox, or (`unsafe`) in none; `refusal` says if one can be had.

    In a sandbox the folders `unseen` of the package are empty.

    Bubblewrap stays in the sandbox as process 1, and what it was started with can be read there:
    so it gets none of our environment.
    """
    if unsafe:
        environment = {name: value for name, value in os.environ.items() if name != "SECRET"}
        environment |= {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
        return Runner(seconds, environment=environment, imports=imports)
    command = functools.partial(confined, unseen=unseen)
    return Runner(seconds, command, watch, ENVIRONMENT, imports, lasting=True)
