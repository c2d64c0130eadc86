package import Catalog
import Spec

/// A fleet as a line of text: `a: v1 v2* | b: v1 | c(draining): v3`.
///
/// Backends stand between bars, their phase (or `undeclared`) in parentheses, and behind the colon the copies that they hold, by the
/// name of the object: `v1` live, `v1*` live but suspect, `v1?` being written, `v1!` doomed. Gone copies are not shown.
package struct FleetPicture: Equatable, CustomStringConvertible, ExpressibleByStringLiteral, Sendable {
    package struct Holder: Equatable, Sendable {
        package var name: String
        package var phase: BackendPhase = .active
        package var isDeclared = true
        /// Sorted by object.
        package var copies: [Held] = []
    }

    package struct Held: Equatable, Comparable, Sendable {
        package var object: String
        package var state: CopyState
        package var isSuspect = false
        package static func < (a: Held, b: Held) -> Bool { (a.object, a.mark) < (b.object, b.mark) }
        var mark: String {
            switch state {
            case .writing: "?"
            case .live: isSuspect ? "*" : ""
            case .doomed: "!"
            case .gone: "#"
            }
        }
    }

    package var holders: [Holder]

    package init(stringLiteral text: String) { self.init(text) }

    /// A picture is written in a test: a mistake in it ends the test.
    package init(_ text: String) {
        holders = text.split(separator: "|").map { part in
            let halves = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            precondition(halves.count == 2, "a holder needs a colon: \(part)")
            let title = halves[0].split(whereSeparator: { " ()".contains($0) }).map(String.init)
            precondition((1...2).contains(title.count), "a holder needs a name and at most a phase: \(part)")
            var holder = Holder(name: title[0])
            if title.count == 2, title[1] == "undeclared" {
                holder.isDeclared = false
            } else if title.count == 2 {
                guard let phase = BackendPhase(rawValue: title[1]) else { preconditionFailure("no phase \(title[1])") }
                holder.phase = phase
            }
            holder.copies = halves[1].split(separator: " ").map { FleetPicture.held(String($0)) }.sorted()
            return holder
        }
    }

    private static func held(_ text: String) -> Held {
        switch text.last {
        case "*": Held(object: String(text.dropLast()), state: .live, isSuspect: true)
        case "?": Held(object: String(text.dropLast()), state: .writing)
        case "!": Held(object: String(text.dropLast()), state: .doomed)
        default: Held(object: text, state: .live)
        }
    }

    /// What the tables hold now.
    package init(_ tables: CatalogTables) {
        holders = tables.backends.values.sorted { $0.name < $1.name }.map { record in
            let rows = tables.copies.values.filter { $0.copy.backend == record.id && $0.copy.state != .gone }
            let copies = rows.map { row in
                Held(
                    object: tables.versions[row.copy.version]?.object.key ?? "", state: row.copy.state,
                    isSuspect: row.copy.isSuspect)
            }
            return Holder(
                name: record.name, phase: record.phase, isDeclared: record.isDeclared, copies: copies.sorted())
        }
    }

    package var description: String {
        holders.map { holder in
            let phase = holder.isDeclared ? holder.phase == .active ? "" : "(\(holder.phase.rawValue))" : "(undeclared)"
            return "\(holder.name)\(phase):" + holder.copies.map { " \($0.object)\($0.mark)" }.joined()
        }.joined(separator: " | ")
    }
}
