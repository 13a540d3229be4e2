"""The client's own commands, one module each, and what they show while they work.

Modules here import NumPy, engines and media only inside functions, so that `kinema --help` starts at once.
"""
