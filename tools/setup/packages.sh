#!/bin/sh
# SPDX-License-Identifier: MIT
# Install the Debian packages of packages.list that are missing.  An ordinary
# user is told the one line that does it, and the build stops there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
wanted=$(sed 's/#.*//' "$here/packages.list" | tr '\n' ' ')

# shellcheck disable=SC2086 # the list is split on purpose
installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
	sed -n 's/ installed$//p' || true)
missing=
for package in $wanted; do
	printf '%s\n' "$installed" | grep -qx "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "Quire needs packages that are not installed. Please run:" >&2
	echo "    sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "installing packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086
apt-get -qq install -y --no-install-recommends $missing >/dev/null
