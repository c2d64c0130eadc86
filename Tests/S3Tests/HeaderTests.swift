import HTTP
import S3
import Testing

@Suite struct RangeRequestTests {
    @Test(
        arguments: [
            ("bytes=0-9", RangeRequest.part(ByteRange(0, 10))), ("bytes=0-0", .part(ByteRange(0, 1))),
            ("bytes=99-99", .part(ByteRange(99, 100))), ("bytes=0-", .part(ByteRange(0, 100))),
            ("bytes=90-1000", .part(ByteRange(90, 100))), ("bytes=-10", .part(ByteRange(90, 100))),
            ("bytes=-1000", .part(ByteRange(0, 100))), ("BYTES=1-2", .part(ByteRange(1, 3))),
            ("bytes= 1-2 ", .part(ByteRange(1, 3))), ("bytes=5-99999999999999999999999", .part(ByteRange(5, 100))),
            ("bytes=100-", .unsatisfiable), ("bytes=100-200", .unsatisfiable), ("bytes=-0", .unsatisfiable),
            ("bytes=99999999999999999999999-", .unsatisfiable),
            ("bytes=", .whole), ("bytes=-", .whole), ("bytes=2-1", .whole), ("bytes=a-b", .whole),
            ("bytes=1-b", .whole),
            ("bytes=--1", .whole), ("bytes=+1-2", .whole), ("bytes=1 0-20", .whole), ("bytes=0-1,3-4", .whole),
            ("items=0-1", .whole),
            ("0-1", .whole), ("", .whole), ("bytes", .whole), ("bytes=0x1-2", .whole),
        ])
    func `a range is satisfied, refused or ignored as RFC 9110 and S3 say`(header: String, expected: RangeRequest) {
        #expect(RangeRequest(header: header, size: 100) == expected)
    }

    @Test func `no byte of an empty object can be asked for`() {
        #expect(RangeRequest(header: nil, size: 0) == .whole)
        for header in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            #expect(RangeRequest(header: header, size: 0) == .unsatisfiable)
        }
    }
}

@Suite struct ReadConditionsTests {
    static let modified = WallTime(seconds: 1_700_000_000, nanoseconds: 900_000_000)
    static func verdict(_ fields: [(String, String)]) -> ReadConditions.Verdict {
        ReadConditions(Fields(fields)).verdict(etag: "abc", modified: modified)
    }
    static func date(_ offset: Int64) -> String { WallTime(seconds: modified.seconds + offset).httpDate }

    @Test func `entity tags match in lists, with and without quotes, weak or not, and by a star`() {
        for list in ["\"abc\"", "abc", "\"x\", \"abc\"", "W/\"abc\"", "*", " * ", "\"x\",*"] {
            #expect(ReadConditionsTests.verdict([("If-Match", list)]) == .passes, "\(list)")
            #expect(ReadConditionsTests.verdict([("If-None-Match", list)]) == .notModified, "\(list)")
        }
        for list in ["\"x\"", "\"ABC\"", "", "\"*\"", "ab"] {
            #expect(ReadConditionsTests.verdict([("If-Match", list)]) == .failed, "\(list)")
            #expect(ReadConditionsTests.verdict([("If-None-Match", list)]) == .passes, "\(list)")
        }
        #expect(ReadConditionsTests.verdict([("If-Match", "\"x\""), ("If-Match", "\"abc\"")]) == .passes)
    }

    @Test func `dates compare in whole seconds, so that the Last-Modified that was given fits`() {
        #expect(ReadConditionsTests.verdict([("If-Modified-Since", ReadConditionsTests.date(0))]) == .notModified)
        #expect(ReadConditionsTests.verdict([("If-Modified-Since", ReadConditionsTests.date(-1))]) == .passes)
        #expect(ReadConditionsTests.verdict([("If-Unmodified-Since", ReadConditionsTests.date(0))]) == .passes)
        #expect(ReadConditionsTests.verdict([("If-Unmodified-Since", ReadConditionsTests.date(-1))]) == .failed)
        #expect(ReadConditionsTests.verdict([("If-Modified-Since", "yesterday")]) == .passes)
    }

