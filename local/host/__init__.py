"""
Runs a Functions app for development: the genuine Python worker in a host of our own.

It follows recordings of the genuine queue listener, timer and cron library, but it is not
Core Tools: see docs/design/fidelity.md. The worker runs in this very process, so a function that
blocks the event loop also stalls the listeners, the timers and the HTTP server, where the real
host, a process of its own, would go on. For the same reason one process runs one app.
"""
