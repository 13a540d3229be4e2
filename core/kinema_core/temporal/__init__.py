"""Colour over time: where shots change, and colour that stays put between."""
