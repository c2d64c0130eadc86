import Crypto
import HTTP
package import S3

extension NetworkStore {
    /// Tries out what the service can do, and relies on it from now on. Writes, and removes again, one object below
    /// `{keyPrefix}.sluice/`; also shows that the credentials may write and delete.
    /// - Parameter token: makes the name unique
    @discardableResult
    package func probe(
        keyPrefix: String, token: String = Hex.encode(SystemRandom.bytes(8))
    ) async throws(StoreError) -> StoreCapabilities {
        let key = "\(keyPrefix).sluice/probe-\(token)"
        let found: StoreCapabilities
        do throws(StoreError) {
            found = try await tryOut(key)
        } catch {
            // Best effort: the name is never looked at again.
            do throws(StoreError) { try await delete(key, providerVersion: nil) } catch {}
            throw error
        }
        try await delete(key, providerVersion: nil)
        learn { $0 = found }
        return found
    }

    private func tryOut(_ key: String) async throws(StoreError) -> StoreCapabilities {
        let first = try await putProbe(key, "first", ifAbsent: false)
        var found = StoreCapabilities(
            conditionalCreate: false, versioned: first.providerVersion != nil,
            lateArrivalHorizon: NetworkStore.lateArrivalHorizon)
        do throws(StoreError) {
            _ = try await putProbe(key, "second", ifAbsent: true)
        } catch {
            switch error.code {
            case .alreadyExists: found.conditionalCreate = try await holds(key, "first")
            case .notSupported, .rejected: break
            case .noSuchKey, .wrongLocation, .noSuchUpload, .accessDenied, .throttled, .noSpace, .invalidRange,
                .corrupt,
                .unreachable, .timedOut, .reset, .serverError, .bodyFailed, .cancelled:
                throw error
            }
        }
        return found
    }

    private func putProbe(_ key: String, _ text: String, ifAbsent: Bool) async throws(StoreError) -> StoredObject {
        try await put(
            key, length: Int64(text.utf8.count), body: BytesReader(Bytes(text)), metadata: StoredMetadata(),
            ifAbsent: ifAbsent)
    }

    /// A refusal counts only if it has left the object as it was.
    private func holds(_ key: String, _ text: String) async throws(StoreError) -> Bool {
        let reading = try await get(key, range: nil)
        do throws(BodyError) {
            return try await reading.body.collect(limit: 64).text == text
        } catch {
            throw StoreError(.reset, mayArriveLate: false, evidence: "\(key): \(error)")
        }
    }
}
