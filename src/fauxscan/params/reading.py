"""Read a file of parameters, in which a key that is there twice is an error, as it is for DVC."""

from pathlib import Path
from typing import Any

import yaml

from fauxscan.records import ParamsError


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a mapping that has a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping. Raise ConstructorError for a key that is there twice."""
        names = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in names[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
        return super().construct_mapping(node, deep)


def read(path: Path) -> Any:
    """Return the content of the file `path`. Raise ParamsError if it is missing or is not valid YAML."""
    if not path.is_file():
        raise ParamsError(f"no parameters at {path}: run from the project folder, or name another file")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from error
    return {} if content is None else content  # an empty file
