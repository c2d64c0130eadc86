import Catalog
import Foundation
import Spec
import Testing

@testable import Gateway

@Suite("Export of a bucket") struct BucketExportTests {
    private static let fleet = """
        apiVersion: sluice/v1
        kind: Fleet
        metadata: { name: home }
        spec: { replication: { factor: 1 } }
        ---
        apiVersion: sluice/v1
        kind: Backend
        metadata: { name: disk }
        spec: { endpoint: file:///srv/disk }

        """

    private func load(_ text: String) throws -> DesiredState? {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-export-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data((BucketExportTests.fleet + text).utf8).write(to: folder.appendingPathComponent("a.yaml"))
        guard case .accepted(let spec) = SpecLoader(path: folder.path, hash: { _ in "" }).load() else { return nil }
        return spec.desired
    }

    @Test(arguments: [
        SecretReference.environment(name: "A_B"), .file(path: "/run/secrets/with space"),
        .literal(Secret("quote\"back\\slash: #")),
    ])
    func `the loader reads what was exported as the same bucket`(secret: SecretReference) throws {
        let cors = [
            CORSRule(
                id: "x \"y\"", allowedOrigins: ["*", "https://*.a.test"], allowedMethods: ["GET", "PUT"],
                allowedHeaders: ["x-*"],
                exposeHeaders: ["ETag"], maxAge: .seconds(3600)),
            CORSRule(allowedOrigins: ["https://b.test"], allowedMethods: ["HEAD"]),
        ]
        let record = BucketRecord(
            id: BucketID(7), name: "made.by-me", isDeclared: false, createdAt: 0, owner: "key: with # odd",
            settings: [.cors: CORSDocument.xml(cors), .acl: "public-read"])
        let export = BucketExport(
            record, credential: CredentialSpec(accessKeyID: "key: with # odd", secretAccessKey: secret))
        let loaded = try #require(try load(export.text)?.bucket("made.by-me"), "\(export.text)")
        #expect(loaded.credentials == export.bucket.credentials)
        #expect(loaded.cors == cors)
        #expect(export.remarks.count == 1 && export.text.contains("anonymousRead"))
    }

    @Test func `a bucket whose key is gone says so`() throws {
        let record = BucketRecord(id: BucketID(7), name: "made", isDeclared: false, createdAt: 0, owner: "gone")
        let export = BucketExport(record, credential: nil)
        #expect(export.text.contains("# made: the spec no longer has the access key gone"))
        #expect(try load(export.text)?.bucket("made") != nil)
    }
}
