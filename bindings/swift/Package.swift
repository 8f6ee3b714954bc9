// swift-tools-version:6.0
// The package of this checkout. `./dev swift` generates its sources and tells the linker where the library is. The manifest of
// releases is release/Package.swift.
import PackageDescription

let package = Package(
    name: "Sealpost",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Sealpost", targets: ["Sealpost"])],
    targets: [
        .systemLibrary(name: "SealpostFFI"),
        .target(name: "Sealpost", dependencies: ["SealpostFFI"], linkerSettings: [.linkedLibrary("sealpost")]),
        // Symbolic links: to the part of examples/ios that has no user interface, for the tests, and to examples/swift-cli.
        .target(name: "ExampleModel", dependencies: ["Sealpost"], path: "Tests/ExampleModel"),
        .executableTarget(name: "chat", dependencies: ["Sealpost"], path: "Tests/ExampleChat"),
        .executableTarget(name: "bench", dependencies: ["Sealpost"], path: "Tests/Bench"),
        .executableTarget(name: "panics", dependencies: ["Sealpost"], path: "Tests/Panics"),
        .executableTarget(name: "exits", dependencies: ["Sealpost"], path: "Tests/Exits"),
        .testTarget(
            name: "SealpostTests",
            dependencies: ["Sealpost", "ExampleModel"],
            // On Linux, the Observation library of Swift 6.0 refers to a function that does not exist and is never called.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-shlib-undefined"], .when(platforms: [.linux]))]
        ),
    ],
    swiftLanguageModes: [.v6]
)
