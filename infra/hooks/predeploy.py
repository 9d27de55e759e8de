"""Before code goes out: settings, jobs, permissions; then wait until nothing is being sent."""

import sys

from hook import run

sys.exit(run("local.deployment.before"))
