import Catalog
import Gateway
import Spec

/// Specs for tests of the snapshot.
enum DesiredStates {
    static let two = DesiredState(
        fleet: FleetSpec(name: "f", replication: ReplicationSpec(factor: 1)), backends: [],
        buckets: ["a", "b"].map { name in
            BucketSpec(
                name: name,
                credentials: [CredentialSpec(accessKeyID: name, secretAccessKey: .literal(Secret("secret of \(name)")))]
            )
        })

    static func snapshot(_ desired: DesiredState) -> GatewaySnapshot {
        let rows = FleetSnapshot(
            revision: 3, digest: "", acceptedAt: 0, backends: [], usage: [:],
            buckets: desired.buckets.enumerated().map {
                BucketRecord(id: BucketID(Int32($0.offset)), name: $0.element.name, isDeclared: true, createdAt: 0)
            })
        return GatewaySnapshot(desired: desired, fleet: rows, backends: []) { reference in
            if case .literal(let secret) = reference { secret } else { nil }
        }
    }
}
