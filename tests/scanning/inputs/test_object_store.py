"""Scans of an S3-compatible server on loopback: the same tables as for folders, and the behaviour of stores alone."""

import json
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.scanning import (
    MediaDecoder,
    stub_cards,
    stub_engine,
    stub_ensemble,
    tiny_params,
    union,
    write_folder,
    write_many,
)
from support.scanning import write_params as write_numbers
from support.stores import ENVIRONMENT, Bucket, Google, StoreServer, broken, denied

from fauxscan import cli
from fauxscan.media import files
from fauxscan.records import MissingExtraError, UserError
from fauxscan.scanning import dry_run, scan, settings
from fauxscan.scanning.engine import engine as engines
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.history.plan import NOT_THERE
from fauxscan.scanning.inputs import addresses, filters, fsspec_store, object_store, roots, selection
from fauxscan.scanning.inputs.local import Walk
from fauxscan.scanning.inputs.object_store import Store, StoreWalk
from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.tables import parquet, queries, schemas

ROOT_COLUMNS = {"root": None, "mtime_ns": None, "etag": None}


def clear_file_systems() -> None:
    """Clear the file systems, with their servers and credentials, that s3fs keeps for the life of a process."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def store_server() -> Iterator[StoreServer]:
    """An S3-compatible server that s3fs finds through environment variables, as a user sets them."""
    with pytest.MonkeyPatch.context() as patch:
        server = StoreServer()
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.at}.items():
            patch.setenv(name, value)
        clear_file_systems()
        yield server
        server.stop()
    clear_file_systems()


@pytest.fixture
def store_environment() -> Iterator[pytest.MonkeyPatch]:
    """A patch of the environment that s3fs reads anew before and after the test."""
    with pytest.MonkeyPatch.context() as patch:
        clear_file_systems()
        yield patch
    clear_file_systems()


@pytest.fixture
def bucket(store_server: StoreServer) -> Iterator[Bucket]:
    """An empty bucket."""
    yield Bucket(store_server)
    store_server.before.clear()
    store_server.instead.clear()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine with one stub model that takes whole images."""
    return stub_engine(tmp_path / "models", only="wholes")


@pytest.fixture
def filled(bucket: Bucket, tmp_path: Path) -> Bucket:
    """A bucket with twelve images below `in`; the last five are copies of the first."""
    bucket.upload(write_many(tmp_path / "in", 12), "in/")
    return bucket


def scan_bucket(bucket: Bucket, engine: Engine, *names: str) -> scan.Summary:
    """Scan the objects below `in` and return the summary."""
    return scan.scan(roots.root_at(f"{bucket.address}/in"), results_of(engine), engine, None, names or ("",))


def results_of(engine: Engine) -> Path:
    """Return the results folder."""
    return engine.settings.folders[0].parent.parent / "results"


def rows(engine: Engine, run: scan.Summary | None = None) -> dict[str, dict[str, Any]]:
    """Return the last row of each object, or the rows of one run."""
    media = parquet.read(results_of(engine), schemas.MEDIA) if run else queries.latest(results_of(engine))
    return {row["path"]: row for row in media.to_pylist() if run is None or row["run_id"] == run.run_id}


def changes(engine: Engine, run: scan.Summary) -> dict[str, str]:
    """Return the change of each object in a run."""
    return {path: row["change"] for path, row in rows(engine, run).items()}


# === The same as for folders ===


def test_the_tables_are_those_of_the_same_files_in_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    folder, engine = write_folder(tmp_path / "in"), stub_engine(tmp_path / "models")
    for odd in ("a/pipe.jpg", "a/loop", "new\nline.png", os.fsdecode(b"not utf-8 \xff.png")):
        (folder / odd).unlink()  # stores cannot hold these, or moto's cannot
    bucket.upload(folder, "deep/er/")
    scan.scan(folder, tmp_path / "of folder", engine)
    scan.scan(roots.root_at(f"{bucket.address}/deep/er/"), tmp_path / "of store", engine)
    (media, scores), (their_media, their_scores) = union(tmp_path / "of store"), union(tmp_path / "of folder")
    assert [row | ROOT_COLUMNS for row in media] == [row | ROOT_COLUMNS for row in their_media]
    assert scores == their_scores
    assert {row["root"] for row in media} == {f"{bucket.address}/deep/er"}
    assert all(row["mtime_ns"] is None and len(row["etag"]) == 32 for row in media)
    assert all(row["mtime_ns"] and row["etag"] is None for row in their_media)


