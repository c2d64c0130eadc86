/// Writes heads. What could end a line or a name is left out of it, so that no header can be injected: CR, LF and NUL from values,
/// white space too from targets, all but token characters from names.
package enum HeadEncoder {
    package static func request(_ head: RequestHead, into output: inout [UInt8]) {
        appendName(head.method.name, into: &output)
        output.append(0x20)
        for byte in head.target.utf8 where byte > 0x20 && byte != 0x7F { output.append(byte) }
        output.append(contentsOf: " HTTP/1.1\r\n".utf8)
        fields(head.fields, into: &output)
        output.append(contentsOf: "\r\n".utf8)
    }

    /// Without the empty line: the driver appends its framing fields and then `end`.
    package static func response(_ head: ResponseHead, into output: inout [UInt8]) {
        output.append(contentsOf: "HTTP/1.1 ".utf8)
        output.append(contentsOf: String(head.status.code).utf8)
        output.append(0x20)
        output.append(contentsOf: phrase(head.status.code).utf8)
        output.append(contentsOf: "\r\n".utf8)
        fields(head.fields, into: &output)
    }

    package static func field(_ name: String, _ value: String, into output: inout [UInt8]) {
        appendName(name, into: &output)
        output.append(contentsOf: ": ".utf8)
        appendSafe(value, into: &output)
        output.append(contentsOf: "\r\n".utf8)
    }

    package static func end(into output: inout [UInt8]) { output.append(contentsOf: "\r\n".utf8) }

    private static func fields(_ fields: Fields, into output: inout [UInt8]) {
        for one in fields.all { field(one.name, one.value, into: &output) }
    }

    private static func appendSafe(_ text: String, into output: inout [UInt8]) {
        for byte in text.utf8 where byte != 0x0D && byte != 0x0A && byte != 0 { output.append(byte) }
    }

    private static func appendName(_ text: String, into output: inout [UInt8]) {
        for byte in text.utf8 where HeadParser.isToken(byte) { output.append(byte) }
    }

    private static func phrase(_ code: Int) -> String {
        switch code {
        case 100: "Continue"
        case 200: "OK"
        case 204: "No Content"
        case 206: "Partial Content"
        case 301: "Moved Permanently"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 400: "Bad Request"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 416: "Range Not Satisfiable"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        case 507: "Insufficient Storage"
        default: "Status"
        }
    }
}
