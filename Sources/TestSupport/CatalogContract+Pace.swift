import Catalog
import Spec

extension CatalogContract {
    static let pace: [CatalogPromise] = [
        CatalogPromise(
            "bytes that leave a backend wait for those before them, whoever asks; too long a wait takes nothing"
        ) {
            stores in
            let scene = try await CatalogScene.open(stores)
            let (a, b) = (try scene.id("a"), try scene.id("b"))
            func reserve(_ bytes: Int64, _ backend: BackendID, waitMax: Duration) async throws -> Duration? {
                try await stores.pace.reserve(
                    bytes, leaving: backend, bytesPerSecond: ByteCount(1000), waitMax: waitMax)
            }
            try expectEqual(try await reserve(100_000, a, waitMax: .zero), .zero)
            try expectEqual(try await reserve(100_000, a, waitMax: .seconds(60)), nil)
            let second = try unwrap(try await reserve(50_000, a, waitMax: .seconds(100)))
            try expect(second > .seconds(80) && second <= .seconds(100), "\(second)")
            let third = try unwrap(try await reserve(1, a, waitMax: .seconds(1000)))
            try expect(third > .seconds(130) && third <= .seconds(150), "the refused one took nothing: \(third)")
            try expectEqual(try await reserve(1, b, waitMax: .zero), .zero)
            let faster = try unwrap(
                try await stores.pace.reserve(
                    1, leaving: a, bytesPerSecond: ByteCount(100_000), waitMax: .seconds(1000)))
            try expect(faster > .seconds(1) && faster <= .seconds(2), "at a hundred times the rate: \(faster)")
        },
        CatalogPromise("what was moved off a backend adds up, and the database says what time it is") { stores in
            let scene = try await CatalogScene.open(stores)
            let a = try scene.id("a")
            let before = try await stores.pace.pace()
            try expectEqual(before.rates, [:])
            for _ in 0..<3 { try await stores.pace.note(MoveRate(copies: 2, bytes: 10, busy: .seconds(1)), leaving: a) }
            let after = try await stores.pace.pace()
            try expectEqual(after.rates, [a: MoveRate(copies: 6, bytes: 30, busy: .seconds(3))])
            try expect(try unwrap(after.moment) >= unwrap(before.moment))
        },
        CatalogPromise(
            "no more copies are dropped than the ceiling allows, by several at once, and none is half dropped"
        ) {
            stores in
            let scene = try await CatalogScene.open(stores)
            var intents: [WriteIntent] = []
            for index in 0..<8 { intents.append(try await scene.put("k\(index)", on: ["a", "b", "c"])) }
            let others = try ["b", "c"].map(scene.id)
            func request(_ intent: WriteIntent, _ hourlyMax: Int64?) -> DoomRequest {
                DoomRequest(
                    copy: intent.candidates[0].id, version: intent.version, factor: 2, counted: others,
                    readGrace: .zero, hourlyMax: hourlyMax)
            }
            try expectEqual(try await stores.moves.doom(request(intents[0], nil)), .doomed)
            try expectEqual(try await stores.pace.pace().dropsLastHour, 0, "without a ceiling none is counted")
            let outcomes = try await withThrowingTaskGroup(of: (Int, DoomOutcome).self) { group in
                for (index, intent) in intents.enumerated().dropFirst() {
                    group.addTask { (index, try await stores.moves.doom(request(intent, 3))) }
                }
                return try await group.reduce(into: [(Int, DoomOutcome)]()) { $0.append($1) }
            }
            try expectEqual(outcomes.count { $0.1 == .doomed }, 3)
            try expectEqual(outcomes.count { $0.1 == .ceilingReached }, 4)
            try expectEqual(try await stores.pace.pace().dropsLastHour, 3)
            try expectEqual(try await scene.due().count, 4, "what was refused is as it was")
            let refused = try unwrap(outcomes.first { $0.1 == .ceilingReached }).0
            try expectEqual(try await stores.moves.doom(request(intents[refused], 4)), .doomed)
        },
    ]
}
