package import HTTP
package import Telemetry

/// Whether this instance can serve, and if not, why: each reason is a sentence for an operator.
package struct Readiness: Sendable, Equatable {
    package var reasons: [String]
    package init(reasons: [String] = []) { self.reasons = reasons }
    package var isReady: Bool { reasons.isEmpty }
}

/// The second listener: `/healthz` (the process runs), `/readyz` (the database answers, a spec is accepted), `/v1/status`, `/metrics`.
package struct AdminHandler: RequestHandler {
    private let metrics: Metrics
    private let readiness: @Sendable () async -> Readiness
    private let status: @Sendable () async -> JSONValue?

    /// - Parameters:
    ///   - readiness: asked for each `/readyz`; bounded in time by whoever hands it in
    ///   - status: asked for each `/v1/status`: what `sluice status -o json` prints; nil while the database does not answer
    package init(
        metrics: Metrics, status: @escaping @Sendable () async -> JSONValue?,
        readiness: @escaping @Sendable () async -> Readiness
    ) {
        self.metrics = metrics
        self.status = status
        self.readiness = readiness
    }

    package func respond(to request: Request) async -> Response {
        let isHead = request.head.method == .head
        guard request.head.method == .get || isHead else {
            return AdminHandler.text(Status(405), "method not allowed\n", isHead: false, [("Allow", "GET, HEAD")])
        }
        switch request.head.rawPath {
        case "/healthz": return AdminHandler.text(.ok, "ok\n", isHead: isHead)
        case "/readyz":
            let readiness = await readiness()
            guard !readiness.isReady else { return AdminHandler.text(.ok, "ready\n", isHead: isHead) }
            let body = readiness.reasons.map { "not ready: \($0)\n" }.joined()
            return AdminHandler.text(.serviceUnavailable, body, isHead: isHead)
        case "/metrics":
            return AdminHandler.text(
                .ok, metrics.render(), isHead: isHead, type: "text/plain; version=0.0.4; charset=utf-8")
        case "/v1/status":
            guard let status = await status() else {
                return AdminHandler.text(.serviceUnavailable, "the database does not answer\n", isHead: isHead)
            }
            return AdminHandler.text(.ok, status.indented + "\n", isHead: isHead, type: "application/json")
        default:
            return AdminHandler.text(
                .notFound, "not found: try /healthz, /readyz, /v1/status or /metrics\n", isHead: isHead)
        }
    }

    private static func text(
        _ status: Status, _ body: String, isHead: Bool, _ extra: [(String, String)] = [],
        type: String = "text/plain; charset=utf-8"
    ) -> Response {
        let head = ResponseHead(status, fields: Fields([("Content-Type", type)] + extra))
        let bytes = Bytes(body)
        return Response(head, body: isHead ? .none(declaredLength: Int64(bytes.count)) : .bytes(bytes))
    }
}
