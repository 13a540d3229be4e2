"""Runs, one file each: the file states the run's source, command, hardware, time and score."""
