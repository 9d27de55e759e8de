"""
Stands before click, so that it is missing, as it is where an app is deployed.

With click httpx imports its command line, and rich and pygments for it: a tenth of a first
restart, which only the tools of developers bring.
"""

raise ImportError("click is a tool of developers; nothing that is deployed installs it")
