"""How good a picture is beside the true one: one metric a file, all in float64, and `scores.py` for sets of photos."""
