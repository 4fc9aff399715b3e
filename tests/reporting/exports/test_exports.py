"""Exports have the current row of every file, as CSV, JSON Lines, and a CASE/UCO graph whose references all resolve."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.scanning import stub_engine, write_folder

from fauxscan import cli
from fauxscan.records import Status
from fauxscan.reporting import scans
from fauxscan.reporting.exports import case, write
from fauxscan.scanning import scan
from fauxscan.scanning.rows import Row
from fauxscan.scanning.tables import queries

FORMATS = ("csv", "jsonl", "case")
UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
GONE = "notes.txt"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two scans, the second without one file and with a name that a spreadsheet would run."""
    home = tmp_path_factory.mktemp("exports")
    root, engine = write_folder(home / "in"), stub_engine(home / "models", only="wholes")
    scan.scan(root, home / "results", engine)
    (root / GONE).unlink()
    (root / "=1+1.txt").write_text("no picture", encoding="utf-8")
    scan.scan(root, home / "results", engine)
    return home / "results"


def exported(results: Path, form: str, out: Path, *options: str) -> str:
    assert cli.run(["export", str(results), "--format", form, "--out", str(out), *options]) == 0
    return out.read_text(encoding="utf-8")


def latest(results: Path) -> list[Row]:
    return queries.latest(results).to_pylist()


def test_csv_has_the_columns_and_rows_of_the_table_and_runs_no_formula(results: Path, tmp_path: Path) -> None:
    lines = list(csv.reader(io.StringIO(exported(results, "csv", tmp_path / "out.csv"), newline="")))
    known = queries.latest(results)
    assert lines[0] == known.schema.names
    paths = [line[lines[0].index("path")] for line in lines[1:]]
    assert "'=1+1.txt" in paths and GONE not in paths
    assert [path.removeprefix("'") for path in paths] == known["path"].to_pylist()
    assert not [cell for line in lines for cell in line if cell.startswith(scans.FORMULA_STARTS)]


def test_json_lines_have_every_column_unchanged(results: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in exported(results, "jsonl", tmp_path / "out.jsonl").splitlines()]
    plain = [{**row, "path_bytes": row["path_bytes"] and row["path_bytes"].hex()} for row in latest(results)]
    assert rows == plain


def nodes_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a document that has a type, also those inside others."""
    if isinstance(value, dict):
        if "@id" in value and "@type" in value:
            yield value
        for child in value.values():
            yield from nodes_in(child)
    elif isinstance(value, list):
        for child in value:
            yield from nodes_in(child)


def references(value: Any) -> Iterator[str]:
    """Yield the name of every node that is only referred to."""
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


@pytest.fixture(scope="module")
def graph(results: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The graph of an export for case management tools."""
    document = json.loads(exported(results, "case", tmp_path_factory.mktemp("case") / "out.jsonld"))
    assert set(document) == {"@context", "@graph"} and document["@context"] == case.CONTEXT
    return list(document["@graph"])


def test_nodes_have_names_of_their_own_known_terms_and_resolve(graph: list[dict[str, Any]]) -> None:
    nodes = list(nodes_in(graph))
    names = [node["@id"] for node in nodes]
    assert len(set(names)) == len(names) and all(UUID.fullmatch(name) for name in names)
    referred = set(references(graph))
    assert referred and referred <= set(names)
    terms = {term for node in nodes for term in node if not term.startswith("@")}
    types = {
        kind for node in nodes for kind in ([*node["@type"]] if isinstance(node["@type"], list) else [node["@type"]])
    }
    assert {term.partition(":")[0] for term in terms | types} <= set(case.CONTEXT)


def test_each_file_is_joined_to_its_result_the_tool_and_its_content(graph: list[dict[str, Any]], results: Path) -> None:
    by_name = {node["@id"]: node for node in nodes_in(graph)}
    actions = [node for node in graph if "case-investigation:InvestigativeAction" in node["@type"]]
    rows = latest(results)
    assert len(actions) == len(rows) > 10
    for action, row in zip(actions, rows, strict=True):
        file, result, tool = (by_name[action[f"uco-action:{end}"]["@id"]] for end in ("object", "result", "instrument"))
        assert result["uco-analysis:originatingAnalysis"]["@id"] == action["@id"]
        assert described(file) == (f"{row['root']}/{row['path']}", row["size"], row["sha256"])
        assert concluded(result) == (row["status"], row["verdict"], row["p_fake"])
        assert tool["uco-core:name"] == "fauxscan" and tool["uco-tool:version"]
        times = [datetime.fromisoformat(action[f"uco-action:{end}Time"]["@value"]) for end in ("start", "end")]
        assert times[0] < times[1] and times[0].tzinfo == UTC


