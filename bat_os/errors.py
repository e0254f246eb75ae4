"""Every exception of BAT OS, in one tree.

    BatError
        ProtocolError            what a peer sent cannot be taken
            FrameError               not the frames or not the msgpack we speak
            VersionError             another major version of the protocol
            TooLargeError            over a limit of size or count
            UnauthorizedError        the token is missing or wrong
            UnknownTypeError         a verb that this kernel does not have
            ArgumentsError           the verb is known, its arguments are off
            NotPlainError            a value that is not plain data
            HttpError                an error that HTTP has a status of its own for
        ImageError               the living image says no
            NotFoundError            no object, brief or model of that name
            NotGrantedError          no grant reaches that far
            NotUnderstoodError       no method for the selector, and none may be learned
            ConflictError            the world moved five times in a row
            ChangedError             an object is not as the asker saw it
            KeyReusedError           an idempotency key came back with another body
            ForbiddenClassError      a pickle names a class outside the allow-list
            LockedError              another process holds the image
            FormatError              the image has a format that this program does not read
            StorageFullError         the disk is full
            StorageError             the storage failed; the outcome is unknown
            BlobError                a stored file is missing or damaged
            DamagedError             what is stored is not what was committed
        MissionError             a mission cannot go on
            TransitionError          an event that the state does not accept
            FencedError              another kernel runs the mission
            AuditError               source that the PersistenceGuardian refuses
            DraftsError              no candidate was good enough
            ExampleWantedError       candidates disagree, and only an example can decide
            ApprovalWantedError      a method was written and waits for the Architect's yes
            GrantWantedError         a person would have to grant something first
            EffectWantedError        something has to be done in the world first
            EffectUnknownError       whether an effect was done is not known
            ModelOutputError         the model's answer cannot be read
            DeadlineError            the time allowed is over
            CancelledError           the asker withdrew
        ResourceError            something that we need is not there
            BusyError                the queue is full; come back later
            WorldError               a server or program outside does not answer as it should
            LimitError               a program that was granted took more than it may
            CellError                learned code failed in its cell
            CellUnavailableError     learned code cannot be confined on this machine
            ServerError              a server that was granted failed, or did not answer
            ModelError               the model cannot be had
            ModelMemoryError         the model does not fit
            ShuttingDownError        the kernel is going down
            KernelUnreachableError   no kernel answers
            SettingsError            a setting has a value that cannot be used
            UpgradeError             an upgrade cannot be carried out
        RemoteError              what a kernel answered instead of a result

``code`` goes over the wire and never changes; ``retryable`` says whether the same
request may succeed later. Raise a leaf, catch a branch, keep the cause.
"""

from __future__ import annotations

from typing import Any, ClassVar


class BatError(Exception):
    """Base of all errors that BAT OS raises on purpose.

    Attributes:
        code: Wire code, as in docs/protocol.md.
        retryable: The same request may succeed later.
        details: Plain data that a client may show or use.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message)
        self.details = details


class ProtocolError(BatError):
    """What a peer sent cannot be taken."""

    code = "BAD_FRAME"


class FrameError(ProtocolError):
    """Not the frames, or not the msgpack, that this protocol speaks."""


class VersionError(ProtocolError):
    """Another major version of the protocol; ``details`` has the supported range."""

    code = "BAD_VERSION"


class TooLargeError(ProtocolError):
    """Over a limit of size, depth or count."""

    code = "TOO_LARGE"


class UnauthorizedError(ProtocolError):
    """The token is missing or wrong."""

    code = "UNAUTHORIZED"


class UnknownTypeError(ProtocolError):
    """A verb that this kernel does not have."""

    code = "UNKNOWN_TYPE"


class ArgumentsError(ProtocolError):
    """The verb is known; its arguments are not what it takes."""

    code = "INVALID_ARGS"


class NotPlainError(ProtocolError):
    """A value that is not plain data; see ``bat_os.core.values``."""

    code = "NOT_SERIALIZABLE"


class HttpError(ProtocolError):
    """An error that HTTP has a status of its own for: the gateway's, never on the wire."""

    def __init__(self, status: int, error: BatError) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = error


class ImageError(BatError):
    """The living image says no."""

    code = "STORAGE_ERROR"


class NotFoundError(ImageError):
    """No object, brief or model of that name."""

    code = "NOT_FOUND"


class NotGrantedError(ImageError):
    """No grant reaches that far, or it has ended; learned code may catch it."""

    code = "NOT_GRANTED"


class NotUnderstoodError(ImageError):
    """No method for the selector, and none may be learned here."""

    code = "NOT_UNDERSTOOD"


class ConflictError(ImageError):
    """What a turn had read changed under it, five times in a row."""

    code = "CONFLICT"
    retryable = True


class ChangedError(ImageError):
    """An object is not as the asker saw it; ``details`` has its present serial."""

    code = "CONFLICT"


class KeyReusedError(ImageError):
    """An idempotency key came back with another body."""

    code = "KEY_REUSED"


class ForbiddenClassError(ImageError):
    """A pickle names a class outside the allow-list; loading it could run code."""


class LockedError(ImageError):
    """Another process holds the image."""


class FormatError(ImageError):
    """The image has a format that this program does not read, and would harm."""


class StorageFullError(ImageError):
    """The disk is full; reading still works, and writing will once there is room."""

    code = "STORAGE_FULL"
    retryable = True


class StorageError(ImageError):
    """The storage failed in the middle; ask again with the same key to learn the outcome."""

    retryable = True


class BlobError(ImageError):
    """A stored file is missing or its SHA-256 is not the recorded one."""


