import HTTP
import S3

/// Promises about names, listings and races.
extension ContractTrial {
    func listing() async throws {
        let expected = [
            "a!", "a-b/c", "a/b", "a/c/d", "a/c/e", "a0", "b", "b.c", "é", "日本/語", "z/1", "z/10", "z/2", "Z",
        ]
        for name in expected { try await put(name, pattern(name.utf8.count)) }
        for limit in [1, 2, 5, 13, 14, 1000] {
            try expectNames(try await names(limit: limit), expected, "pages of \(limit)")
        }
        let whole = try await store.list(prefix: prefix, after: nil, limit: expected.count)
        try expect(!whole.isTruncated, "truncated with all entries on the page")
        for entry in whole.entries {
            let size = entry.key.utf8.count - prefix.utf8.count
            try expect(entry.size == Int64(size), "\(entry.key) has \(entry.size) bytes instead of \(size)")
        }
        // A key that was deleted, or never was, divides as well as one that is there.
        let after = try await store.list(prefix: prefix, after: prefix + "a/c/dd", limit: 2)
        try expect(
            after.entries.map(\.key) == [prefix + "a/c/e", prefix + "a0"], "after a/c/dd: \(after.entries.map(\.key))")
    }

    func listingPrefix() async throws {
        for name in ["p0", "p/a0", "p/a/b", "p/ab", "pa", "q/a"] { try await put(name, pattern(1)) }
        for (below, expected) in [
            ("", ["p0", "p/a0", "p/a/b", "p/ab", "pa", "q/a"]), ("p", ["p0", "p/a0", "p/a/b", "p/ab", "pa"]),
            ("p/", ["p/a0", "p/a/b", "p/ab"]), ("p/a", ["p/a0", "p/a/b", "p/ab"]), ("p/a/", ["p/a/b"]),
            ("p/a/b", ["p/a/b"]),
            ("p/a/bc", []), ("x", []), ("x/y", []), ("p//", []),
        ] {
            try expectNames(try await names(below), expected, "prefix \(below)")
        }
    }

    func names() async throws {
        var names = [
            "space in it", "plus+plus", "per%cent", "%2F", "%2e%2e/x", "tilde~x", "q?a=b&c", "hash#", "a\"b'c", "<&>",
            "emoji-🙂", "colon:;=@,$",
            "back\\slash", "x.meta", "put-1", "key", "trailing.", "-",
            String(repeating: "s", count: 200) + "/" + String(repeating: "t", count: 200),
        ]
        if traits.takesAnyName {
            names += [
                "a", "a/b", "a/", "a/b/c", "d//e", "d/e", "f/./g", "f/../g", "..", ".", "../..", "./", "é", "e\u{301}",
                "../\u{301}x",
                "h/\u{301}i", "a~meta", "a~d", "a~", "a~/b", "~", "~meta", "~d", ".sluice-tmp", ".sluice-tmp/x", " ",
                "\u{7F}",
            ]
            if traits.takesLineBreaks { names.append("new\nline") }
        }
        for (index, name) in names.enumerated() {
            try await put(name, pattern(index + 1), StoredMetadata(entries: ["n": "\(index)"]))
        }
        for (index, name) in names.enumerated() {
            try expect(try await bytes(name) == pattern(index + 1), "other bytes under \(name.debugDescription)")
            let entries = try await store.head(prefix + name).metadata.entries
            try expect(entries == ["n": "\(index)"], "\(name.debugDescription) has \(entries)")
        }
        try expectNames(try await self.names(), names, "listed")
        try expectNames(try await self.names(limit: 7), names, "listed by seven")
        for (index, name) in names.enumerated() where index % 2 == 0 {
            try await store.delete(prefix + name, providerVersion: nil)
        }
        let left = names.enumerated().filter { $0.offset % 2 == 1 }
        for (index, name) in left {
            try expect(try await bytes(name) == pattern(index + 1), "deletes have harmed \(name.debugDescription)")
        }
        try expectNames(try await self.names(), left.map(\.element), "left")
    }

    // MARK: Races

    func conditionalCreate() async throws {
        guard store.capabilities.conditionalCreate else { return }
        let first = StoredMetadata(contentType: "text/plain", entries: ["by": "first"])
        try await put("o", pattern(10), first, ifAbsent: true)
        try await expect(.alreadyExists, "second") { () async throws(StoreError) in
            try await put("o", pattern(11, 1), StoredMetadata(entries: ["by": "second"]), ifAbsent: true)
        }
        try expect(try await bytes("o") == pattern(10), "the second one's bytes")
        try expect(try await store.head(prefix + "o").metadata == first, "the second one's metadata")
        try await store.delete(prefix + "o", providerVersion: nil)
        try await put("o", pattern(12), ifAbsent: true)
    }

    func racingCreates() async throws {
        guard store.capabilities.conditionalCreate else { return }
        let racers = 8
        for round in 0..<10 {
            let name = "r\(round)/o"
            let wins = try await withThrowingTaskGroup(of: Int?.self) { group in
                for racer in 0..<racers {
                    group.addTask {
                        do throws(StoreError) {
                            try await put(
                                name, pattern(100 + racer, UInt8(racer)), StoredMetadata(entries: ["by": "\(racer)"]),
                                ifAbsent: true)
                            return racer
                        } catch {
                            guard error.code == .alreadyExists else { throw error }
                            return nil
                        }
                    }
                }
                return try await group.reduce(into: [Int]()) { if let racer = $1 { $0.append(racer) } }
            }
            try expect(wins.count == 1, "\(wins.count) winners")
            let winner = wins[0]
            try expect(try await bytes(name) == pattern(100 + winner, UInt8(winner)), "not the winner's bytes")
            let by = try await store.head(prefix + name).metadata.entries["by"]
            try expect(by == "\(winner)", "metadata of \(by ?? "none") with the bytes of \(winner)")
        }
    }

    func racingNeighbours() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    for round in 0..<15 {
                        // The folder goes with its last object, again and again.
                        let name = "d/e/w\(worker)"
                        try await put(
                            name, pattern(round + 1, UInt8(worker)), StoredMetadata(entries: ["r": "\(round)"]))
                        let found = try await bytes(name)
                        try expect(found == pattern(round + 1, UInt8(worker)), "worker \(worker) round \(round)")
                        try await store.delete(prefix + name, providerVersion: nil)
                    }
                }
            }
            try await group.waitForAll()
        }
        try expectNames(try await names(), [], "left")
    }
}
