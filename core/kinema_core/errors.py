"""The domain's errors.

KinemaError                     anything Kinema raises on purpose
├── InvalidInputError           what the caller gave is wrong; names the field
│   └── FrameOrderError         a frame came with a sequence number that goes back
├── MediaError                  a film or photo cannot be read or written
│   ├── DamagedPictureError     a picture of a film cannot be decoded; names its number and time
│   ├── OutputExistsError       the output is there already, and overwriting was not asked for
│   └── OutputMismatchError     what was written reads back as something else
├── UncolorizedFrameError       a frame of a film got no colour; names its number and time
├── OutOfMemoryError            there is not enough memory
├── BundleError                 a model bundle is incomplete, altered or not understood
├── EngineError                 an engine failed while it ran
│   └── EngineUnavailableError  an engine cannot run on this machine
│       └── NoGpuError          for it has no GPU, or no driver for one
└── CancelledWorkError          work stopped because nobody waits for it any more
"""


class KinemaError(Exception):
    """Anything Kinema raises on purpose."""


class InvalidInputError(KinemaError):
    """What the caller gave is wrong.

    The message says what was given, what is allowed and what to do; `field` names the culprit in dotted form,
    as in `"config.width"`.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.reason = message


class FrameOrderError(InvalidInputError):
    """A frame came with a sequence number that goes back."""


class MediaError(KinemaError):
    """A film or photo cannot be read or written."""


class DamagedPictureError(MediaError):
    """A picture of a film cannot be decoded.

    `number` counts from 0 in order of presentation; `pts` is in ticks of the film's `time_base`, None where unknown.
    """

    def __init__(self, message: str, *, number: int, pts: int | None) -> None:
        super().__init__(message)
        self.number = number
        self.pts = pts


class OutputExistsError(MediaError):
    """The output is there already, and overwriting was not asked for."""


class OutputMismatchError(MediaError):
    """What was written reads back as something else."""


class UncolorizedFrameError(KinemaError):
    """A frame of a film got no colour, however often it was tried.

    `number` counts from 0 in order of presentation; `pts` is in ticks of the film's `time_base`.
    """

    def __init__(self, message: str, *, number: int, pts: int) -> None:
        super().__init__(message)
        self.number = number
        self.pts = pts


class OutOfMemoryError(KinemaError, MemoryError):
    """There is not enough memory."""


class BundleError(KinemaError):
    """A model bundle is incomplete, altered or not understood."""


class EngineError(KinemaError):
    """An engine failed while it ran."""


class EngineUnavailableError(EngineError):
    """An engine cannot run on this machine."""


class NoGpuError(EngineUnavailableError):
    """An engine needs an NVIDIA GPU, and this machine has none or no driver for one."""


class CancelledWorkError(KinemaError):
    """Work stopped because nobody waits for it any more."""
