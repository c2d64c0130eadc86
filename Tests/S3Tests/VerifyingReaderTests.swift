import Crypto
import HTTP
import S3
import Testing

@Suite struct VerifyingReaderTests {
    static let content = Array("123456789".utf8)
    /// Of "123456789", in base64: the check values of the CRC catalogue, and of Python's hashlib.
    static let checksums: [ChecksumAlgorithm: String] = [
        .crc32: "y/Q5Jg==", .crc32c: "4waSgw==", .crc64nvme: "rosUhgp5mIg=", .sha1: "98O8HYCOBHMq32eZZczDTKeuNEE=",
        .sha256: "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
    ]

    struct Outcome {
        var delivered: [UInt8] = []
        var error: BodyError?
        var digests: BodyDigests?

        var code: String? {
            guard case .contentMismatch(let code, _) = error else { return nil }
            return code
        }
    }

    static func read(_ expectation: BodyExpectation, content: [UInt8] = content, pieces: Int = 3) async -> Outcome {
        let runs = stride(from: 0, to: content.count, by: max(1, pieces)).map {
            Bytes(content[$0..<min(content.count, $0 + pieces)])
        }
        let reader = VerifyingReader(BytesReader(runs: runs), expectation)
        var outcome = Outcome()
        do throws(BodyError) {
            while let run = try await reader.next() { outcome.delivered += run.array }
        } catch {
            outcome.error = error
        }
        outcome.digests = reader.digests
        return outcome
    }

    @Test func `every checksum of S3 has its published value`() async {
        let outcome = await VerifyingReaderTests.read(
            BodyExpectation(length: 9, additional: ChecksumAlgorithm.allCases))
        #expect(outcome.error == nil && outcome.delivered == VerifyingReaderTests.content)
        #expect(outcome.digests?.checksums == VerifyingReaderTests.checksums)
        #expect(outcome.digests?.md5 == "25f9e794323b453885f5181f1b624d0b")
        for (algorithm, value) in VerifyingReaderTests.checksums {
            #expect(Base64.decode(value)?.count == algorithm.byteCount)
            #expect(algorithm.headerName == "x-amz-checksum-\(algorithm.rawValue)")
        }
        #expect(ChecksumAlgorithm.crc64nvme.elementName == "ChecksumCRC64NVME")
    }

    @Test(arguments: ChecksumAlgorithm.allCases)
    func `a promised checksum is kept to`(algorithm: ChecksumAlgorithm) async throws {
        let value = try #require(VerifyingReaderTests.checksums[algorithm])
        let right = await VerifyingReaderTests.read(BodyExpectation(length: 9, checksums: [algorithm: value]))
        #expect(right.error == nil && right.digests?.checksums[algorithm] == value)
        var wrong = Array("023456789".utf8)
        wrong[0] = 0x32
        let outcome = await VerifyingReaderTests.read(
            BodyExpectation(length: 9, checksums: [algorithm: value]), content: wrong)
        #expect(outcome.code == "BadDigest" && outcome.digests == nil)
        #expect(outcome.delivered.count < 9, "the end is held back")
    }

    @Test func `Content-MD5 and the payload's hash are kept to, each with its code`() async {
        let md5 = Digest.hash(.md5, VerifyingReaderTests.content)
        let sha256 = Hex.encode(Digest.hash(.sha256, VerifyingReaderTests.content))
        #expect(await VerifyingReaderTests.read(BodyExpectation(length: 9, sha256: sha256, md5: md5)).error == nil)
        let badMD5 = await VerifyingReaderTests.read(BodyExpectation(length: 9, sha256: sha256, md5: [0]))
        #expect(badMD5.code == "BadDigest" && badMD5.delivered.count < 9)
        let badHash = await VerifyingReaderTests.read(
            BodyExpectation(length: 9, sha256: PayloadMode.emptyHash, md5: md5))
        #expect(badHash.code == "XAmzContentSHA256Mismatch" && badHash.delivered.count < 9)
    }

    @Test(arguments: [1, 3, 9, 100])
    func `the length must be exact, and nothing past it is delivered`(pieces: Int) async {
        let short = await VerifyingReaderTests.read(BodyExpectation(length: 10), pieces: pieces)
        #expect(short.code == "IncompleteBody" && short.delivered.count < 9)
        let long = await VerifyingReaderTests.read(BodyExpectation(length: 8), pieces: pieces)
        #expect(long.error == .tooLong && long.delivered.count < 8)
    }

    @Test func `an empty body has the digest of nothing`() async {
        let outcome = await VerifyingReaderTests.read(
            BodyExpectation(length: 0, sha256: PayloadMode.emptyHash), content: [])
        #expect(outcome.error == nil && outcome.digests?.md5 == "d41d8cd98f00b204e9800998ecf8427e")
    }

    @Test func `a checksum in a trailer is kept to`() async throws {
        for (trailer, isRight) in [("x-amz-checksum-crc32c:4waSgw==", true), ("x-amz-checksum-crc32c:AAAAAA==", false)]
        {
            let wire = ChunkedWire(form: .unsignedTrailer)
            let chunked = wire.reader(wire.bytes([VerifyingReaderTests.content], trailer: trailer), length: 9)
            let reader = VerifyingReader(chunked, BodyExpectation(length: 9, trailing: [.crc32c]), chunked: chunked)
            do throws(BodyError) {
                #expect(try await reader.collect(limit: 100).array == VerifyingReaderTests.content)
                #expect(isRight && reader.digests?.checksums == [.crc32c: "4waSgw=="])
            } catch {
                #expect(!isRight && reader.digests == nil)
            }
        }
    }

    @Test func `an error of the source is handed on, and stays`() async {
        let chunked = ChunkedWire(form: .signed).reader(Array("5;chunk-signature=00\r\nhello\r\n".utf8), length: 5)
        let reader = VerifyingReader(chunked, BodyExpectation(length: 5))
        for _ in 0..<2 { await #expect(throws: BodyError.self) { try await reader.next() } }
        #expect(reader.digests == nil)
    }
}
