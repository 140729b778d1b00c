"""Shows our own sections of a docstring (`Equation:`, `Source:`, ...) as they are meant."""

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
    name, text = found[2], found[4]
    if name != "Equation":
        return f"**{name}**: {text.strip()}\n"
    lines = text.strip("\n").splitlines()
    lines = [line.strip() if i == 0 and line == text.splitlines()[0] else line for i, line in enumerate(lines)]
    rest = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    cut = min(rest, default=0)
    body = "\n".join([lines[0].strip(), *(line[cut:].rstrip() for line in lines[1:])]) if lines else ""
    return f"**{name}**\n\n```text\n{body}\n```\n"
