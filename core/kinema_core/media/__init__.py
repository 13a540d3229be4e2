"""Films and photos in and out: what FFmpeg and OpenCV know, as Kinema's frames."""