class DamagedError(ImageError):
    """What is stored is not what was committed; ``batos verify`` names all of it."""

    code = "DAMAGED"


class MissionError(BatError):
    """A mission cannot go on."""


class TransitionError(MissionError):
    """An event that the mission's state does not accept."""


class FencedError(MissionError):
    """Another kernel runs the mission by now; no client sees this."""

    code = "FENCED"
    retryable = True


class AuditError(MissionError):
    """Source that the PersistenceGuardian refuses to install.

    Attributes:
        findings: One line per violation, ``"line 3: import of os"``.
    """

    code = "AUDIT_REJECTED"
    retryable = True

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("; ".join(findings), findings=list(findings))
        self.findings = findings


class DraftsError(MissionError):
    """No candidate was good enough; ``details["candidates"]`` says why, one by one."""

    code = "SANDBOX_FAILED"
    retryable = True


class ExampleWantedError(MissionError):
    """The candidates disagree, and only an example from the asker can decide.

    ``details["choices"]`` has up to two maps with ``result`` (None where it is long),
    ``shown`` (cut short), ``source`` and ``agree``.
    """

    code = "EXAMPLE_WANTED"


class ApprovalWantedError(MissionError):
    """A method is there, and must not answer before the Architect has approved it.

    ``details`` has ``object``, ``selector`` and ``version``, and right after the method was
    written ``source``, ``shown`` (what it answered when it was tried) and ``status``.
    """

    code = "APPROVAL_WANTED"


class GrantWantedError(MissionError):
    """A person would have to grant something first.

    ``details`` has ``driver``, ``scope`` and ``operations``, as ``batos grant`` takes them, and
    ``what``: the scope for a person.
    """

    code = "GRANT_WANTED"


class EffectWantedError(MissionError):
    """A method needs the answer of something that has to be done in the world first.

    ``details`` has ``text``, what it is, for a person. Inside the kernel ``effect`` has all, and
    ``wanted`` what a trial wants up to here, this included.
    """

    code = "EFFECT_WANTED"
    effect: Any = None
    wanted: tuple[Any, ...] = ()


class EffectUnknownError(MissionError):
    """Whether an effect was done is not known, and doing it twice could harm."""

    code = "EFFECT_UNKNOWN"


class ModelOutputError(MissionError):
    """The model's answer cannot be read, and asking again did not help."""

    code = "MODEL_UNAVAILABLE"
    retryable = True


class DeadlineError(MissionError):
    """The time allowed is over."""

    code = "DEADLINE"
    retryable = True


class CancelledError(MissionError):
    """The asker withdrew, or the kernel is going down."""

    code = "CANCELLED"


class ResourceError(BatError):
    """Something that we need is not there."""


class BusyError(ResourceError):
    """The queue is full.

    Attributes:
        retry_after_ms: When to come back, in milliseconds.
    """

    code = "BUSY"
    retryable = True

    def __init__(self, message: str, retry_after_ms: int = 1000, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after_ms = retry_after_ms


class WorldError(ResourceError):
    """What a driver reaches does not answer: offline, down, too slow, or not what it should be."""

    code = "WORLD_UNAVAILABLE"
    retryable = True


class LimitError(ResourceError):
    """A program that a person granted took more than it may.

    ``details["limit"]`` is one of ``memory``, ``processes``, ``file`` (the size of one) and
    ``seconds`` (of a processor).
    """

    code = "LIMIT_EXCEEDED"


class CellError(ResourceError):
    """Learned code failed in its cell.

    ``details["kind"]`` is one of ``raised`` (its own exception; ``type`` and ``line``
    say which and where), ``deadline``, ``died``, ``limit`` (memory, output, messages),
    ``refused`` (a value or a send that is not allowed), ``malformed`` (a forged frame) or
    ``unsupported`` (the cell's Python lacks ``feature``).
    """

    code = "SANDBOX_FAILED"


class CellUnavailableError(ResourceError):
    """Learned code cannot be confined on this machine, so none runs."""

    code = "SANDBOX_FAILED"


class ServerError(ResourceError):
    """A server that a person granted failed, or did not answer; learned code may catch it.

    ``details["kind"]`` is one of ``raised`` (it answered with an error), ``deadline``, ``died`` or
    ``limit`` (its answer is too long, or it has too many calls).
    """

    code = "SERVER_FAILED"
    retryable = True


class ModelError(ResourceError):
    """The model cannot be had; the message names it and says what to do."""

    code = "MODEL_UNAVAILABLE"
    retryable = True


class ModelMemoryError(ResourceError):
    """The model does not fit into memory."""

    code = "MODEL_OOM"


class ShuttingDownError(ResourceError):
    """The kernel is going down; a restarted one will take the request."""

    code = "SHUTTING_DOWN"
    retryable = True


class KernelUnreachableError(ResourceError):
    """No kernel answers at the known endpoint; only a client's own, never on the wire."""

    code = "UNREACHABLE"
    retryable = True


class SettingsError(ResourceError):
    """A setting has a value that cannot be used; the message names it."""

    code = "INVALID_ARGS"


class UpgradeError(ResourceError):
    """An upgrade cannot be carried out; the message says why and what to do."""

    code = "INVALID_ARGS"


class RemoteError(BatError):
    """What a kernel answered instead of a result.

    Attributes:
        body: The body of the ``error`` reply; ``body["code"]`` is the wire code.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(str(body.get("message", "")))
        self.body = body


def as_fault(error: BaseException) -> BatError:
    """Return what a client is answered for an exception that nothing of ours raised on purpose."""
    if isinstance(error, MemoryError):
        return BusyError("the daemon has no memory left for this; ask again when it has", 10_000)
    return BatError("internal error; the daemon's log has the details")
