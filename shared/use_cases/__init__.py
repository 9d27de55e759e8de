"""One module for each function of `function_app.py`, over `domain`'s ports; no vendor."""
