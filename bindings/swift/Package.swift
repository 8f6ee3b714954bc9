// swift-tools-version:6.0
// The package of this checkout. `./dev swift` generates its sources, and tells the linker where the library is; what a release
// brings is in release/Package.swift.
import PackageDescription

let package = Package(
    name: "Sealpost",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Sealpost", targets: ["Sealpost"])],
    targets: [
        .systemLibrary(name: "SealpostFFI"),
        .target(name: "Sealpost", dependencies: ["SealpostFFI"], linkerSettings: [.linkedLibrary("sealpost")]),
        .testTarget(name: "SealpostTests", dependencies: ["Sealpost"]),
    ],
    swiftLanguageModes: [.v6]
)
