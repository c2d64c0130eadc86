package import Catalog

/// The namespace as readers see it (`list_v1`): a naive one, so that it can be an oracle for the skip-scan.
extension CatalogTables {
    package func current(_ object: ObjectName) -> PlacedVersion? {
        objects[ObjectAddress(object)]?.current.flatMap { placed($0, states: [.live]) }
    }

    package func partChecksums(_ version: VersionID) -> [String] { versions[version]?.digests?.partChecksums ?? [] }

    package mutating func annotate(_ object: ObjectName, _ annotation: ObjectAnnotation) -> VersionID? {
        guard let id = objects[ObjectAddress(object)]?.current else { return nil }
        switch annotation {
        case .tagging(let text): versions[id]?.headers.tagging = text
        case .acl(let text): versions[id]?.headers.acl = text
        }
        return id
    }

    package mutating func markSuspect(_ copy: CopyID) -> Bool {
        guard copies[copy]?.copy.state == .live else { return false }
        copies[copy]?.copy.isSuspect = true
        return true
    }

    package func list(_ query: ListingQuery) -> ListingPage {
        let prefix = Array(query.prefix.utf8)
        let delimiter = query.delimiter.map { Array($0.utf8) }
        var items: [ListingPage.Item] = []
        var lastGroup: [UInt8]?
        let rows = objects.filter {
            $0.key.bucket == query.bucket && $0.value.current != nil && $0.key.key.starts(with: prefix)
        }
        // A position before the prefix says nothing: the listing starts at the prefix.
        var position = query.position
        if case .past(let group) = position, !query.prefix.utf8.starts(with: group.utf8),
            group.utf8.lexicographicallyPrecedes(query.prefix.utf8)
        {
            position = nil
        }
        for (address, row) in rows.sorted(by: { $0.key < $1.key }) {
            switch position {
            case nil: break
            case .after(let key): guard Array(key.utf8).lexicographicallyPrecedes(address.key) else { continue }
            case .past(let group):
                let bytes = Array(group.utf8)
                guard !address.key.starts(with: bytes), bytes.lexicographicallyPrecedes(address.key) else { continue }
            }
            if let group = CatalogTables.group(address.key, prefix.count, delimiter) {
                if group == lastGroup { continue }
                lastGroup = group
                items.append(.commonPrefix(String(decoding: group, as: UTF8.self)))
            } else if let current = row.current, let version = versions[current] {
                items.append(
                    .object(
                        ListedObject(
                            key: row.name.key, size: version.size, etag: version.digests?.etag ?? "",
                            committedAt: version.committedAt ?? 0,
                            checksumAlgorithms: (version.digests?.checksums ?? [:]).keys.sorted(),
                            checksumType: version.digests?.checksumType)))
            }
            if items.count > query.limit { break }
        }
        guard items.count > query.limit else { return ListingPage(items: items, next: nil) }
        items.removeLast(items.count - query.limit)
        let next: ListingPosition? =
            switch items.last {
            case nil: nil
            case .object(let object): .after(object.key)
            case .commonPrefix(let group): .past(prefix: group)
            }
        return ListingPage(items: items, next: next)
    }

    private static func group(_ key: [UInt8], _ prefixCount: Int, _ delimiter: [UInt8]?) -> [UInt8]? {
        guard let delimiter, !delimiter.isEmpty, key.count >= prefixCount + delimiter.count else { return nil }
        for start in prefixCount...(key.count - delimiter.count) where key[start...].starts(with: delimiter) {
            return Array(key[..<(start + delimiter.count)])
        }
        return nil
    }
}
