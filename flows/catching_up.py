"""A schedule that was missed, once or ten times over, is made up for by one run."""

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.states import Completed
from prefect.types import DateTime

SKIPPED = "Skipped"


def skipped() -> State[None] | None:
    """Return the state to end with if the run that is beginning was made up for by another; None if it is not so.

    That is so if it was scheduled, and another run of the same deployment and parameters began after it was due.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None or not run.auto_scheduled or run.expected_start_time is None:
        return None
    for other in _begun(run.deployment_id, run.expected_start_time):
        if other.id != run.id and other.state_name != SKIPPED and other.parameters == run.parameters:
            return Completed(name=SKIPPED, message=f"the run {other.name!r} began after this one was due")
    return None


def _begun(deployment: UUID, since: DateTime) -> list[FlowRun]:
    """Return the runs of a deployment that began after a time, and run or have completed."""
    begun = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        start_time=FlowRunFilterStartTime(after_=since),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.COMPLETED])),
    )
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=begun)
