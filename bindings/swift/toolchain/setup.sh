#!/usr/bin/env bash
# Provides Swift 6 or newer. It tries these in order:
#   1. Use the Swift of the machine.
#   2. Install Debian's package, if this system has it.
#   3. On an older Debian, with root and permission to mount: build a small root file system of the first release that has the
#      package, in $SWIFT_ROOT, with the apt settings of the machine; run.sh uses it. This takes about four minutes, 600 MB of
#      packages and 1.6 GB of disk, once.
#   4. Download the release of swift.org for this system to $SWIFT_RELEASE. This needs no root, and about 900 MB.
# It reports what it does on standard error, and, if nothing worked, how to install Swift by hand.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=bindings/swift/toolchain/common.sh
. "$here/common.sh"

suite=trixie # the first release of Debian with Swift 6
packages="swiftlang libc6-dev libstdc++-14-dev zlib1g-dev tzdata"
stamp="v1 $suite $packages"

# The packages that a release of swift.org needs.
companions="binutils ca-certificates g++ libc6-dev libcurl4-openssl-dev libxml2-dev libz3-dev zlib1g-dev tzdata"
release=6.0.3

main() {
    own_swift && return
    if root_is_ready "$stamp" && may_mount; then return; fi
    if install_package; then return; fi
    if may_make_root; then
        make_root
        return
    fi
    if install_release; then return; fi
    give_up
}

is_root() { [ "$(id -u)" = 0 ]; }

as_root() {
    if is_root; then "$@"; elif have sudo; then sudo "$@"; else return 1; fi
}

give_up() {
    say "Swift $needs_swift or newer could not be installed. To install it by hand:"
    say "  Debian 13 and newer:  apt-get install $packages"
    say "  other systems:        unpack the toolchain from https://www.swift.org/install, and put its usr/bin into PATH;"
    say "                        on Debian and Ubuntu it needs: apt-get install $companions"
    say "  a container:          start from the image swift:$release, or run as root with permission to mount (--privileged)"
    exit 1
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq "$@" >/dev/null; }

# Fails if this system does not have the package, or only an older version.
install_package() {
    version=$(LC_ALL=C apt-cache policy swiftlang 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\)\..*/\1/p')
    [ "${version:-0}" -ge "$needs_swift" ] || return 1
    say "installing Debian's Swift (once)"
    # shellcheck disable=SC2086 # a list of package names
    apt install -y --no-install-recommends $packages && own_swift
}

may_make_root() {
    is_root && grep -qs '^ID=debian' /etc/os-release || return 1
    may_mount || { say "this process cannot mount file systems, so Debian $suite cannot be used"; return 1; }
}

make_root() {
    mkdir -p "$(dirname "$SWIFT_ROOT")"
    exec 9>"$SWIFT_ROOT.lock"
    flock 9
    # Another process may have built it in the meantime.
    root_is_ready "$stamp" || build_root
}

# Fails if there is no release for this system, it cannot be downloaded, or it does not start.
install_release() {
    release_is_there || fetch_release || return 1
    own_swift && return
    # shellcheck disable=SC2086 # a list of package names
    apt install -y --no-install-recommends $companions || say "please run: apt-get install $companions"
    own_swift
}

fetch_release() {
    system=$(release_name) || return 1
    case $(uname -m) in x86_64) machine= ;; aarch64) machine=-aarch64 ;; *) return 1 ;; esac
    have curl || apt install -y curl || return 1
    folder=$(echo "$system" | tr -d .)$machine
    name=swift-$release-RELEASE
    new=$SWIFT_RELEASE.new.$$
    mkdir -p "$new" || return 1
    say "downloading Swift $release from swift.org to $SWIFT_RELEASE (once; about 900 MB)"
    if curl --proto '=https' -fsSL --connect-timeout 20 \
        "https://download.swift.org/swift-$release-release/$folder/$name/$name-$system$machine.tar.gz" |
        tar -xz -C "$new" --strip-components 1; then
        mv "$new" "$SWIFT_RELEASE"
    else
        rm -rf "$new"
        say "the download failed"
        return 1
    fi
}

