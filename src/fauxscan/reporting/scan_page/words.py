"""The sentences of the page: what verdicts mean, and what to do about files that could not be judged."""

from collections.abc import Mapping

from fauxscan.records import Status, Verdict

VERDICTS: Mapping[str, str] = {
    Verdict.LIKELY_SYNTHETIC: "The score is above the threshold that few real files of the calibration reach. It is a "
    "reason to look closer, and no proof.",
    Verdict.UNCERTAIN: "The score allows no conclusion either way.",
    Verdict.NO_INDICATION: "The score is below the threshold that few fakes of the calibration stay under. It does not "
    "show that the file is real.",
}
REMEDIES: Mapping[str, str] = {
    Status.NO_FACE: "No face was found. To judge whole images, scan with --faces whole and a model that looks at them.",
    Status.TOO_SMALL: "The image is too small to be judged. Look for a larger copy.",
    Status.TOO_LARGE: "The file exceeds a limit. Raise the limit that the detail names, if the file is trusted.",
    Status.TRUNCATED: "The file ends too early. Copy it again from its source.",
    Status.CORRUPT: "The file is damaged. Copy it again from its source.",
    Status.UNSUPPORTED: "The file is not an image or video that fauxscan reads. Convert it, if it is one.",
    Status.UNREADABLE: "The file could not be read. Check its permissions and the disk, then scan again.",
    Status.CHANGED_DURING_READ: "The file changed while it was read. Scan again once it is complete.",
    Status.TIMEOUT: "Decoding took too long. Raise the limit that the detail names, if the file is trusted.",
    Status.CRASHED: "The decoder ended without a result, as hostile files make it do. Treat the file with care.",
    Status.INVALID_SCORE: "The model gave no number. Run `fauxscan doctor`, then scan again.",
}
