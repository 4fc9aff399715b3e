"""The task runners that judge the batches of a scan: threads of this process, or a Dask cluster."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from fauxscan.records import MissingExtraError, UserError
from fauxscan.scanning.scan import AT_ONCE

BATCHES_PER_THREAD = 2  # of a Dask worker: one that it judges, and one that waits
CONNECT_TIMEOUT = "30s"
POLL_S, NO_WORKERS_S = 10.0, 300.0  # a worker that restarts is back within the second time


class Cluster(NamedTuple):
    """A task runner, and a function that returns the present number of its workers' threads."""

    runner: TaskRunner[Any]
    threads: Callable[[], int]

    def max_tasks(self) -> int:
        """Return how many tasks may be submitted at the same time."""
        return max(BATCHES_PER_THREAD * self.threads(), AT_ONCE)

    def wait(self, future: Any) -> None:
        """Wait for the end of a task. Raise its exception, or UserError if no worker is left to run it."""
        without_workers = 0.0
        while not future.wrapped_future.done() and without_workers < NO_WORKERS_S:
            future.wait(POLL_S)
            without_workers = 0.0 if self.threads() else without_workers + POLL_S
        if not future.wrapped_future.done():
            raise UserError(
                f"the cluster has had no worker for {NO_WORKERS_S:.0f} s: start workers, and run the same scan again"
            )
        future.result()


@contextmanager
def open_cluster(cluster: str | int | None) -> Iterator[Cluster]:
    """Yield the cluster at a scheduler's address, or one of so many local processes; for None, a pool of threads.

    Raise UserError if the scheduler does not respond, and MissingExtraError if prefect-dask is not installed.
    """
    if cluster is None:
        threads: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=AT_ONCE)
        with threads:
            yield Cluster(threads, lambda: 1)
        return
    with _shared_server(), _open_dask(cluster) as runner:
        yield Cluster(runner, lambda: sum(runner.client.nthreads().values()))


@contextmanager
def _open_dask(cluster: str | int) -> Iterator[Any]:
    """Yield Prefect's task runner for Dask, connected to its scheduler."""
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise MissingExtraError('a cluster needs prefect-dask: pip install "fauxscan[flows]"') from error
    if isinstance(cluster, int):
        local = {"n_workers": cluster, "threads_per_worker": AT_ONCE, "dashboard_address": "127.0.0.1:0"}
        runner = DaskTaskRunner(cluster_kwargs=local)
    else:
        runner = DaskTaskRunner(address=cluster, client_kwargs={"timeout": CONNECT_TIMEOUT})
    with ExitStack() as end:
        try:
            end.enter_context(runner)
            client: Any = runner.client  # the first access connects
            client.nthreads()
        except (OSError, ValueError) as error:
            remedy = "start one with `dask scheduler`, or correct the address"
            raise UserError(f"no Dask scheduler responds at {cluster}: {remedy} ({error})") from error
        yield runner


@contextmanager
def _shared_server() -> Iterator[None]:
    """Let local workers use the temporary server that this flow has started, instead of starting their own."""
    with get_client(sync_client=True) as client:
        address = str(client.api_url) if client.server_type == ServerType.EPHEMERAL else None
    with temporary_settings({PREFECT_API_URL: address} if address else {}):
        yield
