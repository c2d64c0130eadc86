import Catalog

/// A backend that is lost for ever, and is given up by its operator.
extension Simulation {
    func isGivenUp(_ backend: BackendID) -> Bool { tables.backends[backend]?.isAbandoned == true }

    /// The operator moves when it is worst: a drain begins when bytes are on their way there, and the backend is given up when a write
    /// has its only bytes there and its commit is on its way.
    mutating func worstMove(_ record: BackendRecord) -> SimulatedTransaction? {
        guard traffic == .losses, lost == nil else { return nil }
        let isMet = messages.contains { message in
            switch (record.phase, message.call) {
            case (.active, .backend(let id, .put)): id == record.id && active.count > Simulation.factor
            case (.draining, .catalog(.commit(let commit))):
                commit.uploaded.allSatisfy { tables.copies[$0.id]?.copy.backend == record.id }
            default: false
            }
        }
        guard isMet, !random.chance(20) else { return nil }
        return record.phase == .active
            ? SimulatedTransaction(.change(record.id, from: .active, to: .draining)) : abandoning(record)
    }

    /// What the operator does next about the backend that is lost.
    mutating func abandoning(_ record: BackendRecord) -> SimulatedTransaction {
        lost = record.id
        // What the plan said; it may be out of date.
        let count = Int64(tables.soleVersions(on: record.id).count)
        return SimulatedTransaction(
            .abandon(record.id, soleCopiesMax: random.chance(40) ? max(0, count - 1) : count))
    }

    mutating func abandon(_ backend: BackendID, _ soleCopiesMax: Int64) throws(CatalogError) -> CatalogAnswer {
        let before = tables
        switch try tables.abandon(backend, soleCopiesMax: soleCopiesMax) {
        case .abandoned(let count):
            see(.abandoned)
            // Counted here on its own: a retained version whose every other copy is absent, doomed, suspect or given up.
            let seen = before.copies.values.filter { row in
                row.copy.backend == backend && row.copy.state == .live
                    && before.versions[row.copy.version]?.isRetained == true
                    && !before.copies(of: row.copy.version).contains { other in
                        other.copy.backend != backend && other.copy.state == .live && !other.copy.isSuspect
                            && before.backends[other.copy.backend]?.isAbandoned == false
                    }
            }
            let agreed = Set(seen.map(\.copy.version))
            givenUp = agreed
            if count != Int64(agreed.count) {
                violated("\(count) objects are said to be lost, and \(agreed.count) are")
            }
            if count > soleCopiesMax { violated("more objects are lost than was agreed") }
            if count > 0 { see(.soleCopyLost) }
            let open = before.copies.values.contains { $0.copy.backend == backend && $0.copy.state == .writing }
            if open { see(.writeEndedByAbandon) }
        case .refused: see(.abandonRefused)
        case .notDraining: break
        }
        return .done
    }

    /// What was not given up was only away.
    mutating func findAgain() {
        guard let backend = lost, !isGivenUp(backend) else { return }
        note("\(backend) is there again")
        lost = nil
    }

    /// Each object that was given up is recorded, never silently forgotten.
    mutating func checkLosses() {
        for version in givenUp where tables.versions[version]?.isRetained != true {
            let isRecorded = tables.lostRows.contains { $0.version == version }
            if !isRecorded, !model.wasReplaced(version) { violated("the loss of \(version) is not recorded") }
        }
    }
}
