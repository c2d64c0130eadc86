package import HTTP
package import S3

/// What every backend promises, whatever it is made of: one suite for directories, S3 servers and the double in memory.
///
///     @Test(arguments: ObjectStoreContract.Promise.allCases)
///     func `a directory keeps the contract`(promise: ObjectStoreContract.Promise) async throws {
///         try await ObjectStoreContract(store: store, prefix: "x/").check(promise)
///     }
package struct ObjectStoreContract: Sendable {
    /// What some servers cannot do; what is switched off here must be said in their test.
    package struct Traits: Sendable {
        /// `a` beside `a/b` and `a/`, empty segments, dots, and names that differ only in Unicode normalisation.
        package var takesAnyName = true
        package var takesLineBreaks = true
        /// Rising; some servers take only 1, 2, 3.
        package var partNumbers = [1, 5, 1000]
        package var keepsMultipartMetadata = true
        package var listsUploads = true
        /// Bytes of all parts but the last; S3 services refuse less than 5 MiB.
        package var partBytes = 5 * 1024 * 1024
        /// Bytes of a body that comes in many runs.
        package var streamedBytes = 3 * 1024 * 1024
        package init() {}
    }

    /// A promise that was broken, and how.
    package struct Broken: Error, CustomStringConvertible {
        package let promise: Promise
        package let detail: String
        package var description: String { "\(promise.rawValue): \(detail)" }
    }

    package enum Promise: String, CaseIterable, Sendable {
        case roundTrip = "what was put is read back with its metadata"
        case ranges = "a range has exactly its bytes"
        case rangeBeyondEnd = "a range beyond the end is invalidRange"
        case absence = "what is not there is noSuchKey"
        case repeatedDelete = "a delete can be repeated"
        case failedBody = "a body that fails stores nothing"
        case failedOverwrite = "a failed overwrite leaves the old object"
        case overwrite = "an overwrite replaces bytes and metadata"
        case copyWithin = "a copy within has the bytes of its source and metadata of its own"
        case listing = "a listing is in byte order, page by page"
        case listingPrefix = "a listing has exactly the keys with its prefix"
        case names = "awkward names are kept apart and come back as they were"
        case conditionalCreate = "a name is taken once"
        case racingCreates = "of racing creators one wins, with its bytes and its metadata"
        case racingNeighbours = "puts and deletes beside one another do not disturb one another"
        case multipart = "parts are joined in the order of their numbers"
        case resentPart = "a part that is sent again replaces the one before"
        case failedPart = "a part that fails is no part"
        case abort = "an aborted upload leaves nothing and takes no more parts"
        case wrongParts = "an upload is not completed with parts that it does not have"
        case uploadListing = "open uploads are listed until they end"
    }

    package let store: any ObjectStore
    package let traits: Traits
    /// Each promise works below a prefix of its own, so that all can be tried at once on one store.
    private let prefix: String

    package init(store: any ObjectStore, prefix: String, traits: Traits = Traits()) {
        self.store = store
        self.prefix = prefix
        self.traits = traits
    }

    /// Throws `Broken`, or a `StoreError` that should not have come.
    package func check(_ promise: Promise) async throws {
        let trial = ContractTrial(store: store, traits: traits, promise: promise, prefix: prefix + "\(promise)/")
        switch promise {
        case .roundTrip: try await trial.roundTrip()
        case .ranges: try await trial.ranges()
        case .rangeBeyondEnd: try await trial.rangeBeyondEnd()
        case .absence: try await trial.absence()
        case .repeatedDelete: try await trial.repeatedDelete()
        case .failedBody: try await trial.failedBody()
        case .failedOverwrite: try await trial.failedOverwrite()
        case .overwrite: try await trial.overwrite()
        case .copyWithin: try await trial.copyWithin()
        case .listing: try await trial.listing()
        case .listingPrefix: try await trial.listingPrefix()
        case .names: try await trial.names()
        case .conditionalCreate: try await trial.conditionalCreate()
        case .racingCreates: try await trial.racingCreates()
        case .racingNeighbours: try await trial.racingNeighbours()
        case .multipart: try await trial.multipart()
        case .resentPart: try await trial.resentPart()
        case .failedPart: try await trial.failedPart()
        case .abort: try await trial.abort()
        case .wrongParts: try await trial.wrongParts()
        case .uploadListing: try await trial.uploadListing()
        }
    }
}

/// A body that yields `runs` and then throws.
package final class FailingBody: BodyReader {
    private let runs: BytesReader
    private let failure: BodyError

    package init(_ runs: [Bytes], then failure: BodyError) {
        self.runs = BytesReader(runs: runs)
        self.failure = failure
    }

    package func next() async throws(BodyError) -> Bytes? {
        if let run = try await runs.next() { return run }
        throw failure
    }
}
