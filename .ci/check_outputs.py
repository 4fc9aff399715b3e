"""Check that `make repro` left what the README promises, well formed. Run from the project's folder."""

import json
import sys
from pathlib import Path

import pandas as pd
import yaml

PARAMS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
SCORES = {"sha256", "model", "model_digest", "frame", "time_s", "track", "face", "x", "y", "w", "h", "logit", "p_fake"}


def complaints() -> list[str]:
    """Return what is missing or malformed."""
    found = []
    for name in PARAMS["datasets"]:
        audit = json.loads(Path(f"data/{name}/audit.json").read_text(encoding="utf-8"))
        found += [f"{name}: {kind} leak" for kind, leaks in audit["leaks"].items() if leaks]
        found += [f"{name}: {trait} tells the label" for trait, auc in audit["shortcut_auc"].items() if auc > 0.6]
    for name in PARAMS["models"]:
        card = json.loads(Path(f"models/{name}/card.json").read_text(encoding="utf-8"))
        found += [f"{name}: not calibrated"] * (card["calibration"] is None)
        mixture = json.loads(Path(f"mixtures/{name}.json").read_text(encoding="utf-8"))
        listed = [dataset["name"] for dataset in card["trained_on"]["datasets"]]
        found += [f"{name}: the card lists other datasets than its mixture"] * (listed != list(mixture["datasets"]))
    table = pd.read_parquet("reports/evaluation.parquet")
    expected = {f"{name}-{model['dataset']}" for name, model in PARAMS["models"].items()} | set(PARAMS["evaluations"])
    found += [f"{name}: not evaluated" for name in expected - set(table["evaluation"])]
    inside = (table["auc_low"] <= table["auc"]) & (table["auc"] <= table["auc_high"])
    found += ["an AUC lies outside its interval"] * (not inside.all())
    for name in PARAMS["scores"]:
        scores, media = (pd.read_parquet(f"scores/{name}/{kind}.parquet") for kind in ("scores", "media"))
        found += [f"scores/{name} lacks {SCORES - set(scores)}"] * bool(SCORES - set(scores))
        found += [f"scores/{name}: p_fake outside 0..1"] * (not media["p_fake"].dropna().between(0, 1).all())
        found += [f"scores/{name}: nothing judged"] * media["p_fake"].dropna().empty
    found += ["no page"] * ("<svg" not in Path("reports/report.html").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit("\n".join(complaints()) or 0)
