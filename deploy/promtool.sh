#!/usr/bin/env bash
# Puts promtool into folder $1, out of Debian's package and without root; no Python index has it. Where it is there already
# nothing is done, and where it cannot be had this says so: tests that need it are left out then.
set -eu -o pipefail
folder=$(cd "$1" && pwd)

if [ -x "$folder/promtool" ] || command -v promtool >/dev/null; then exit 0; fi

leave_out() {
	echo "promtool is not to be had here ($1): the tests of alerts and metrics that need it are left out" >&2
	exit 0
}
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || leave_out "no apt-get; install Prometheus for it"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt() { apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o APT::Sandbox::User="$(id -un)" "$@" 2>apt.log; }
apt download prometheus || { [ "$(id -u)" -eq 0 ] && apt update && apt download prometheus; } || leave_out "$(tail -n 1 apt.log)"
dpkg-deb --fsys-tarfile prometheus_*.deb | tar --extract ./usr/bin/promtool
install usr/bin/promtool "$folder/promtool"
echo "promtool is in $1, from $(ls prometheus_*.deb)"
