/// A request method (RFC 9110 §9); compared by exact bytes.
package struct Method: Hashable, Sendable, CustomStringConvertible {
    package let name: String
    package init(_ name: String) { self.name = name }
    package static let get = Method("GET")
    package static let head = Method("HEAD")
    package static let put = Method("PUT")
    package static let post = Method("POST")
    package static let delete = Method("DELETE")
    package static let options = Method("OPTIONS")
    package var description: String { name }
}

/// Header or trailer fields in the order of their arrival; names compare without case (RFC 9110 §5).
package struct Fields: Sendable, Equatable {
    package struct Field: Sendable, Equatable {
        /// As it came.
        package let name: String
        /// Without surrounding white space. Bytes outside ASCII are kept as UTF-8 where they are well-formed.
        package let value: String
        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package private(set) var all: [Field]

    package init(_ fields: [(String, String)] = []) { all = fields.map { Field(name: $0.0, value: $0.1) } }

    /// The first value of `name`.
    package subscript(name: String) -> String? { all.first { Fields.same($0.name, name) }?.value }

    /// All values of `name`, in order.
    package func values(_ name: String) -> [String] { all.filter { Fields.same($0.name, name) }.map(\.value) }

    package mutating func append(_ name: String, _ value: String) { all.append(Field(name: name, value: value)) }

    package mutating func set(_ name: String, _ value: String) {
        remove(name)
        append(name, value)
    }

    package mutating func remove(_ name: String) { all.removeAll { Fields.same($0.name, name) } }

    /// Whether two names are the same, ASCII case ignored, without allocating.
    package static func same(_ a: String, _ b: String) -> Bool {
        let x = a.utf8
        let y = b.utf8
        guard x.count == y.count else { return false }
        return zip(x, y).allSatisfy { lower($0) == lower($1) }
    }

    private static func lower(_ byte: UInt8) -> UInt8 { byte >= 65 && byte <= 90 ? byte | 0x20 : byte }
}

/// The head of a request. `target` is what stood in the request line, untouched: what is signed is what is routed.
package struct RequestHead: Sendable, Equatable {
    package var method: Method
    package var target: String
    package var fields: Fields

    package init(method: Method, target: String, fields: Fields = Fields()) {
        self.method = method
        self.target = target
        self.fields = fields
    }

    /// The raw path: the target up to the first `?`, percent-encoding as it came; in absolute form without scheme and host.
    package var rawPath: Substring {
        let path = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
        guard let authority = RequestHead.authority(ofTarget: target) else { return path }
        return authority.endIndex < path.endIndex ? path[authority.endIndex...] : "/"
    }

    /// The raw query after the first `?`, or nil if there is none.
    package var rawQuery: Substring? {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count == 2 ? parts[1] : nil
    }

    /// Host and port of a target in absolute form, `http://host:port/path` (RFC 9112 §3.2.2); nil for the other forms.
    package static func authority(ofTarget target: String) -> Substring? {
        if target.utf8.first == 0x2F { return nil }
        for scheme in ["http://", "https://"] where Fields.same(String(target.prefix(scheme.count)), scheme) {
            return target.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" }
        }
        return nil
    }
}

/// A status code (RFC 9110 §15).
package struct Status: Hashable, Sendable, CustomStringConvertible {
    package let code: Int
    package init(_ code: Int) { self.code = code }
    package static let ok = Status(200)
    package static let noContent = Status(204)
    package static let partialContent = Status(206)
    package static let notModified = Status(304)
    package static let badRequest = Status(400)
    package static let notFound = Status(404)
    package static let internalError = Status(500)
    package static let serviceUnavailable = Status(503)
    package var description: String { String(code) }
}

/// The head of a response, without the framing fields: the driver adds Content-Length, Transfer-Encoding, Date, Connection.
package struct ResponseHead: Sendable, Equatable {
    package var status: Status
    package var fields: Fields

    package init(_ status: Status, fields: Fields = Fields()) {
        self.status = status
        self.fields = fields
    }
}

/// What follows a response head.
package enum ResponseBody: Sendable {
    case empty
    case bytes(Bytes)
    /// `length` nil: chunked coding. A reader that throws after the head was sent makes the driver reset the
    /// connection, so that a truncated body can never look complete.
    case stream(length: Int64?, any BodyReader)
    /// A HEAD answer: no body, but the Content-Length that GET would have.
    case none(declaredLength: Int64)
}

package struct Response: Sendable {
    package var head: ResponseHead
    package var body: ResponseBody

    package init(_ head: ResponseHead, body: ResponseBody = .empty) {
        self.head = head
        self.body = body
    }
}

/// A request as the server hands it to its handler.
package struct Request: Sendable {
    package var head: RequestHead
    /// The declared length: nil with chunked coding, 0 without a body.
    package var contentLength: Int64?
    /// The decoded body. The first `next()` answers `Expect: 100-continue`, so a handler that refuses before
    /// reading never invites the bytes.
    package var body: any BodyReader
    /// The peer's address, for logs.
    package var peer: String
    package var isTLS: Bool

    package init(head: RequestHead, contentLength: Int64?, body: any BodyReader, peer: String, isTLS: Bool) {
        self.head = head
        self.contentLength = contentLength
        self.body = body
        self.peer = peer
        self.isTLS = isTLS
    }
}

/// What a server calls for each request. Never throws: every failure is a response.
package protocol RequestHandler: Sendable {
    func respond(to request: Request) async -> Response
}
