"""The notice of the end of a flow run: a JSON document, posted to the URL in FAUXSCAN_WEBHOOK if it is set."""

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


def post_notice(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # called with these keywords
    """Post the notice of a run to the webhook. If that fails, the log has a warning and the run does not fail."""
    address = os.environ.get(VARIABLE)
    if not address:
        return
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=TRIES - 1), timeout=TIMEOUT_S) as client:
            client.post(address, json=notice(flow, flow_run, state)).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The URL may contain a secret: log only its host.
        reason = f"{type(error).__name__} from {urlsplit(address).hostname}"
        flow_run_logger(flow_run, flow).warning("The webhook in %s did not accept the notice: %s", VARIABLE, reason)


def notice(flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> dict[str, Any]:
    """Return the JSON document that is posted."""
    ui = PREFECT_UI_URL.value()
    return {
        "flow": flow.name,
        "run": run.name,
        "run_id": str(run.id),
        "state": "Cancelled" if state.is_cancelling() else state.name,  # not yet in the state itself
        "message": state.message,
        "ended_at": state.timestamp.isoformat(),
        "parameters": run.parameters,
        "page": f"{ui}/runs/flow-run/{run.id}" if ui else None,
    }


HOOKS: Any = {f"on_{event}": [post_notice] for event in ("completion", "failure", "crashed", "cancellation")}
