package import HTTP
import S3
package import Telemetry

/// The S3 endpoint: authenticates a request, routes it, performs it, and answers every failure in S3's words.
package final class GatewayServer: RequestHandler {
    private let snapshots: SnapshotCell
    private let environment: GatewayEnvironment
    private let metrics: GatewayMetrics
    private let logger: Logger
    private let authenticator: Authenticator
    private let router: Router
    private let operations: GatewayOperations

    package init(
        snapshots: SnapshotCell, services: GatewayServices, settings: GatewaySettings, environment: GatewayEnvironment,
        metrics: GatewayMetrics, logger: Logger
    ) {
        self.snapshots = snapshots
        self.environment = environment
        self.metrics = metrics
        self.logger = logger
        authenticator = Authenticator(region: settings.region)
        router = Router(domain: settings.domain)
        operations = GatewayOperations(
            services: services, settings: settings, environment: environment, snapshots: snapshots)
    }

    package func respond(to request: Request) async -> Response {
        let exchange = Exchange(
            request, id: environment.makeRequestID(), environment: environment, metrics: metrics, logger: logger)
        var request = request
        request.body = CountedBody(request.body, exchange)
        let snapshot = snapshots.value
        var bucket: String?
        var response: Response
        do throws(OperationFailure) {
            if request.head.method == .options {
                response = try await preflight(request, snapshot)
            } else {
                let (operation, authenticated) = try admit(request, snapshot, exchange)
                bucket = operation.bucketName
                response = try await operations.perform(
                    operation, try await operations.knowingBuckets(of: operation, authenticated))
            }
        } catch {
            exchange.failed(error.answer)
            response = GatewayServer.response(to: request.head, error.answer, requestID: exchange.id)
        }
        response.head.fields.set("x-amz-request-id", exchange.id)
        response.head.fields.set("Server", "Sluice")
        if request.head.method != .options { allowOrigin(request, snapshot, &response) }
        return finishing(response, exchange, knownBucket: bucket.map { snapshot?.buckets[$0] != nil } ?? true)
    }

    /// Authentication comes before anything else is said about a request, its route included.
    private func admit(
        _ request: Request, _ snapshot: GatewaySnapshot?, _ exchange: Exchange
    ) throws(OperationFailure) -> (Operation, AuthenticatedRequest) {
        guard let snapshot else { throw .notReady }
        let now = environment.now()
        let authenticated = try refusing { () throws(S3Error) in
            try authenticator.authenticate(request, snapshot: snapshot, id: exchange.id, now: now)
        }
        if let key = authenticated.principal.credential?.accessKeyID { exchange.authenticated(as: key) }
        let operation: Operation
        do throws(S3Error) {
            operation = try router.route(request.head, authenticated.query, authenticated.fields)
        } catch {
            // Who did not prove a name learns nothing of what is served, not even that this is not.
            throw authenticated.principal == .anonymous ? AuthenticatedRequest.denied : .s3(error)
        }
        exchange.routed(to: operation)
        return (operation, authenticated)
    }

    // MARK: CORS

    /// OPTIONS, which browsers send unsigned.
    private func preflight(_ request: Request, _ snapshot: GatewaySnapshot?) async throws(OperationFailure) -> Response
    {
        guard let snapshot else { throw .notReady }
        let fields = request.head.fields
        guard let origin = fields["origin"] else {
            throw .refused(.badRequest, "Insufficient information. Origin request header needed.")
        }
        guard let method = fields["access-control-request-method"] else {
            throw .refused(.badRequest, "Invalid Access-Control-Request-Method: null")
        }
        let (name, _) = try refusing { () throws(S3Error) in try router.resource(request.head) }
        let forbidden = OperationFailure.refused(
            .accessForbidden,
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
                + "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
        )
        guard let name, let bucket = try await operations.servedBucket(name, snapshot) else { throw forbidden }
        let headers = fields.values("access-control-request-headers").flatMap { $0.split(separator: ",") }
            .map { $0.trimmingSpaces().lowercased() }.filter { !$0.isEmpty }
        guard let match = CORSMatch(bucket.cors, origin: origin, method: method, headers: headers) else {
            throw forbidden
        }
        var response = Response.empty(.ok)
        match.add(to: &response.head.fields, preflightHeaders: headers)
        return response
    }

    /// Lets a browser read the answer, errors included, where a rule of the bucket says so.
    private func allowOrigin(_ request: Request, _ before: GatewaySnapshot?, _ response: inout Response) {
        guard let origin = request.head.fields["origin"], let name = bucketName(request.head),
            let bucket = snapshots.value?.buckets[name] ?? before?.buckets[name], !bucket.cors.isEmpty
        else { return }
        // As S3 has it, a request may name the method whose rules it wants to see.
        let method = request.head.fields["access-control-request-method"] ?? request.head.method.name
        guard let match = CORSMatch(bucket.cors, origin: origin, method: method) else {
            CORSMatch.vary(&response.head.fields)
            return
        }
        match.add(to: &response.head.fields)
    }

    private func bucketName(_ head: RequestHead) -> String? {
        do throws(S3Error) { return try router.resource(head).bucket } catch { return nil }
    }

    /// The exchange ends with the last byte of its response.
    private func finishing(_ response: Response, _ exchange: Exchange, knownBucket: Bool) -> Response {
        let status = response.head.status.code
        switch response.body {
        case .empty, .none:
            exchange.finish(status: status, sent: 0, knownBucket: knownBucket)
            return response
        case .bytes(let bytes):
            exchange.finish(status: status, sent: Int64(bytes.count), knownBucket: knownBucket)
            return response
        case .stream(let length, let reader):
            let metered = MeteredReader(reader) { end, sent in
                exchange.finish(
                    status: status, sent: sent, end: end == .abandoned && sent == length ? .complete : end,
                    knownBucket: knownBucket)
            }
            return Response(response.head, body: .stream(length: length, metered))
        }
    }

    static func response(to head: RequestHead, _ answer: FailureAnswer, requestID: String) -> Response {
        var fields = Fields()
        if let seconds = answer.retryAfterSeconds { fields.append("Retry-After", "\(seconds)") }
        // A client that signed for another region learns the right one here, also from a HEAD, and signs again.
        if let region = answer.error.details["Region"] { fields.append("x-amz-bucket-region", region) }
        let status = Status(answer.error.code.status)
        // A HEAD's error has no body, so its status must say it all.
        guard head.method != .head else { return .empty(status, fields) }
        let document = answer.error.document(resource: String(head.rawPath), requestID: requestID)
        return .document(document, fields, status: status)
    }
}