    @Test func `tags come before dates, If-Match before If-None-Match`() {
        let (old, new) = (ReadConditionsTests.date(-100), ReadConditionsTests.date(100))
        #expect(ReadConditionsTests.verdict([("If-Match", "\"abc\""), ("If-Unmodified-Since", old)]) == .passes)
        #expect(ReadConditionsTests.verdict([("If-None-Match", "\"x\""), ("If-Modified-Since", new)]) == .passes)
        #expect(
            ReadConditionsTests.verdict([("If-None-Match", "\"abc\""), ("If-Modified-Since", old)]) == .notModified)
        #expect(ReadConditionsTests.verdict([("If-Match", "\"x\""), ("If-None-Match", "\"abc\"")]) == .failed)
        #expect(ReadConditionsTests.verdict([]) == .passes)
    }
}

@Suite struct ETagTests {
    @Test func `quotes and weakness go, and an MD5 is told from a token`() {
        for text in ["\"abc\"", "abc", "W/\"abc\"", " \"abc\" "] { #expect(ETag.unquoted(text) == "abc", "\(text)") }
        #expect(ETag.quoted("abc") == "\"abc\"")
        #expect(ETag.isMD5("d41d8cd98f00b204e9800998ecf8427e") && ETag.isMD5("D41D8CD98F00B204E9800998ECF8427E"))
        for text in [
            "", "d41d8cd98f00b204e9800998ecf8427e-1", "d41d8cd98f00b204e9800998ecf8427",
            "g41d8cd98f00b204e9800998ecf8427e",
        ] {
            #expect(!ETag.isMD5(text), "\(text)")
        }
    }
}

@Suite struct S3ErrorCodeTests {
    @Test func `every code has the status that AWS documents`() {
        let expected: [String: Int] = [
            "AccessDenied": 403, "AuthorizationHeaderMalformed": 400, "AuthorizationQueryParametersError": 400,
            "BadDigest": 400,
            "BucketAlreadyOwnedByYou": 409, "BucketNotEmpty": 409, "ConditionalRequestConflict": 409,
            "EntityTooLarge": 400,
            "EntityTooSmall": 400, "IncompleteBody": 400, "InternalError": 500, "InvalidAccessKeyId": 403,
            "InvalidArgument": 400,
            "InvalidBucketName": 400, "InvalidDigest": 400, "InvalidPart": 400, "InvalidPartOrder": 400,
            "InvalidRange": 416,
            "InvalidRequest": 400, "InvalidURI": 400, "KeyTooLongError": 400, "MalformedTrailerError": 400,
            "MalformedXML": 400,
            "MetadataTooLarge": 400, "MethodNotAllowed": 405, "MissingContentLength": 411, "NoSuchBucket": 404,
            "NoSuchKey": 404,
            "NoSuchUpload": 404, "NotImplemented": 501, "PreconditionFailed": 412, "RequestTimeTooSkewed": 403,
            "RequestTimeout": 400, "ServiceUnavailable": 503, "SignatureDoesNotMatch": 403, "SlowDown": 503,
            "XAmzContentSHA256Mismatch": 400, "AccessControlListNotSupported": 400, "AccessForbidden": 403,
            "BadRequest": 400, "BucketAlreadyExists": 409, "IllegalLocationConstraintException": 400,
            "InvalidPolicyDocument": 400, "InvalidStorageClass": 400, "InvalidTag": 400, "MalformedPOSTRequest": 400,
            "MaxPostPreDataLengthExceeded": 400, "MissingSecurityHeader": 400, "NoSuchBucketPolicy": 404,
            "NoSuchCORSConfiguration": 404, "NoSuchLifecycleConfiguration": 404,
            "NoSuchPublicAccessBlockConfiguration": 404, "NoSuchTagSet": 404, "NoSuchWebsiteConfiguration": 404,
            "ObjectLockConfigurationNotFoundError": 404, "ReplicationConfigurationNotFoundError": 404,
            "ServerSideEncryptionConfigurationNotFoundError": 404, "TooManyBuckets": 400, "UnexpectedContent": 400,
            "UnresolvableGrantByEmailAddress": 400,
        ]
        for code in S3ErrorCode.allCases { #expect(expected[code.rawValue] == code.status, "\(code.rawValue)") }
        #expect(S3ErrorCode.allCases.count == expected.count)
    }
}
