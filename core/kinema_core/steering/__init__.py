"""What a user may want of the colours: a warmer look, the look of prints, a reference's palette, own colour kept."""
