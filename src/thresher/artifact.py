"""One saved folder: model, index and decision, versioned together, replaced as one.

    ARTIFACT/
      manifest.json      the commit point: which parts belong together, with sizes and digests
      model-1f0c.../     config.toml, the tower's weights and settings
      index-83ab.../     the catalogue's table, vectors and what the re-ranker reads of items
      decision-c2d9.../  the re-ranker, the policy and the outcomes it rests on
      report/            report.html and report.json; made from the rest, so not a part

A part is written into a folder of its own and never changed. Replacing the manifest, one rename
after everything was synced to disk, makes it current: a process killed at any moment leaves the
previous artifact. Every file is compared with its digest when the artifact is opened.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thresher import __version__
from thresher.errors import InputError
from thresher.files import digest, make_folder, read_json, refusal, sync_folder, write_json

FORMAT = 3
PARTS = ("model", "index", "decision")
MADE_BY = {"model": "train", "index": "index", "decision": "calibrate"}
Writer = Callable[[Path], None]

# Names that `_write` gives, and nothing wider: a user's own folder may be called model-new.
_PART = re.compile(rf"({'|'.join(PARTS)})-[0-9a-f]{{12}}")
_ASIDE = re.compile(rf"\.({'|'.join(PARTS)})-\w{{8}}\.part")
_TRIES = 5  # at reading an artifact that is replaced meanwhile


def check_folder(folder: Path) -> None:
    """InputError for a folder that holds other files and is no artifact."""
    known = ("manifest.json", "training", "report", *(f"{part}-" for part in PARTS), ".")
    strange = sorted(p.name for p in folder.iterdir() if not p.name.startswith(known))
    if strange and not (folder / "manifest.json").exists():
        raise InputError(
            f"{folder} holds other files, such as {strange[0]!r}; give a folder of its own"
        )


@dataclass(frozen=True)
class Artifact:
    """A folder whose manifest was read and whose files are all there, as written."""

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> "Artifact":
        """Read and check an artifact.

        InputError for a folder that is none, one of another format version, or one with a file that
        is missing, changed, a link, or not in the manifest.
        """
        folder = Path(folder)
        for attempt in range(_TRIES):
            artifact = cls(folder, _manifest(folder))
            try:
                for name in artifact.manifest["parts"]:
                    artifact._check(name)
            except InputError:
                # Another process may have put a new part in place of one that was just named.
                if attempt + 1 < _TRIES and _manifest(folder) != artifact.manifest:
                    continue
                raise
            break
        return artifact

    def has(self, part: str) -> bool:
        """Whether the artifact holds this part."""
        return part in self.manifest["parts"]

    def part(self, part: str) -> Path:
        """The folder of a part; InputError where there is none, with the command that makes it."""
        if not self.has(part):
            raise InputError(
                f"{self.folder} has no {part} yet; run `thresher {MADE_BY[part]}` on it first"
            )
        return self.folder / self.manifest["parts"][part]["folder"]

    def fingerprint(self, *parts: str) -> str:
        """One digest of the contents of these parts: what a policy was fitted on."""
        return _fingerprint(self.manifest["parts"], parts)

    def _check(self, part: str) -> None:
        about = self.manifest["parts"][part]
        where = self.folder / about["folder"]
        try:
            found = {} if where.is_symlink() else _contents(where)
        except OSError:  # it may not be read, or another process has just replaced it
            found = {}
        if found != about["files"] or _digest(found) != about["digest"]:
            names = {*found, *about["files"]}
            wrong = sorted(n for n in names if found.get(n) != about["files"].get(n))
            raise InputError(
                f"{where / wrong[0] if wrong else where} is missing or not what was written; the "
                f"artifact is damaged or was changed: restore it, or run "
                f"`thresher {MADE_BY[part]}` again"
            )


class Transaction:
    """New parts of an artifact, written aside; `commit` makes them current together.

    Parts not written stay as they are, except dropped ones: a new index, for one, leaves the
    decision behind that was fitted on the old one. A `fresh` one takes over nothing of an artifact
    that lies there. InputError where no folder can be made, or a damaged artifact is to be changed.
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
        """Have `write` fill a folder, which becomes the part's new content."""
        with self._undone():
            self._parts[part] = _write(self._folder, part, write)

    def drop(self, part: str) -> None:
        """Leave a part out."""
        self._parts.pop(part, None)

    def fingerprint(self, *parts: str) -> str:
        """One digest of the contents of these parts, as they will be."""
        return _fingerprint(self._parts, parts)

    def commit(self) -> Artifact:
        """Replace the manifest, then remove what no manifest names any more.

        The report goes too when a part is another one now: it describes the previous artifact.
        """
        manifest = {"format": FORMAT, "thresher": __version__, "parts": self._parts}
        with self._undone():
            write_json(self._folder / "manifest.json", manifest)
        self._tidy(self._parts)
        return Artifact(self._folder, manifest)

    def _tidy(self, named: Mapping[str, Any]) -> None:
        if named == self._parts != self._before:
            for name in ("report.html", "report.json"):
                (self._folder / "report" / name).unlink(missing_ok=True)
        _sweep(self._folder, {part["folder"] for part in named.values()})

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """On any error, remove the parts that the manifest on the disk does not name.

        That is the new one where its sync alone failed, after its rename.
        """
        try:
            yield
        except BaseException:
            named: Mapping[str, Any] = {}
            if (self._folder / "manifest.json").exists():
                named = _manifest(self._folder)["parts"]
            self._tidy(named)
            raise


