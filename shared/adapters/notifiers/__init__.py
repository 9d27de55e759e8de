"""Ticket systems behind the `Notifier` port, one module each; they share aiohttp."""
