"""What runs a model: one file an engine, behind one seam (`engine.py`), chosen by `select.py`."""
