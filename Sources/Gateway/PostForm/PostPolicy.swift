import Crypto
import HTTP
import S3
import Spec
import Telemetry

/// The policy of an upload form: what its signer allows the browser to send (AWS, "Creating a POST policy").
struct PostPolicy: Sendable, Equatable {
    enum Condition: Sendable, Equatable {
        case equals(field: String, value: String)
        case startsWith(field: String, value: String)
        case length(ClosedRange<Int64>)
    }
    private(set) var conditions: [Condition] = []
    private(set) var expiration: WallTime

    private static func invalid(_ what: String) -> OperationFailure {
        .refused(
            .invalidPolicyDocument,
            "The content of the form does not meet the conditions specified in the policy document: \(what).")
    }

    private static func denied(_ what: String) -> OperationFailure {
        .refused(.accessDenied, "Invalid according to Policy: \(what)")
    }

    /// - Parameter text: base64, as the form has it
    init(base64 text: String) throws(OperationFailure) {
        guard let bytes = Base64.decode(text.filter { !$0.isWhitespace }) else {
            throw PostPolicy.invalid("it is not base64")
        }
        let root: JSONValue
        do throws(JSONError) { root = try JSONReader.parse(bytes) } catch {
            throw PostPolicy.invalid("it is not JSON (\(error))")
        }
        guard case .object(let members) = root else { throw PostPolicy.invalid("it is not an object") }
        let values = Dictionary(members) { first, _ in first }
        guard case .string(let date) = values["expiration"], let expiration = WallTime(rfc3339: date) else {
            throw PostPolicy.invalid("it has no expiration that is a date in ISO 8601")
        }
        self.expiration = expiration
        guard case .array(let items) = values["conditions"], !items.isEmpty else {
            throw PostPolicy.invalid("it has no conditions")
        }
        for item in items { conditions += try PostPolicy.conditions(item) }
    }

    private static func conditions(_ item: JSONValue) throws(OperationFailure) -> [Condition] {
        switch item {
        case .object(let members):
            var found: [Condition] = []
            for (name, value) in members {
                guard let text = PostPolicy.text(value) else { throw invalid("the condition on \(name) is no text") }
                found.append(.equals(field: name.lowercased(), value: text))
            }
            guard !found.isEmpty else { throw invalid("a condition is empty") }
            return found
        case .array(let parts):
            guard parts.count == 3, case .string(let kind) = parts[0] else {
                throw invalid("a condition has not three parts")
            }
            if kind.lowercased() == "content-length-range" {
                guard let low = number(parts[1]), let high = number(parts[2]), low >= 0, low <= high else {
                    throw invalid("content-length-range needs two numbers of bytes")
                }
                return [.length(low...high)]
            }
            guard case .string(let field) = parts[1], field.hasPrefix("$"), let value = PostPolicy.text(parts[2]) else {
                throw invalid("a condition needs a field with a dollar sign, and a text")
            }
            let name = field.dropFirst().lowercased()
            switch kind.lowercased() {
            case "eq": return [.equals(field: name, value: value)]
            case "starts-with": return [.startsWith(field: name, value: value)]
            default: throw invalid("the condition \(kind) is not known")
            }
        default: throw invalid("a condition is neither an object nor a list")
        }
    }

    private static func text(_ value: JSONValue) -> String? {
        if case .string(let text) = value { return text }
        return nil
    }

    private static func number(_ value: JSONValue) -> Int64? {
        switch value {
        case .int(let number): number
        case .string(let text): Int64(text)
        default: nil
        }
    }

    /// Fields that need no condition.
    private static let exempt: Set<String> = [
        "awsaccesskeyid", "signature", "x-amz-signature", "policy", "file", "x-amz-security-token",
    ]