def _manifest(folder: Path) -> Mapping[str, Any]:
    """What the manifest says, once it says what a manifest may."""
    path = folder / "manifest.json"
    if not path.is_file():
        begun = any((folder / "training").rglob("last.safetensors"))
        fix = (
            "the training in it did not end, go on with `thresher train ... --resume`"
            if begun
            else "`thresher train` makes one"
        )
        raise InputError(f"{folder} is no artifact: it has no manifest.json; {fix}")
    manifest = read_json(path, what="the manifest", fix="train again")
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version != FORMAT:
        raise InputError(
            f"{folder} was written in format {version!r} and this version, {__version__}, reads "
            f"format {FORMAT}: train again, or use the version that wrote it"
        )
    parts = manifest.get("parts")
    sound = isinstance(parts, dict) and all(
        name in PARTS
        and isinstance(about, dict)
        and _PART.fullmatch(str(about.get("folder")))
        and str(about["folder"]).startswith(f"{name}-")
        and isinstance(about.get("digest"), str)
        and isinstance(about.get("files"), dict)
        and about["files"]
        for name, about in parts.items()
    )
    whole = sound and "model" in parts and ("index" in parts or "decision" not in parts)
    if not whole:
        raise InputError(f"{path} names parts that no artifact has; restore it, or train again")
    return manifest


def _fingerprint(parts: Mapping[str, Any], names: tuple[str, ...]) -> str:
    joined = "+".join(f"{name}:{parts[name]['digest']}" for name in names)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _contents(folder: Path) -> dict[str, list[Any]]:
    """Size and digest of every file below a folder; a link counts as none."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return {str(p.relative_to(folder)): [p.stat().st_size, digest(p)] for p in files}


def _digest(files: Mapping[str, Any]) -> str:
    text = "\n".join(f"{name}\0{size}\0{own}" for name, (size, own) in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _write(folder: Path, name: str, write: Writer) -> dict[str, Any]:
    aside = None
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{name}-", suffix=".part", dir=folder))
        aside.chmod(0o755)
        write(aside)
        files = _contents(aside)
        whole = _digest(files)
        sync_folder(aside)
        final = folder / f"{name}-{whole[:12]}"
        if final.exists() and _contents(final) == files:
            shutil.rmtree(aside)  # the same contents are there already
        else:
            shutil.rmtree(final, ignore_errors=True)
            os.rename(aside, final)
    except BaseException as error:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError):
            raise refusal(folder, error) from error
        raise
    return {"folder": final.name, "digest": whole, "files": files}


def _sweep(folder: Path, keep: set[str]) -> None:
    """Remove parts that no manifest names: replaced ones, and leftovers of killed processes."""
    for path in folder.iterdir():
        ours = _PART.fullmatch(path.name) or _ASIDE.fullmatch(path.name)
        if ours and path.name not in keep and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
