"""A schedule that was missed, once or ten times over, is made up for by one run."""

from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.states import Completed
from prefect.types import DateTime

from flows import notices

SKIPPED = "Skipped"


def skipped() -> State[None] | None:
    """Return the state to end with if the run that is beginning was made up for by another; None if it is not so.

    That is so if it was scheduled, and another run of the same deployment and parameters began after it was due.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None or not run.auto_scheduled or run.expected_start_time is None:
        return None
    for other in made_up_for(run, _begun(run.deployment_id, run.expected_start_time)):
        return _by(other)
    return None


def skip_missed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Skip what this run has made up for and still waits, were it to fail ten times over: each would take a process."""
    if flow_run.deployment_id is None or state.name == SKIPPED:
        return
    with get_client(sync_client=True) as client:
        began = client.read_flow_run(flow_run.id).start_time
        for late in client.read_flow_runs(flow_run_filter=_waiting(flow_run.deployment_id, began)):
            if late.auto_scheduled and late.parameters == flow_run.parameters:
                client.set_flow_run_state(late.id, _by(flow_run))


def made_up_for(run: FlowRun, begun: list[FlowRun]) -> list[FlowRun]:
    """Return those of the runs that make up for one. Of two that run at once, only the first to begin does."""
    order = [one.id for one in sorted(begun, key=lambda one: (one.start_time, one.id))]
    first = order[: order.index(run.id)] if run.id in order else []
    same = [one for one in begun if one.parameters == run.parameters and one.state_name != SKIPPED and one.id != run.id]
    return [one for one in same if one.state_type == StateType.COMPLETED or one.id in first]


def _by(run: FlowRun) -> State[None]:
    return Completed(name=SKIPPED, message=f"the run {run.name!r} began after this one was due")


def _begun(deployment: UUID, since: DateTime) -> list[FlowRun]:
    """Return the runs of a deployment that began after a time and have completed, or run.

    Where one may run at a time, another that is called running has died: it makes up for nothing.
    """
    with get_client(sync_client=True) as client:
        limited = client.read_deployment(deployment).global_concurrency_limit is not None
    ended = [StateType.COMPLETED] if limited else [StateType.RUNNING, StateType.COMPLETED]
    begun = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        start_time=FlowRunFilterStartTime(after_=since),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ended)),
    )
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=begun)


def _waiting(deployment: UUID, until: DateTime | None) -> FlowRunFilter:
    """Return the filter for the runs of a deployment that were due by a time, and have not begun."""
    return FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=until),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
    )


HOOKS: Any = notices.HOOKS | {
    when: [skip_missed, notices.post] for when in ("on_completion", "on_failure")
}  # of every flow
