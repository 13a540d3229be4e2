from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PixelFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PIXEL_FORMAT_UNSPECIFIED: _ClassVar[PixelFormat]
    PIXEL_FORMAT_GRAY8: _ClassVar[PixelFormat]
    PIXEL_FORMAT_GRAY10LE: _ClassVar[PixelFormat]
    PIXEL_FORMAT_YUV420P: _ClassVar[PixelFormat]
    PIXEL_FORMAT_YUV420P10LE: _ClassVar[PixelFormat]
    PIXEL_FORMAT_RGB24: _ClassVar[PixelFormat]

class OutputForm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_FORM_UNSPECIFIED: _ClassVar[OutputForm]
    OUTPUT_FORM_CHROMA: _ClassVar[OutputForm]
    OUTPUT_FORM_YUV420: _ClassVar[OutputForm]
    OUTPUT_FORM_RGB24: _ClassVar[OutputForm]

class Matrix(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATRIX_UNSPECIFIED: _ClassVar[Matrix]
    MATRIX_BT601: _ClassVar[Matrix]
    MATRIX_BT709: _ClassVar[Matrix]

class ColorRange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLOR_RANGE_UNSPECIFIED: _ClassVar[ColorRange]
    COLOR_RANGE_LIMITED: _ClassVar[ColorRange]
    COLOR_RANGE_FULL: _ClassVar[ColorRange]

class VideoCodec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VIDEO_CODEC_UNSPECIFIED: _ClassVar[VideoCodec]
    VIDEO_CODEC_H264: _ClassVar[VideoCodec]
    VIDEO_CODEC_HEVC: _ClassVar[VideoCodec]
    VIDEO_CODEC_AV1: _ClassVar[VideoCodec]
    VIDEO_CODEC_FFV1: _ClassVar[VideoCodec]
    VIDEO_CODEC_PRORES: _ClassVar[VideoCodec]

class Deinterlace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEINTERLACE_UNSPECIFIED: _ClassVar[Deinterlace]
    DEINTERLACE_AUTO: _ClassVar[Deinterlace]
    DEINTERLACE_ON: _ClassVar[Deinterlace]
    DEINTERLACE_OFF: _ClassVar[Deinterlace]

class ImageFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_FORMAT_UNSPECIFIED: _ClassVar[ImageFormat]
    IMAGE_FORMAT_PNG: _ClassVar[ImageFormat]
    IMAGE_FORMAT_JPEG: _ClassVar[ImageFormat]
PIXEL_FORMAT_UNSPECIFIED: PixelFormat
PIXEL_FORMAT_GRAY8: PixelFormat
PIXEL_FORMAT_GRAY10LE: PixelFormat
PIXEL_FORMAT_YUV420P: PixelFormat
PIXEL_FORMAT_YUV420P10LE: PixelFormat
PIXEL_FORMAT_RGB24: PixelFormat
OUTPUT_FORM_UNSPECIFIED: OutputForm
OUTPUT_FORM_CHROMA: OutputForm
OUTPUT_FORM_YUV420: OutputForm
OUTPUT_FORM_RGB24: OutputForm
MATRIX_UNSPECIFIED: Matrix
MATRIX_BT601: Matrix
MATRIX_BT709: Matrix
COLOR_RANGE_UNSPECIFIED: ColorRange
COLOR_RANGE_LIMITED: ColorRange
COLOR_RANGE_FULL: ColorRange
VIDEO_CODEC_UNSPECIFIED: VideoCodec
VIDEO_CODEC_H264: VideoCodec
VIDEO_CODEC_HEVC: VideoCodec
VIDEO_CODEC_AV1: VideoCodec
VIDEO_CODEC_FFV1: VideoCodec
VIDEO_CODEC_PRORES: VideoCodec
DEINTERLACE_UNSPECIFIED: Deinterlace
DEINTERLACE_AUTO: Deinterlace
DEINTERLACE_ON: Deinterlace
DEINTERLACE_OFF: Deinterlace
IMAGE_FORMAT_UNSPECIFIED: ImageFormat
IMAGE_FORMAT_PNG: ImageFormat
IMAGE_FORMAT_JPEG: ImageFormat

class ColorTags(_message.Message):
    __slots__ = ("matrix", "color_range")
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    COLOR_RANGE_FIELD_NUMBER: _ClassVar[int]
    matrix: Matrix
    color_range: ColorRange
    def __init__(self, matrix: _Optional[_Union[Matrix, str]] = ..., color_range: _Optional[_Union[ColorRange, str]] = ...) -> None: ...

class Rational(_message.Message):
    __slots__ = ("numerator", "denominator")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ...) -> None: ...

