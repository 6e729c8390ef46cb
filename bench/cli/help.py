"""The help page of a verb: usage, examples, description, arguments, options under headings.

Typer's own pages need rich, which takes longer to import than a list takes to print, or show every
option in one long list. `VerbCommand` writes plain text, as wide as the terminal up to 120 columns.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand

from bench.cli.options import GREEDY
from bench.errors import UsageError

MIN_WIDTH, MAX_WIDTH = 60, 120
MAX_NAME_WIDTH = 28  # longer option names get a line of their own
ARGUMENTS, OPTIONS = "Arguments", "Options"


class VerbCommand(TyperCommand):
    """A verb whose help page is laid out by this module, and whose greedy options take several
    values.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command line."""
        return super().parse_args(ctx, repeat_greedy(args))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the verb's name in the usage line."""
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *map(_usage_word, arguments)]

    def get_help(self, ctx: Any) -> str:
        """Return the whole page."""
        width = min(max(shutil.get_terminal_size().columns, MIN_WIDTH), MAX_WIDTH)
        parts = [
            f"Usage: {' '.join([ctx.command_path, *self.collect_usage_pieces(ctx)])}",
            *_description(self.help or "", width),
        ]
        sections = _sections(self, ctx)
        names = [name for rows in sections.values() for name, _ in rows]
        column = max([0, *(len(name) for name in names if len(name) <= MAX_NAME_WIDTH)])
        for heading, rows in sections.items():
            parts.append(f"{heading}:\n" + "\n".join(_table(rows, column, width)))
        return "\n\n".join(parts)


def repeat_greedy(args: list[str]) -> list[str]:
    """Return the words with every greedy option repeated in front of each of its values. Raises
    `UsageError` for one without values.

    >>> repeat_greedy(["a", "--against", "b", "c", "--metrics", "fid"])
    ['a', '--against', 'b', '--against', 'c', '--metrics', 'fid']
    """
    found: list[str] = []
    option = ""
    for number, word in enumerate(args):
        if word.startswith("-"):
            option = word if word in GREEDY else ""
            if not option:
                found.append(word)
            elif "".join(args[number + 1 : number + 2])[:1] in ("", "-"):
                raise UsageError(f"{word} needs one or more values after it")
        else:
            found += [option, word] if option else [word]
    return found


def _usage_word(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    if argument.nargs != 1:
        word += "..."
    return word if argument.required else f"[{word}]"


def _description(text: str, width: int) -> Iterator[str]:
    r"""Yield the paragraphs of a docstring, wrapped; one with indented lines, or marked with
    "\b", keeps its lines.
    """
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        if lines and (lines[0] == "\b" or any(line.startswith(" ") for line in lines)):
            yield "\n".join(line for line in lines if line != "\b")
        elif lines:
            yield textwrap.fill(" ".join(lines), width, break_on_hyphens=False)


def _sections(command: TyperCommand, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Return (name, help) of every parameter by heading, in the order of declaration."""
    found: dict[str, list[tuple[str, str]]] = {}
    last = OPTIONS
    for param in command.get_params(ctx):
        is_option = param.param_type_name == "option"
        if getattr(param, "hidden", False):
            continue
        if is_option:
            last = getattr(param, "rich_help_panel", None) or last
        row = _option_name(param) if is_option else (param.metavar or param.name.upper())
        found.setdefault(last if is_option else ARGUMENTS, []).append((row, _option_help(param)))
    return found


def _option_name(option: Any) -> str:
    names = sorted(option.opts, key=len)
    text = ", ".join(names) if len(names[0]) == 2 else f"    {', '.join(names)}"
    if option.is_flag:
        return text
    return f"{text} {option.metavar or option.name.upper()}"


def _option_help(param: Any) -> str:
    """Return the help text with the default, the smallest value, or that it is required."""
    notes = []
    shown = getattr(param, "show_default", True)
    if isinstance(shown, str):
        notes.append(f"default: {shown}")
    elif shown and not getattr(param, "is_flag", False) and param.default not in (None, (), []):
        notes.append(f"default: {param.default}")
    if (getattr(param, "min", None) or 0) > 1:
        notes.append(f"at least {param.min}")
    if param.required and param.param_type_name == "option":
        notes.append("required")
    text = getattr(param, "help", None) or ""
    return f"{text} [{'; '.join(notes)}]".strip() if notes else text


def _table(rows: list[tuple[str, str]], column: int, width: int) -> Iterator[str]:
    """Yield the lines of two columns; a name wider than the first has a line of its own."""
    indent = " " * (column + 4)
    for name, text in rows:
        lines = textwrap.wrap(text, width - len(indent), break_on_hyphens=False)
        if len(name) > column:
            yield f"  {name}"
        else:
            yield f"  {name:<{column}}  {lines.pop(0) if lines else ''}".rstrip()
        yield from (indent + line for line in lines)
