import Catalog
import S3
import Spec

/// `sluice explain WORD`: a field of the spec, a reason, a condition, an error code of the loader or of S3.
struct ExplainCommand {
    private let word: String?
    init(_ invocation: Invocation) { word = invocation.operands.first }

    func run() throws(CommandFailure) -> ExitCode {
        guard let word else {
            Terminal.print(
                """
                sluice explain WORD, where WORD is
                  a field of the spec    \(SpecReference.fields.prefix(3).map { "\($0.kind).\($0.path)" }.joined(separator: ", ")), …
                  a condition type       \(ConditionType.allCases.prefix(5).map(\.rawValue).joined(separator: ", ")), …
                  a reason               \(Reason.allCases.prefix(4).map(\.rawValue).joined(separator: ", ")), …
                  a kind of document     \(SpecReference.kinds.joined(separator: ", "))
                """)
            return .ok
        }
        let answers = ExplainCommand.answers(word)
        guard !answers.isEmpty else {
            let known =
                SpecReference.fields.map(\.path) + SpecReference.kinds + Reason.allCases.map(\.rawValue)
                + ConditionType.allCases.map(\.rawValue)
            let hint = Spelling.nearest(word, known).map { "; did you mean \($0)?" } ?? ""
            throw CommandFailure(.failure, "nothing is known about '\(word)'\(hint)")
        }
        Terminal.print(answers.joined(separator: "\n\n"))
        return .ok
    }

    static func answers(_ word: String) -> [String] {
        var answers: [String] = []
        if let kind = SpecReference.kinds.first(where: { $0.lowercased() == word.lowercased() }) {
            let fields = SpecReference.fields.filter { $0.kind == kind }
            let width = fields.map(\.path.count).max() ?? 0
            answers.append(
                (["\(kind): its fields below spec"]
                    + fields.map {
                        "  \($0.path)\(String(repeating: " ", count: width - $0.path.count))  \($0.meaning)"
                    }).joined(separator: "\n"))
        }
        for field in SpecReference.fields(named: word) {
            answers.append(
                "\(field.kind) spec.\(field.path)\n  \(field.meaning)\n  form: \(field.formText)\n  default: \(field.absent)"
            )
        }
        if let type = ConditionType.allCases.first(where: { $0.rawValue.lowercased() == word.lowercased() }) {
            answers.append(
                "condition \(type.rawValue)\n  True means: \(type.reference.meaning)\n  otherwise: \(type.reference.remedy)"
            )
        }
        if let reason = Reason.allCases.first(where: { $0.rawValue.lowercased() == word.lowercased() }) {
            answers.append(
                "reason \(reason.rawValue)\n  cause: \(reason.reference.meaning)\n  what to do: \(reason.reference.remedy)"
            )
        }
        return answers
    }
}
