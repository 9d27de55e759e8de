"""By hand, by an Application Administrator: register the sign-in; --assign gives a role."""

import sys

from hook import run

sys.exit(run("local.deployment.sign_in", *sys.argv[1:]))
