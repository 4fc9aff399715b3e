"""Images: headers, decoding, resizing, re-encoding, and the pixels that a model is given."""
