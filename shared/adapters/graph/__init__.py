"""Microsoft Graph behind the `Graph` port; nothing else imports msgraph, kiota and httpx."""
