"""Between the wire and the domain: the only place where the server touches Kinema's protobuf messages.

What comes in is checked here, before anything is allocated for it; what passes is trusted inside.
"""

from kinema_server.convert.films import chunk_from_proto, event_to_proto, video_from_proto
from kinema_server.convert.frames import answer_to_proto, frame_from_proto
from kinema_server.convert.models import models_to_proto
from kinema_server.convert.photographs import image_to_proto, photo_from_proto
from kinema_server.convert.streams import (
    Conversation,
    accepted_to_proto,
    draining_to_proto,
    spec_from_proto,
    summary_to_proto,
)

__all__ = [
    "Conversation",
    "accepted_to_proto",
    "answer_to_proto",
    "chunk_from_proto",
    "draining_to_proto",
    "event_to_proto",
    "frame_from_proto",
    "image_to_proto",
    "models_to_proto",
    "photo_from_proto",
    "spec_from_proto",
    "summary_to_proto",
    "video_from_proto",
]
