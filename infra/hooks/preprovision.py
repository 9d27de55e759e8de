"""Before anything is made in Azure: are the settings those of a valid app?"""

import sys

from hook import run

sys.exit(run("local.deployment.settings"))
