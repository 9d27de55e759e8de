"""Relink: full-scope restarts of Microsoft Entra provisioning jobs, asked for, done once, shown."""
