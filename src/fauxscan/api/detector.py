"""Judge single images and videos: files, bytes, Pillow images and arrays."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fauxscan import params as parameters
from fauxscan.installation.requirements import checked_installation
from fauxscan.media.images import codec
from fauxscan.params import Params
from fauxscan.records import Framing, InputError, ParamsError, Status
from fauxscan.records import Verdict as Conclusion
from fauxscan.scanning import settings
from fauxscan.scanning.engine import outcomes
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inputs import addresses
from fauxscan.scanning.rows import Outcome

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Source: TypeAlias = "str | os.PathLike[str] | bytes | PillowImage | NDArray[np.uint8]"
Models = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
ParamsLike = str | os.PathLike[str] | Params | None


@dataclass(frozen=True)
class Verdict:
    """What fauxscan concludes about one image or video. The fields mean what the columns of the tables mean."""

    verdict: Conclusion | None  # None if it was not judged; see `status`
    p_fake: float | None  # calibrated probability that it is fake
    status: Status
    detail: str | None  # why it was not judged or is uncertain, and what else is worth knowing
    faces: int | None  # faces found; None if no model looks at faces
    logits: Mapping[str, float]  # of each model, over the whole image or video


class Detector:
    """Models that are loaded once and judge many files: `with Detector() as detector: ...`.

    `models` names model sets such as "fast", folders of models, or one of an ensemble. Default: as for `fauxscan scan`,
    those of params.yaml, or the set "fast". `faces` is "auto", "detect" or "whole", as for
    `fauxscan scan`. `params` is a parameter file or the parameters themselves; by default, params.yaml of the current
    folder is read, or the built-in values are used. Raise ModelError, ParamsError, MissingExtraError and PlatformError.
    """

    @checked_installation()
    def __init__(self, models: Models | None = None, *, faces: Framing = "auto", params: ParamsLike = None) -> None:
        self._engine = Engine(read_settings(models, faces, params))

    def __enter__(self) -> Self:
        """Begin to judge."""
        self._engine.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes that decode, and let go of the models."""
        self._engine.__exit__(kind, error, trace)

    def judge(self, source: Source) -> Verdict:
        """Return the verdict on a file, bytes, a Pillow image or an RGB array (height, width, 3) of uint8.

        If the file itself is at fault, the verdict's status says so. Raise InputError for an address, and for a source
        of another kind.
        """
        return self.judge_all([source])[0]

    def judge_all(self, sources: Sequence[Source]) -> list[Verdict]:
        """Return the verdicts on several sources, in their order, which is faster than one by one."""
        return [_verdict(outcome) for outcome in self._engine.check([_bytes_or_path(source) for source in sources])]


def check(
    source: Source, models: Models | None = None, *, faces: Framing = "auto", params: ParamsLike = None
) -> Verdict:
    """Return the verdict on one image or video. For several, a `Detector` is faster. Raise what `Detector` raises."""
    with Detector(models, faces=faces, params=params) as detector:
        return detector.judge(source)


def read_settings(models: Models | None, faces: Framing, params: ParamsLike) -> settings.Settings:
    """Return the settings of the models and parameters that are named. Raise ModelError and ParamsError."""
    if faces not in get_args(Framing):
        raise ParamsError(f"faces is {faces!r}: use one of {', '.join(get_args(Framing))}")
    named = [models] if isinstance(models, str | os.PathLike) else models or ()
    given = params if isinstance(params, Params) else parameters.load(None if params is None else Path(params))
    return settings.read(given, named, faces)


def _verdict(outcome: Outcome) -> Verdict:
    logits = outcomes.media_logits(outcome.scores) if outcome.verdict else {}
    concluded = None if outcome.verdict is None else Conclusion(outcome.verdict)
    return Verdict(concluded, outcome.p_fake, Status(outcome.status), outcome.detail, outcome.faces, logits)


def _bytes_or_path(source: Source) -> Path | bytes:
    """Return what the engine accepts. Pixels become a PNG, which is decoded like any other."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str):
        return addresses.local_file(source)
    if isinstance(source, os.PathLike):
        return Path(source)
    return codec.encode_png(_checked(source) if isinstance(source, np.ndarray) else _pixels(source))


def _checked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(f"an array must be RGB, (height, width, 3) of uint8, not {pixels.shape} of {pixels.dtype}")
    return pixels


def _pixels(image: "PillowImage") -> NDArray[np.uint8]:
    """Return the RGB pixels of a Pillow image as viewers show them."""
    from PIL import Image, ImageOps

    if not isinstance(image, Image.Image):
        raise InputError(f"a path, bytes, a Pillow image or an array is needed, not {type(image).__name__}")
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
