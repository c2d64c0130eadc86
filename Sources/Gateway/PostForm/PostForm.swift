import HTTP
import S3
import Synchronization

/// The fields of a browser's upload form that come before its file (AWS, "POST Object"; RFC 7578), and the file's bytes.
struct PostForm: Sendable {
    struct Field: Sendable, Equatable {
        /// Lower case.
        var name: String
        var value: String
    }
    private(set) var fields: [Field] = []
    private(set) var fileName = ""
    private(set) var fileType: String?
    /// The file's content alone.
    private(set) var file: any BodyReader
    private(set) var length: Int64

    /// The first field of the name, which is given in lower case.
    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    /// Whether a POST of a bucket carries a form.
    static func isForm(_ head: RequestHead) -> Bool {
        head.fields["content-type"]?.lowercased().hasPrefix("multipart/form-data") ?? false
    }

    /// Reads up to the file.
    ///
    /// Backends want to know a file's length before its bytes come. A form of up to `formBytesHeldMax` is read whole, so that
    /// fields may follow the file, as browsers send a submit button; in a larger one the file must come last, as AWS asks.
    /// - Parameter contentLength: of the whole body
    init(_ head: RequestHead, contentLength: Int64, body: any BodyReader) async throws(OperationFailure) {
        guard let boundary = PostForm.boundary(head) else {
            throw PostForm.malformed("the Content-Type names no boundary")
        }
        var input = FormInput(body)
        let delimiter = Array("--\(boundary)".utf8)
        guard try await input.take(prefix: delimiter + FormInput.lineEnd) else {
            throw PostForm.malformed("it does not begin with its boundary")
        }
        while true {
            let part = try PostForm.header(try await input.take(until: FormInput.lineEnd + FormInput.lineEnd))
            if part.name == "file" {
                (fileName, fileType) = (part.fileName, part.type)
                break
            }
            let bytes = try await input.take(until: FormInput.lineEnd + delimiter)
            guard let value = String(validating: bytes, as: UTF8.self) else {
                throw PostForm.malformed("a field is not UTF-8")
            }
            // What a policy says about a field must hold for all of it.
            guard !fields.contains(where: { $0.name == part.name }) || part.name.hasPrefix("x-ignore-") else {
                throw .refused(
                    .invalidArgument, "POST requires at most one field of each name.",
                    ["ArgumentName": part.name, "ArgumentValue": value])
            }
            fields.append(Field(name: part.name, value: value))
            guard try await input.take(prefix: FormInput.lineEnd) else { throw PostForm.noFile }
        }
        let left = contentLength - input.consumed
        let end = FormInput.lineEnd + delimiter
        guard contentLength > Int64(GatewayLimits.formBytesHeldMax) else {
            let rest = try await input.rest(limit: GatewayLimits.formBytesHeldMax)
            guard let cut = rest.firstRange(of: end)?.lowerBound else {
                throw PostForm.malformed("it does not end with its boundary")
            }
            (file, length) = (BytesReader(Bytes(rest[..<cut])), Int64(cut))
            return
        }
        let tail = end + Array("--\r\n".utf8)
        guard left >= Int64(tail.count) else { throw PostForm.malformed("it does not end with its boundary") }
        length = left - Int64(tail.count)
        file = FormFileReader(input.buffered, body, length: length, delimiter: end, tail: tail)
    }

    static func malformed(_ what: String) -> OperationFailure {
        .refused(
            .malformedPOSTRequest, "The body of your POST request is not well-formed multipart/form-data: \(what).")
    }

    private static let noFile = OperationFailure.refused(
        .invalidArgument, "POST requires exactly one file upload per request.",
        ["ArgumentName": "file", "ArgumentValue": "0"])

    private static func boundary(_ head: RequestHead) -> String? {
        let parameters = (head.fields["content-type"] ?? "").split(separator: ";").dropFirst()
        for parameter in parameters {
            let halves = parameter.split(separator: "=", maxSplits: 1)
            guard halves.count == 2, halves[0].filter({ $0 != " " }).lowercased() == "boundary" else { continue }
            let value = halves[1].filter { $0 != "\"" && $0 != " " }
            // RFC 2046 §5.1.1.
            return (1...70).contains(value.utf8.count) ? value : nil
        }
        return nil
    }

    /// The header of one part: Content-Disposition names the field.
    private static func header(_ bytes: [UInt8]) throws(OperationFailure) -> (
        name: String, fileName: String, type: String?
    ) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw malformed("a part's header is not UTF-8")
        }
        var name: String?
        var fileName = ""
        var type: String?
        // By scalars: CR LF is one Character.
        for line in text.unicodeScalars.split(separator: "\n").map({ String($0).filter { $0 != "\r" } }) {
            let halves = line.split(separator: ":", maxSplits: 1)
            guard halves.count == 2 else { throw malformed("a part's header has no name") }
            switch halves[0].lowercased() {
            case "content-disposition":
                let parameters = PostForm.parameters(String(halves[1]))
                name = parameters["name"]?.lowercased()
                fileName = parameters["filename"] ?? ""
            case "content-type": type = String(halves[1].drop { $0 == " " })
            default: break
            }
        }
        guard let name else { throw malformed("a part has no name") }
        return (name, fileName, type)
    }

    /// `form-data; name="a"; filename="b;c"`, with the quoted pairs of RFC 2616.
    private static func parameters(_ text: String) -> [String: String] {
        var parameters: [String: String] = [:]
        var parts: [String] = [""]
        var isQuoted = false
        var isEscaped = false
        for character in text {
            if isEscaped {
                parts[parts.count - 1].append(character)
                isEscaped = false
            } else if character == "\\", isQuoted {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
            } else if character == ";", !isQuoted {
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
        }
        for part in parts {
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if halves.count == 2 { parameters[halves[0].filter { $0 != " " }.lowercased()] = String(halves[1]) }
        }
        return parameters
    }
}

