import HTTP
import Testing

@Suite struct BytesTests {
    @Test func `a slice shares storage`() {
        let whole = Bytes("hello world")
        let slice = whole[6..<11]
        #expect(slice.text == "world")
        whole.withUnsafeBytes { outer in
            slice.withUnsafeBytes { inner in #expect(inner.baseAddress == outer.baseAddress.map { $0 + 6 }) }
        }
        #expect(whole.dropFirst(6) == slice)
        #expect(whole.prefix(99) == whole)
        #expect(whole.dropFirst(99).isEmpty)
    }

    @Test func `filling keeps only what was written`() {
        let bytes = Bytes(capacity: 16) { target in
            target[0] = 7
            return 1
        }
        #expect(bytes.array == [7])
    }

    @Test func `collecting joins runs and stops at the limit`() async throws {
        let runs = [Bytes("ab"), .empty, Bytes("cd")]
        #expect(try await BytesReader(runs: runs).collect(limit: 4).text == "abcd")
        await #expect(throws: BodyError.tooLong) { try await BytesReader(runs: runs).collect(limit: 3) }
    }

    @Test func `field names compare without case`() {
        var fields = Fields([("ETag", "1"), ("etag", "2"), ("X", "3")])
        #expect(fields.values("ETAG") == ["1", "2"])
        #expect(fields["eTag"] == "1")
        fields.set("Etag", "9")
        #expect(fields.values("etag") == ["9"])
        #expect(!Fields.same("[", "{"))
    }
}
