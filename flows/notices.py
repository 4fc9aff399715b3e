"""What a flow says when it has ended: a JSON document, posted to the address in FAUXSCAN_WEBHOOK if there is one."""

import os
from typing import Any
from urllib.parse import urlsplit

import httpx
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_UI_URL

VARIABLE = "FAUXSCAN_WEBHOOK"
TIMEOUT_S, TRIES = 10.0, 3


def post(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # a worker gives them by these names
    """Tell the webhook how a run ended. A webhook that does not take it is a warning in the log, never a failed run."""
    address = os.environ.get(VARIABLE)
    if not address:
        return
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=TRIES - 1), timeout=TIMEOUT_S) as client:
            client.post(address, json=notice(flow, flow_run, state)).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The address may hold a secret: its host alone is told.
        told = f"{type(error).__name__} from {urlsplit(address).hostname}"
        flow_run_logger(flow_run, flow).warning("the webhook in %s did not take the notice: %s", VARIABLE, told)


def notice(flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> dict[str, Any]:
    """Return what is posted."""
    ui = PREFECT_UI_URL.value()
    return {
        "flow": flow.name,
        "run": run.name,
        "run_id": str(run.id),
        "state": "Cancelled" if state.is_cancelling() else state.name,  # it is told just before the server is
        "message": state.message,
        "ended_at": state.timestamp.isoformat(),
        "parameters": run.parameters,
        "page": f"{ui}/runs/flow-run/{run.id}" if ui else None,
    }


HOOKS: Any = {f"on_{when}": [post] for when in ("completion", "failure", "crashed", "cancellation")}
