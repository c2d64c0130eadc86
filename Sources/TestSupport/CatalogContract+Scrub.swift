import Catalog

extension CatalogContract {
    static let scrubs: [CatalogPromise] = [
        CatalogPromise("a round of verification goes through the live copies once, in the hands of one worker") {
            stores in
            let scene = try await CatalogScene.open(stores)
            let a = try scene.id("a")
            for number in 0..<5 { try await scene.put("k\(number)", on: ["a", "b"], size: 7) }
            try await scene.put("elsewhere", on: ["b"])
            _ = try await stores.objects.markSuspect(try await scene.copy("k4", on: "a").id)
            let (first, second) = (scene.ids.makeLeaseToken(), scene.ids.makeLeaseToken())
            func begin(_ token: LeaseToken, _ interval: Duration?, lease: Duration = .seconds(60)) async throws
                -> ScrubPosition?
            {
                try await stores.scrubs.beginScrub(a, interval: interval, token: token, lease: lease)
            }
            try expect(try await begin(first, nil) == nil, "nobody asked for one")
            let start = try unwrap(try await begin(first, .zero))
            try expectEqual(start, ScrubPosition(round: 1, after: nil))
            try expect(try await begin(second, .zero) == nil, "another is at it")
            try expect(try await stores.scrubs.renewScrub(a, token: first, lease: .seconds(90)))
            try expect(!(try await stores.scrubs.renewScrub(a, token: second, lease: .seconds(90))), "not its claim")
            let page = try await stores.scrubs.copiesToScrub(a, after: nil, limit: 3)
            try expectEqual(page.map(\.version.size), [7, 7, 7])
            try expect(page.allSatisfy { $0.copies.count == 1 && $0.copies[0].backend == a })
            let tally = ScrubTally(copies: 3, bytes: 21, damaged: 1, unreadable: 1)
            func record(_ token: LeaseToken, _ through: VersionID?, _ tally: ScrubTally) async throws -> Bool {
                try await stores.scrubs.recordScrub(a, token: token, round: 1, through: through, tally)
            }
            try expect(!(try await record(second, nil, tally)), "not its claim")
            try expect(try await record(first, page[2].version.id, tally))
            try expect(!(try await record(first, nil, tally)), "the claim is over")
            let next = try unwrap(try await begin(second, nil), "a round under way goes on")
            try expectEqual(next, ScrubPosition(round: 1, after: page[2].version.id))
            let rest = try await stores.scrubs.copiesToScrub(a, after: next.after, limit: 3)
            try expectEqual(rest.count, 1, "a suspect copy is known already")
            try expect(try await record(second, nil, ScrubTally(copies: 1, bytes: 7)))
            let records = try await stores.scrubs.scrubs()
            try expectEqual(records.map(\.backend), [a])
            try expectEqual(records[0].tally, ScrubTally(copies: 4, bytes: 28, damaged: 1, unreadable: 1))
            try expect(records[0].finishedAt != nil)
            try expect(try await begin(first, .seconds(3600)) == nil, "the next is not due")
            try expectEqual(try await begin(first, .zero)?.round, 2)
            try expectEqual(try await stores.scrubs.scrubs()[0].tally, ScrubTally())
        }
    ]
}
