#!/bin/sh
# Only a removal stops what runs. dpkg says "remove" for it, rpm says 0.
set -e
case $1 in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl stop svidhelper.service 'svidhelper@*.service'
		systemctl disable svidhelper.service svidhelper@.service # with all of its instances
	fi
	;;
esac
