"""After code went out: triggers, functions, health, and one dry run."""

import sys

from hook import run

sys.exit(run("local.deployment.after"))
