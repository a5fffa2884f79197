"""A pool of code generation workers: processes that may crash, hang or abort without taking this one along."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import select
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from tilelang_mlir import knobs
from tilelang_mlir.compiler.messages import Reply, Request, WholeRequest, receive, send

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


class WorkerDied(Exception):
    """The worker ended during a request. `output` is what it wrote to stderr, `timed_out` whether we stopped it."""

    def __init__(self, output: str, status: int | None, timed_out: bool) -> None:
        super().__init__(f"worker exit status {status}")
        self.output, self.status, self.timed_out = output, status, timed_out


class Worker:
    """One process that serves one request at a time."""

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile()
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tilelang_mlir.compiler.worker_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment,
        )  # fmt: skip
        self._requests = cast(BinaryIO, self._process.stdin)
        self._replies = cast(BinaryIO, self._process.stdout)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, request: Request | WholeRequest, timeout: float) -> Reply:
        """Send a request and wait for its reply. Raises WorkerDied on a crash, or after `timeout` seconds."""
        process = self._process
        self._log.seek(0)
        self._log.truncate()
        try:
            send(self._requests, request)
            ready, _, _ = select.select([self._replies], [], [], timeout)
            if not ready:
                process.kill()
                raise WorkerDied(f"timed out after {timeout:.0f} s\n{self._output()}", process.wait(), True)
            reply = receive(self._replies)
        except (EOFError, BrokenPipeError) as error:
            raise WorkerDied(self._output(), process.wait(), False) from error
        assert isinstance(reply, Reply)
        return reply

    def _output(self) -> str:
        self._process.wait()
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self) -> None:
        """End the process: it leaves when its input closes."""
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class WorkerPool:
    """Up to `size` workers, started on demand and reused."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pid = os.getpid()
        self._started = False
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="tilelang-codegen")

    def prestart(self) -> None:
        """Start one worker in the background, so that it is warm when the first request comes."""
        if not self._started:
            self._started = True
            self._idle.put(Worker())

    def submit(self, request: Request | WholeRequest, timeout: float | None = None) -> Future[Reply]:
        """Queue a request; the future raises WorkerDied when its worker does."""
        return self._threads.submit(self._run, request, timeout or knobs.COMPILE_TIMEOUT.get())

    def _run(self, request: Request | WholeRequest, timeout: float) -> Reply:
        worker = self._take()
        try:
            reply = worker.run(request, timeout)
        except BaseException:
            worker.stop()
            raise
        self._idle.put(worker)
        return reply

    def _take(self) -> Worker:
        while True:
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:
                self._started = True
                return Worker()
            if worker.alive:
                return worker
            worker.stop()

    def stop(self) -> None:
        """End all idle workers; running requests finish first."""
        if self._pid != os.getpid():  # a forked child must not close its parent's workers
            return
        self._threads.shutdown(wait=True)
        while not self._idle.empty():
            self._idle.get_nowait().stop()


_POOLS: dict[int, WorkerPool] = {}  # by process id: a fork gets a pool of its own
_LOCK = threading.Lock()


def pool() -> WorkerPool:
    """This process' pool."""
    with _LOCK:
        mine = _POOLS.get(os.getpid())
        if mine is None:
            mine = _POOLS[os.getpid()] = WorkerPool(knobs.COMPILE_WORKERS.get() or os.cpu_count() or 1)
            atexit.register(mine.stop)
        return mine


def prestart() -> None:
    """Start a worker in the background; returns at once. Called when the first kernel is traced."""
    threading.Thread(target=lambda: pool().prestart(), daemon=True).start()
