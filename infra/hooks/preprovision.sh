#!/bin/sh
# Before anything is made in Azure: are the settings those of a valid app?
set -eu
cd "$(dirname "$0")/../.."
make --silent setup
exec .venv/bin/python -m local.deployment.settings
