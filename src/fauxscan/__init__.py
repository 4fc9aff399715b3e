"""Find synthetic and manipulated faces in images and videos: library and command line."""
