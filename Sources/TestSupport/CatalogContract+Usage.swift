import Catalog

extension CatalogContract {
    static let usage: [CatalogPromise] = [
        CatalogPromise("usage of a month adds up, for each backend, and shows in the snapshot") { stores in
            let scene = try await CatalogScene.open(stores)
            let (a, b) = (try scene.id("a"), try scene.id("b"))
            try await stores.usage.add([a: MonthlyUsage(requests: 1, egress: 2, ingress: 3)])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await stores.usage.add([
                            b: MonthlyUsage(requests: 5), a: MonthlyUsage(requests: 10, egress: 20, ingress: 30),
                        ])
                    }
                }
                try await group.waitForAll()
            }
            try await stores.usage.add([:])
            let monthly = try await stores.fleet.snapshot().monthly
            try expectEqual(monthly[a], MonthlyUsage(requests: 81, egress: 162, ingress: 243))
            try expectEqual(monthly[b], MonthlyUsage(requests: 40))
            try expectEqual(monthly[try scene.id("c")] ?? .zero, .zero)
        }
    ]
}
