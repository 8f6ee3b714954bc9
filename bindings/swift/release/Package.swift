// swift-tools-version:6.0
// The manifest of a release. `./dev xcframework` inserts the URL and the checksum of the library, or its local path.
import PackageDescription

let package = Package(
    name: "Sealpost",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Sealpost", targets: ["Sealpost"])],
    targets: [
        .binaryTarget(name: "SealpostFFI", url: "@URL@", checksum: "@CHECKSUM@"),
        .target(
            name: "Sealpost",
            dependencies: ["SealpostFFI"],
            linkerSettings: [.linkedFramework("CoreFoundation"), .linkedFramework("Security")]
        ),
    ],
    swiftLanguageModes: [.v6]
)
