"""Find synthetic and manipulated faces in images and videos: library and command line."""

import lazy_loader

# The public names are in `__init__.pyi`; each is imported when it is first used, so `import fauxscan` loads little.
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Return a public name, or the version of the installed package."""
    if name != "__version__":
        return _load(name)
    from importlib.metadata import version

    return version(__name__)
