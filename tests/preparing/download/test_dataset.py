"""Transfers against a real server that misbehaves, archives that attack, checksums, and datasets put in place."""

import hashlib
import io
import json
import os
import signal
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from pathlib import Path

import multivolumefile
import py7zr
import pyarrow.parquet as pq
import pytest
from support.loopback import Handler, Server

from fauxscan import datasets, progress
from fauxscan.params import DatasetParams
from fauxscan.preparing.download import checksums, dataset, google_drive, sources, transfer, unpack
from fauxscan.records import Archive, UserError

DATA = os.urandom(3 << 20)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry after milliseconds."""
    monkeypatch.setattr(transfer, "PAUSE", 0.001)


# === Transfers ===


def test_a_connection_dropped_again_and_again_is_resumed_to_the_end(server: Server, tmp_path: Path) -> None:
    server.pages["/a.zip"] = lambda h: h.serve(DATA, drop_after=1_200_000, ETag='"1"')
    assert transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip") == f"{server.at}/a.zip"
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert [asked for _, asked in server.asked] == ["", "bytes=1200000-", "bytes=2400000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_a_later_run_resumes_where_an_earlier_one_gave_up(server: Server, tmp_path: Path) -> None:
    server.pages["/a.zip"] = lambda h: h.serve(DATA, drop_after=0 if h.headers.get("Range") else 99_999, ETag='"1"')
    with pytest.raises(UserError, match=r"gave up after 6 attempts without a new byte(.|\n)*Run again"):
        transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").stat().st_size == 99_999 and not (tmp_path / "a.zip").exists()
    server.pages["/a.zip"] = lambda h: h.serve(DATA, ETag='"1"')
    transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA and server.asked[-1][1] == "bytes=99999-"


@pytest.mark.parametrize("obeys", [True, False])
def test_a_file_that_changed_upstream_is_never_spliced(server: Server, tmp_path: Path, obeys: bool) -> None:
    server.pages["/a.zip"] = lambda h: h.serve(DATA, drop_after=0 if h.headers.get("Range") else 99_999, ETag='"1"')
    with pytest.raises(UserError):
        transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    later = DATA[::-1]

    def changed(h: Handler) -> None:
        if not obeys:  # a server that knows Range, but not If-Range
            del h.headers["If-Range"]
        h.serve(later, ETag='"2"')

    server.pages["/a.zip"] = changed
    transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == later


@pytest.mark.parametrize("validator", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_validator_a_file_is_downloaded_again(
    server: Server, tmp_path: Path, validator: dict[str, str]
) -> None:
    server.pages["/a.zip"] = lambda h: h.serve(DATA, drop_after=99 if len(server.asked) == 1 else None, **validator)
    transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA and [r for _, r in server.asked] == ["", ""]


def test_a_date_is_a_validator_too(server: Server, tmp_path: Path) -> None:
    day = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.pages["/a.zip"] = lambda h: h.serve(DATA, drop_after=2_000_000, Last_Modified=day, ETag='W/"weak"')
    transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA and server.asked[-1][1] == "bytes=2000000-"


def test_a_server_that_ignores_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    def ignores(h: Handler) -> None:
        h.answer(200, DATA[: 500 if len(server.asked) == 1 else None], announced=len(DATA), ETag='"1"')

    server.pages["/a.zip"] = ignores
    transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA and server.asked[1][1] == "bytes=500-"


def test_a_part_that_is_complete_is_recognised(server: Server, tmp_path: Path) -> None:
    address = f"{server.at}/a.zip"
    server.pages["/a.zip"] = lambda h: h.serve(DATA, ETag='"1"')
    (tmp_path / "a.zip.part").write_bytes(DATA)
    note = json.dumps({"address": address, "validator": '"1"', "total": None})
    (tmp_path / "a.zip.part.json").write_text(note)
    transfer.fetch([address], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA and server.asked == [("/a.zip", f"bytes={len(DATA)}-")]
    (tmp_path / "b.zip.part").write_bytes(DATA + b"more than there is")
    (tmp_path / "b.zip.part.json").write_text(note)
    transfer.fetch([address], tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == DATA


def test_a_server_that_announces_too_much_is_noticed(server: Server, tmp_path: Path) -> None:
    server.pages["/a.zip"] = lambda h: (
        h.answer(200, DATA, announced=len(DATA) + 10, ETag='"1"') if "Range" not in h.headers else h.serve(DATA)
    )
    transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    server.pages["/b.zip"] = lambda h: h.answer(200, DATA, announced=len(DATA) + 10)
    with pytest.raises(UserError, match="gave up after 6 attempts"):
        transfer.fetch([f"{server.at}/b.zip"], tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_a_server_that_announces_too_little_is_caught_by_the_published_length(server: Server, tmp_path: Path) -> None:
    server.pages["/a.zip"] = lambda h: h.answer(200, DATA, announced=1000)
    with pytest.raises(UserError, match=f"it has 1000 bytes, but {len(DATA)} are published"):
        transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip", size=len(DATA))

    def without_length(h: Handler) -> None:
        h.send_response(200)
        h.end_headers()
        h.wfile.write(DATA[:1000])

    server.pages["/a.zip"] = without_length
    with pytest.raises(UserError, match=f"received 1000 bytes, but {len(DATA)} are published"):
        transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip", size=len(DATA))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_server_is_retried(server: Server, tmp_path: Path, status: int) -> None:
    def busy(h: Handler) -> None:
        h.answer(status, b"", Retry_After="0") if len(server.asked) < 4 else h.serve(DATA)

    server.pages["/a.zip"] = busy
    transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA and len(server.asked) == 4


def test_mirrors_replace_addresses_that_fail(server: Server, tmp_path: Path) -> None:
    server.pages["/broken.zip"] = lambda h: h.answer(500, b"")
    server.pages["/page.zip"] = lambda h: h.answer(
        200, b"<html><style>p {}</style><p>Please <b>log in</b></p></html>", Content_Type="text/html; charset=utf-8"
    )
    server.pages["/packed.zip"] = lambda h: h.answer(200, b"?", Content_Encoding="gzip")
    server.pages["/good.zip"] = lambda h: h.serve(DATA)
    addresses = [f"{server.at}/{name}.zip" for name in ("gone", "broken", "page", "packed", "good")]
    assert transfer.fetch(addresses, tmp_path / "a.zip").endswith("/good.zip")
    asked = [path for path, _ in server.asked]
    assert asked.count("/gone.zip") == 1 and asked.count("/broken.zip") == transfer.MAX_ATTEMPTS + 1
    with pytest.raises(UserError) as error:
        transfer.fetch(addresses[:-1], tmp_path / "b.zip")
    assert "gone.zip: 404" in str(error.value) and "too many 500" in str(error.value)
    assert "a web page instead of a file: 'Please log in'" in str(error.value) and "gzip" in str(error.value)


def test_an_unreachable_server_is_an_error_with_instructions(tmp_path: Path, server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"cannot download a\.zip(.|\n)*set `archives` in params\.yaml to its folder"):
        transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")


def test_a_part_from_one_mirror_is_not_continued_from_another(server: Server, tmp_path: Path) -> None:
    server.pages["/a.zip"] = lambda h: h.serve(DATA, drop_after=0 if h.headers.get("Range") else 99_999, ETag='"1"')
    server.pages["/b.zip"] = lambda h: h.serve(DATA[::-1], ETag='"1"')
    transfer.fetch([f"{server.at}/a.zip", f"{server.at}/b.zip"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA[::-1] and server.asked[-1] == ("/b.zip", "")


# === Google Drive ===

SHARE = "https://drive.google.com/file/d/1ky465Gxe-7KYF5cheXgxHIkevJu7Ofbc/view?usp=sharing"
QUOTA = '<html><p class="uc-error-caption">Sorry</p><p class="uc-error-subcaption">Too many users have viewed it.</p>'


@pytest.fixture
def drive(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The loopback server in place of Google Drive."""
    monkeypatch.setattr(google_drive, "ENDPOINT", f"{server.at}/uc")
    return server


