"""Version 1 of the wire contract: `colorizer.proto` and the code generated from it."""