# Prints the name of this system at swift.org. Fails if there is no release for it.
release_name() {
    # shellcheck source=/dev/null
    . /etc/os-release
    case $ID-$VERSION_ID in debian-12 | ubuntu-22.04 | ubuntu-24.04) echo "$ID$VERSION_ID" ;; *) return 1 ;; esac
}

# Builds the root file system in a temporary folder, and renames the folder when it is complete.
build_root() {
    new=$SWIFT_ROOT.new
    log=$SWIFT_ROOT.log
    rm -rf --one-file-system "$new"
    have debootstrap || apt install -y --no-install-recommends debootstrap 2>/dev/null ||
        { apt update && apt install -y --no-install-recommends debootstrap; }
    say "this Debian has no Swift $needs_swift: installing Debian $suite with Swift in $SWIFT_ROOT (once; some minutes, 1.6 GB)"
    say "the log is $log"
    debootstrap --variant=minbase --keyring="$(keyring)" "$suite" "$new" "$(mirror)" >"$log" 2>&1 || failed
    copy_apt_settings
    leave_out_what_no_test_needs
    say "installing the compiler"
    install_into_root >>"$log" 2>&1 || failed
    rm -rf "$new"/var/lib/apt/lists/*
    echo "$stamp" >"$new/.stamp"
    rm -rf --one-file-system "$SWIFT_ROOT"
    mv "$new" "$SWIFT_ROOT"
    say "ready: $(grep -m1 'Swift version' "$log")"
}

failed() {
    tail -n 20 "$log" >&2
    die "could not build $SWIFT_ROOT: see the log in $log"
}

keyring() { find /usr/share/keyrings -name 'debian-archive-keyring.*' -print -quit; }

release_of_this_machine() { (. /etc/os-release && echo "$VERSION_CODENAME"); }

# Prints the mirror from which this machine gets its own release, from apt's sources in the new format or in the old one.
mirror() {
    ours=$(release_of_this_machine)
    found=$(find /etc/apt/sources.list.d -name '*.sources' -exec cat {} + -exec echo \; 2>/dev/null | awk -v release="$ours" '
        BEGIN { RS = "" }
        {
            uri = ""; mine = 0; lines = split($0, line, "\n")
            for (i = 1; i <= lines; i++) {
                if (line[i] ~ /^URIs:/) { split(line[i], words, " "); uri = words[2] }
                if (line[i] ~ /^Suites:/ && (line[i] " ") ~ (" " release " ")) mine = 1
            }
            if (mine) { print uri; exit }
        }')
    [ -n "$found" ] || found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?//p' | awk -v release="$ours" '$2 == release { print $1; exit }')
    [ -n "$found" ] || die "apt's settings contain no mirror for Debian $ours"
    echo "$found"
}

# Copies the machine's apt sources, changed to the other release, and its proxy and name server settings.
copy_apt_settings() {
    ours=$(release_of_this_machine)
    rm -f "$new/etc/apt/sources.list"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
        if grep -qs "$ours" "$file"; then sed "s/$ours/$suite/g" "$file" >"$new/${file#/}"; fi
    done
    apt-config dump | grep -E '^Acquire::(Check|http|https|Retries|Force)' >"$new/etc/apt/apt.conf.d/10host" || true
    cp -L /etc/resolv.conf /etc/hosts "$new/etc/"
}

leave_out_what_no_test_needs() {
    for path in \
        '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' \
        '/usr/libexec/swift/bin/*lldb*' '/usr/libexec/swift/lib/liblldb*' \
        '/usr/libexec/swift/bin/clangd' '/usr/libexec/swift/bin/docc' \
        '/usr/libexec/swift/bin/sourcekit-lsp' '/usr/libexec/swift/lib/libsourcekitd*' \
        '/usr/libexec/swift/lib/swift/embedded/*'; do
        echo "path-exclude=$path"
    done >"$new/etc/dpkg/dpkg.cfg.d/slim"
}

# The mounts have their own namespace, so nothing stays mounted, whatever happens.
install_into_root() {
    unshare --mount --propagation private bash -euc '
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        chroot "$0" apt-get update
        chroot "$0" apt-get -o APT::Keep-Downloaded-Packages=false install -y --no-install-recommends "$@"
        chroot "$0" apt-get clean
        chroot "$0" swift --version
    ' "$new" $packages
}

main
