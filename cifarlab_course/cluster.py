"""Reach the scheduler of Dask that a command's option `--scheduler` names, or start one here.

--scheduler tcp://10.0.0.5:8786   one that others started, with workers on other machines
--scheduler local:2               two processes here
"""

import signal

import dask
import distributed

LOCAL = "local:"


def connected(scheduler: str) -> distributed.Client:
    """A client of the scheduler at an address, or of one that is started here.

    Raises: ValueError if `scheduler` is neither.
    """
    # No daemon may have children, and a worker needs some to prepare images in.
    dask.config.set({"distributed.worker.daemon": False})
    try:
        if not scheduler.startswith(LOCAL):
            return distributed.Client(scheduler)
        count = int(scheduler.removeprefix(LOCAL))
        own_port = "127.0.0.1:0"  # for the page on them: another such command may run
        client = distributed.Client(
            n_workers=count, threads_per_worker=1, dashboard_address=own_port
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--scheduler {scheduler}: {error}; give the address that `dask scheduler` prints, "
            f"such as tcp://10.0.0.5:8786, or {LOCAL}2 for two processes here."
        ) from error
    client.run(ignore_interrupts)
    return client


def ignore_interrupts() -> None:
    """On a worker in the same terminal: Ctrl-C is for the command, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
