import HTTP
import Telemetry
import Testing

@testable import Gateway

@Suite struct AdminHandlerTests {
    private func answer(_ method: HTTP.Method, _ target: String, _ readiness: Readiness = Readiness()) async -> (
        Int, String
    ) {
        let metrics = Metrics()
        metrics.counter("sluice_test_total", help: "Test.").add(2)
        let handler = AdminHandler(
            metrics: metrics, status: { .object([("revision", .int(7))]) }, readiness: { readiness })
        let request = Request(
            head: RequestHead(method: method, target: target), contentLength: 0, body: BytesReader(.empty), peer: "",
            isTLS: false)
        let response = await handler.respond(to: request)
        guard case .bytes(let bytes) = response.body else { return (response.head.status.code, "") }
        return (response.head.status.code, bytes.text)
    }

    @Test func `health is the process, readiness says what is missing`() async {
        #expect(await answer(.get, "/healthz") == (200, "ok\n"))
        #expect(await answer(.get, "/readyz") == (200, "ready\n"))
        let reasons = Readiness(reasons: ["the database does not answer", "no spec was accepted"])
        #expect(
            await answer(.get, "/readyz", reasons)
                == (503, "not ready: the database does not answer\nnot ready: no spec was accepted\n"))
        #expect(await answer(.get, "/healthz", reasons).0 == 200)
    }

    @Test func `metrics are Prometheus text, HEAD has no body, the rest is refused`() async {
        #expect(await answer(.get, "/metrics").1.contains("sluice_test_total 2\n"))
        #expect(await answer(.get, "/v1/status") == (200, "{\n  \"revision\": 7\n}\n"))
        #expect(await answer(.head, "/metrics") == (200, ""))
        #expect(await answer(.post, "/metrics").0 == 405)
        #expect(await answer(.get, "/-/health").0 == 404)
    }
}
