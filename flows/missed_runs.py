"""After missed schedules, one run is enough: the other late runs end as skipped."""

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

from . import webhook

SKIPPED = "Skipped"


def skipped_state() -> State[None] | None:
    """Return the state to end with if the current run is redundant, or None if it has to run.

    A scheduled run is redundant if another run of the same deployment with the same parameters began after it was due.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None or not run.auto_scheduled or run.expected_start_time is None:
        return None
    for other in replacements(run, _runs_since(run.deployment_id, run.expected_start_time)):
        return _replaced_by(other)
    return None


def skip_waiting_runs(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Skip the late runs that this run replaces, even if it failed: each of them would start a process."""
    if flow_run.deployment_id is None or state.name == SKIPPED:
        return
    with get_client(sync_client=True) as client:
        started = client.read_flow_run(flow_run.id).start_time
        for late in client.read_flow_runs(flow_run_filter=_waiting_runs(flow_run.deployment_id, started)):
            if late.auto_scheduled and late.parameters == flow_run.parameters:
                client.set_flow_run_state(late.id, _replaced_by(flow_run))


def replacements(run: FlowRun, started: list[FlowRun]) -> list[FlowRun]:
    """Return those of the started runs that replace `run`. Of runs that are running, only earlier ones replace it."""
    order = [other.id for other in sorted(started, key=lambda other: (other.start_time, other.id))]
    earlier = order[: order.index(run.id)] if run.id in order else []
    others = [other for other in started if other.id != run.id and other.state_name != SKIPPED]
    same = [other for other in others if other.parameters == run.parameters]
    return [other for other in same if other.state_type == StateType.COMPLETED or other.id in earlier]


def _replaced_by(run: FlowRun) -> State[None]:
    return Completed(name=SKIPPED, message=f"The run {run.name!r} began after this run was due.")


def _runs_since(deployment: UUID, since: DateTime) -> list[FlowRun]:
    """Return the runs of a deployment that began after a time and have completed or are running.

    If a deployment allows only one run at a time, another run in the state `Running` has died and replaces nothing.
    """
    with get_client(sync_client=True) as client:
        limited = client.read_deployment(deployment).global_concurrency_limit is not None
    states = [StateType.COMPLETED] if limited else [StateType.RUNNING, StateType.COMPLETED]
    started = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        start_time=FlowRunFilterStartTime(after_=since),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)),
    )
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=started)


def _waiting_runs(deployment: UUID, until: DateTime | None) -> FlowRunFilter:
    """Return the filter for the runs of a deployment that were due before a time and have not begun."""
    return FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=until),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
    )


# The hooks of every flow.
HOOKS: Any = webhook.HOOKS | {
    event: [skip_waiting_runs, webhook.post_notice] for event in ("on_completion", "on_failure")
}