def test_the_real_decoder_judges_objects_in_memory_and_in_temporary_files(
    filled: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(stub_engine(tmp_path / "models", only="wholes").settings, stub_ensemble)
    scan.scan(tmp_path / "in", tmp_path / "of folder", engine)
    monkeypatch.setattr(files, "WHOLE_IN_MEMORY", 8000)
    monkeypatch.setattr(files, "PIECE", 3000)
    sizes = [file.stat().st_size for file in (tmp_path / "in").iterdir()]
    assert min(sizes) < 8000 < max(sizes)
    with filled.reads() as read:
        scan_bucket(filled, engine)
    assert len(read) > 12  # the large ones in pieces
    (media, scores), (their_media, their_scores) = union(results_of(engine)), union(tmp_path / "of folder")
    assert [row | ROOT_COLUMNS for row in media] == [row | ROOT_COLUMNS for row in their_media]
    assert scores == their_scores


def test_objects_come_in_the_order_of_files_and_filters_mean_the_same(
    bucket: Bucket, tmp_path: Path, settings: Any
) -> None:
    names = [
        "b.png",
        "a/z.png",
        "a.png",
        "é.png",
        "B.png",
        "a/b/c.png",
        "z/.y.png",
        "\U0001f600.png",
        "a/b.txt",
        ".h/x",
    ]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    bucket.upload(tmp_path / "in")
    for options in ({}, {"exclude": ["a/b/", "*.txt"]}, {"include": ["*.png"], "hidden": False}, {"exclude": ["/a"]}):
        chosen = filters.read_filters(filters.add_filters(settings, **options).scan)
        for named in (("",), ("a", "z"), ("a.png", "a/b", "gone", ".h/x")):
            ours = StoreWalk(addresses.parse_address(bucket.address), named, chosen)
            theirs = Walk(tmp_path / "in", None, named, chosen)
            assert [entry.path for entry in ours] == [entry.path for entry in theirs]
            assert ours.missing == theirs.missing
            keys = [name.encode() for name in (*names, "gone", "gone/x")]
            assert [ours.covers(key) for key in keys] == [theirs.covers(key) for key in keys]


# === Changes that a second scan finds ===


def test_an_unchanged_bucket_costs_one_listing_and_no_reads(filled: Bucket, engine: Engine) -> None:
    assert scan_bucket(filled, engine).changes == {"new": 7, "copied": 5}
    for name in ("000.png", "001.png"):  # the same bytes again: a later time, the same etag
        filled.put(f"in/{name}", (results_of(engine).parent / "in" / name).read_bytes())
    start = len(filled.server.requests)
    again = scan_bucket(filled, Engine(engine.settings, lambda folders: pytest.fail("the models were loaded")))
    assert (again.changes, again.unchanged, again.unjudged) == ({}, 12, 0)
    assert filled.server.requests[start:] == [f"GET /{filled.name}"]


def test_changed_moved_copied_removed_and_new(filled: Bucket, engine: Engine) -> None:
    scan_bucket(filled, engine)
    before = rows(engine)
    whole = {name: (results_of(engine).parent / "in" / name).read_bytes() for name in before}
    etag = filled.put("in/000.png", whole["000.png"][:-30])
    filled.delete("in/003.png")
    filled.put("in/sub/moved.png", whole["003.png"])
    filled.put("in/copy.png", whole["004.png"])
    filled.delete("in/005.png")
    forecast = dry_run.forecast(roots.root_at(f"{filled.address}/in"), results_of(engine), engine.settings)
    assert (forecast.new, forecast.changed, forecast.gone, forecast.moved) == (2, 1, 2, 1)
    with filled.reads() as read:
        summary = scan_bucket(filled, engine)
    assert changes(engine, summary) == {
        "000.png": "changed",
        "003.png": "removed",
        "sub/moved.png": "moved",
        "copy.png": "copied",
        "005.png": "removed",
    }
    assert sorted(read) == ["in/000.png", "in/copy.png", "in/sub/moved.png"]
    after = rows(engine)
    assert (after["000.png"]["status"], after["000.png"]["etag"]) == ("truncated", etag)
    assert after["sub/moved.png"]["p_fake"] == before["003.png"]["p_fake"]


def test_a_new_etag_for_the_same_bytes_is_recorded_once_and_not_judged(filled: Bucket, engine: Engine) -> None:
    scan_bucket(filled, engine)
    data = (results_of(engine).parent / "in" / "001.png").read_bytes()
    part = {"Bucket": filled.name, "Key": "in/001.png"}
    upload = filled.client.create_multipart_upload(**part)["UploadId"]
    sent = filled.client.upload_part(**part, PartNumber=1, UploadId=upload, Body=data)
    parts = {"Parts": [{"ETag": sent["ETag"], "PartNumber": 1}]}
    filled.client.complete_multipart_upload(**part, UploadId=upload, MultipartUpload=parts)
    refuse = Engine(engine.settings, lambda folders: pytest.fail("the models were loaded"))
    assert changes(engine, scan_bucket(filled, refuse)) == {"001.png": "touched"}
    assert rows(engine)["001.png"]["etag"].endswith("-1")
    assert scan_bucket(filled, engine).changes == {}


def test_a_selection_leaves_other_objects_alone_and_missing_names_are_recorded(filled: Bucket, engine: Engine) -> None:
    scan_bucket(filled, engine)
    for name in ("000.png", "001.png", "002.png"):
        filled.delete(f"in/{name}")
    first = scan_bucket(filled, engine, "000.png", "003.png", "never.png")
    assert changes(engine, first) == {"000.png": "removed", "never.png": "new"}
    assert (rows(engine)["never.png"]["status"], rows(engine)["never.png"]["detail"]) == ("unreadable", NOT_THERE)
    assert scan_bucket(filled, engine, "000.png", "003.png", "never.png").changes == {}
    assert scan_bucket(filled, engine).changes == {"removed": 3}


# === Names ===

NAMES = [
    "../x.png", "a//b.png", "/lead.png", " .png", "**.png", "[a]?.png", "a+b %20&=#.png", "é composed.png",
    "e\u0301 composed.png", "\U0001f600.png", "C:\\a.png", "s3::x.png", "-rf.png", "$(x)'\".png", "\u202egnp.exe",
]  # fmt: skip


def test_every_key_is_read_unchanged(bucket: Bucket, engine: Engine, tmp_path: Path) -> None:
    images = [file.read_bytes() for file in sorted(write_many(tmp_path / "in", 20).iterdir())]
    for number, name in enumerate(NAMES):
        bucket.put(name, images[number])
    summary = scan.scan(roots.root_at(bucket.address), results_of(engine), engine)
    assert (summary.changes, summary.statuses["ok"]) == ({"new": len(NAMES)}, len(NAMES))
    assert set(rows(engine)) == set(NAMES)
    assert {row["size"] for row in rows(engine).values()} == {len(image) for image in images[: len(NAMES)]}
    assert scan.scan(roots.root_at(bucket.address), results_of(engine), engine).changes == {}
    only = selection.select([f"{bucket.address}/a//b.png", f"{bucket.address}/../x.png"])
    assert (only.root, only.names) == (roots.root_at(bucket.address), {"a//b.png", "../x.png"})


def test_placeholders_are_skipped_and_names_that_cannot_be_requested_have_rows(filled: Bucket, engine: Engine) -> None:
    for key in ("in/", "in/empty/", "in/sub/empty/"):
        filled.put(key, b"")
    filled.put("in/full/", b"something")
    filled.put("in/000.png?versionId=1", b"another object")
    summary = scan_bucket(filled, engine)
    assert (len(rows(engine)), summary.statuses["ok"], summary.statuses["unsupported"]) == (14, 12, 2)
    for name in ("full/", "000.png?versionId=1"):
        row = rows(engine)[name]
        assert (row["status"], row["detail"]) == ("unsupported", object_store.UNREADABLE_NAME)
    assert scan_bucket(filled, engine).changes == {}


def test_a_name_stands_for_an_object_or_else_for_all_objects_below_it(bucket: Bucket) -> None:
    for key in ("both", "both/x", "dir/y", "dir/z", "dirt"):
        bucket.put(key, b"data")
    address = addresses.parse_address(bucket.address)
    some = StoreWalk(address, ("both", "dir"))
    assert [entry.path for entry in some] == ["both", "dir/y", "dir/z"]
    assert [some.covers(key) for key in (b"both", b"both/x", b"dir/y", b"dirt")] == [True, False, True, False]
    for text, root, names in (
        ("both", "", {"both"}),
        ("both/", "/both", {""}),
        ("dir", "/dir", {""}),
        ("gone", "/gone", {""}),
        ("", "", {""}),
    ):
        found = selection.select([f"{bucket.address}/{text}"])
        assert (found.root.text, found.names) == (bucket.address + root, names)


def test_a_listing_of_several_pages(bucket: Bucket) -> None:
    from moto.s3.models import s3_backends

    backend = s3_backends["123456789012"]["aws"]
    for number in range(2100):
        backend.put_object(bucket.name, f"{number % 7}/{number:04d}", b"x")
    start = len(bucket.server.requests)
    found = [entry.path for entry in StoreWalk(addresses.parse_address(bucket.address))]
    assert found == sorted(f"{number % 7}/{number:04d}" for number in range(2100))
    assert len(bucket.server.requests) - start == 3


IN_C = """
import sys
from pathlib import Path
from fauxscan import params
from fauxscan.scanning.inputs import roots
root, numbers = roots.root_at(sys.argv[1]), params.load(Path(sys.argv[2]))
for entry in root.walk(Path("results"), ("",), numbers.scan):
    with root.open_entry(entry, numbers.media) as content:
        print(entry.key.hex(), content.size, content.etag == entry.etag, sys.getfilesystemencoding())
"""


def test_keys_are_the_same_in_every_locale(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("ä/ü.png", b"four")
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", IN_C, f"{bucket.address}/ä", str(write_numbers(tmp_path / "params.yaml"))]
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ü.png".encode().hex(), "4", "True", "ascii"]


# === A stub of Google Cloud Storage ===


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Google, StoreServer]]:
    """A stub of Google Cloud Storage, and its server."""
    # With this support, gcsfs makes gRPC requests, which the stub does not answer.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import fsspec.config
    import gcsfs

    application = Google()
    server = StoreServer(application)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.at)
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield application, server
    server.stop()
    gcsfs.GCSFileSystem.clear_instance_cache()


