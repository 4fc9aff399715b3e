"""How the images of a dataset are re-encoded: all in one way, or each in a way that is drawn from ranges."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from fauxscan.records import Strict


class ReencodeParams(Strict):
    """One format, size and quality for both classes, so that the file itself does not reveal the class."""

    size: int = Field(ge=16)  # pixels: side of the square that whole images are resized to
    jpeg_quality: int = Field(ge=1, le=100)  # of the JPEG that each image and face crop becomes


def _as_range(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


def _in_order(ends: tuple[int, int]) -> tuple[int, int]:
    if ends[0] > ends[1]:
        raise ValueError(f"the range [{ends[0]}, {ends[1]}] begins with its larger end: write [{ends[1]}, {ends[0]}]")
    return ends


Ends = (BeforeValidator(_as_range), AfterValidator(_in_order))
Sizes = Annotated[tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]], *Ends]
Qualities = Annotated[tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=1, le=100)]], *Ends]


class RandomReencodeParams(Strict):
    """The ranges that the size and quality of each file are drawn from, for both classes alike, ends included.

    The chroma sampling is drawn too.
    """

    size: Sizes
    jpeg_quality: Qualities


def _of_its_kind(value: Any) -> Any:
    """Return the record that a mapping describes: one with a range in it is random."""
    if not isinstance(value, dict):
        return value
    is_random = any(isinstance(one, list | tuple) for one in value.values())
    return (RandomReencodeParams if is_random else ReencodeParams).model_validate(value)


Reencoding = Annotated[ReencodeParams | RandomReencodeParams | None, BeforeValidator(_of_its_kind)]
