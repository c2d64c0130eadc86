package import Spec

/// How fast copies left a backend, as one instance measured it.
package struct MoveRate: Sendable, Equatable {
    package var copies: Int64
    package var bytes: Int64
    /// How long an instance was at it; several that shared the work add up theirs.
    package var busy: Duration
    package init(copies: Int64 = 0, bytes: Int64 = 0, busy: Duration = .zero) {
        self.copies = copies
        self.bytes = bytes
        self.busy = busy
    }
    package static func += (a: inout MoveRate, b: MoveRate) {
        a.copies += b.copies
        a.bytes += b.bytes
        a.busy += b.busy
    }
}

/// What limits how fast the reconciler works, at one moment.
package struct PaceReading: Sendable, Equatable {
    /// Microseconds since 1970, by the database's clock; nil where no database was asked.
    package var moment: Int64?
    /// Copies that the reconciler dropped in the last hour; counted while there is a ceiling.
    package var dropsLastHour: Int64
    package var rates: [BackendID: MoveRate]
    package init(moment: Int64? = nil, dropsLastHour: Int64 = 0, rates: [BackendID: MoveRate] = [:]) {
        self.moment = moment
        self.dropsLastHour = dropsLastHour
        self.rates = rates
    }
}

/// Limits of movement that all instances share, and how fast it went; each call is one transaction.
package protocol PaceLedger: Sendable {
    func pace() async throws(CatalogError) -> PaceReading
    /// Takes `bytes` from what may leave the backend at `bytesPerSecond`, in all instances together, and says how long to wait before
    /// they move. nil, and nothing is taken, if that is longer than `waitMax`.
    ///
    /// This is the generic cell rate algorithm (ITU-T I.371, Annex A) without a burst: each span of bytes begins when those before it
    /// have had their time.
    func reserve(
        _ bytes: Int64, leaving backend: BackendID, bytesPerSecond: ByteCount, waitMax: Duration
    ) async throws(CatalogError) -> Duration?
    /// Adds what one instance moved off the backend. Old measurements lose weight: beyond an hour they are halved.
    func note(_ moved: MoveRate, leaving backend: BackendID) async throws(CatalogError)
}
