import Foundation
import TestSupport
import Testing

/// The protocols under every order of faults that a seed can make (docs/simulation.md).
///
/// `SLUICE_SIM_SEEDS=5000` runs that many; `SLUICE_SIM_SEED=8841` runs the one that failed.
@Suite struct SimulationTests {
    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    /// With another number a seed is another run.
    private static var steps: Int { number("SLUICE_SIM_STEPS").map { Int($0) } ?? 500 }

    private static var seeds: [UInt64] {
        if let one = number("SLUICE_SIM_SEED") { return [one] }
        return Array(1...(number("SLUICE_SIM_SEEDS") ?? 200))
    }

    @Test func `the protocols keep every invariant under faults, and converge when the faults stop`() {
        var sights: [SimulatedSight: Int] = [:]
        var simulated: Duration = .zero
        for seed in Self.seeds {
            var simulation = Simulation(seed: seed)
            do throws(SimulationFailure) {
                try simulation.run(steps: Self.steps)
            } catch {
                Issue.record("\(error)")
                return
            }
            sights.merge(simulation.sights) { $0 + $1 }
            simulated += simulation.elapsed
        }
        let days = simulated / .seconds(86_400)
        print(
            "simulation: seeds \(Self.seeds.first ?? 0) to \(Self.seeds.last ?? 0), \(Self.steps) steps each and until it converged, \((days * 10).rounded() / 10) simulated days, 0 violations"
        )
        if Self.number("SLUICE_SIM_SIGHTS") != nil {
            for sight in SimulatedSight.allCases { print("\(sights[sight] ?? 0) \(sight.rawValue)") }
        }
        // Silence means something only if there was something to be survived.
        guard Self.number("SLUICE_SIM_SEED") == nil else { return }
        for sight in SimulatedSight.allCases { #expect(sights[sight] != nil, "it never came to pass: \(sight)") }
    }

    @Test func `the same seed is the same run`() {
        func violation() -> String? {
            for seed in 1...UInt64(20) {
                var simulation = Simulation(seed: seed, ablation: .reusedNames)
                do throws(SimulationFailure) { try simulation.run(steps: Self.steps) } catch {
                    return error.description
                }
            }
            return nil
        }
        let first = violation()
        #expect(first != nil && first == violation())
    }

    @Test(arguments: SimulatedAblation.allCases)
    func `without one of its protections it breaks, and the simulation sees it`(ablation: SimulatedAblation) {
        let seedsMax = max(300, Self.number("SLUICE_SIM_SEEDS") ?? 0)
        for seed in 1...seedsMax {
            var simulation = Simulation(seed: seed, ablation: ablation)
            do throws(SimulationFailure) {
                try simulation.run(steps: Self.steps)
            } catch {
                if Self.number("SLUICE_SIM_SIGHTS") != nil { print("\(ablation): \(error.violation) (seed \(seed))") }
                if Self.number("SLUICE_SIM_SEED") != nil { print("\(ablation): \(error)") }
                return
            }
        }
        Issue.record("\(seedsMax) seeds without \(ablation.rawValue) show nothing")
    }
}
