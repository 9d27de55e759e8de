"""Webhook senders, signatures and formats. Pure: imports `domain` alone; no storage, no HTTP."""
