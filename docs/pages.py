"""What mkdocs does beside its plugins: further pages, and no outside requests."""

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
OF_THE_ROOT = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
_LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?https?://[^>]*>")


def on_files(files, config):
    """Add the pages that are made of other files."""
    for name, page in OF_THE_ROOT.items():
        text = (ROOT / name).read_text("utf-8")
        files.append(File.generated(config, page, content=_relinked(text, "..", page)))
    for file in [f for f in files if f.src_uri.endswith(".ipynb")]:
        page = file.src_uri.replace(".ipynb", ".md")
        text = notebook(json.loads(Path(file.abs_src_path).read_text("utf-8")))
        files.remove(file)
        files.append(File.generated(config, page, content=_relinked(text, "tutorials", page)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead links to notebooks and to files of the root to their pages."""
    uri = page.file.src_uri
    return _relinked(markdown, posixpath.dirname(uri), uri)


def on_post_page(output, page, config):
    """Refuse a page that loads something from elsewhere."""
    if found := _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads {found[0]}; keep everything on the site")
    return output


def notebook(read: dict) -> str:
    """An executed notebook as Markdown: code, and what it printed."""
    return "\n\n".join(part for cell in read["cells"] for part in _parts(cell))


def _parts(cell: dict) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        if text := "".join(text).rstrip():
            yield f"```text\n{text}\n```"


def _relinked(text: str, folder: str, page: str) -> str:
    """The text with its links, which begin at a folder of the docs, leading to pages."""
    here = posixpath.dirname(page)

    def lead(found: re.Match) -> str:
        target, anchor = found[1], found[2] or ""
        if re.match(r"\w+:", target):
            return found[0]
        to = posixpath.normpath(posixpath.join("docs", folder, target))
        to = OF_THE_ROOT.get(to, to.removeprefix("docs/"))
        to = re.sub(r"\.ipynb$", ".md", to)
        return f"]({posixpath.relpath(to, here or '.')}{anchor})"

    return _LINK.sub(lead, text)
