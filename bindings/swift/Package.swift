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
        // Links: to the half of examples/ios that has no screen, for the tests, and to examples/swift-cli.
        .target(name: "ExampleModel", dependencies: ["Sealpost"], path: "Tests/ExampleModel"),
        .executableTarget(name: "chat", dependencies: ["Sealpost"], path: "Tests/ExampleChat"),
        .executableTarget(name: "bench", dependencies: ["Sealpost"], path: "Tests/Bench"),
        .executableTarget(name: "panics", dependencies: ["Sealpost"], path: "Tests/Panics"),
        .testTarget(
            name: "SealpostTests",
            dependencies: ["Sealpost", "ExampleModel"],
            // Swift 6.0's Observation for Linux names a function that it never calls and that is nowhere.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-shlib-undefined"], .when(platforms: [.linux]))]
        ),
    ],
    swiftLanguageModes: [.v6]
)
