#!/bin/sh
# Before code goes out: settings, every target's job, the permissions of the app's identity.
set -eu
cd "$(dirname "$0")/../.."
make --silent setup
exec .venv/bin/python -m local.deployment.before
