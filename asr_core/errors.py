"""Everything that can go wrong, as one tree. A message tells its reader what to do; it holds a path of ours only where
the server's owner has to put something there.

    AsrError
    ├── BadRequest                  the request cannot be answered as it is
    │   ├── BadAudio
    │   │   └── AudioTooLong
    │   └── UnknownModel
    ├── UploadTooLarge, UploadStalled, Unauthorized, NotFound
    ├── Busy                        the same request may be answered later
    │   ├── QueueFull, TooManySessions, StorageGone, DecoderFailed
    │   └── ModelNotReady
    │       └── ServerStopping
    ├── StorageFull, TaskLost, FfmpegMissing, ConfigurationError
    └── ModelError                  weights or processor are not up to what was configured
        ├── CheckpointError, DownloadError, PrecisionUnsupported
        └── RecognitionFailed
"""

from __future__ import annotations


class AsrError(Exception):
    """Base of all errors that this project raises on purpose."""


class BadRequest(AsrError):
    """The caller sent something that cannot be used; `param` names the form field, where one is at fault."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class BadAudio(BadRequest):
    """The recording is empty, broken, without sound, or not a recording."""

    def __init__(self, message: str) -> None:
        super().__init__(message, param="file")


class AudioTooLong(BadAudio):
    """The recording is longer than this server accepts."""


class UnknownModel(BadRequest):
    """A model was asked for by a name that this server does not answer to."""

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model")


class UploadTooLarge(AsrError):
    """The request's body is larger than this server accepts."""


class UploadStalled(AsrError):
    """The request's body stopped arriving, or arrives too slowly."""


class Unauthorized(AsrError):
    """No key, or not one of the configured ones."""


class NotFound(AsrError):
    """No such path or object."""


class StorageFull(AsrError):
    """An upload, or what came of a task, found no room on the disk."""


class TaskLost(AsrError):
    """The server was stopped before a task had come to its end."""


class Busy(AsrError):
    """Try again later: nothing is wrong with the request."""

    retry_after_s: int = 5


class QueueFull(Busy):
    """As many jobs as this server admits are open."""

    def __init__(self, n_open: int) -> None:
        super().__init__(f"The server has {n_open} recordings in hand and takes no more. Try again later.")


class TooManySessions(Busy):
    """As many live sessions as this server admits are open."""

    def __init__(self, n_open: int) -> None:
        super().__init__(f"The server has {n_open} live sessions, MAX_LIVE, and takes no more. Try again later.")


class DecoderFailed(Busy):
    """ffmpeg was killed, hung, or was refused what it needs: no verdict on the recording."""


class StorageGone(Busy):
    """The folder that uploads wait in cannot be written to."""

    def __init__(self) -> None:
        super().__init__("The folder for uploads, TMPDIR, is gone: the server's owner must put it back.")


class ModelNotReady(Busy):
    """The model is still being downloaded or loaded."""


class ServerStopping(ModelNotReady):
    """The server has been told to end."""

    def __init__(self) -> None:
        super().__init__("The server is stopping.")


class FfmpegMissing(AsrError):
    """There is no ffmpeg."""


class ConfigurationError(AsrError):
    """Settings that cannot be used: a line for each, which names the variable and what it takes."""


class ModelError(AsrError):
    """The model cannot be used as asked for."""


class CheckpointError(ModelError):
    """A weights file is missing, damaged, or of an architecture that this engine does not know."""


class DownloadError(ModelError):
    """Weights could not be fetched."""


class PrecisionUnsupported(ModelError):
    """This CPU or device cannot compute in the precision asked for."""


class RecognitionFailed(ModelError):
    """The model was given a recording and raised."""

    def __init__(self) -> None:
        super().__init__("The model failed on this recording.")
