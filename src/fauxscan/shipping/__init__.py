"""From a finished model or ensemble with its evaluations to a model set that can ship with fauxscan."""
