package import Telemetry

/// The gateway's families, declared once when the program is composed.
package struct GatewayMetrics: Sendable {
    package let requests: Metrics.Family
    package let duration: Metrics.Histogram
    package let inFlight: Metrics.Family
    package let bytesReceived: Metrics.Family
    package let bytesSent: Metrics.Family
    package let clientHangups: Metrics.Family
    package let readFailovers: Metrics.Family
    package let suspectCopies: Metrics.Family

    package init(_ metrics: Metrics) {
        requests = metrics.counter(
            "sluice_s3_requests_total", help: "S3 requests, by operation, class of status and bucket.",
            labels: ["op", "code_class", "bucket"])
        duration = metrics.histogram(
            "sluice_s3_request_duration_seconds", help: "From the head of a request to the end of its response.",
            labels: ["op"])
        inFlight = metrics.gauge("sluice_s3_requests_in_flight", help: "S3 requests that are being answered.")
        bytesReceived = metrics.counter("sluice_s3_received_bytes_total", help: "Bytes of bodies read from S3 clients.")
        bytesSent = metrics.counter("sluice_s3_sent_bytes_total", help: "Bytes of bodies handed on to S3 clients.")
        clientHangups = metrics.counter(
            "sluice_s3_client_hangups_total", help: "Requests whose client went away; they say nothing about backends.",
            labels: ["op"])
        readFailovers = metrics.counter(
            "sluice_read_failovers_total", help: "Reads that went on from another copy, by the backend that failed.",
            labels: ["backend"])
        suspectCopies = metrics.counter(
            "sluice_suspect_copies_total", help: "Live copies that a read found absent or damaged.", labels: ["backend"]
        )
    }
}
