"""Run one tick of a timer, logging as the worker does; print the lines as JSON."""

import asyncio
import json
import logging
import sys

LINES: list[tuple[str, str]] = []


class Taken(logging.Handler):
    """What the worker's handler would forward to Application Insights."""

    def emit(self, record: logging.LogRecord) -> None:
        LINES.append((record.name, record.getMessage()))


async def main(timer: str) -> None:
    # azure_functions_worker: `root_logger.setLevel(logging.INFO)`, one handler, nothing filtered.
    logging.basicConfig(level=logging.INFO, handlers=[Taken()], force=True)
    import function_app  # noqa: F401, PLC0415 -- after logging, as the worker does it
    from shared.bootstrap import application  # noqa: PLC0415

    app = application()
    await (app.sweep() if timer == "sweep" else app.remediate())
    print(json.dumps(LINES))


asyncio.run(main(sys.argv[1]))
