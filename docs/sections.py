"""Shows our own sections of a docstring (`Equation:`, `Source:`, ...) as they are meant."""

import inspect
import re

from griffe import Extension, Object

_OURS = "Equation|Source|Differs|Reconstructed|Memory|Time|Promise|Shapes|Units"
_SECTION = re.compile(
    rf"^(\*\*)?({_OURS})(\*\*)?:[ \t]*(.*?)(?=\n\s*\n|\Z|\n(?:\*\*)?(?:{_OURS}|Raises)(?:\*\*)?:)",
    re.DOTALL | re.MULTILINE,
)


class Sections(Extension):
    """An equation keeps its lines; every other section is a paragraph with its name in bold."""

    def on_object(self, *, obj: Object, **kwargs: object) -> None:
        """Rewrite the docstring before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = _SECTION.sub(_shown, obj.docstring.value)


def _shown(found: re.Match) -> str:
    name, text = found[2], inspect.cleandoc(found[4])
    return (
        f"**{name}**\n\n```text\n{text}\n```\n" if name == "Equation" else f"**{name}**: {text}\n"
    )