def test_drives_confirmation_page_is_passed_and_the_file_resumed(drive: Server, tmp_path: Path) -> None:
    form = (
        f'<html><form id="download-form" action="{drive.at}/download" method="get"><input type="hidden" name="id"'
        ' value="x"><input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="u"></form>'
    ).encode()

    def ask(h: Handler) -> None:
        h.answer(200, form, Content_Type="text/html; charset=utf-8", Set_Cookie="download_warning=t; Path=/")

    def give(h: Handler) -> None:
        assert "download_warning=t" in h.headers["Cookie"]
        named = 'attachment; filename="real.zip"'
        h.serve(DATA, drop_after=2_000_000, Content_Disposition=named, Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")

    drive.pages |= {"/uc": ask, "/download": give}
    assert transfer.fetch([SHARE], tmp_path / "real.zip") == SHARE
    assert (tmp_path / "real.zip").read_bytes() == DATA
    assert ("/download?id=x&confirm=t&uuid=u", "bytes=2000000-") in drive.asked
    assert drive.asked[0][0] == "/uc?id=1ky465Gxe-7KYF5cheXgxHIkevJu7Ofbc&export=download"


def test_drive_may_serve_a_file_directly(drive: Server, tmp_path: Path) -> None:
    drive.pages["/uc"] = lambda h: h.serve(DATA, Content_Disposition='attachment; filename="a.zip"')
    transfer.fetch(["https://drive.google.com/uc?id=1aJvpWIQ6G8fHwRCWRgrtKaKUQ8zaRLsK"], tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_drives_refusals_are_quoted_with_instructions(drive: Server, tmp_path: Path) -> None:
    drive.pages["/uc"] = lambda h: h.answer(200, QUOTA.encode(), Content_Type="text/html")
    with pytest.raises(
        UserError, match=r"Too many users have viewed it\. .*try again tomorrow, or download https://drive"
    ):
        transfer.fetch([SHARE], tmp_path / "a.zip")
    del drive.pages["/uc"]
    with pytest.raises(UserError, match="Google Drive answers 404"):
        transfer.fetch([SHARE], tmp_path / "a.zip")
    with pytest.raises(UserError, match="names no single file"):
        transfer.fetch(["https://drive.google.com/drive/folders/15E6NZr9vhsOfX_nkOtiYkIpWZwtpNi_7"], tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


# === Archives ===


def pack(path: Path, members: dict[str, bytes]) -> Path:
    """Write a zip, tar, gzipped tar or 7z of these members, by its suffix."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    elif path.suffix == ".7z":
        with py7zr.SevenZipFile(path, "w") as seven:
            seven.set_encoded_header_mode(False)  # in the clear, so that names can be planted
            for name, data in members.items():
                seven.writestr(data, "x" * len(name))
        rename_in_7z(path, list(members))
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
            for name, data in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def rename_in_7z(path: Path, names: list[str]) -> None:
    """Put names into a 7z that py7zr would refuse to write."""
    with py7zr.SevenZipFile(path, "r") as seven:
        assert len(seven.getnames()) == len(names)
    data = bytearray(path.read_bytes())
    offset, size, _ = struct.unpack_from("<QQL", data, 12)
    header = data[32 + offset : 32 + offset + size]
    for name in names:
        planted = ("x" * len(name) + "\0").encode("utf-16-le")
        at = header.find(planted)
        assert at >= 0, "the header is packed: cannot plant names"
        header[at : at + len(planted)] = (name + "\0").encode("utf-16-le")
    data[32 + offset :] = header
    struct.pack_into("<L", data, 28, zlib.crc32(header))
    struct.pack_into("<L", data, 8, zlib.crc32(data[12:32]))
    path.write_bytes(data)


KINDS = ("a.zip", "a.tar", "a.tar.gz", "a.7z")


@pytest.mark.parametrize("kind", KINDS)
def test_odd_names_are_unpacked(tmp_path: Path, kind: str) -> None:
    members = {"train:test/df/df00000.jpg": b"x", "train:test/real/é ü.jpg": b"y", "empty.txt": b"", "big": DATA}
    unpack.unpack(pack(tmp_path / kind, members), tmp_path / "out")
    found = {f.relative_to(tmp_path / "out").as_posix(): f.read_bytes() for f in (tmp_path / "out").rglob("*.*")}
    assert found == {name: data for name, data in members.items() if name != "big"}
    assert (tmp_path / "out" / "big").read_bytes() == DATA


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["../escaped", "/tmp/fauxscan-escaped", "a/../../escaped", "C:/escaped", "..\\escaped", "C:\\escaped"]
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(UserError, match=r"outside of its folder.*Refused as unsafe.*set `archives` to that folder"):
        unpack.unpack(pack(tmp_path / kind, {name: b"x"}), tmp_path / "out")
    assert sorted(file.name for file in tmp_path.rglob("*")) == [kind, "out"]
    assert not Path("/tmp/fauxscan-escaped").exists()


def linked(path: Path, to: str) -> Path:
    """Pack a symbolic link `link`, and a file to be written through it."""
    if path.suffix == ".zip":
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(link, to)
            archive.writestr("link/through", b"x")
    elif path.suffix == ".7z":
        (path.parent / "source").mkdir()
        (path.parent / "source" / "link").symlink_to(to)
        with py7zr.SevenZipFile(path, "w") as seven:
            seven.write(path.parent / "source" / "link", "link")
            seven.writestr(b"x", "link/through")
    else:
        with tarfile.open(path, "w") as tar:
            link_member = tarfile.TarInfo("link")
            link_member.type, link_member.linkname = tarfile.SYMTYPE, to
            tar.addfile(link_member)
            through = tarfile.TarInfo("link/through")
            through.size = 1
            tar.addfile(through, io.BytesIO(b"x"))
    return path


@pytest.mark.parametrize("kind", KINDS[:2] + KINDS[3:])
@pytest.mark.parametrize("to", ["outside", "/etc", "."])
def test_a_link_is_never_made_nor_written_through(tmp_path: Path, kind: str, to: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = str(outside) if to == "outside" else to
    with pytest.raises(UserError, match="link"):
        unpack.unpack(linked(tmp_path / kind, target), tmp_path / "out")
    assert not list(outside.iterdir()) and not list((tmp_path / "out").iterdir())


def test_hard_links_devices_and_name_clashes_are_refused(tmp_path: Path) -> None:
    for number, kind in enumerate((tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
        member = tarfile.TarInfo("thing")
        member.type, member.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
            tar.addfile(member)
        with pytest.raises(UserError, match="a link or a device"):
            unpack.unpack(tmp_path / f"{number}.tar", tmp_path / "out")
    for members in ({"a": b"x", "a/b": b"y"}, {"a/b": b"y", "a": b"x"}):
        with pytest.raises(UserError, match="both as a file and as a folder"):
            unpack.unpack(pack(tmp_path / "clash.zip", members), tmp_path / "out")


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> int:
    """The bytes that any small archive may unpack to: bombs need not be large for the test."""
    monkeypatch.setattr(unpack, "SMALL", 30_000)
    return 30_000 * unpack.MAX_EXPANSION


@pytest.mark.parametrize("kind", KINDS[:1] + KINDS[2:])
def test_a_bomb_is_refused(tmp_path: Path, kind: str, little_room: int) -> None:
    with pytest.raises(UserError, match="far more than any dataset"):
        unpack.unpack(pack(tmp_path / kind, {"zeros": bytes(little_room + 1)}), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("kind", ["a.tar.gz", "a.7z", "a.zip"])
def test_a_bomb_in_pieces_is_stopped_while_it_is_written(tmp_path: Path, kind: str, little_room: int) -> None:
    """No member alone announces too much."""
    file = pack(tmp_path / kind, {f"zeros{n}": bytes(little_room // 4) for n in range(6)})
    with pytest.raises(UserError, match="far more than any dataset"):
        unpack.unpack(file, tmp_path / "out")
    assert sum(f.stat().st_size for f in (tmp_path / "out").rglob("*")) <= little_room


def test_a_zip_that_lies_about_a_size_is_stopped_there(tmp_path: Path, little_room: int) -> None:
    file = pack(tmp_path / "a.zip", {"zeros": bytes(2 * little_room)})
    lie = struct.pack("<L", 1000)
    file.write_bytes(file.read_bytes().replace(struct.pack("<L", 2 * little_room), lie))
    with pytest.raises(UserError, match=r"a\.zip"):
        unpack.unpack(file, tmp_path / "out")
    assert sum(f.stat().st_size for f in (tmp_path / "out").rglob("*")) <= little_room


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_members_are_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_MEMBERS", 50)
    with pytest.raises(UserError, match="far more than any dataset"):
        unpack.unpack(pack(tmp_path / kind, {f"{n:03d}": b"" for n in range(50)}), tmp_path / "out")


@pytest.mark.slow
def test_a_million_members_are_refused(tmp_path: Path) -> None:
    """A central directory with a million entries, all of the one small file."""
    file = pack(tmp_path / "a.zip", {"0000000": b"x"})
    data = file.read_bytes()
    at = data.index(b"PK\x01\x02")
    entry, name = data[at : at + 46], data.index(b"PK\x05\x06")
    entries = b"".join(entry + f"{number:07d}".encode() for number in range(unpack.MAX_MEMBERS))
    count = unpack.MAX_MEMBERS
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(entries), at)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at + len(entries), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert name > at
    file.write_bytes(data[:at] + entries + end64 + locator + end)
    with pytest.raises(UserError, match="far more than any dataset"):
        unpack.unpack(file, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_archives_of_archives_are_refused(tmp_path: Path, little_room: int) -> None:
    inner = pack(tmp_path / "0.zip", {"a.jpg": b"x"}).read_bytes()
    for depth in range(4):
        inner = pack(tmp_path / "nest.zip", {f"{depth}.zip": inner}).read_bytes()
    with pytest.raises(UserError, match="archives and nothing else"):
        unpack.unpack(tmp_path / "nest.zip", tmp_path / "deep")
    leaf = pack(tmp_path / "leaf.zip", {"zeros": bytes(1 << 20)}).read_bytes()
    wide = pack(tmp_path / "42.zip", {f"lib {n}.zip": leaf for n in range(16)})
    with pytest.raises(UserError, match="archives and nothing else"):
        unpack.unpack(wide, tmp_path / "wide")
    bomb = pack(tmp_path / "bomb.zip", {"zeros": bytes(little_room + 1)}).read_bytes()
    with pytest.raises(UserError, match="far more"):  # what the inner one may write counts against the outer
        unpack.unpack(pack(tmp_path / "outer.zip", {"bomb.zip": bomb}), tmp_path / "inner")


def test_a_zip_in_a_7z_in_volumes_is_unpacked(tmp_path: Path) -> None:
    inner = pack(tmp_path / "progan_train.zip", {"cat/0_real/1.png": DATA, "cat/1_fake/1.png": b"f"}).read_bytes()
    with multivolumefile.MultiVolume(tmp_path / "progan_train.7z", "wb", volume=500_000, ext_digits=3) as volumes:
        stored = [{"id": py7zr.FILTER_COPY}]  # as published: the zip's end is then near the 7z's end
        with py7zr.SevenZipFile(volumes, "w", filters=stored) as seven:
            seven.writestr(inner, "progan_train.zip")
    parts = sorted(tmp_path.glob("*.7z.*"))
    assert len(parts) == 7 and unpack.first_volumes(parts) == parts[:1]
    unpack.unpack(parts[0], tmp_path / "out")
    found = sorted(f.relative_to(tmp_path / "out").as_posix() for f in (tmp_path / "out").rglob("*") if f.is_file())
    assert found == ["cat/0_real/1.png", "cat/1_fake/1.png"]
    assert (tmp_path / "out" / found[0]).read_bytes() == DATA
    parts[3].unlink()
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack.unpack(parts[0], tmp_path / "torn")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_is_an_error_with_instructions(tmp_path: Path, kind: str) -> None:
    file = pack(tmp_path / kind, {"x": DATA})
    file.write_bytes(file.read_bytes()[:-200_000])
    with pytest.raises(UserError, match=rf"{kind} cannot be unpacked.*Delete it and download it again"):
        unpack.unpack(file, tmp_path / "out")
    file.write_bytes(b"<html>not an archive</html>")
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack.unpack(file, tmp_path / "out")


def test_unpacking_never_writes_into_a_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "mine", tmp_path / "out" / "a.jpg")
    unpack.unpack(pack(tmp_path / "a.zip", {"a.jpg": b"theirs"}), tmp_path / "out")
    assert (tmp_path / "mine").read_text() == "mine" and (tmp_path / "out" / "a.jpg").read_bytes() == b"theirs"


def test_real_archives_unpack(real_data: Path, tmp_path: Path) -> None:
    unpack.unpack(real_data / "hostile" / "pngsuite.zip", tmp_path / "png")
    assert sum(file.is_file() for file in (tmp_path / "png").rglob("*")) == 177


# === Checksums ===


def entry(archives: str | Path | None) -> DatasetParams:
    return DatasetParams(name="stylegan_ffhq", archives=None if archives is None else str(archives))


def download(folder: Path, into: Path) -> None:
    """Run the stage `download`."""
    dataset.download(entry(folder), 1, into / "fetched", into / "media", into / "index.parquet")


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A folder with the two archives of a dataset that publishes no checksums."""
    (tmp_path / "local").mkdir()
    pack(tmp_path / "local" / "real.zip", {"real/1.jpg": b"real"})
    pack(tmp_path / "local" / "stylegan.zip", {"stylegan/1.jpg": b"fake"})
    return tmp_path / "local"


def test_the_checksum_of_an_archive_is_recorded_at_first_use_and_verified_later(local: Path, tmp_path: Path) -> None:
    download(local, tmp_path)
    kept = checksums.read_checksums(tmp_path / "fetched")
    assert set(kept) == {"real.zip", "stylegan_05psi.zip"}
    assert kept["real.zip"].source == str(local / "real.zip")
    download(local, tmp_path)
    pack(local / "real.zip", {"real/1.jpg": b"another"})
    with pytest.raises(
        UserError, match=r"not the real\.zip that was first used here.*delete its entry in .*checksums\.json"
    ):
        download(local, tmp_path)
    (tmp_path / "fetched" / "checksums.json").write_text("{")
    with pytest.raises(UserError, match=r"checksums\.json cannot be read.*delete it to record checksums anew"):
        download(local, tmp_path)


def test_checksums_that_an_earlier_release_recorded_still_hold(local: Path, tmp_path: Path) -> None:
    download(local, tmp_path)
    recorded = (tmp_path / "fetched" / "checksums.json").rename(tmp_path / "fetched" / "pins.json")
    download(local, tmp_path)
    assert (tmp_path / "fetched" / "checksums.json").read_text() == recorded.read_text()
    (tmp_path / "fetched" / "checksums.json").unlink()
    pack(local / "real.zip", {"real/1.jpg": b"another"})
    with pytest.raises(
        UserError, match=r"not the real\.zip that was first used here.*delete its entry in .*pins\.json"
    ):
        download(local, tmp_path)


def test_the_checksum_of_an_archive_that_cannot_be_unpacked_is_not_recorded(local: Path, tmp_path: Path) -> None:
    whole = (local / "real.zip").read_bytes()
    (local / "real.zip").write_bytes(whole[:-30])
    with pytest.raises(UserError, match="cannot be unpacked"):
        download(local, tmp_path)
    assert not checksums.read_checksums(tmp_path / "fetched")
    (local / "real.zip").write_bytes(whole)
    download(local, tmp_path)


@pytest.mark.parametrize("digits", [64, 8])
def test_a_published_checksum_or_its_first_digits_are_verified(local: Path, tmp_path: Path, digits: int) -> None:
    data = (local / "real.zip").read_bytes()
    sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
    checksums.verify(local / "real.zip", Archive("real.zip", sha256=sha256[:digits], md5=md5), "here", tmp_path)
    with pytest.raises(UserError, match=rf"is not the published real\.zip: its MD5 is {md5}, expected 000"):
        checksums.verify(local / "real.zip", Archive("real.zip", md5="0" * 32), "here", tmp_path)
    with pytest.raises(UserError, match=r"is not the published real\.zip: its SHA-256 is .*, expected 000"):
        checksums.verify(local / "real.zip", Archive("real.zip", sha256="0" * digits), "here", tmp_path)


# === The stage, over the network ===


@pytest.fixture
def published(server: Server, local: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The dataset, published on loopback: the fakes at a mirror only."""
    module = datasets.get("stylegan_ffhq")
    real, fake = (local / name for name in ("real.zip", "stylegan.zip"))
    server.pages |= {
        "/real.zip": lambda h: h.serve(real.read_bytes(), drop_after=50, ETag='"r"'),
        "/mirror.zip": lambda h: h.serve(fake.read_bytes()),
    }
    listed = (
        Archive("real.zip", f"{server.at}/real.zip"),
        Archive("stylegan_05psi.zip", f"{server.at}/gone.zip", mirrors=(f"{server.at}/mirror.zip",)),
    )
    monkeypatch.setattr(module, "archives", lambda: listed)
    return server


def test_a_dataset_is_downloaded_unpacked_and_indexed(published: Server, tmp_path: Path) -> None:
    dataset.download(entry(None), 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")
    assert sorted(pq.read_table(tmp_path / "i.parquet")["path"].to_pylist()) == ["real/1.jpg", "stylegan/1.jpg"]
    assert checksums.read_checksums(tmp_path / "f")["stylegan_05psi.zip"].source == f"{published.at}/mirror.zip"
    asked = len(published.asked)
    dataset.download(entry(None), 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")
    assert len(published.asked) == asked  # downloads are kept


def test_one_error_lists_everything_that_cannot_be_downloaded(published: Server, tmp_path: Path) -> None:
    published.pages.clear()
    with pytest.raises(
        UserError, match=r"cannot download real\.zip(.|\n)*cannot download stylegan_05psi\.zip"
    ) as error:
        dataset.download(entry(None), 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")
    assert str(error.value).count("404") == 3


def test_a_changed_file_upstream_is_refused(published: Server, tmp_path: Path) -> None:
    dataset.download(entry(None), 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")
    (tmp_path / "f" / "real.zip").unlink()
    other = pack(tmp_path / "other.zip", {"real/1.jpg": b"other"}).read_bytes()
    published.pages["/real.zip"] = lambda h: h.serve(other)
    with pytest.raises(UserError, match=r"not the real\.zip that was first used here"):
        dataset.download(entry(None), 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")


@pytest.mark.timeout(30)
def test_ctrl_c_ends_a_long_transfer(published: Server, tmp_path: Path) -> None:
    """Ctrl-C does not wait for the end of an archive."""
    begun, ended = threading.Event(), threading.Event()

    def endless(h: Handler) -> None:
        h.send_response(200)
        h.send_header("ETag", '"r"')
        h.end_headers()
        begun.set()
        while not ended.wait(0.01):  # a busy server would keep the interpreter from the one who is interrupted
            h.wfile.write(b"x" * 1000)

    published.pages["/real.zip"] = endless
    main = threading.main_thread().ident or 0
    threading.Thread(target=lambda: (begun.wait(), signal.pthread_kill(main, signal.SIGINT)), daemon=True).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            dataset.download(entry(None), 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")
    finally:
        signal.signal(signal.SIGINT, before)
        ended.set()
    assert (tmp_path / "f" / "real.zip.part").is_file()


def test_an_address_in_params_is_tried_with_every_name(
    published: Server, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "HTTPS", "http://")  # the loopback server has no certificate
    listed = (Archive("real.zip", "https://example.org/real.zip"), Archive("s.zip", aliases=("stylegan.zip",)))
    monkeypatch.setattr(datasets.get("stylegan_ffhq"), "archives", lambda: listed)
    published.pages["/mine/real.zip"] = lambda h: h.serve((local / "real.zip").read_bytes())
    published.pages["/mine/stylegan.zip"] = lambda h: h.serve((local / "stylegan.zip").read_bytes())
    dataset.download(entry(f"{published.at}/mine/"), 1, tmp_path / "f", tmp_path / "m", tmp_path / "i.parquet")
    assert pq.read_table(tmp_path / "i.parquet").num_rows == 2
    assert checksums.read_checksums(tmp_path / "f")["s.zip"].source == f"{published.at}/mine/stylegan.zip"


def test_where_there_is_no_terminal_progress_is_lines_of_the_log(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    server.pages["/a.zip"] = lambda h: h.serve(DATA, drop_after=2_000_000, ETag='"1"')
    with caplog.at_level("INFO"):
        transfer.fetch([f"{server.at}/a.zip"], tmp_path / "a.zip")
    assert "a.zip: 3 of 3 MB" in caplog.text and "Resuming from byte 2000000" in caplog.text
    assert f"Downloaded a.zip: {len(DATA)} bytes from {server.at}" in caplog.text
