from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListStreamsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListStreamsResponse(_message.Message):
    __slots__ = ("streams",)
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    streams: _containers.RepeatedCompositeFieldContainer[RunningStream]
    def __init__(self, streams: _Optional[_Iterable[_Union[RunningStream, _Mapping]]] = ...) -> None: ...

class RunningStream(_message.Message):
    __slots__ = ("number", "kind", "client", "width", "height", "seconds", "credits", "in_flight", "num_received", "num_answered", "num_cuts", "colourfulness", "flicker")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    NUM_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    NUM_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    NUM_CUTS_FIELD_NUMBER: _ClassVar[int]
    COLOURFULNESS_FIELD_NUMBER: _ClassVar[int]
    FLICKER_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: str
    client: str
    width: int
    height: int
    seconds: float
    credits: int
    in_flight: int
    num_received: int
    num_answered: int
    num_cuts: int
    colourfulness: float
    flicker: float
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[str] = ..., client: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., seconds: _Optional[float] = ..., credits: _Optional[int] = ..., in_flight: _Optional[int] = ..., num_received: _Optional[int] = ..., num_answered: _Optional[int] = ..., num_cuts: _Optional[int] = ..., colourfulness: _Optional[float] = ..., flicker: _Optional[float] = ...) -> None: ...

class EndStreamRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class EndStreamResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadResponse(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[ReloadedFile]
    def __init__(self, files: _Optional[_Iterable[_Union[ReloadedFile, _Mapping]]] = ...) -> None: ...

class ReloadedFile(_message.Message):
    __slots__ = ("name", "complaint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMPLAINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    complaint: str
    def __init__(self, name: _Optional[str] = ..., complaint: _Optional[str] = ...) -> None: ...
