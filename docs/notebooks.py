"""Executes the tutorials again, in place: `make tutorials`. Outputs are text, without timings."""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "tutorials"


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook after all its cells, run in an empty folder on one thread."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    book = nbformat.read(path, 4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            book,
            timeout=900,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    book.metadata = {"language_info": {"name": "python"}}
    for cell in book.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [text for output in cell.outputs if (text := _text(output))]
    return book


def _text(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The output as plain text; None for what went to standard error."""
    if output.output_type == "stream":
        return output if output.name == "stdout" else None
    output.data = {"text/plain": output.data.get("text/plain", "")}
    return output


if __name__ == "__main__":
    for notebook in [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(executed(notebook), notebook)
        print(notebook)
