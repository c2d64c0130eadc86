import Catalog
import Spec

/// A backend's spec as lines in its row, so that a backend that vanished from the files can still be read. Literal secrets are
/// left out: such a backend is unreadable until it is declared again.
enum BackendSpecText {
    static func encode(_ spec: BackendSpec) -> String {
        var lines = ["name \(spec.name)", "state \(spec.state.rawValue)", "prefix \(spec.keyPrefix)"]
        switch spec.location {
        case .directory(let path): lines.append("directory \(path)")
        case .s3(let endpoint, let region, let bucket, let usesPathStyle):
            lines += [
                "endpoint \(endpoint)", "region \(region)", "bucket \(bucket)",
                "addressing \(usesPathStyle ? "path" : "virtual")",
            ]
        }
        if let credentials = spec.credentials {
            lines.append("key \(reference(credentials.accessKeyID))")
            lines.append("secret \(reference(credentials.secretAccessKey))")
        }
        if let quota = spec.quota { lines.append("quota \(quota.value)") }
        let limits = spec.usageLimits
        if let requests = limits.apiRequests { lines.append("requests \(requests)") }
        if let egress = limits.egress { lines.append("egress \(egress.value)") }
        if let ingress = limits.ingress { lines.append("ingress \(ingress.value)") }
        if let bandwidth = spec.drain.bandwidth { lines.append("bandwidth \(bandwidth.value)") }
        if let window = spec.drain.window { lines.append("window \(window.start)-\(window.end)") }
        switch spec.removal {
        case .whenEmpty: break
        case .purge: lines.append("removal purge")
        case .abandon(let token): lines.append("removal abandon:\(token)")
        }
        if spec.isDeletionProtected { lines.append("protected true") }
        for (name, value) in spec.labels.sorted(by: { $0.key < $1.key }) { lines.append("label \(name)=\(value)") }
        return lines.map(escaped).joined(separator: "\n")
    }

    static func decode(_ text: String) throws(CatalogError) -> BackendSpec {
        var fields: [String: String] = [:]
        var labels: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let halves = unescaped(line).split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false).map(
                String.init)
            let value = halves.count == 2 ? halves[1] : ""
            if halves[0] == "label" {
                let pair = value.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                labels[pair[0]] = pair.count == 2 ? pair[1] : ""
            } else {
                fields[halves[0]] = value
            }
        }
        guard let name = fields["name"], let state = fields["state"].flatMap({ DesiredBackendState(rawValue: $0) })
        else {
            throw .internalError(evidence: "a backend row without name or state")
        }
        let location: BackendLocation
        if let path = fields["directory"] {
            location = .directory(path: path)
        } else if let endpoint = fields["endpoint"], let bucket = fields["bucket"] {
            location = .s3(
                endpoint: endpoint, region: fields["region"] ?? "us-east-1", bucket: bucket,
                usesPathStyle: fields["addressing"] != "virtual")
        } else {
            throw .internalError(evidence: "backend \(name) has no location")
        }
        var spec = BackendSpec(
            name: name, labels: labels, state: state, location: location, keyPrefix: fields["prefix"] ?? "")
        if let key = fields["key"], let secret = fields["secret"] {
            spec.credentials = BackendCredentials(accessKeyID: reference(key), secretAccessKey: reference(secret))
        }
        spec.quota = fields["quota"].flatMap { Int64($0) }.map { ByteCount($0) }
        func number(_ field: String) -> Int64? { fields[field].flatMap { Int64($0) } }
        spec.usageLimits = UsageLimits(
            apiRequests: number("requests"), egress: number("egress").map { ByteCount($0) },
            ingress: number("ingress").map { ByteCount($0) })
        let times = (fields["window"] ?? "").split(separator: "-").compactMap { Int($0) }
        spec.drain = DrainPolicy(
            bandwidth: number("bandwidth").map { ByteCount($0) },
            window: times.count == 2 ? DailyWindow(start: times[0], end: times[1]) : nil)
        spec.isDeletionProtected = fields["protected"] == "true"
        if let removal = fields["removal"] {
            spec.removal = removal == "purge" ? .purge : .abandon(token: String(removal.dropFirst("abandon:".count)))
        }
        return spec
    }

    /// A value stays on its line: line feed and backslash are written as `\n` and `\\`.
    private static func escaped(_ line: String) -> String {
        var text = ""
        for scalar in line.unicodeScalars {
            switch scalar {
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\\": text += "\\\\"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func unescaped(_ line: some StringProtocol) -> String {
        var text = ""
        var isEscaped = false
        for scalar in line.unicodeScalars {
            if isEscaped {
                text.unicodeScalars.append(scalar == "n" ? "\n" : scalar == "r" ? "\r" : scalar)
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func reference(_ reference: SecretReference) -> String {
        switch reference {
        case .environment(let name): "env:\(name)"
        case .file(let path): "file:\(path)"
        case .literal: "literal:"
        }
    }

    private static func reference(_ text: String) -> SecretReference {
        if text.hasPrefix("env:") { return .environment(name: String(text.dropFirst(4))) }
        if text.hasPrefix("file:") { return .file(path: String(text.dropFirst(5))) }
        return .literal(Secret(""))
    }
}
