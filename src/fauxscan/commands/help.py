"""Help texts that show choices and placeholders such as FILE, but no Python types."""

from typing import Any

from typer.core import TyperCommand, TyperGroup


def _hide_types(parameters: list[Any]) -> None:
    """Remove from the help of parameters what Typer derives from their annotations, such as <bool> or <list[Path]>."""
    for parameter in parameters:
        if not parameter.type_descriptor.is_choice:
            parameter.display_type = lambda ctx: ""  # Typer has no setting for it


class PlainCommand(TyperCommand):
    """A command with a plain help text."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        _hide_types(self.get_params(ctx))
        super().format_help(ctx, formatter)


class PlainGroup(TyperGroup):
    """A group of commands with a plain help text."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        _hide_types(self.get_params(ctx))
        super().format_help(ctx, formatter)