    /// Throws unless every condition holds and every field is covered by one.
    func check(_ form: PostForm, bucket: String, key: String, now: WallTime) throws(OperationFailure) {
        guard now.seconds < expiration.seconds else { throw PostPolicy.denied("Policy expired.") }
        var covered: Set<String> = []
        func value(_ field: String) -> String {
            switch field {
            case "bucket": bucket
            // What the object will be called, not the template.
            case "key": key
            default: form[field] ?? ""
            }
        }
        for condition in conditions {
            switch condition {
            case .equals(let field, let wanted):
                covered.insert(field)
                guard value(field).utf8.elementsEqual(wanted.utf8) else {
                    throw PostPolicy.denied("Policy Condition failed: [\"eq\", \"$\(field)\", \"\(wanted)\"]")
                }
            case .startsWith(let field, let prefix):
                covered.insert(field)
                guard value(field).utf8.starts(with: prefix.utf8) else {
                    throw PostPolicy.denied("Policy Condition failed: [\"starts-with\", \"$\(field)\", \"\(prefix)\"]")
                }
            case .length(let range):
                guard form.length <= range.upperBound else {
                    throw .refused(
                        .entityTooLarge, "Your proposed upload exceeds the maximum allowed size",
                        ["ProposedSize": "\(form.length)", "MaxSizeAllowed": "\(range.upperBound)"])
                }
                guard form.length >= range.lowerBound else {
                    throw .refused(
                        .entityTooSmall, "Your proposed upload is smaller than the minimum allowed size",
                        ["ProposedSize": "\(form.length)", "MinSizeAllowed": "\(range.lowerBound)"])
                }
            }
        }
        let extra = form.fields.first { field in
            !covered.contains(field.name) && !PostPolicy.exempt.contains(field.name)
                && !field.name.hasPrefix("x-ignore-")
                // A checksum narrows what may be sent; it allows nothing.
                && !field.name.hasPrefix("x-amz-checksum-")
        }
        if let extra { throw PostPolicy.denied("Extra input fields: \(extra.name)") }
        // The bucket stands in the URL; a policy that is silent about it would be good for every bucket of its signer.
        guard covered.contains("bucket") else { throw PostPolicy.denied("Extra input fields: bucket") }
    }
}

/// Who signed a form's policy.
enum PostSignature {
    /// nil for a form without a policy: an anonymous one.
    static func signer(
        _ form: PostForm, _ snapshot: GatewaySnapshot, region: String
    ) throws(OperationFailure) -> (credential: GatewayCredential, policy: PostPolicy)? {
        guard let policy = form["policy"] else {
            guard form["signature"] == nil, form["x-amz-signature"] == nil, form["awsaccesskeyid"] == nil else {
                throw missing("policy")
            }
            return nil
        }
        let mismatch = OperationFailure.refused(
            .signatureDoesNotMatch,
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        )
        let accessKeyID: String
        let claim: PostClaim
        if form["x-amz-algorithm"] != nil || form["x-amz-credential"] != nil || form["x-amz-signature"] != nil {
            (accessKeyID, claim) = try versionFour(form, region: region)
        } else {
            guard let key = form["awsaccesskeyid"] else { throw missing("AWSAccessKeyId") }
            guard let signature = form["signature"] else { throw missing("signature") }
            guard let bytes = Base64.decode(signature) else { throw mismatch }
            (accessKeyID, claim) = (key, PostClaim(signature: bytes, scope: nil))
        }
        guard let credential = snapshot.credentials[accessKeyID] else {
            throw .refused(.invalidAccessKeyID, "The access key id that was given does not exist in our records.")
        }
        guard constantTimeEquals(claim.expected(policy, secret: credential.secret.revealed), claim.signature) else {
            throw mismatch
        }
        return (credential, try PostPolicy(base64: policy))
    }

    private static func missing(_ field: String) -> OperationFailure {
        .refused(
            .invalidArgument, "Bucket POST must contain a field named '\(field)'.",
            ["ArgumentName": field, "ArgumentValue": ""])
    }

    private static func versionFour(_ form: PostForm, region: String) throws(OperationFailure) -> (String, PostClaim) {
        guard form["x-amz-algorithm"] == SignatureV4.algorithm else { throw missing("x-amz-algorithm") }
        guard let credential = form["x-amz-credential"] else { throw missing("x-amz-credential") }
        guard let date = form["x-amz-date"] else { throw missing("x-amz-date") }
        guard let signature = form["x-amz-signature"].flatMap({ Hex.decode($0) }) else {
            throw missing("x-amz-signature")
        }
        let parts = credential.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 5, parts.last == "aws4_request", parts[parts.count - 2] == "s3",
            parts[parts.count - 3] == region,
            parts[parts.count - 4].utf8.count == 8, date.hasPrefix(parts[parts.count - 4])
        else {
            throw .refused(
                .invalidArgument,
                "x-amz-credential is not of the form KEY/DATE/\(region)/s3/aws4_request with the date of x-amz-date.",
                ["ArgumentName": "x-amz-credential"])
        }
        let scope = SigningScope(date: parts[parts.count - 4], region: region, service: "s3")
        return (parts.dropLast(4).joined(separator: "/"), PostClaim(signature: signature, scope: scope))
    }
}

/// A form's signature, Version 4 or, without a scope, Version 2 (AWS, "Browser-based uploads using POST"): both sign the policy
/// as the form has it.
private struct PostClaim {
    let signature: [UInt8]
    let scope: SigningScope?

    func expected(_ policy: String, secret: String) -> [UInt8] {
        guard let scope else { return HMACSHA1.authenticate(Array(policy.utf8), key: Array(secret.utf8)) }
        return SignatureV4.signature(policy, key: SignatureV4.signingKey(secret: secret, scope))
    }
}
