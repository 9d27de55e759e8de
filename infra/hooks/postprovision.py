"""After it: what the identity may do in Microsoft Graph, before code spends a token on it."""

import sys

from hook import run

sys.exit(run("local.deployment.permissions", "--after-provisioning"))
