import Synchronization

/// Signing keys that were derived already: a derivation costs four HMACs, and each serves a whole day. When full, all are dropped.
final class SigningKeyCache: Sendable {
    private struct Key: Hashable {
        let accessKeyID: String
        let secret: String
        let scope: SigningScope
    }

    private let keysMax: Int
    private let keys = Mutex<[Key: [UInt8]]>([:])

    init(keysMax: Int) { self.keysMax = keysMax }

    func key(accessKeyID: String, secret: String, _ scope: SigningScope) -> [UInt8] {
        let cacheKey = Key(accessKeyID: accessKeyID, secret: secret, scope: scope)
        if let key = keys.withLock({ $0[cacheKey] }) { return key }
        let key = SignatureV4.signingKey(secret: secret, scope)
        keys.withLock { keys in
            if keys.count >= keysMax { keys.removeAll(keepingCapacity: true) }
            keys[cacheKey] = key
        }
        return key
    }
}
