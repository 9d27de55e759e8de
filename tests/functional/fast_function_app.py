"""
The app with a clock that runs faster: minutes of waiting become seconds.

Copied as `function_app.py` into a folder of its own. It is the project's `function_app`, loaded
from its file, with the one seam that it has for this: `application`.
"""

import importlib.util
import os
import random
import sys
import time
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

ROOT = Path(os.environ["FAST_APP_ROOT"])
SPEED = float(os.environ["FAST_APP_SPEED"])
EPOCH = datetime.fromisoformat(os.environ["FAST_APP_EPOCH"])
sys.path.insert(0, str(ROOT))

from shared import bootstrap  # noqa: E402 -- the path comes first
from shared.adapters.graph.observed import GraphObserver  # noqa: E402
from shared.app import App  # noqa: E402
from shared.config import Settings  # noqa: E402


def clock() -> datetime:
    """The same for every process: time since the epoch, stretched."""
    return EPOCH + timedelta(seconds=(time.time() - EPOCH.timestamp()) * SPEED)


@cache
def application() -> App:
    settings = Settings.from_environ(os.environ, app_dir=ROOT)
    assert settings.storage is not None, settings.problems
    store, queues = bootstrap.storage_adapters(settings, settings.storage)
    observer = GraphObserver(store=store, clock=clock)
    graph = bootstrap.LazyGraph(settings, on_call=observer.saw)
    return bootstrap.assemble(
        settings,
        store=store,
        queues=queues,
        graph=graph,
        link_graph=graph.links,
        observer=observer,
        notifiers={},
        clock=clock,
        new_id=bootstrap.new_id,
        jitter=random.random,
    )


spec = importlib.util.spec_from_file_location("real_function_app", ROOT / "function_app.py")
assert spec is not None
assert spec.loader is not None
real = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)
real.application = application  # type: ignore[attr-defined]
app = real.app
