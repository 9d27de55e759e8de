"""A function whose parameter is not the trigger's: the worker refuses to index it."""

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="message", queue_name="work", connection="WorkStorage")
async def work(other: func.QueueMessage) -> None:
    """Never runs."""
    del other
