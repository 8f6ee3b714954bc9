#!/usr/bin/env bash
# Runs a command that needs Swift, either with the Swift of the machine, or in the root file system that setup.sh has built.
#   run.sh FOLDER[:FOLDER...] COMMAND [ARGUMENT...]
# The command runs in the first folder. In the root file system, the folders have the same paths, the network is that of the
# machine, /tmp is empty, and only environment variables that start with SEALPOST_ or SWIFT_ are passed on. Mounts and
# processes have their own namespaces, so they end with the command.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=bindings/swift/toolchain/common.sh
. "$here/common.sh"

folders=$1
shift
cd "${folders%%:*}"
if own_swift; then exec "$@"; fi

[ -e "$SWIFT_ROOT/.stamp" ] || die "Swift $needs_swift is missing: run $here/setup.sh first"
may_mount || die "using $SWIFT_ROOT needs root and permission to mount; or put Swift $needs_swift into PATH, see $here/setup.sh"

environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 TERM="${TERM:-dumb}")
while IFS= read -r name; do
    environment+=("$name=${!name}")
done < <(compgen -e | grep -E '^(SEALPOST|SWIFT)_')

export folders
exec unshare --mount --pid --fork --kill-child=KILL --propagation private bash -euc '
    mount -t proc proc "$SWIFT_ROOT/proc"
    mount --rbind /dev "$SWIFT_ROOT/dev"
    # This comes first, because a folder may be inside it.
    mount -t tmpfs tmpfs "$SWIFT_ROOT/tmp"
    IFS=:
    # The first one contains the certificates that the machine trusts.
    for folder in /etc/ssl $folders; do
        mkdir -p "$SWIFT_ROOT$folder"
        mount --rbind "$folder" "$SWIFT_ROOT$folder"
    done
    unset IFS
    exec chroot "$SWIFT_ROOT" env -i "$@"
' run "${environment[@]}" sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
