// swift-tools-version: 6.2
// The folder list is the architecture: a module may import only what its line below names
// (see ARCHITECTURE.md; the build runs with --explicit-target-dependency-import-check error).
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// Pure modules also refuse unsafe memory constructs that are not marked with the word `unsafe`.
func pure(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict + [.strictMemorySafety()])
}

/// Modules at the edge call C or the system; each C library has one Swift owner.
func edge(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
    name: "sluice",
    products: [.executable(name: "sluice", targets: ["sluice"])],
    targets: [
        .systemLibrary(
            name: "CPostgres", path: "Sources/C/CPostgres", pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"])]),
        .systemLibrary(
            name: "COpenSSL", path: "Sources/C/COpenSSL", pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CYAML", path: "Sources/C/CYAML", pkgConfig: "yaml-0.1",
            providers: [.apt(["libyaml-dev"])]),
        .target(name: "CLinux", path: "Sources/C/CLinux"),

        edge("HTTP"),
        pure("Telemetry"),
        edge("Crypto", ["COpenSSL"]),
        edge("EventLoop", ["CLinux"]),
        edge("Spec", ["CYAML"]),
        edge("Transport", ["EventLoop", "HTTP", "Crypto", "Telemetry"]),
        edge("Postgres", ["EventLoop", "CPostgres"]),
        edge("S3", ["HTTP", "Crypto"]),
        pure("Catalog", ["Spec"]),
        pure("PostgresCatalog", ["Catalog", "Postgres", "Spec"]),
        pure("S3Client", ["S3", "HTTP", "Transport", "Crypto", "Telemetry"]),
        edge("FileStore", ["S3", "HTTP", "Crypto", "EventLoop", "CLinux"]),
        pure("Transfer", ["Catalog", "S3", "HTTP", "Crypto", "Spec"]),
        pure("Reconciler", ["Transfer", "Catalog", "S3", "HTTP", "Crypto", "Spec", "Telemetry"]),
        pure("Gateway", ["Transfer", "Catalog", "S3", "HTTP", "Crypto", "Spec", "Telemetry"]),
        edge(
            "App",
            [
                "Reconciler", "Gateway", "Transfer", "PostgresCatalog", "Postgres", "Catalog", "S3Client", "FileStore",
                "S3", "Transport", "HTTP", "EventLoop", "Crypto", "Spec", "Telemetry", "CLinux",
            ]),
        .executableTarget(name: "sluice", dependencies: ["App"], swiftSettings: strict),

        // Test doubles live in one target: the in-memory store, pictures of fleets, real Postgres and processes.
        edge(
            "TestSupport",
            ["Catalog", "S3", "HTTP", "Crypto", "Spec", "Transfer", "Postgres", "PostgresCatalog", "EventLoop"]),
        tests("HTTPTests", ["HTTP", "TestSupport"]),
        tests("CryptoTests", ["Crypto"]),
        tests("EventLoopTests", ["EventLoop", "CLinux"]),
        tests("TransportTests", ["Transport", "HTTP", "EventLoop", "Crypto", "Telemetry"]),
        tests("SpecTests", ["Spec"]),
        tests("S3Tests", ["S3", "HTTP", "Crypto"]),
        tests(
            "StoreTests",
            ["S3", "S3Client", "FileStore", "HTTP", "Crypto", "EventLoop", "Transport", "Telemetry", "TestSupport"]),
        tests("CatalogTests", ["Catalog", "Spec", "TestSupport", "PostgresCatalog", "Postgres", "EventLoop"]),
        tests("PostgresTests", ["Postgres", "EventLoop", "TestSupport"]),
        tests("TransferTests", ["Transfer", "Catalog", "S3", "HTTP", "Crypto", "Spec", "TestSupport"]),
        tests(
            "ReconcilerTests", ["Reconciler", "Transfer", "Catalog", "S3", "HTTP", "Spec", "Telemetry", "TestSupport"]),
        tests(
            "GatewayTests",
            ["Gateway", "Transfer", "Catalog", "S3", "HTTP", "Crypto", "Spec", "Telemetry", "TestSupport"]),
        .testTarget(
            name: "FuzzTests", dependencies: ["Gateway", "S3", "HTTP", "Crypto", "Spec", "Telemetry", "TestSupport"],
            exclude: ["Corpus"], swiftSettings: strict),
        tests("TidyTests", []),
        tests(
            "SystemTests", ["TestSupport", "Spec", "Catalog", "Postgres", "PostgresCatalog", "EventLoop", "HTTP", "S3"]),
    ]
)
