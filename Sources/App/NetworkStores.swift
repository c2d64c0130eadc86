import Crypto
import EventLoop
import S3
import S3Client
import Synchronization
import Telemetry
import Transport

/// Makes clients of S3 backends; all share one HTTP client and its pools.
final class NetworkStores: Sendable {
    private let client: HTTPClient
    private let requests: Metrics.Family
    private let duration: Metrics.Histogram

    init(client: HTTPClient, metrics: Metrics) {
        self.client = client
        requests = metrics.counter(
            "sluice_backend_requests_total", help: "Calls to backends by outcome.",
            labels: ["backend", "operation", "outcome"])
        duration = metrics.histogram(
            "sluice_backend_request_duration_seconds", help: "Duration of calls to backends.",
            labels: ["backend", "operation"])
    }

    func store(
        name: String, endpoint: String, region: String, bucket: String, usesPathStyle: Bool, accessKeyID: String,
        secret: String
    ) -> any ObjectStore {
        // The spec has checked the endpoint's form; one that fails here answers as unreachable.
        let endpoint = Endpoint(url: endpoint) ?? Endpoint(scheme: .https, host: "invalid.invalid", port: 443)
        let (requests, duration) = (requests, duration)
        return NetworkStore(
            client: client, endpoint: endpoint, bucket: bucket, usesPathStyle: usesPathStyle,
            signer: RequestSigner(accessKeyID: accessKeyID, secret: secret, region: region), now: SystemClock.now,
            observe: { operation, outcome, took in
                requests.add(1, name, operation, outcome)
                duration.observe(took, name, operation)
            })
    }
}
