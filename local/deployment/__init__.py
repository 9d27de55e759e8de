"""
Around a deployment: what is checked before it, granted beside it, and tried after it.

Run by the hooks of azure.yaml, or by hand (docs/operate/deploy.md). It asks by the same code that
the app runs on: `shared.config` for settings, the Graph gateway for jobs, the store for what became
of a request.
"""
