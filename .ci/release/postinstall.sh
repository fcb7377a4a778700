#!/bin/sh
# Nothing is enabled and nothing is started, at the first installation and at an
# upgrade: what a svidhelper runs ends with it, so when to restart is not a package's
# to say.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers svidhelper.conf
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
