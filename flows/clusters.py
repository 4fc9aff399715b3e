"""Where a scan's batches are judged: in threads of this process, or by a Dask cluster."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from fauxscan.records import UserError
from fauxscan.scanning.scan import AT_ONCE

AHEAD = 2  # batches a Dask thread: one that it judges, and one that waits for it
CONNECT_TIMEOUT = "30s"
WAIT_S, ALONE_S = 10.0, 300.0  # a worker that is started anew is back by then


class Cluster(NamedTuple):
    """What runs tasks, and how many threads of workers it has now."""

    runner: TaskRunner[Any]
    threads: Callable[[], int]

    def most(self) -> int:
        """Return how many tasks may be under way."""
        return max(AHEAD * self.threads(), AT_ONCE)

    def wait(self, future: Any) -> None:
        """Return when a task has ended. Raise what it raised, and UserError where no worker is left to run it."""
        alone = 0.0
        while not future.wrapped_future.done() and alone < ALONE_S:
            future.wait(WAIT_S)
            alone = 0.0 if self.threads() else alone + WAIT_S
        if not future.wrapped_future.done():
            raise UserError(f"the cluster has had no worker for {ALONE_S:.0f} s: start some, and scan again")
        future.result()


@contextmanager
def opened(cluster: str | int | None) -> Iterator[Cluster]:
    """Give the cluster at a scheduler's address, or one of so many processes of this machine; None: threads.

    Raise UserError if it does not answer, or cannot be had.
    """
    if cluster is None:
        threads: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=AT_ONCE)
        with threads:
            yield Cluster(threads, lambda: 1)
        return
    with _server_for_all(), _dask(cluster) as runner:
        yield Cluster(runner, lambda: sum(runner.client.nthreads().values()))


@contextmanager
def _dask(cluster: str | int) -> Iterator[Any]:
    """Give Prefect's task runner for Dask, connected."""
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise UserError("a cluster takes prefect-dask: install it with `make setup-extras`") from error
    if isinstance(cluster, int):
        local = {"n_workers": cluster, "threads_per_worker": AT_ONCE, "dashboard_address": "127.0.0.1:0"}
        runner = DaskTaskRunner(cluster_kwargs=local)
    else:
        runner = DaskTaskRunner(address=cluster, client_kwargs={"timeout": CONNECT_TIMEOUT})
    with ExitStack() as end:
        try:
            end.enter_context(runner)
            connected: Any = runner.client  # it connects when it is first asked for
            connected.nthreads()
        except (OSError, ValueError) as error:
            remedy = "start one with `dask scheduler`, or correct the address"
            raise UserError(f"no Dask scheduler answers at {cluster}: {remedy} ({error})") from error
        yield runner


@contextmanager
def _server_for_all() -> Iterator[None]:
    """Have workers here ask the temporary server that a flow without one has started, not start their own."""
    with get_client(sync_client=True) as client:
        address = str(client.api_url) if client.server_type == ServerType.EPHEMERAL else None
    with temporary_settings({PREFECT_API_URL: address} if address else {}):
        yield
