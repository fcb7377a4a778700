#!/bin/sh
set -e
if [ "$1" = purge ]; then
	rm -rf /run/svidhelper
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
