"""The recipe that a model is trained by: that of its detector's card, with what the model changes."""

from fauxscan import detectors
from fauxscan.params import StudentParams, TrainedParams
from fauxscan.records import DetectorCard, Recipe, UserError, View

DECAY = frozenset({"decay_factor", "decay_steps"})
OVERRULED = (  # keys that a model sets -> the key of its card's recipe that would make them ineffective
    (frozenset({"epochs", "learning_rate"}), "phases"),
    (DECAY, "reduce_on_plateau"),
    (DECAY, "one_cycle"),
)


def recipe_of(model: TrainedParams) -> Recipe:
    """Return the detector's recipe with the model's changes. Raise UserError if the detector cannot follow it."""
    card: DetectorCard = detectors.get(model.detector).CARD
    defaults = card.recipe.model_dump()
    for keys, overruled in OVERRULED:
        if keys & set(model.recipe):
            del defaults[overruled]
    recipe = Recipe.model_validate({**defaults, **model.recipe})
    if recipe.decay_steps == 0 and recipe.decay_factor < 1 and not recipe.lowest_rate:
        raise UserError("with decay_steps 0 the steps are computed from lowest_rate: set lowest_rate above 0")
    if recipe.self_blended and card.looks_at is not View.FACE:
        _refuse_self_blending(card)
    if recipe.self_blended and isinstance(model, StudentParams):
        raise UserError("a student learns how its teacher judges stored images: leave self_blended out of its recipe")
    return recipe


def _refuse_self_blending(card: DetectorCard) -> None:
    of_faces = [name for name in detectors.names() if detectors.get(name).CARD.looks_at is View.FACE]
    raise UserError(
        f"{card.name} looks at whole images, and self-blending makes fakes of faces: choose one of"
        f" {', '.join(of_faces)}, or leave self_blended out of the recipe"
    )
