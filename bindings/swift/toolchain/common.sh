# Shared by setup.sh and run.sh: finds an installed Swift.
# shellcheck shell=bash

needs_swift=6
SWIFT_ROOT=${SWIFT_ROOT:-/var/cache/swift-trixie}
# The folder for a release of swift.org, which setup.sh unpacks. It is then used like a Swift that is installed on the machine.
SWIFT_RELEASE=${SWIFT_RELEASE:-${XDG_CACHE_HOME:-${HOME:-/var}/.cache}/sealpost-swift}
export SWIFT_ROOT SWIFT_RELEASE

say() { printf 'swift: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Whether a Swift that is new enough is installed on the machine.
own_swift() {
    if release_is_there; then PATH=$SWIFT_RELEASE/usr/bin:$PATH; fi
    have swift || return 1
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\)\..*/\1/p' | head -n 1)
    [ "${version:-0}" -ge "$needs_swift" ]
}

release_is_there() { [ -x "$SWIFT_RELEASE/usr/bin/swift" ]; }

# Whether this process can mount file systems in its own namespace. That needs root, and fails in most containers.
may_mount() { unshare --mount --pid --fork --propagation private mount -t tmpfs tmpfs /tmp 2>/dev/null; }

# Whether setup.sh has completely built the root file system with this stamp.
root_is_ready() { [ "$(cat "$SWIFT_ROOT/.stamp" 2>/dev/null)" = "$1" ]; }
