"""Find synthetic and manipulated faces in images and videos: library and command line."""

import lazy_loader

# The public names are in `__init__.pyi`; each is imported when it is first used, so `import fauxscan` loads little.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