def test_google_objects_are_identified_by_md5_and_checked_again_after_reading(
    tmp_path: Path, engine: Engine, google: tuple[Google, StoreServer]
) -> None:
    store, server = google
    images = {file.name: file.read_bytes() for file in write_many(tmp_path / "in", 8).iterdir()}
    store.objects = {f"in/{name}": data for name, data in images.items()} | {"in/empty/": b"", "inside": b"x"}
    change = lambda: store.objects.update({"in/003.png": images["003.png"][::-1]})
    server.before["GET /download/storage/v1/b/b/o/in/003.png"] = change
    summary = scan.scan(roots.root_at("gs://b/in"), results_of(engine), engine)
    counts = {status: number for status, number in summary.statuses.items() if number}
    assert counts == {"ok": 7, "changed_during_read": 1}
    assert rows(engine)["000.png"]["etag"] == store.metadata("in/000.png")["md5Hash"]
    scan.scan(roots.root_at("gs://b/in"), results_of(engine), engine)
    start = len(server.requests)
    assert scan.scan(roots.root_at("gs://b/in"), results_of(engine), engine).unchanged == 8
    assert server.requests[start:] == ["GET /storage/v1/b/b/o"]


# === Errors of one object ===


def test_an_object_that_is_deleted_or_replaced_after_the_listing(filled: Bucket, engine: Engine) -> None:
    prefix, other = f"/{filled.name}/in/", (results_of(engine).parent / "in" / "006.png").read_bytes()[:-30]
    filled.server.before = {
        f"HEAD {prefix}000.png": lambda: filled.delete("in/000.png"),
        f"HEAD {prefix}001.png": lambda: filled.put("in/001.png", other),
        f"GET {prefix}002.png": lambda: filled.put("in/002.png", other),
        f"GET {prefix}003.png": lambda: filled.delete("in/003.png"),
    }
    scan_bucket(filled, engine)
    found = {name: (row["status"], row["detail"], row["sha256"] is None) for name, row in rows(engine).items()}
    assert found["000.png"] == found["003.png"] == ("unreadable", fsspec_store.NOT_FOUND, True)
    assert found["001.png"][0] == "truncated"  # replaced before it was opened: the new bytes are read
    assert found["002.png"] == ("changed_during_read", "it was replaced while it was read", True)
    second = scan_bucket(filled, engine)
    assert changes(engine, second) == {"000.png": "removed", "003.png": "removed", "002.png": "changed"}
    assert scan_bucket(filled, engine).changes == {}


