import Catalog
import S3
import Transfer

/// Looks through a backend for what no row names, and dooms what was seen twice and has been in quarantine: as the reconciler does.
struct SimulatedInventory: SimulatedActor {
    let backend: BackendID
    let token: LeaseToken
    let identifiers: SeededIdentifiers
    private var position: InventoryPosition?

    init(backend: BackendID, token: LeaseToken, identifiers: SeededIdentifiers) {
        self.backend = backend
        self.token = token
        self.identifiers = identifiers
    }

    mutating func start() -> [SimulatedCall] { [.catalog(.beginInventory(backend, token))] }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        switch (call, answer) {
        case (_, .catalog(.success(.inventory(let found)))):
            position = found
            return found == nil ? [.catalog(.dueOrphans(backend))] : [.backend(backend, .list)]
        case (_, .backend(.success(.listing(let objects, let uploads)))):
            guard let position else { return [] }
            let open = Set(uploads.map(\.key)).sorted().map { ListedName(name: $0, bytes: 0) }
            return [
                .catalog(
                    .recordInventory(
                        InventoryPage(
                            backend: backend, token: token, position: position, through: nil, objects: objects,
                            uploads: open)))
            ]
        case (.catalog(.recordInventory), .catalog(.success)): return [.catalog(.dueOrphans(backend))]
        case (_, .catalog(.success(.orphans(let due)))):
            return due.compactMap { orphan in
                PhysicalName.parse(orphan.name, keyPrefix: "p/").map { parts in
                    .catalog(
                        .doomOrphan(
                            orphan, of: parts.version, copy: identifiers.makeCopyID(),
                            owner: identifiers.makeVersionID()))
                }
            }
        default: return []
        }
    }
}
