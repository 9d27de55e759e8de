"""Webhook senders, signatures and formats. Pure: imports `domain`; no storage, no HTTP server."""
