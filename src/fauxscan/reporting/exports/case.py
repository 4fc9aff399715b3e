"""Results as JSON-LD in the vocabulary of case management tools: CASE 1.4.0 and UCO 1.4.0 (caseontology.org).

Each file is an observable object. An investigative action, which is also an analysis, joins it to the tool that judged
it and to the result. Every node is named by a UUID made from what it describes, so two exports of the same tables are
equal.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from fauxscan.records import Verdict
from fauxscan.scanning.rows import Row

Node = dict[str, Any]

UCO = "https://ontology.unifiedcyberontology.org/uco"
CONTEXT = {
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    **{f"uco-{room}": f"{UCO}/{room}/" for room in ("action", "analysis", "configuration", "core")},
    **{f"uco-{room}": f"{UCO}/{room}/" for room in ("observable", "tool", "types")},
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
NAMESPACE = UUID("6b1f1a52-7d0c-4f0e-9a53-0f6c3f0a2d11")  # of all names: another one would rename every node
CLASS = "synthetic or manipulated"
MEANINGS = {
    Verdict.LIKELY_SYNTHETIC: "p_fake reaches the upper threshold. This is an indication, and not proof.",
    Verdict.UNCERTAIN: "No conclusion is possible.",
    Verdict.NO_INDICATION: "p_fake is not above the lower threshold. This does not show that the file is authentic.",
}


def lines(rows: Iterable[Row], runs: Mapping[str, Row]) -> Iterator[str]:
    """Yield one JSON-LD document, with each node of its graph on a line.

    `rows` are rows of the table `media`, and `runs` has the rows of the table `runs` by `run_id`. Memory grows with the
    number of runs, and not with the number of files.
    """
    yield f'{{"@context": {json.dumps(CONTEXT)}, "@graph": ['
    separator, tools = "\n", set()
    for row in rows:
        run = runs.get(row["run_id"], {})  # a run in progress is not in the table yet
        tool = _tool(run)
        nodes = _of_file(row, run, tool)
        if tool["@id"] not in tools:
            tools.add(tool["@id"])
            nodes = [tool, *nodes]
        for node in nodes:
            yield separator + json.dumps(node)
            separator = ",\n"
    yield "\n]}\n"


def _of_file(row: Row, run: Row, tool: Node) -> list[Node]:
    """Return the nodes of a file: the file, the action that judged it, and the result."""
    key = (row["root"], row["path"], (row["path_bytes"] or b"").hex(), row["sha256"] or "")
    file = _file(row, key)
    result = _result(row, key)
    action = {
        **_node("action", row["run_id"], *key),
        "@type": ["case-investigation:InvestigativeAction", "uco-analysis:Analysis"],
        "uco-core:name": f"fauxscan run {row['run_id']}",
        "uco-core:description": "The scan that recorded this result. Its times are those of the whole run.",
        **_time("uco-action:startTime", run.get("started_at")),
        **_time("uco-action:endTime", run.get("finished_at")),
        "uco-action:instrument": {"@id": tool["@id"]},
        "uco-action:object": {"@id": file["@id"]},
        "uco-action:result": {"@id": result["@id"]},
    }
    return [file, action, result | {"uco-analysis:originatingAnalysis": {"@id": action["@id"]}}]


def _file(row: Row, key: tuple[str, ...]) -> Node:
    path = f"{row['root'].rstrip('/')}/{row['path']}"
    size = {} if row["size"] is None else {"uco-observable:sizeInBytes": row["size"]}
    facets = [
        {
            **_node("file facet", *key),
            "@type": "uco-observable:FileFacet",
            "uco-observable:fileName": os.path.basename(path),
            "uco-observable:filePath": path,
            **size,
        }
    ]
    if row["sha256"] is not None:
        digest = {
            **_node("hash", *key),
            "@type": "uco-types:Hash",
            "uco-types:hashMethod": "SHA256",
            "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": row["sha256"]},
        }
        content = {**_node("content facet", *key), "@type": "uco-observable:ContentDataFacet", **size}
        facets.append({**content, "uco-observable:hash": digest})
    tag = {} if row["path_bytes"] is None else {"uco-core:tag": f"path_bytes:{row['path_bytes'].hex()}"}
    return {**_node("file", *key), "@type": "uco-observable:ObservableObject", **tag, "uco-core:hasFacet": facets}


def _result(row: Row, key: tuple[str, ...]) -> Node:
    """Return the result: the outcome in words and as tags, and p_fake as the confidence of a classification."""
    key = (row["run_id"], *key)
    words = {"status": row["status"], "verdict": row["verdict"], "settings": row["settings"]}
    result = {
        **_node("result", *key),
        "@type": "uco-analysis:AnalyticResult",
        "uco-core:statement": _statement(row),
        "uco-core:tag": [f"{name}:{word}" for name, word in words.items() if word is not None],
    }
    if row["p_fake"] is None:
        return result
    classification = {
        **_node("classification", *key),
        "@type": "uco-analysis:ArtifactClassification",
        "uco-analysis:class": CLASS,
        "uco-analysis:classificationConfidence": {"@type": "xsd:decimal", "@value": _decimal(row["p_fake"])},
    }
    facet = {**_node("result facet", *key), "@type": "uco-analysis:ArtifactClassificationResultFacet"}
    return {**result, "uco-core:hasFacet": [{**facet, "uco-analysis:classification": classification}]}


def _statement(row: Row) -> str:
    """Return what is known about a file, as sentences."""
    if row["p_fake"] is None or row["verdict"] is None:
        told = f"Not judged, with the status {row['status']}."
    else:
        told = (
            f"Verdict {row['verdict']}: the calibrated probability that the file is {CLASS} (p_fake) is "
            f"{row['p_fake']:.3f}. {MEANINGS[Verdict(row['verdict'])]}"
        )
    return told if row["detail"] is None else f"{told} Detail: {row['detail']}"


def _tool(run: Row) -> Node:
    """Return the tool of a run, with its version, and with its models and the digest of its settings."""
    items = [("model", f"{model['name']} {model['model_digest']}") for model in run.get("models") or ()]
    items += [("settings", run["settings"])] if run.get("settings") else []
    version = run.get("tool_version")
    key = (version or "", *(text for item in items for text in item))
    entries = [
        {
            **_node("configuration entry", *key, str(place)),
            "@type": "uco-configuration:ConfigurationEntry",
            "uco-configuration:itemName": name,
            "uco-configuration:itemValue": value,
        }
        for place, (name, value) in enumerate(items)
    ]
    configuration = {**_node("configuration", *key), "@type": "uco-configuration:Configuration"}
    uses = {"uco-configuration:usesConfiguration": {**configuration, "uco-configuration:configurationEntry": entries}}
    return {
        **_node("tool", *key),
        "@type": ["uco-tool:AnalyticTool", "uco-tool:ConfiguredTool"],
        "uco-core:name": "fauxscan",
        "uco-tool:toolType": "detector of synthetic and manipulated faces",
        **({} if version is None else {"uco-tool:version": version}),
        **(uses if entries else {}),
    }


def _node(kind: str, *key: str) -> Node:
    """Return the beginning of a node: its name, a UUID of version 5 (RFC 9562) of its kind and what identifies it."""
    return {"@id": f"urn:uuid:{uuid5(NAMESPACE, json.dumps([kind, *key]))}"}


def _time(name: str, time: datetime | None) -> Node:
    return {} if time is None else {name: {"@type": "xsd:dateTime", "@value": time.isoformat()}}


def _decimal(value: float) -> str:
    """Return all digits of a number without an exponent, which xsd:decimal does not allow."""
    return format(Decimal(repr(value)), "f")