def test_an_object_that_changes_between_two_pieces_is_not_judged(
    filled: Bucket, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "WHOLE_IN_MEMORY", 1000)
    monkeypatch.setattr(files, "PIECE", 3000)
    get, data = f"GET /{filled.name}/in/001.png", (results_of(engine).parent / "in" / "001.png").read_bytes()
    change = lambda: filled.put("in/001.png", data[::-1])  # of the same size
    filled.server.before[get] = lambda: filled.server.before.update({get: change})
    scan_bucket(filled, engine)
    assert rows(engine)["001.png"]["status"] == "changed_during_read"
    assert rows(engine)["001.png"]["etag"] is not None


@pytest.mark.parametrize("pinned", [True, False])
def test_a_store_without_conditional_reads_is_asked_again(
    filled: Bucket, engine: Engine, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    kind = addresses.KINDS["s3"]._replace(pinned=pinned)
    monkeypatch.setattr(addresses, "KINDS", {"s3": kind})
    start = len(filled.server.requests)
    scan_bucket(filled, engine, "001.png")
    heads = [request for request in filled.server.requests[start:] if request.startswith("HEAD")]
    assert len(heads) == (2 if pinned else 3)  # one each for lookup, opening, and the check after reading


def test_denied_broken_and_too_large_objects(filled: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    prefix, models = f"/{filled.name}/in/", stub_cards(tmp_path / "models")[1:]
    filled.put("in/large.png", b"x" * 100_000)
    numbers = tiny_params(media={"max_bytes": 99_999})
    engine = Engine(settings.read(numbers, models), stub_ensemble, MediaDecoder)
    instead = {f"HEAD {prefix}000.png": denied, f"GET {prefix}001.png": denied, f"GET {prefix}002.png": broken}
    filled.server.instead.update(instead)
    with filled.reads() as read:
        summary = scan_bucket(filled, engine)
    assert (summary.statuses["ok"], summary.statuses["unreadable"], summary.statuses["too_large"]) == (9, 3, 1)
    found = {name: (row["status"], row["detail"]) for name, row in rows(engine).items()}
    assert found["000.png"] == found["001.png"] == ("unreadable", "permission denied")
    assert found["002.png"][0] == "unreadable"
    assert found["large.png"] == ("too_large", "100000 bytes; the cap is media.max_bytes 99999")
    assert "in/large.png" not in read
    filled.server.instead.clear()
    assert scan_bucket(filled, engine).changes == {"changed": 3}


def test_objects_that_can_be_read_but_not_listed(filled: Bucket, engine: Engine) -> None:
    filled.server.instead[f"GET /{filled.name}"] = denied
    chosen = selection.select([f"{filled.address}/in/{name}.png" for name in ("000", "001")])
    assert scan.scan(chosen.root, results_of(engine), engine, None, chosen.names).statuses["ok"] == 2
    filled.server.instead[f"HEAD /{filled.name}/in/001.png"] = denied
    again = scan.scan(chosen.root, results_of(engine), engine, None, chosen.names)
    assert changes(engine, again) == {"001.png": "changed"}
    assert rows(engine)["001.png"]["detail"] == "permission denied"


def test_a_server_that_stops_ends_the_scan_and_the_next_scan_does_the_rest(
    store_server: StoreServer, tmp_path: Path, engine: Engine, store_environment: pytest.MonkeyPatch
) -> None:
    server = StoreServer()
    store_environment.setenv("AWS_ENDPOINT_URL", server.at)
    bucket = Bucket(server)
    bucket.upload(write_many(tmp_path / "in", 12), "in/")
    server.before[f"HEAD /{bucket.name}/in/007.png"] = server.stop
    with pytest.raises(ConnectionError, match=f"s3://{bucket.name} does not respond: EndpointConnectionError; see AWS"):
        scan_bucket(bucket, engine)
    with pytest.raises(UserError, match="/in cannot be listed: EndpointConnectionError; see AWS_PROFILE"):
        scan_bucket(bucket, engine)
    store_environment.setenv("AWS_ENDPOINT_URL", store_server.at)  # it runs again, at another address
    clear_file_systems()
    again = Bucket(store_server, bucket.name)
    again.upload(tmp_path / "in", "in/")
    assert scan_bucket(again, engine).statuses["ok"] == 12
    assert [row["status"] for row in rows(engine).values()] == 12 * ["ok"]


@pytest.mark.slow
def test_a_broken_connection_for_one_object_does_not_end_the_scan(filled: Bucket, engine: Engine) -> None:
    def break_connection(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return denied(environ, start_response)

    filled.server.instead[f"GET /{filled.name}/in/001.png"] = break_connection
    statuses = scan_bucket(filled, engine).statuses
    assert (statuses["ok"], statuses["unreadable"]) == (11, 1)


# === Errors of a store ===


def test_a_store_that_cannot_be_listed_ends_the_scan_with_advice(
    filled: Bucket, engine: Engine, store_environment: pytest.MonkeyPatch
) -> None:
    scan_bucket(filled, engine)
    with pytest.raises(UserError, match=r"s3://no-such-bucket/in cannot be listed: it does not exist; see AWS_PROFILE"):
        scan.scan(roots.root_at("s3://no-such-bucket/in"), results_of(engine), engine)
    with pytest.raises(UserError, match=r"no files under s3://.*/nowhere"):
        scan.scan(roots.root_at(f"{filled.address}/nowhere"), results_of(engine), engine)
    filled.server.instead[f"GET /{filled.name}"] = denied
    with pytest.raises(UserError, match="cannot be listed: permission denied; see AWS_PROFILE") as caught:
        scan_bucket(filled, engine)
    assert "secret" not in str(caught.value)
    clear_file_systems()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        store_environment.delenv(name)
    with pytest.raises(UserError, match="cannot be listed: NoCredentialsError; see AWS_PROFILE"):
        scan_bucket(filled, engine)
    assert len(rows(engine)) == 12


def test_a_missing_package_is_named_with_advice(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"s3:// needs s3fs: pip install .fauxscan\[s3\]"):
        scan.scan(roots.root_at("s3://bucket/in"), results_of(engine), engine)
    monkeypatch.setitem(sys.modules, "adlfs", None)
    with pytest.raises(UserError, match="az:// needs adlfs: install adlfs beside fauxscan"):
        scan.scan(roots.root_at("az://container/in"), results_of(engine), engine)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file:///etc", r"addresses that begin with file:// are not supported: name a folder, or one of s3://, gs://"),
        ("local:///etc", "begin with local://"),
        ("http://169.254.169.254/latest", "begin with http://"),
        ("ssh://host/etc", "begin with ssh://"),
        ("simplecache::s3://bucket/in", "begin with simplecache::s3://"),
        ("zip://x::s3://bucket/in.zip", "begin with zip://"),
        ("memory://in", "begin with memory://"),
        ("S3://bucket", "begin with S3://"),
        ("://bucket", "begin with ://"),
        ("s3:///in", "does not name a bucket: write s3://BUCKET/PREFIX"),
        ("s3://key:SECRET@bucket/in", r"s3://\.\.\.@ contains more than a bucket: pass credentials in AWS_PROFILE"),
    ],
)
def test_addresses_that_are_not_allowed(text: str, message: str) -> None:
    for parse in (
        roots.root_at,
        lambda text: selection.select([text]),
        lambda text: selection.select_below(text, ["a"]),
    ):
        with pytest.raises(UserError, match=message) as caught:
            parse(text)
        assert "SECRET" not in str(caught.value)


def test_addresses_and_paths_do_not_mix() -> None:
    for paths, root, message in (
        (["s3://one/a", "s3://two/a"], None, "several buckets"),
        (["s3://one/a", "here"], None, "here is a path, not an address"),
        (["here"], "s3://one", "here is a path, not an address"),
        (["s3://one/a"], "here", "here is a path, not an address"),
        (["s3://one/ab"], "s3://one/a", "s3://one/ab lies outside the root s3://one/a: "),
        ([], "s3://one/a", "nothing to scan"),
    ):
        with pytest.raises(UserError, match=message):
            selection.select(paths, root)


# === Processes, imports and commands ===


def test_a_root_can_be_handed_to_other_processes(filled: Bucket) -> None:
    root = roots.root_at(f"{filled.address}/in/")
    assert len(list(root.walk(Path(), ("",), tiny_params().scan))) == 12
    pickled = pickle.dumps(root)
    assert (pickle.loads(pickled), len(pickled) < 300) == (root, True)
    child = multiprocessing.get_context("fork").Process(target=exit_with_count, args=(root, 12))
    child.start()
    child.join(30)
    assert child.exitcode == 0


def exit_with_count(root: Store, count: int) -> None:
    """Walk through the root in a forked child, and exit with 0 if it contains so many objects.

    The child skips the clean-up of the interpreter: after a flow ran in the parent, Prefect 3.8.8 resets its log and
    event workers in the child and then fails on them at exit, so that every forked child would end with 1.
    """
    os._exit(len(list(root.walk(Path(), ("",), tiny_params().scan))) != count)


def test_selections_below_a_root() -> None:
    assert selection.select_below("s3://one/in/", ["a", "b/c"]).names == {"a", "b/c"}
    assert selection.select_below("s3://one/in", ["a"]).root == roots.root_at("s3://one/in/")
    assert selection.select_below("s3://one/in").names == {""}
    assert selection.select_below(os.path.dirname(__file__)).root == LocalFolder(Path(__file__).parent.resolve())


def test_a_local_scan_does_not_import_packages_for_stores(tmp_path: Path) -> None:
    code = (
        "import sys; from fauxscan import cli; from fauxscan.scanning import scan, dry_run;"
        "from fauxscan.scanning.inputs import selection; from fauxscan.scanning.engine import engine;"
        "selection.select([sys.argv[1]]); sys.exit(str(sorted({'fsspec', 's3fs', 'aiobotocore'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"


@pytest.fixture
def command(filled: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., Any]:
    """Return a function that runs a command with a stub model, and returns its JSON output or its error message."""
    write_numbers(tmp_path / "params.yaml")
    stub_cards(tmp_path / "models")
    monkeypatch.setattr(engines, "Engine", lambda settings: Engine(settings, stub_ensemble, MediaDecoder))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert cli.run([*arguments, "--results", "results", "--format", "json"]) == code
        output = capsys.readouterr()
        return output.err if code == 3 else json.loads(output.out)

    return run


def test_commands_take_addresses(filled: Bucket, command: Callable[..., Any]) -> None:
    root, scans = f"{filled.address}/in", ["--params", "params.yaml", "--models", "models/wholes"]
    assert command("scan", root, "--dry-run", *scans)["new"] == 12
    summary = command("scan", root, *scans)
    assert (summary["root"], summary["change_new"], summary["change_copied"]) == (root, 7, 5)
    assert command("scan", f"{root}/000.png", "--root", root, *scans)["unchanged"] == 1
    assert command("scan", f"{root}/000.png", f"{root}/001.png", *scans)["unchanged"] == 2
    filled.delete("in/000.png")
    command("scan", root, *scans)
    assert len(command("latest", "--root", f"{root}/")) == 11
    assert {row["root"] for row in command("top", "--root", root)} == {root}
    assert [row["change"] for row in command("history", f"{root}/000.png")] == ["new", "removed"]
    assert [row["difference"] for row in command("diff", "--root", root)] == ["removed"]


def test_results_cannot_be_in_a_store(filled: Bucket, command: Callable[..., Any], capsys: Any) -> None:
    arguments = ["scan", f"{filled.address}/in", "--params", "params.yaml", "--models", "models/wholes", "--results"]
    assert cli.run([*arguments, "s3://bucket/results"]) == 3
    assert "s3:// is only for what is scanned: name a local or shared folder" in capsys.readouterr().err
    assert not Path("s3:").exists()
