"""One saved folder: model, index and decision, versioned together, replaced as one.

    ARTIFACT/
      manifest.json      the commit point: which parts belong together, with sizes and hashes
      model-1f0c.../     config.toml, the tower's weights and settings
      index-83ab.../     the catalogue's table, vectors and tokens
      decision-c2d9.../  the confidence model, the policy and the evidence it rests on
      report/            report.html and report.json; made from the rest, so not a part

A part is written into a folder of its own and never changed. Replacing the manifest, one rename,
makes it current: a process killed at any moment leaves the artifact of before.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thresher import __version__
from thresher.errors import InputError
from thresher.files import make_folder

FORMAT = 2
PARTS = ("model", "index", "decision")
Writer = Callable[[Path], None]


@dataclass(frozen=True)
class Artifact:
    """A folder whose manifest was read and whose files are all there, in the size written.

    Args:
        folder: where it lies.
        manifest: what `manifest.json` says.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Artifact":
        """Reads and checks an artifact.

        Raises:
            InputError: for a folder that is none, one of another format version, or one with a
                file that is missing or of another size.
        """
        path = folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text("utf-8"))
            version, _ = manifest["format"], manifest["parts"]
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{folder} is no artifact: it has no manifest.json; `thresher train` makes one"
            ) from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} cannot be read ({error}); train the artifact anew") from error
        if version != FORMAT:
            raise InputError(
                f"{folder} was written in format {version!r} (thresher "
                f"{manifest.get('thresher', 'unknown')}); this version reads format {FORMAT}: "
                f"train it anew, or use the version that wrote it"
            )
        artifact = cls(folder, manifest)
        for name in PARTS:
            if name in manifest["parts"]:
                artifact._check(name)
        return artifact

    def has(self, part: str) -> bool:
        """Whether the artifact holds this part."""
        return part in self.manifest["parts"]

    def part(self, part: str) -> Path:
        """The folder of a part.

        Raises:
            InputError: when the artifact has no such part, with the command that makes it.
        """
        if not self.has(part):
            made_by = {"model": "train", "index": "index", "decision": "calibrate"}[part]
            raise InputError(
                f"{self.folder} has no {part} yet; run `thresher {made_by}` on it first"
            )
        return self.folder / self.manifest["parts"][part]["folder"]

    def fingerprint(self, *parts: str) -> str:
        """One hash over the contents of these parts: what a policy was fitted on."""
        return _fingerprint(self.manifest["parts"], parts)

    def _check(self, part: str) -> None:
        where = self.folder / self.manifest["parts"][part]["folder"]
        for name, size in self.manifest["parts"][part]["files"].items():
            path = where / name
            found = path.stat().st_size if path.exists() else None
            if found != size:
                state = "is missing" if found is None else f"has {found:,} bytes"
                raise InputError(
                    f"{path} {state} where {size:,} bytes were written; "
                    f"the artifact is damaged: restore it or train it anew"
                )


class Edit:
    """New parts of an artifact, written aside; `commit` makes them current together.

    Parts not written stay as they are, except dropped ones: a new index, for one, leaves the
    decision behind that was fitted on the old one.

    Args:
        folder: of the artifact, which may not exist yet.
        fresh: take over nothing of an artifact that lies there.

    Raises:
        InputError: when no folder can be made there, or a damaged artifact is to be edited.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        make_folder(folder)
        self._folder = folder
        exists = (folder / "manifest.json").exists()
        self._parts: dict[str, Any] = (
            dict(Artifact.open(folder).manifest["parts"]) if exists and not fresh else {}
        )
        self._before = dict(self._parts)

    def write(self, part: str, write: Writer) -> None:
        """Has `write` fill a folder, which becomes the part's new content."""
        self._parts[part] = _write(self._folder, part, write)

    def drop(self, part: str) -> None:
        """Leaves a part out."""
        self._parts.pop(part, None)

    def fingerprint(self, *parts: str) -> str:
        """One hash over the contents of these parts, as they will be."""
        return _fingerprint(self._parts, parts)

    def commit(self) -> Artifact:
        """Replaces the manifest, then removes what no manifest names any more.

        The report goes too when a part is another one now: it tells of what was there before.
        """
        manifest = {"format": FORMAT, "thresher": __version__, "parts": self._parts}
        aside = self._folder / "manifest.json.partial"
        aside.write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        os.replace(aside, self._folder / "manifest.json")
        if self._parts != self._before:
            for name in ("report.html", "report.json"):
                (self._folder / "report" / name).unlink(missing_ok=True)
        _sweep(self._folder, {part["folder"] for part in self._parts.values()})
        return Artifact.open(self._folder)


def _fingerprint(parts: Mapping[str, Any], names: tuple[str, ...]) -> str:
    joined = "+".join(f"{name}:{parts[name]['hash']}" for name in names)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _write(folder: Path, name: str, write: Writer) -> dict[str, Any]:
    aside = Path(tempfile.mkdtemp(prefix=f".{name}-", suffix=".part", dir=folder))
    aside.chmod(0o755)
    write(aside)
    files = sorted(p for p in aside.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(aside)}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    sizes = {str(p.relative_to(aside)): p.stat().st_size for p in files}
    final = folder / f"{name}-{digest.hexdigest()[:12]}"
    if final.exists() and _sizes(final, sizes) == sizes:
        shutil.rmtree(aside)  # the same contents are there already
    else:
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
    return {"folder": final.name, "hash": digest.hexdigest(), "files": sizes}


def _sizes(folder: Path, names: Mapping[str, int]) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in names if (folder / name).exists()}


# Names that `_write` gives, and nothing wider: a user's own folder may be called model-new.
_OURS = re.compile(rf"({'|'.join(PARTS)})-[0-9a-f]{{12}}|\.({'|'.join(PARTS)})-\w{{8}}\.part")


def _sweep(folder: Path, keep: set[str]) -> None:
    """Removes parts that no manifest names: replaced ones, and leftovers of killed processes."""
    for path in folder.iterdir():
        if path.is_dir() and _OURS.fullmatch(path.name) and path.name not in keep:
            shutil.rmtree(path)