class Size(_message.Message):
    __slots__ = ("width", "height")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ColorizeFramesRequest(_message.Message):
    __slots__ = ("config", "frame")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    config: StreamConfig
    frame: Frame
    def __init__(self, config: _Optional[_Union[StreamConfig, _Mapping]] = ..., frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...

class StreamConfig(_message.Message):
    __slots__ = ("size", "pixel_format", "color_tags", "time_base", "model", "output_form", "smoothing", "saturation", "working_size", "steering", "resume_token", "max_delay_micros", "max_frame_rate", "shared_memory")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PIXEL_FORMAT_FIELD_NUMBER: _ClassVar[int]
    COLOR_TAGS_FIELD_NUMBER: _ClassVar[int]
    TIME_BASE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORM_FIELD_NUMBER: _ClassVar[int]
    SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    SATURATION_FIELD_NUMBER: _ClassVar[int]
    WORKING_SIZE_FIELD_NUMBER: _ClassVar[int]
    STEERING_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_DELAY_MICROS_FIELD_NUMBER: _ClassVar[int]
    MAX_FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    SHARED_MEMORY_FIELD_NUMBER: _ClassVar[int]
    size: Size
    pixel_format: PixelFormat
    color_tags: ColorTags
    time_base: Rational
    model: str
    output_form: OutputForm
    smoothing: float
    saturation: float
    working_size: int
    steering: Steering
    resume_token: bytes
    max_delay_micros: int
    max_frame_rate: float
    shared_memory: SharedMemory
    def __init__(self, size: _Optional[_Union[Size, _Mapping]] = ..., pixel_format: _Optional[_Union[PixelFormat, str]] = ..., color_tags: _Optional[_Union[ColorTags, _Mapping]] = ..., time_base: _Optional[_Union[Rational, _Mapping]] = ..., model: _Optional[str] = ..., output_form: _Optional[_Union[OutputForm, str]] = ..., smoothing: _Optional[float] = ..., saturation: _Optional[float] = ..., working_size: _Optional[int] = ..., steering: _Optional[_Union[Steering, _Mapping]] = ..., resume_token: _Optional[bytes] = ..., max_delay_micros: _Optional[int] = ..., max_frame_rate: _Optional[float] = ..., shared_memory: _Optional[_Union[SharedMemory, _Mapping]] = ...) -> None: ...

class SharedMemory(_message.Message):
    __slots__ = ("pid", "fd", "num_slots", "slot_bytes", "nonce_sha256")
    PID_FIELD_NUMBER: _ClassVar[int]
    FD_FIELD_NUMBER: _ClassVar[int]
    NUM_SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOT_BYTES_FIELD_NUMBER: _ClassVar[int]
    NONCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    pid: int
    fd: int
    num_slots: int
    slot_bytes: int
    nonce_sha256: bytes
    def __init__(self, pid: _Optional[int] = ..., fd: _Optional[int] = ..., num_slots: _Optional[int] = ..., slot_bytes: _Optional[int] = ..., nonce_sha256: _Optional[bytes] = ...) -> None: ...

class Steering(_message.Message):
    __slots__ = ("warmth", "desaturate_blacks", "desaturate_highlights", "reference", "keep_colour")
    WARMTH_FIELD_NUMBER: _ClassVar[int]
    DESATURATE_BLACKS_FIELD_NUMBER: _ClassVar[int]
    DESATURATE_HIGHLIGHTS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    KEEP_COLOUR_FIELD_NUMBER: _ClassVar[int]
    warmth: float
    desaturate_blacks: float
    desaturate_highlights: float
    reference: ColourStatistics
    keep_colour: bool
    def __init__(self, warmth: _Optional[float] = ..., desaturate_blacks: _Optional[float] = ..., desaturate_highlights: _Optional[float] = ..., reference: _Optional[_Union[ColourStatistics, _Mapping]] = ..., keep_colour: _Optional[bool] = ...) -> None: ...

class ColourStatistics(_message.Message):
    __slots__ = ("mean_a", "mean_b", "variance_a", "variance_b", "covariance")
    MEAN_A_FIELD_NUMBER: _ClassVar[int]
    MEAN_B_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_A_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_B_FIELD_NUMBER: _ClassVar[int]
    COVARIANCE_FIELD_NUMBER: _ClassVar[int]
    mean_a: float
    mean_b: float
    variance_a: float
    variance_b: float
    covariance: float
    def __init__(self, mean_a: _Optional[float] = ..., mean_b: _Optional[float] = ..., variance_a: _Optional[float] = ..., variance_b: _Optional[float] = ..., covariance: _Optional[float] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("seq", "pts", "planes", "shot_cut", "slot")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PTS_FIELD_NUMBER: _ClassVar[int]
    PLANES_FIELD_NUMBER: _ClassVar[int]
    SHOT_CUT_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    pts: int
    planes: _containers.RepeatedScalarFieldContainer[bytes]
    shot_cut: bool
    slot: int
    def __init__(self, seq: _Optional[int] = ..., pts: _Optional[int] = ..., planes: _Optional[_Iterable[bytes]] = ..., shot_cut: _Optional[bool] = ..., slot: _Optional[int] = ...) -> None: ...

class ColorizeFramesResponse(_message.Message):
    __slots__ = ("accepted", "frame", "summary", "draining", "late")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    accepted: StreamAccepted
    frame: ColorFrame
    summary: Summary
    draining: Draining
    late: Late
    def __init__(self, accepted: _Optional[_Union[StreamAccepted, _Mapping]] = ..., frame: _Optional[_Union[ColorFrame, _Mapping]] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ..., late: _Optional[_Union[Late, _Mapping]] = ...) -> None: ...

class StreamAccepted(_message.Message):
    __slots__ = ("model", "model_version", "model_digest", "engine", "precision", "credits", "output_form", "working_size", "smoothing", "saturation", "color_tags", "steering", "resumed", "max_delay_micros", "max_frame_rate", "shared_memory_nonce")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORM_FIELD_NUMBER: _ClassVar[int]
    WORKING_SIZE_FIELD_NUMBER: _ClassVar[int]
    SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    SATURATION_FIELD_NUMBER: _ClassVar[int]
    COLOR_TAGS_FIELD_NUMBER: _ClassVar[int]
    STEERING_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    MAX_DELAY_MICROS_FIELD_NUMBER: _ClassVar[int]
    MAX_FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    SHARED_MEMORY_NONCE_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    model_digest: str
    engine: str
    precision: str
    credits: int
    output_form: OutputForm
    working_size: Size
    smoothing: float
    saturation: float
    color_tags: ColorTags
    steering: Steering
    resumed: bool
    max_delay_micros: int
    max_frame_rate: float
    shared_memory_nonce: bytes
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., model_digest: _Optional[str] = ..., engine: _Optional[str] = ..., precision: _Optional[str] = ..., credits: _Optional[int] = ..., output_form: _Optional[_Union[OutputForm, str]] = ..., working_size: _Optional[_Union[Size, _Mapping]] = ..., smoothing: _Optional[float] = ..., saturation: _Optional[float] = ..., color_tags: _Optional[_Union[ColorTags, _Mapping]] = ..., steering: _Optional[_Union[Steering, _Mapping]] = ..., resumed: _Optional[bool] = ..., max_delay_micros: _Optional[int] = ..., max_frame_rate: _Optional[float] = ..., shared_memory_nonce: _Optional[bytes] = ...) -> None: ...

class ColorFrame(_message.Message):
    __slots__ = ("seq", "pts", "planes", "shot_cut", "timings", "slot")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PTS_FIELD_NUMBER: _ClassVar[int]
    PLANES_FIELD_NUMBER: _ClassVar[int]
    SHOT_CUT_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    pts: int
    planes: _containers.RepeatedScalarFieldContainer[bytes]
    shot_cut: bool
    timings: Timings
    slot: int
    def __init__(self, seq: _Optional[int] = ..., pts: _Optional[int] = ..., planes: _Optional[_Iterable[bytes]] = ..., shot_cut: _Optional[bool] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., slot: _Optional[int] = ...) -> None: ...

class Late(_message.Message):
    __slots__ = ("seq", "pts")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PTS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    pts: int
    def __init__(self, seq: _Optional[int] = ..., pts: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue_micros", "prepare_micros", "engine_micros", "finish_micros")
    QUEUE_MICROS_FIELD_NUMBER: _ClassVar[int]
    PREPARE_MICROS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_MICROS_FIELD_NUMBER: _ClassVar[int]
    FINISH_MICROS_FIELD_NUMBER: _ClassVar[int]
    queue_micros: int
    prepare_micros: int
    engine_micros: int
    finish_micros: int
    def __init__(self, queue_micros: _Optional[int] = ..., prepare_micros: _Optional[int] = ..., engine_micros: _Optional[int] = ..., finish_micros: _Optional[int] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ("resume_token", "summary")
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    resume_token: bytes
    summary: Summary
    def __init__(self, resume_token: _Optional[bytes] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("num_frames", "num_cuts", "num_late")
    NUM_FRAMES_FIELD_NUMBER: _ClassVar[int]
    NUM_CUTS_FIELD_NUMBER: _ClassVar[int]
    NUM_LATE_FIELD_NUMBER: _ClassVar[int]
    num_frames: int
    num_cuts: int
    num_late: int
    def __init__(self, num_frames: _Optional[int] = ..., num_cuts: _Optional[int] = ..., num_late: _Optional[int] = ...) -> None: ...

class ColorizeVideoRequest(_message.Message):
    __slots__ = ("config", "chunk")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    config: VideoConfig
    chunk: bytes
    def __init__(self, config: _Optional[_Union[VideoConfig, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class VideoConfig(_message.Message):
    __slots__ = ("model", "smoothing", "saturation", "working_size", "codec", "crf", "deinterlace", "lenient", "steering")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    SATURATION_FIELD_NUMBER: _ClassVar[int]
    WORKING_SIZE_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    CRF_FIELD_NUMBER: _ClassVar[int]
    DEINTERLACE_FIELD_NUMBER: _ClassVar[int]
    LENIENT_FIELD_NUMBER: _ClassVar[int]
    STEERING_FIELD_NUMBER: _ClassVar[int]
    model: str
    smoothing: float
    saturation: float
    working_size: int
    codec: VideoCodec
    crf: int
    deinterlace: Deinterlace
    lenient: bool
    steering: Steering
    def __init__(self, model: _Optional[str] = ..., smoothing: _Optional[float] = ..., saturation: _Optional[float] = ..., working_size: _Optional[int] = ..., codec: _Optional[_Union[VideoCodec, str]] = ..., crf: _Optional[int] = ..., deinterlace: _Optional[_Union[Deinterlace, str]] = ..., lenient: _Optional[bool] = ..., steering: _Optional[_Union[Steering, _Mapping]] = ...) -> None: ...

class ColorizeVideoResponse(_message.Message):
    __slots__ = ("accepted", "chunk", "progress", "summary")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    accepted: VideoAccepted
    chunk: bytes
    progress: VideoProgress
    summary: VideoSummary
    def __init__(self, accepted: _Optional[_Union[VideoAccepted, _Mapping]] = ..., chunk: _Optional[bytes] = ..., progress: _Optional[_Union[VideoProgress, _Mapping]] = ..., summary: _Optional[_Union[VideoSummary, _Mapping]] = ...) -> None: ...

class VideoAccepted(_message.Message):
    __slots__ = ("model", "model_version", "model_digest", "engine", "precision", "size", "working_size", "codec", "num_frames", "steering")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    WORKING_SIZE_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    NUM_FRAMES_FIELD_NUMBER: _ClassVar[int]
    STEERING_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    model_digest: str
    engine: str
    precision: str
    size: Size
    working_size: Size
    codec: VideoCodec
    num_frames: int
    steering: Steering
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., model_digest: _Optional[str] = ..., engine: _Optional[str] = ..., precision: _Optional[str] = ..., size: _Optional[_Union[Size, _Mapping]] = ..., working_size: _Optional[_Union[Size, _Mapping]] = ..., codec: _Optional[_Union[VideoCodec, str]] = ..., num_frames: _Optional[int] = ..., steering: _Optional[_Union[Steering, _Mapping]] = ...) -> None: ...

class VideoProgress(_message.Message):
    __slots__ = ("num_frames",)
    NUM_FRAMES_FIELD_NUMBER: _ClassVar[int]
    num_frames: int
    def __init__(self, num_frames: _Optional[int] = ...) -> None: ...

class VideoSummary(_message.Message):
    __slots__ = ("num_frames", "num_left_out")
    NUM_FRAMES_FIELD_NUMBER: _ClassVar[int]
    NUM_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    num_frames: int
    num_left_out: int
    def __init__(self, num_frames: _Optional[int] = ..., num_left_out: _Optional[int] = ...) -> None: ...

class ColorizeImageRequest(_message.Message):
    __slots__ = ("image", "model", "saturation", "working_size", "output_format", "steering")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SATURATION_FIELD_NUMBER: _ClassVar[int]
    WORKING_SIZE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    STEERING_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    model: str
    saturation: float
    working_size: int
    output_format: ImageFormat
    steering: Steering
    def __init__(self, image: _Optional[bytes] = ..., model: _Optional[str] = ..., saturation: _Optional[float] = ..., working_size: _Optional[int] = ..., output_format: _Optional[_Union[ImageFormat, str]] = ..., steering: _Optional[_Union[Steering, _Mapping]] = ...) -> None: ...

class ColorizeImageResponse(_message.Message):
    __slots__ = ("image", "model_digest", "timings")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    model_digest: str
    timings: Timings
    def __init__(self, image: _Optional[bytes] = ..., model_digest: _Optional[str] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "digest", "licence", "num_parameters", "working_size", "scores")
    class ScoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    NUM_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    WORKING_SIZE_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    digest: str
    licence: str
    num_parameters: int
    working_size: int
    scores: _containers.ScalarMap[str, float]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., licence: _Optional[str] = ..., num_parameters: _Optional[int] = ..., working_size: _Optional[int] = ..., scores: _Optional[_Mapping[str, float]] = ...) -> None: ...
