"""HTTP as values, without an HTTP library: imports `use_cases`, `config`, `webhooks`, `domain`."""
