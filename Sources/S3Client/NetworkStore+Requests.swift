import Crypto
import HTTP
import S3
import Transport

extension NetworkStore {
    /// Bodies above this wait for `100 Continue`, so that a refusal costs no transfer.
    static let expectContinueMin: Int64 = 1024 * 1024
    /// A page of 1,000 keys of 1,024 bytes, each percent-encoded, with their surroundings.
    static let answerBytesMax = 8 * 1024 * 1024
    static let errorBytesMax = 64 * 1024
    /// Joining 10,000 parts takes some services minutes, without white space in between.
    static let completeTimeouts = ClientTimeouts(firstByte: .seconds(300), idle: .seconds(60))

    var place: Endpoint {
        usesPathStyle
            ? endpoint : Endpoint(scheme: endpoint.scheme, host: "\(bucket).\(endpoint.host)", port: endpoint.port)
    }

    func target(_ key: String?, _ query: [(String, String)]) -> String {
        let folder = usesPathStyle ? "/\(bucket)" : ""
        let path =
            key.map { "\(folder)/\(PercentCoding.encode($0, keepingSlash: true))" } ?? (folder.isEmpty ? "/" : folder)
        let text = query.map { "\($0.0)=\(PercentCoding.encode($0.1))" }.joined(separator: "&")
        return text.isEmpty ? path : "\(path)?\(text)"
    }

    private func request(
        _ method: Method, _ key: String?, _ query: [(String, String)], _ fields: [(String, String)], _ body: ClientBody,
        _ timeouts: ClientTimeouts
    ) -> ClientRequest {
        var head = RequestHead(method: method, target: target(key, query), fields: Fields(fields))
        head.fields.set("Host", place.authority)
        var expectsContinue = false
        let payload: PayloadMode
        switch body {
        case .empty: payload = .signed(PayloadMode.emptyHash)
        case .bytes(let bytes): payload = .signed(Hex.encode(Digest.hash(.sha256, bytes.array)))
        case .stream(let length, _):
            payload = .unsigned
            expectsContinue = length > NetworkStore.expectContinueMin
        }
        signer.sign(&head, payload: payload, now: now())
        return ClientRequest(
            endpoint: place, head: head, body: body, timeouts: timeouts, expectsContinue: expectsContinue)
    }

    private func send(_ operation: String, _ request: ClientRequest, isWrite: Bool) async throws(StoreError)
        -> ClientResponse
    {
        let began = ContinuousClock.now
        do throws(ClientError) {
            let response = try await client.send(request)
            observe(operation, "\(response.status.code / 100)xx", began.duration(to: .now))
            return response
        } catch {
            observe(operation, "error", began.duration(to: .now))
            throw StoreError(error, isWrite: isWrite)
        }
    }

    /// One attempt, with a successful answer.
    func write(
        _ operation: String, _ method: Method, _ key: String, query: [(String, String)] = [],
        fields: [(String, String)] = [],
        body: ClientBody = .empty, timeouts: ClientTimeouts = ClientTimeouts()
    ) async throws(StoreError) -> ClientResponse {
        let response = try await send(operation, request(method, key, query, fields, body, timeouts), isWrite: true)
        guard response.status.code >= 300 else { return response }
        throw await refusal(response, isWrite: true)
    }

    /// A successful answer, or one with the tolerated status; what is transient is tried again.
    func read(
        _ operation: String, _ method: Method, _ key: String?, query: [(String, String)] = [],
        fields: [(String, String)] = [],
        tolerating status: Int? = nil
    ) async throws(StoreError) -> ClientResponse {
        let began = ContinuousClock.now
        var attempt = 1
        while true {
            do throws(StoreError) {
                let request = request(method, key, query, fields, .empty, ClientTimeouts())
                let response = try await send(operation, request, isWrite: false)
                guard response.status.code >= 300, response.status.code != status else { return response }
                throw await refusal(response, isWrite: false)
            } catch {
                guard let pause = retries.pause(after: attempt, error, elapsed: began.duration(to: .now)) else {
                    throw error
                }
                do throws(CancellationError) {
                    try await retries.sleep(pause)
                } catch {
                    throw StoreError(.cancelled, mayArriveLate: false, evidence: "while waiting to repeat \(operation)")
                }
                attempt += 1
            }
        }
    }

    private func refusal(_ response: ClientResponse, isWrite: Bool) async -> StoreError {
        var document: ResponseDocuments.ErrorDocument?
        do throws(BodyError) {
            document = ResponseDocuments.error(try await response.body.collect(limit: NetworkStore.errorBytesMax).array)
        } catch {
            // The status says enough.
        }
        return StoreError(response.status.code, document, isWrite: isWrite)
    }

    /// The body of a successful answer.
    func document(_ response: ClientResponse, isWrite: Bool) async throws(StoreError) -> [UInt8] {
        do throws(BodyError) {
            return try await response.body.collect(limit: NetworkStore.answerBytesMax).array
        } catch .tooLong {
            throw StoreError(
                .serverError, mayArriveLate: isWrite,
                evidence: "an answer of more than \(NetworkStore.answerBytesMax) bytes")
        } catch .cancelled {
            throw StoreError(.cancelled, mayArriveLate: isWrite, evidence: "while reading an answer")
        } catch {
            throw StoreError(.reset, mayArriveLate: isWrite, evidence: "in an answer: \(error)")
        }
    }

    /// Reads away what an answer that is complete in its head still has, so that the connection serves again.
    func drain(_ response: ClientResponse) async {
        do throws(BodyError) {
            _ = try await response.body.collect(limit: NetworkStore.errorBytesMax)
        } catch {
            // The effect is acknowledged; only the connection is lost.
        }
    }
}
