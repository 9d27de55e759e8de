"""One module for each function of the app: imports `config`, `webhooks`, `domain`; no vendor."""
