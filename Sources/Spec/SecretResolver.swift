/// Why a secret could not be read; never the secret.
package struct SecretError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
}

/// Reads secrets from where references point.
package struct SecretResolver: Sendable {
    private let environment: [String: String]

    package init(environment: [String: String]) { self.environment = environment }

    /// Blocks while it reads a file. One trailing newline is dropped.
    package func resolve(_ reference: SecretReference) throws(SecretError) -> Secret {
        switch reference {
        case .literal(let secret): return secret
        case .environment(let name):
            guard let value = environment[name], !value.isEmpty else {
                throw SecretError(description: "the environment variable \(name) is not set")
            }
            return Secret(value)
        case .file(let path):
            switch FileText.read(path, limit: 64 * 1024) {
            case .text(let text):
                let value = text.hasSuffix("\n") ? String(text.dropLast()) : text
                guard !value.isEmpty else { throw SecretError(description: "the secret file \(path) is empty") }
                return Secret(value)
            case .unreadable(let reason):
                throw SecretError(description: "cannot read the secret file \(path): \(reason)")
            case .tooLarge: throw SecretError(description: "the secret file \(path) is larger than 64 KiB")
            case .notText: throw SecretError(description: "the secret file \(path) is not UTF-8")
            }
        }
    }
}
