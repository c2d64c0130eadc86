import Spec
import Testing

/// What a bucket's `replication` is when it leaves fields out.
@Suite("Spec replication") struct SpecReplicationTests {
    private func fleet(_ replication: String) -> String {
        "apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: home }\nspec: { replication: { \(replication) } }\n"
    }

    private func bucket(_ replication: String) -> String {
        SpecLoaderTests.bucket + "  replication: { \(replication) }\n"
    }

    /// The Fleet in the first file, in the last, and behind the bucket in the same one.
    private func orders(_ fleet: String, _ bucket: String) -> [[String: String]] {
        [
            ["a.yaml": fleet, "b.yaml": SpecLoaderTests.backend, "c.yaml": bucket],
            ["a.yaml": bucket, "b.yaml": SpecLoaderTests.backend, "c.yaml": fleet],
            ["a.yaml": SpecLoaderTests.backend + bucket + "---\n" + fleet],
        ]
    }

    private struct Row: Sendable {
        let fleet: String
        let bucket: String
        /// Factor, ack, minAck.
        let wanted: [Int]
    }

    private static let rows: [Row] = [
        Row(fleet: "factor: 3", bucket: "factor: 2", wanted: [2, 2, 1]),
        Row(fleet: "factor: 3", bucket: "factor: 1", wanted: [1, 1, 1]),
        Row(fleet: "factor: 3, ack: 3, minAck: 2", bucket: "", wanted: [3, 3, 2]),
        Row(fleet: "factor: 3, ack: 3, minAck: 2", bucket: "factor: 2", wanted: [2, 2, 2]),
        Row(fleet: "factor: 3, ack: 3, minAck: 2", bucket: "factor: 1", wanted: [1, 1, 1]),
        Row(fleet: "factor: 3, ack: 3, minAck: 3", bucket: "ack: 2", wanted: [3, 2, 2]),
        Row(fleet: "factor: 3, ack: 3", bucket: "minAck: 2", wanted: [3, 3, 2]),
        Row(fleet: "factor: 1", bucket: "factor: 4", wanted: [4, 1, 1]),
        Row(fleet: "factor: 2, ack: 1", bucket: "factor: 4", wanted: [4, 1, 1]),
        Row(fleet: "", bucket: "factor: 4", wanted: [4, 2, 1]),
    ]

    @Test(arguments: rows)
    private func `what a bucket leaves out is the fleet's, wherever the fleet stands`(row: Row) throws {
        for files in orders(fleet(row.fleet), bucket(row.bucket)) {
            guard case .accepted(let spec) = try SpecLoaderTests().load(files) else {
                Issue.record("rejected: \(files)")
                continue
            }
            let own = try #require(spec.desired.bucket("photos")?.replication)
            #expect([own.factor, own.ack, own.minAck] == row.wanted, "\(files)")
        }
    }

    @Test func `what a bucket gives is held against what it takes from the fleet`() throws {
        for given in ["ack: 3", "minAck: 3", "factor: 1, ack: 2"] {
            for files in orders(fleet("factor: 2"), bucket(given)) {
                guard case .rejected(let findings, _) = try SpecLoaderTests().load(files) else {
                    Issue.record("accepted: \(files)")
                    continue
                }
                #expect(findings.contains { $0.code == .badValue }, "\(findings)")
            }
        }
    }

    @Test func `a repair delay is refused in a bucket, and names its place`() throws {
        for files in orders(fleet("repairDelay: 5s"), bucket("factor: 1, repairDelay: 1m, ark: 1")) {
            guard case .rejected(let findings, let sources) = try SpecLoaderTests().load(files) else {
                Issue.record("accepted: \(files)")
                continue
            }
            #expect(findings.filter { $0.severity == .error }.map(\.code) == [.misplacedField, .unknownField])
            let shown = DiagnosticRenderer.text(findings, sources: sources)
            #expect(shown.contains("^^^^^^^^^^^ it belongs to the Fleet: spec.replication.repairDelay"), "\(shown)")
        }
        for files in orders(fleet("repairDelay: 5s"), bucket("factor: 1")) {
            guard case .accepted(let spec) = try SpecLoaderTests().load(files) else {
                Issue.record("rejected: \(files)")
                continue
            }
            #expect(spec.desired.fleet.replication.repairDelay == .seconds(5))
        }
    }

    @Test func `findings keep the order of the documents, and each comes once`() throws {
        let files = ["a.yaml": bucket("factor: 0") + SpecLoaderTests.backend, "b.yaml": fleet("factor: 99")]
        guard case .rejected(let findings, _) = try SpecLoaderTests().load(files) else {
            Issue.record("accepted")
            return
        }
        let errors = findings.filter { $0.severity == .error }.map { $0.mark?.file.suffix(6) }
        #expect(errors == ["a.yaml", "b.yaml"])
    }
}
