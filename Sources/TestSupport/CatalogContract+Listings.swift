import Catalog

extension CatalogContract {
    static let listings: [CatalogPromise] = [
        CatalogPromise("keys are listed in byte order, cut at the limit, and the next page goes on behind it") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let keys = ["a", "a/", "a/b", "a b", "aa", "é", "z", "\u{10FFFF}", "\u{FFFD}", "𐀀"]
            for key in keys { try await scene.put(key, on: ["a"]) }
            let sorted = keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            for limit in [1, 3, 9, 10, 11, 1000] {
                try expectEqual(
                    try await all(ListingQuery(bucket: scene.bucket, limit: limit), stores), sorted.map { .key($0) },
                    "\(limit)")
            }
            let page = try await stores.objects.list(ListingQuery(bucket: scene.bucket, prefix: "é", limit: 5))
            guard case .object(let listed)? = page.items.first else { throw BrokenPromise(description: "\(page)") }
            let version = try unwrap(try await scene.current("é")).version
            try expectEqual(
                listed,
                ListedObject(
                    key: "é", size: 10, etag: version.digests.etag, committedAt: version.committedAt,
                    checksumAlgorithms: ["crc32"], checksumType: "FULL_OBJECT"))
            try expectEqual(page.next, nil)
        },
        CatalogPromise("a common prefix shows once, and the page after it goes on behind everything it hides") {
            stores in
            let scene = try await CatalogScene.open(stores)
            for key in ["a/1", "a/2", "a/\u{10FFFF}/x", "a/\u{10FFFF}\u{10FFFF}", "a0", "b", "b/", "b//c"] {
                try await scene.put(key, on: ["a"])
            }
            let query = ListingQuery(bucket: scene.bucket, delimiter: "/", limit: 1)
            try expectEqual(try await all(query, stores), [.prefix("a/"), .key("a0"), .key("b"), .prefix("b/")])
            var inner = query
            inner.prefix = "b/"
            try expectEqual(try await all(inner, stores), [.key("b/"), .prefix("b//")])
        },
        CatalogPromise("a position before the prefix starts at the prefix, one behind it ends the listing") { stores in
            let scene = try await CatalogScene.open(stores)
            for key in ["a/1", "b/1", "b/2", "c/1"] { try await scene.put(key, on: ["a"]) }
            func list(_ position: ListingPosition) async throws -> [Entry] {
                try await all(ListingQuery(bucket: scene.bucket, prefix: "b/", position: position, limit: 2), stores)
            }
            try expectEqual(try await list(.after("a/1")), [.key("b/1"), .key("b/2")])
            try expectEqual(try await list(.past(prefix: "a/")), [.key("b/1"), .key("b/2")])
            try expectEqual(try await list(.after("b/1")), [.key("b/2")])
            try expectEqual(try await list(.after("b/10")), [.key("b/2")])
            try expectEqual(try await list(.past(prefix: "b/1")), [.key("b/2")])
            try expectEqual(try await list(.past(prefix: "b")), [])
            try expectEqual(try await list(.after("c")), [])
            try expectEqual(try await list(.past(prefix: "c/")), [])
        },
        CatalogPromise("deleted and unfinished objects are not listed, and hide no others") { stores in
            let scene = try await CatalogScene.open(stores)
            for key in ["a/1", "a/2", "b", "c"] { try await scene.put(key, on: ["a"]) }
            _ = try await stores.writes.intend(try scene.intent("aa", on: ["a"]))
            _ = try await stores.writes.delete(
                bucket: scene.bucket, ["a/1", "a/2", "b"].map { DeleteRequest(key: $0) }, readGrace: .zero)
            try expectEqual(
                try await all(ListingQuery(bucket: scene.bucket, delimiter: "/", limit: 1), stores), [.key("c")])
        },
        CatalogPromise("listings agree with a naive one: random keys, prefixes, delimiters of any length, page sizes") {
            stores in
            let seed: UInt64 = 0x51_0CE
            let scene = try await CatalogScene.open(stores, seed: seed)
            let alphabet: [Character] = ["a", "b", "/", "-", "é", "\u{10FFFF}", "%", "_", "\u{FFFD}"]
            func text(_ longest: UInt64) -> String {
                String(
                    (0..<(scene.ids.nextRandom() % (longest + 1))).map { _ in
                        alphabet[Int(scene.ids.nextRandom() % UInt64(alphabet.count))]
                    })
            }
            var keys: Set<String> = []
            for _ in 0..<120 { keys.insert("a" + text(6)) }
            for _ in 0..<40 { keys.insert("\u{10FFFF}" + text(4)) }
            for key in keys { try await scene.put(key, on: ["a"]) }
            let delimiters: [String?] = [nil, "/", "--", "a/", "é", "\u{10FFFF}", "\u{10FFFF}b"]
            for round in 0..<150 {
                var query = ListingQuery(
                    bucket: scene.bucket,
                    prefix: ["", "a", "\u{10FFFF}", "a" + text(2)][Int(scene.ids.nextRandom() % 4)],
                    delimiter: delimiters[Int(scene.ids.nextRandom() % UInt64(delimiters.count))],
                    limit: 1 + Int(scene.ids.nextRandom() % 9))
                let model = naive(keys, query)
                try expectEqual(try await all(query, stores), model, "seed \(seed) round \(round): \(query)")
                query.position = .after("a" + text(3))
                try expectEqual(
                    try await all(query, stores), naive(keys, query), "seed \(seed) round \(round): \(query)")
                query.position = .past(prefix: "a" + text(2))
                try expectEqual(
                    try await all(query, stores), naive(keys, query), "seed \(seed) round \(round): \(query)")
            }
        },
        CatalogPromise("a copy is suspect only while it is live") { stores in
            let scene = try await CatalogScene.open(stores)
            let intent = try await scene.put("k", on: ["a", "b"])
            try expectEqual(try await stores.objects.markSuspect(intent.candidates[0].id), true)
            try expect(try await scene.copy("k", on: "a").isSuspect)
            try expect(try await !scene.copy("k", on: "b").isSuspect)
            try await scene.put("k", on: ["a"])
            try expectEqual(try await stores.objects.markSuspect(intent.candidates[1].id), false)
            try expectEqual(try await stores.objects.markSuspect(scene.ids.makeCopyID()), false)
        },
    ]

    enum Entry: Equatable {
        case key(String)
        case prefix(String)
    }

    /// All pages, each with at most `limit` items.
    private static func all(_ query: ListingQuery, _ stores: CatalogStores) async throws -> [Entry] {
        var query = query
        var entries: [Entry] = []
        for _ in 0..<1000 {
            let page = try await stores.objects.list(query)
            try expect(page.items.count <= query.limit, "\(page.items.count) items of \(query.limit)")
            try expect(page.next == nil || page.items.count == query.limit, "a short page that is not the last")
            for item in page.items {
                switch item {
                case .object(let object): entries.append(.key(object.key))
                case .commonPrefix(let prefix): entries.append(.prefix(prefix))
                }
            }
            guard let next = page.next else { return entries }
            query.position = next
        }
        throw BrokenPromise(description: "a listing without end: \(query)")
    }

    /// What S3 promises, in the plainest words.
    private static func naive(_ keys: Set<String>, _ query: ListingQuery) -> [Entry] {
        func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
        func has(_ key: String, _ prefix: String) -> Bool { key.utf8.starts(with: prefix.utf8) }
        let behind = keys.filter { key in
            guard has(key, query.prefix) else { return false }
            switch query.position {
            case nil: return true
            case .after(let last): return precedes(last, key)
            case .past(let prefix): return precedes(prefix, key) && !has(key, prefix)
            }
        }
        var entries: [Entry] = []
        for key in behind.sorted(by: precedes) {
            if let delimiter = query.delimiter, let group = group(key, query.prefix, delimiter) {
                if entries.last != .prefix(group) { entries.append(.prefix(group)) }
            } else {
                entries.append(.key(key))
            }
        }
        return entries
    }

    private static func group(_ key: String, _ prefix: String, _ delimiter: String) -> String? {
        let bytes = Array(key.utf8)
        let mark = Array(delimiter.utf8)
        var start = prefix.utf8.count
        while start + mark.count <= bytes.count {
            if bytes[start..<(start + mark.count)].elementsEqual(mark) {
                return String(decoding: bytes[..<(start + mark.count)], as: UTF8.self)
            }
            start += 1
        }
        return nil
    }
}
