"""Scores of a model on photographs. Needs no torch, but for the scores that compare learned features."""
