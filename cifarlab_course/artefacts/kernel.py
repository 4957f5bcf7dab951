"""Compile the kernel that makes networks fast in a page.

    course kernel

From `kernel.ts`, which is AssemblyScript, to WebAssembly as text, in a script beside it. The
compiler is `asc` where the right version is on the PATH, else node's `npx` fetches it.
"""

import base64
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from cifarlab import figures
from cifarlab._files import replacing

SOURCE = figures.FOLDER / "kernel.ts"
OUT = figures.FOLDER / "kernel-binary.js"
VERSION = "0.28.20"  # of AssemblyScript; another may compile to other bytes
OPTIONS = "--optimizeLevel 3 --shrinkLevel 1 --runtime stub --noAssert --enable simd".split()


def sign() -> str:
    """What the binary comes of, source, compiler and options, as one hash."""
    header = f"assemblyscript {VERSION} {' '.join(OPTIONS)}\n".encode()
    return hashlib.sha256(header + SOURCE.read_bytes()).hexdigest()


def compiler() -> list[str]:
    """The command that compiles.

    Raises: ValueError if there is none.
    """
    if at_hand():
        return ["asc"]
    if shutil.which("npx"):
        return ["npx", "--yes", "--package", f"assemblyscript@{VERSION}", "asc"]
    raise ValueError(f"there is neither asc {VERSION} nor npx here; install Node.js.")


def at_hand() -> bool:
    """Is the compiler on the PATH, in the version that is asked for?"""
    if not shutil.which("asc"):
        return False
    output = subprocess.run(["asc", "--version"], capture_output=True, text=True).stdout
    return output.split() == ["Version", VERSION]


def binary() -> bytes:
    """The kernel as WebAssembly.

    Raises: ValueError with what the compiler says.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kernel.wasm"
        command = [*compiler(), SOURCE.name, "--outFile", str(out), *OPTIONS]
        process = subprocess.run(command, cwd=SOURCE.parent, capture_output=True, text=True)
        if process.returncode or not out.is_file():
            raise ValueError(f"{' '.join(command)} failed: {process.stderr or process.stdout}")
        return out.read_bytes()


def script(compiled: bytes) -> str:
    """The binary as a script that holds it."""
    text = base64.b64encode(compiled).decode()
    return (
        f"// Made from kernel.ts by `course kernel`, with AssemblyScript {VERSION}; "
        f"hash of both:\n// {sign()}\n"
        f'const KERNEL = "{text}";\n'
    )


def stored() -> tuple[str, bytes]:
    """The hash in the script, and the binary."""
    text = OUT.read_text(encoding="utf-8")
    ((signature, compiled),) = re.findall(
        r'^// ([0-9a-f]{64})\nconst KERNEL = "(.*)";$', text, re.MULTILINE
    )
    return signature, base64.b64decode(compiled)


def write() -> Path:
    """Compile, and write the script."""
    text = script(binary())
    with replacing(OUT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return OUT
