import HTTP
import S3
import Synchronization
import Telemetry

/// One request from its head to the end of its response: what the access log and the metrics say about it, once.
final class Exchange: Sendable {
    private struct Facts {
        var operation = "Unknown"
        var bucket: String?
        var key: String?
        var accessKeyID: String?
        var status = 0
        var code: String?
        var evidence: String?
        var received: Int64 = 0
        var isClientGone = false
        var isFinished = false
    }

    let id: String
    private let head: RequestHead
    private let peer: String
    private let started: Duration
    private let elapsed: @Sendable () -> Duration
    private let metrics: GatewayMetrics
    private let logger: Logger
    private let facts = Mutex(Facts())

    init(_ request: Request, id: String, environment: GatewayEnvironment, metrics: GatewayMetrics, logger: Logger) {
        self.id = id
        head = request.head
        peer = request.peer
        elapsed = environment.elapsed
        started = environment.elapsed()
        self.metrics = metrics
        self.logger = logger
        metrics.inFlight.add(1)
    }

    func authenticated(as accessKeyID: String) { facts.withLock { $0.accessKeyID = accessKeyID } }

    func routed(to operation: Operation) {
        facts.withLock { facts in
            facts.operation = operation.name
            facts.bucket = operation.bucketName
            if case .object(let address, _) = operation { facts.key = address.key }
        }
    }

    func received(_ bytes: Int) {
        facts.withLock { $0.received += Int64(bytes) }
        metrics.bytesReceived.add(Double(bytes))
    }

    func failed(_ answer: FailureAnswer) {
        facts.withLock { facts in
            facts.code = answer.error.code.rawValue
            facts.evidence = answer.evidence
            facts.isClientGone = answer.isClientGone
        }
    }

    /// - Parameter knownBucket: an unknown name must not become a metric's label
    func finish(status: Int, sent: Int64, end: BodyEnd = .complete, knownBucket: Bool) {
        let final: Facts? = facts.withLock { facts in
            guard !facts.isFinished else { return nil }
            facts.isFinished = true
            facts.isClientGone = facts.isClientGone || end == .abandoned
            // As nginx logs it: the client closed the request.
            facts.status = facts.isClientGone ? 499 : status
            if case .failed(let error) = end { facts.evidence = "body: \(error)" }
            return facts
        }
        guard let final else { return }
        let took = elapsed() - started
        metrics.inFlight.add(-1)
        metrics.bytesSent.add(Double(sent))
        metrics.duration.observe(took, final.operation)
        metrics.requests.add(1, final.operation, "\(final.status / 100)xx", knownBucket ? final.bucket ?? "" : "")
        if final.isClientGone { metrics.clientHangups.add(1, final.operation) }
        log(final, sent: sent, took: took)
    }

    /// Keys are the clients' own business: only with `debug`. The query may carry a signature and is never logged.
    private func log(_ facts: Facts, sent: Int64, took: Duration) {
        var fields: [(String, JSONValue)] = [
            ("request_id", .string(id)), ("op", .string(facts.operation)), ("method", .string(head.method.name)),
            ("status", .int(Int64(facts.status))), ("received_bytes", .int(facts.received)), ("sent_bytes", .int(sent)),
            ("duration_ms", .double((took / .milliseconds(1) * 1000).rounded() / 1000)), ("peer", .string(peer)),
        ]
        if let bucket = facts.bucket { fields.append(("bucket", .string(bucket))) }
        if let key = facts.accessKeyID { fields.append(("access_key", .string(key))) }
        if let code = facts.code { fields.append(("code", .string(code))) }
        if let evidence = facts.evidence { fields.append(("evidence", .string(evidence))) }
        let level: LogLevel = facts.status >= 500 ? .warning : .info
        logger.log(level, "s3 request", fields)
        if let key = facts.key {
            logger.debug("s3 request key", [("request_id", .string(id)), ("key", .string(key))])
        }
    }
}

/// Counts what is read of a request's body.
final class CountedBody: BodyReader {
    private let source: any BodyReader
    private let exchange: Exchange

    init(_ source: any BodyReader, _ exchange: Exchange) {
        self.source = source
        self.exchange = exchange
    }

    func next() async throws(BodyError) -> Bytes? {
        let run = try await source.next()
        if let run { exchange.received(run.count) }
        return run
    }
}
