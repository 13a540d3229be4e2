"""A training run: what happens in a step, what a run keeps, and how it goes on after an end."""
