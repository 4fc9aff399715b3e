"""Images and videos: safe decoding, pixels, and the one resizer that training and scanning share."""
