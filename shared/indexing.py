"""
Leave garbage collections out while the app is imported and built: importing this begins it.

So `function_app` imports it before anything else of the app, and calls `ended` at its own end. What
is imported stays, and of 95,000 objects 1,500 are garbage, half a megabyte. Collections on the way
cost a start 30 ms of processor; and a later one, in the middle of the first invocation, would walk
through all of it again, for 6 to 9 ms (docs/design/performance.md).
"""

import gc

gc.disable()


def ended() -> None:
    """Collect again, but only what is made from now on."""
    gc.freeze()
    gc.enable()