def described(file: dict[str, Any]) -> tuple[Any, ...]:
    """Return the path, size and SHA-256 of a file in the graph."""
    facets = {facet["@type"]: facet for facet in file["uco-core:hasFacet"]}
    of_file, content = facets["uco-observable:FileFacet"], facets.get("uco-observable:ContentDataFacet")
    assert of_file["uco-observable:filePath"].endswith(of_file["uco-observable:fileName"])
    digest = content and content["uco-observable:hash"]
    assert digest is None or digest["uco-types:hashMethod"] == "SHA256"
    value = digest and digest["uco-types:hashValue"]["@value"]
    return of_file["uco-observable:filePath"], of_file.get("uco-observable:sizeInBytes"), value


def test_a_name_that_is_not_utf8_keeps_its_bytes(graph: list[dict[str, Any]]) -> None:
    tags = [
        node["uco-core:tag"]
        for node in graph
        if node["@type"] == "uco-observable:ObservableObject" and "uco-core:tag" in node
    ]
    assert tags == ["path_bytes:" + b"not utf-8 \xff.png".hex()]


def concluded(result: dict[str, Any]) -> tuple[Any, ...]:
    """Return the status, verdict and p_fake of a result in the graph."""
    tags = dict(tag.split(":", 1) for tag in result["uco-core:tag"])
    p_fake = None
    for facet in result.get("uco-core:hasFacet", ()):
        confidence = facet["uco-analysis:classification"]["uco-analysis:classificationConfidence"]
        assert confidence["@type"] == "xsd:decimal" and re.fullmatch(r"[0-9]+\.?[0-9]*", confidence["@value"])
        p_fake = float(confidence["@value"])
    return tags["status"], tags.get("verdict"), p_fake


@pytest.mark.parametrize("form", FORMATS)
def test_exports_of_the_same_tables_are_equal(form: str, results: Path, tmp_path: Path) -> None:
    assert exported(results, form, tmp_path / "one") == exported(results, form, tmp_path / "two")


@pytest.mark.parametrize("form", FORMATS)
def test_options_choose_files_as_those_of_latest_do(form: str, results: Path, tmp_path: Path) -> None:
    few = exported(results, form, tmp_path / "few", "--status", "unsupported", "--root", latest(results)[0]["root"])
    unsupported = [row["path"] for row in latest(results) if row["status"] == Status.UNSUPPORTED]
    assert unsupported and all(path in few for path in unsupported) and "face.jpg" not in few
    assert exported(results, form, tmp_path / "all").count("\n") > few.count("\n")


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_without_files_is_still_valid(form: str, results: Path, tmp_path: Path) -> None:
    text = exported(results, form, tmp_path / "none", "--status", "timeout")
    if form == "case":
        assert json.loads(text)["@graph"] == []
    else:
        assert text == ("" if form == "jsonl" else ",".join(queries.latest(results).schema.names) + "\n")


def test_an_error_leaves_the_earlier_export(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    before = exported(results, "csv", out)
    assert cli.run(["export", str(results), "--format", "csv", "--out", str(out), "--root", "elsewhere"]) == 3
    assert "elsewhere was not scanned into" in capsys.readouterr().err
    assert cli.run(["export", str(tmp_path), "--format", "csv", "--out", str(out)]) == 3
    assert cli.run(["export", str(results), "--format", "csv", "--out", str(tmp_path / "no" / "out.csv")]) == 3
    assert "No such file or directory" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == before and [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_write_that_fails_half_way_leaves_the_earlier_export(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    before = exported(results, "jsonl", out)
    with queries.open_tables(results) as tables:
        tables.con.close()
        with pytest.raises(Exception, match="Connection"):
            write.write(tables, "jsonl", out, None, None, ())
    assert out.read_text(encoding="utf-8") == before


def test_a_run_in_progress_has_neither_times_nor_a_version(results: Path) -> None:
    row = latest(results)[0]
    tool, file, action, result = json.loads("".join(case.lines([row], {})))["@graph"]
    assert "uco-tool:version" not in tool and not [term for term in action if term.endswith("Time")]
    assert action["uco-action:object"] == {"@id": file["@id"]} and action["uco-action:result"] == {"@id": result["@id"]}


@pytest.mark.parametrize(("p_fake", "text"), [(1e-9, "0.000000001"), (0.25, "0.25"), (1.0, "1.0"), (0.0, "0.0")])
def test_probabilities_are_written_without_an_exponent(p_fake: float, text: str, results: Path) -> None:
    judged = next(row for row in latest(results) if row["p_fake"] is not None)
    written = "".join(case.lines([{**judged, "p_fake": p_fake}], {}))
    assert f'{{"@type": "xsd:decimal", "@value": "{text}"}}' in written