/// The beginning of a form, as far as it was read.
private struct FormInput {
    static let lineEnd: [UInt8] = [0x0D, 0x0A]
    private let body: any BodyReader
    private(set) var buffered: [UInt8] = []
    private(set) var consumed: Int64 = 0

    init(_ body: any BodyReader) { self.body = body }

    private mutating func more() async throws(OperationFailure) {
        let limit = GatewayLimits.formFieldsBytesMax
        guard consumed <= Int64(limit) else {
            throw .refused(
                .maxPostPreDataLengthExceeded, "Your POST request fields preceding the upload file were too large.",
                ["MaxPostPreDataLength": "\(limit)"])
        }
        let run: Bytes?
        do throws(BodyError) { run = try await body.next() } catch { throw .body(error) }
        guard let run else { throw PostForm.malformed("it ends early") }
        buffered += run.array
    }

    private mutating func drop(_ count: Int) {
        buffered.removeFirst(count)
        consumed += Int64(count)
    }

    mutating func take(prefix: [UInt8]) async throws(OperationFailure) -> Bool {
        while buffered.count < prefix.count { try await more() }
        guard buffered.starts(with: prefix) else { return false }
        drop(prefix.count)
        return true
    }

    /// What comes before the pattern, which is consumed too.
    mutating func take(until pattern: [UInt8]) async throws(OperationFailure) -> [UInt8] {
        var searched = 0
        while true {
            if let range = buffered[searched...].firstRange(of: pattern) {
                let found = Array(buffered[..<range.lowerBound])
                drop(range.upperBound)
                return found
            }
            guard buffered.count <= GatewayLimits.formFieldsBytesMax else {
                throw .refused(
                    .maxPostPreDataLengthExceeded, "Your POST request fields preceding the upload file were too large.",
                    ["MaxPostPreDataLength": "\(GatewayLimits.formFieldsBytesMax)"])
            }
            searched = max(0, buffered.count - pattern.count)
            try await more()
        }
    }

    mutating func rest(limit: Int) async throws(OperationFailure) -> [UInt8] {
        let before = buffered
        buffered = []
        do throws(BodyError) { return before + (try await body.collect(limit: limit)).array } catch {
            throw .body(error)
        }
    }
}

/// The file of a large form: exactly `length` bytes, in which no boundary may stand, and then the form's end.
final class FormFileReader: BodyReader {
    private struct State: Sendable {
        var pending: Bytes?
        var left: Int64
        /// The last bytes that were handed on, in which a boundary may have begun.
        var carry: [UInt8] = []
        var tail: [UInt8] = []
        var failure: BodyError?
        var isFinished = false
    }
    private let body: any BodyReader
    private let delimiter: [UInt8]
    private let tail: [UInt8]
    private let state: Mutex<State>

    init(_ buffered: [UInt8], _ body: any BodyReader, length: Int64, delimiter: [UInt8], tail: [UInt8]) {
        self.body = body
        self.delimiter = delimiter
        self.tail = tail
        state = Mutex(State(pending: buffered.isEmpty ? nil : Bytes(buffered), left: length))
    }

    private static let misplaced = BodyError.contentMismatch(
        code: S3ErrorCode.malformedPOSTRequest.rawValue,
        message:
            "In a form of this size the file must be the last field, and the body must end with the boundary and a line end."
    )

    func next() async throws(BodyError) -> Bytes? {
        while true {
            if let failure = state.withLock({ $0.failure }) { throw failure }
            if state.withLock({ $0.isFinished }) { return nil }
            var run = state.withLock { state in
                defer { state.pending = nil }
                return state.pending
            }
            if run == nil {
                do throws(BodyError) { run = try await body.next() } catch { throw fail(error) }
            }
            guard let run else {
                guard state.withLock({ $0.left == 0 && $0.tail == tail }) else { throw fail(FormFileReader.misplaced) }
                state.withLock { $0.isFinished = true }
                return nil
            }
            if let content = try take(run) { return content }
        }
    }

    private func fail(_ error: BodyError) -> BodyError {
        state.withLock { $0.failure = error }
        return error
    }

    /// The file's share of a run; what is behind it is the tail.
    private func take(_ run: Bytes) throws(BodyError) -> Bytes? {
        let (content, isClean) = state.withLock { state -> (Bytes?, Bool) in
            let share = Int(min(state.left, Int64(run.count)))
            let content = run.prefix(share)
            state.left -= Int64(share)
            state.tail += run.dropFirst(share).array
            let searched = state.carry + content.array
            state.carry = Array(searched.suffix(delimiter.count - 1))
            let isClean = searched.firstRange(of: delimiter) == nil && state.tail.count <= tail.count
            return (content.isEmpty ? nil : content, isClean)
        }
        guard isClean else { throw fail(FormFileReader.misplaced) }
        return content
    }
}
