#!/usr/bin/env bash
# Builds a release of the Swift package, on a Mac with Xcode. `./dev xcframework` generates the sources, then calls this:
#   xcframework.sh check|build TARGET_FOLDER [URL]
# The library for iPhones, the simulator and Macs is written to TARGET_FOLDER/xcframework/SealpostFFI.xcframework.zip, and the
# Swift package to package/ beside it. The package refers to the library by the URL of the release; without a URL, it contains
# the library.
set -euo pipefail

step=$1
target=$2
url=${3:-}
swift=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
out=$target/xcframework

die() { printf 'xcframework: %s\n' "$*" >&2; exit 1; }

[ "$(uname -s)" = Darwin ] || die "libraries for iPhones can only be built on a Mac with Xcode"
xcodebuild -version >/dev/null 2>&1 || die "Xcode is missing: install it, then run xcode-select --install"

[ "$step" = build ] || exit 0

# SQLCipher uses Apple's cryptography, even if the environment configures an OpenSSL for other builds.
unset OPENSSL_DIR OPENSSL_LIB_DIR OPENSSL_INCLUDE_DIR
# The same versions as in Package.swift.
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0

build() {
    rustup target add "$@"
    for triple in "$@"; do
        cargo rustc --profile release-size --locked -p sealpost-ffi --lib --crate-type staticlib --target "$triple"
    done
}

# Joins the libraries of a platform's processors into one.
join() {
    name=$1
    shift
    libraries=()
    for triple in "$@"; do libraries+=("$target/$triple/release-size/libsealpost.a"); done
    mkdir -p "$out/$name"
    lipo -create "${libraries[@]}" -output "$out/$name/libsealpost.a"
}

rm -rf "$out"
mkdir -p "$out/headers/SealpostFFI"
# The headers need their own folder, because all frameworks of an app share one, and each has a module.modulemap.
cp "$swift"/Sources/SealpostFFI/* "$out/headers/SealpostFFI"

cd "$swift"
export CARGO_TARGET_DIR=$target
build aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin
join ios aarch64-apple-ios
join simulator aarch64-apple-ios-sim x86_64-apple-ios
join macos aarch64-apple-darwin x86_64-apple-darwin

xcodebuild -create-xcframework \
    -library "$out/ios/libsealpost.a" -headers "$out/headers" \
    -library "$out/simulator/libsealpost.a" -headers "$out/headers" \
    -library "$out/macos/libsealpost.a" -headers "$out/headers" \
    -output "$out/SealpostFFI.xcframework"
ditto -c -k --keepParent "$out/SealpostFFI.xcframework" "$out/SealpostFFI.xcframework.zip"
checksum=$(swift package compute-checksum "$out/SealpostFFI.xcframework.zip")

mkdir -p "$out/package/Sources"
cp -R Sources/Sealpost "$out/package/Sources/"
cp README.md "$out/package/"
if [ -n "$url" ]; then
    sed -e "s|@URL@|$url|" -e "s|@CHECKSUM@|$checksum|" release/Package.swift >"$out/package/Package.swift"
else
    cp -R "$out/SealpostFFI.xcframework" "$out/package/"
    sed -e 's|url: "@URL@", checksum: "@CHECKSUM@"|path: "SealpostFFI.xcframework"|' release/Package.swift \
        >"$out/package/Package.swift"
fi
printf 'xcframework: %s\nxcframework: %s\n' "$out/SealpostFFI.xcframework.zip, checksum $checksum" "$out/package"
