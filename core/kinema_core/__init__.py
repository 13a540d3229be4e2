"""What every part of Kinema shares: frames, colour, media, engines and the way of a frame."""
