"""Objectives, one file a kind."""
