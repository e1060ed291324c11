#!/bin/bash
# Installs wakeline as a service, or takes it away again. Safe to run twice: what is there already stays or is brought
# up to date, configuration and data are never overwritten.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: install.sh [--from PATH] [--python PYTHON] [--root DIR] [--no-start] [--dry-run]
       install.sh --uninstall [--purge] [--root DIR] [--dry-run]

  --from PATH      checkout or wheel to install (default: the checkout this script stands in)
  --python PYTHON  interpreter of the virtual environment (default: python3; 3.11 to 3.13)
  --root DIR       only put the files under DIR: no packages, no service manager (for images and tests)
  --no-start       install and enable, but do not start now
  --uninstall      stop the service and remove program and units; configuration and data stay
  --purge          with --uninstall: remove configuration, data and user too
  --dry-run        say what would be done
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
from=$(dirname "$here")
python=python3
root=""
start=yes
dry=""
action=install
purge=""

while [ $# -gt 0 ]; do
    case $1 in
        --from | --python | --root)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            case $1 in --from) from=$2 ;; --python) python=$2 ;; --root) root=${2%/} ;; esac
            shift
            ;;
        --no-start) start="" ;;
        --uninstall) action=uninstall ;;
        --purge) purge=yes ;;
        --dry-run) dry=yes ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

units=$root/etc/systemd/system
users=$root/usr/lib/sysusers.d/wakeline.conf
files=$root/usr/lib/tmpfiles.d/wakeline.conf
program=$root/opt/wakeline
backoff=$units/wakeline.service.d/backoff.conf

run() {
    if [ -n "$dry" ]; then echo "would run: $*"; else "$@"; fi
}

# Where systemd is process 1; in an image or a chroot the units are installed and enabled only.
booted() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

check() {
    if [ -z "$root" ] && [ -z "$dry" ] && [ "$(id -u)" -ne 0 ]; then
        echo "install.sh: run it as root: sudo $0" >&2
        exit 1
    fi
    if [ "$action" = install ] && ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
        echo "install.sh: $python is not Python 3.11 to 3.13; name one with --python" >&2
        exit 1
    fi
}

install_program() {
    [ -z "$root" ] || return 0
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        run apt-get install -y --no-install-recommends python3-venv
    fi
    if ! ldconfig -p | grep -q 'libportaudio\.so\.2'; then
        run apt-get install -y --no-install-recommends libportaudio2
    fi
    [ -x "$program/bin/python" ] || run "$python" -m venv "$program"
    run "$program/bin/pip" install --quiet --upgrade "$from"
}

install_units() {
    run install -D -m 0644 "$here/wakeline.service" "$units/wakeline.service"
    run install -D -m 0644 "$here/wakeline.sysusers" "$users"
    run install -D -m 0644 "$here/wakeline.tmpfiles" "$files"
    write_backoff
    [ -z "$root" ] || return 0
    run systemd-sysusers "$users"
    run systemd-tmpfiles --create "$files"
    booted && run systemctl daemon-reload
    run systemctl enable --quiet wakeline.service
}

# 5 s after the first failure, growing to 2 min; older systemd would complain about the unknown keys.
write_backoff() {
    local version
    version=$(systemctl --version 2>/dev/null | awk 'NR == 1 { print int($2) }')
    if [ "${version:-0}" -lt 254 ]; then
        run rm -f "$backoff"
    elif [ -n "$dry" ]; then
        echo "would write: $backoff"
    else
        install -d "$(dirname "$backoff")"
        printf '[Service]\nRestartSteps=5\nRestartMaxDelaySec=120\n' >"$backoff"
    fi
}

start_service() {
    if booted && [ -n "$start" ]; then
        run systemctl restart wakeline.service
        echo "wakeline runs; see it with: systemctl status wakeline"
    else
        echo "wakeline is installed; start it with: systemctl start wakeline"
    fi
}

uninstall() {
    if booted; then
        run systemctl disable --now --quiet wakeline.service || true # it may be gone already
    elif [ -z "$root" ]; then
        run systemctl disable --quiet wakeline.service || true
    fi
    run rm -rf "$units/wakeline.service" "$units/wakeline.service.d" "$users" "$files" "$program"
    booted && run systemctl daemon-reload
    if [ -n "$purge" ]; then
        run rm -rf "$root/etc/wakeline" "$root/var/lib/wakeline"
        if [ -z "$root" ] && id wakeline >/dev/null 2>&1; then run userdel wakeline; fi
    else
        echo "configuration (/etc/wakeline) and data (/var/lib/wakeline) were kept; --purge removes them"
    fi
}

check
if [ "$action" = uninstall ]; then
    uninstall
else
    install_program
    install_units
    start_service
fi
