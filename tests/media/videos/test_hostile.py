"""Hostile videos: cut anywhere, coded as nobody does, larger inside than outside."""

import struct

import pytest
from support.hostile import CLIPS, clip, content

from fauxscan.media import files
from fauxscan.media.videos import reader, truncation
from fauxscan.params import MediaParams, Params
from fauxscan.records import Kind, MediaError, Status


def shown(data: bytes, media: MediaParams) -> int:
    """How many frames are looked at."""
    kind, form = files.identify(data[:64])
    assert kind is Kind.VIDEO
    return len(list(reader.read_frames(content(data).handle, form, media)))


def refusal(data: bytes, media: MediaParams) -> Status:
    with pytest.raises(MediaError) as caught:
        shown(data, media)
    assert caught.value.detail and " at 0x" not in caught.value.detail
    return caught.value.status


@pytest.mark.parametrize(("codec", "form"), CLIPS)
def test_a_video_that_is_cut_is_never_taken_for_a_whole_one(codec: str, form: str, settings: Params) -> None:
    data = clip(codec, form, count=30)
    assert shown(data, settings.media) == 2
    for percent in (*range(3, 99, 5), 97, 98, 99):
        cut = data[: len(data) * percent // 100]
        assert refusal(cut, settings.media) in (Status.TRUNCATED, Status.CORRUPT), percent


@pytest.mark.parametrize("form", ["mp4", "matroska", "avi"])
def test_what_lies_behind_a_whole_video_is_no_fault_of_it(form: str, settings: Params) -> None:
    data = clip("libx264", form)
    assert shown(data + b"\0\0\0\x20junk" + bytes(40), settings.media) == 1


def test_a_live_recording_does_not_say_where_it_ends(settings: Params) -> None:
    data = clip("libx264", "matroska")
    at = data.index(truncation.SEGMENT) + 4
    live = data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 :]
    assert shown(live, settings.media) == 1
    at = live.index(b"\x44\x89\x88")  # the element Duration: it has none either
    assert shown(live[:at] + b"\xec\x89" + bytes(9) + live[at + 11 :], settings.media) == 1


def test_boxes_without_end_do_not_keep_us(settings: Params) -> None:
    data = struct.pack(">I4s", 8, b"free") * 200_000
    assert refusal(data, settings.media) is Status.CORRUPT


def test_only_codecs_on_the_list_are_decoded(settings: Params) -> None:
    assert refusal(clip("snow", "avi"), settings.media) is Status.UNSUPPORTED
    unknown = clip("libx264", "mp4").replace(b"avc1", b"zzzz")
    assert refusal(unknown, settings.media) is Status.UNSUPPORTED


def test_a_video_that_is_larger_inside_than_its_container_says_is_too_large(settings: Params) -> None:
    data = clip("libx264", "mp4")
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    assert struct.unpack(">HH", data[at : at + 4]) == (64, 48)
    lying = data[:at] + struct.pack(">HH", 16, 16) + data[at + 4 :]
    assert shown(lying, settings.media) == 1  # whose pictures are 64x48
    small = settings.media.model_copy(update={"max_pixels": 16 * 16})
    assert refusal(lying, small) in (Status.TOO_LARGE, Status.CORRUPT)
    with pytest.raises(MediaError):  # while it is opened, which decodes a frame, and not only after
        reader.probe_video(content(lying).handle, "mov", small)
