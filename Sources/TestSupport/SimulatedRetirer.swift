import Catalog
import S3

/// The end of a backend that is being retired: listed twice, then the tombstone; what of ours is found there keeps it from its end.
struct SimulatedRetirer: SimulatedActor {
    let backend: BackendID
    private var looksLeft = 2

    init(_ backend: BackendID) { self.backend = backend }

    mutating func start() -> [SimulatedCall] { look() }

    private mutating func look() -> [SimulatedCall] {
        guard looksLeft > 0 else { return [.catalog(.change(backend, from: .retiring, to: .retired))] }
        looksLeft -= 1
        return [.backend(backend, .list)]
    }

    mutating func handle(_ call: SimulatedCall, _ answer: SimulatedAnswer) -> [SimulatedCall] {
        guard case .backend(.success(.listing(let objects, let uploads))) = answer else { return [] }
        guard objects.isEmpty else { return [] }
        return uploads.map { .backend(backend, .abortUpload(name: $0.key, upload: $0.uploadID)) } + look()
    }
}
