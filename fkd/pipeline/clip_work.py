"""A video worked on in a thread, with its results in a temporary folder that goes with it.

work = ClipWork("holiday.mp4", content)
work.begin(model, ClipOptions())
work.job.watch.sentence(), work.job.stop()
work.job.result().frames, work.annotated, work.csv, work.parquet
work.close()
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fkd.errors import FkdError, UnwritableError
from fkd.jobs import Job
from fkd.pipeline.clip import ClipOptions, ClipSummary, process_clip
from fkd.pipeline.write import PhotoFaces, open_writer, video_columns

if TYPE_CHECKING:
    from fkd.weights import LoadedModel


class ClipWork:
    """One video that somebody gave.

    Attributes:
        name: what it is called; never a path.
        job: the work on it, from `begin` on.
        model: the network that it is or was done with.
        options: how it is or was done.
        annotated, csv, parquet: the results, which are there once the job has ended well.

    Args:
        name: see above.
        content: of the file.

    Raises:
        FkdError: there is no room for temporary files.
    """

    job: Job[ClipSummary]

    def __init__(self, name: str, content: bytes | memoryview) -> None:
        self.name = name
        self._folder = TemporaryDirectory(prefix="fkd-video-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self._source = folder / "source"
        try:
            self._source.write_bytes(content)
        except OSError as error:
            self._folder.cleanup()
            raise self._without_room() from error
        self.annotated, self.csv, self.parquet = (folder / f"faces.{end}" for end in ("mp4", "csv", "parquet"))

    def begin(self, model: LoadedModel, options: ClipOptions) -> None:
        """Follow the faces of the video, again where that has ended; nothing while it is under way."""
        if hasattr(self, "job") and not self.job.done:
            return
        self.model, self.options = model, options
        self.job = Job(f"Following faces in {self.name}", self._work)

    def close(self) -> None:
        """Stop the work, and remove every file once it has stopped."""
        self.job.stop()
        threading.Thread(target=self._clean_up, name=f"closing {self.name}", daemon=True).start()

    def _clean_up(self) -> None:
        while not self.job.wait(60):
            pass
        self._folder.cleanup()

    def _work(self) -> ClipSummary:
        schema = self.model.card.schema
        try:
            with (
                open_writer(self.csv, schema, video_columns(schema)) as table,
                open_writer(self.parquet, schema, video_columns(schema)) as columns,
            ):

                def write(frame: PhotoFaces) -> None:
                    table.write(frame)
                    columns.write(frame)

                summary = process_clip(
                    self._source, self.model, write, self.options, drawn=self.annotated, name=self.name
                )
        except UnwritableError as error:
            raise self._without_room() from error
        except FkdError as error:
            raise FkdError(self._named(str(error))) from error
        return replace(summary, damage=summary.damage and self._named(summary.damage))

    def _without_room(self) -> FkdError:
        return FkdError(
            f"There is no room to work on {self.name} in {self._folder.name}, on the machine that runs fkd; free some, "
            "or start fkd with TMPDIR set to a larger place."
        )

    def _named(self, sentence: str) -> str:
        """A sentence about the file by the name that people know."""
        return sentence.replace(str(self._source), self.name)
