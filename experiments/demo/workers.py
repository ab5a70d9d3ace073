"""Processes that train contenders side by side, and that do not outlive the command that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any

from tqdm import tqdm


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Make a pool of fresh processes whose progress bars share one terminal.

    A worker ends itself when the process that made the pool is gone, however that died: else each would go on training
    to the end of its budget for nobody.
    """
    context = multiprocessing.get_context("spawn")
    tqdm.set_lock(context.RLock())
    return ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(tqdm.get_lock(),))


def _start_worker(lock: Any) -> None:
    tqdm.set_lock(lock)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
