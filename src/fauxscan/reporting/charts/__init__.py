"""Charts as SVG: functions that turn numbers into a drawing with text of 12 pixels, in the colours of the page."""
