"""What to do about files that could not be judged."""

from fauxscan.records import Status

REMEDIES = {
    Status.NO_FACE: "The models look at faces, and none was found. Look at the file yourself, or scan with a model "
    "that looks at whole images.",
    Status.TOO_SMALL: "Find a larger copy of the picture. A lower `faces.min_size` would let it in, but models say "
    "little about so few pixels.",
    Status.TOO_LARGE: "Raise the limit that the reason names (`media.max_bytes`, `media.max_pixels` or "
    "`scan.decoder_bytes`) if you trust the file, and scan again.",
    Status.TRUNCATED: "The file ends early. Get a complete copy; the next scan judges it.",
    Status.CORRUPT: "No viewer can be expected to show it. Get another copy. If you have reason to think that it was "
    "damaged on purpose, keep it as it is.",
    Status.UNSUPPORTED: "It is neither an image nor a video of a known kind, or a link that is not followed. Convert "
    "it without loss, or pass `--links inside`.",
    Status.UNREADABLE: "Check that it exists and that you may read it. Every scan tries it again.",
    Status.CHANGED_DURING_READ: "Something was writing to it. Every scan tries it again.",
    Status.TIMEOUT: "Raise `scan.seconds_per_file`, or scan when the machine is less busy. Every scan tries it again.",
    Status.CRASHED: "It crashed the decoder twice, and no scan tries it again. Treat it as hostile: open it only in a "
    "machine that you can throw away.",
    Status.INVALID_SCORE: "A model gave no number for it. Run `fauxscan doctor`, and report the file if the models are "
    "whole.",
}


def remedy(status: str) -> str:
    """Return what to do about a file with a status."""
    return REMEDIES.get(Status(status), "")
