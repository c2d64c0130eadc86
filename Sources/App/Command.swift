/// The program's verbs.
enum Command: String, CaseIterable, Sendable {
    case serve, reconcile, apply, diff, status, events, wait, object, inventory, adopt, scrub, rebalance
    case okToStop = "ok-to-stop"
    case safeToRemove = "safe-to-remove"
    case confirmCatalog = "confirm-catalog"
    case validate, explain, schema, export, completion, version, help

    var summary: String {
        switch self {
        case .serve: "run the S3 gateway and the reconcile loop"
        case .reconcile: "bring the fleet to what the spec says, then exit; --dry-run prints the plan"
        case .apply: "carry out a plan that was saved and reviewed"
        case .status: "conditions, copies, bytes and progress of every backend"
        case .wait: "wait until a condition holds, for scripts and pipelines"
        case .validate: "check spec files; needs no database and no network"
        case .export: "print buckets that S3 clients made as spec documents"
        case .diff: "compare the spec files with the accepted revision, line by line"
        case .events: "what happened, newest first"
        case .object: "where the copies of an object are"
        case .scrub: "read every copy, verify it, and have the damaged ones repaired"
        case .rebalance: "move copies so that all backends are about equally full"
        case .inventory: "what is on the backends and in no row, and when it goes"
        case .adopt: "take back objects that a restored database does not know"
        case .okToStop: "whether every object stays readable while a backend is stopped"
        case .safeToRemove: "whether every object keeps its copies when a backend goes for good"
        case .confirmCatalog: "go on deleting after a restore or failover of Postgres was looked at"
        case .explain: "what a field, a condition or a reason means"
        case .schema: "print the JSON Schema of spec documents, for editors"
        case .completion: "print the completion of a shell"
        case .version: "print the version"
        case .help: "print help on a command"
        }
    }

    var options: [Option] {
        switch self {
        case .serve:
            [
                .spec, .databaseURL, .listen, .adminListen, .instance, .logLevel, .region, .domain, .tlsCertificate,
                .tlsKey,
            ]
        case .reconcile: [.spec, .databaseURL, .instance, .output, .timeout, .logLevel]
        case .apply: [.spec, .databaseURL, .instance, .timeout, .logLevel]
        case .status: [.spec, .databaseURL, .output]
        case .wait: [.databaseURL, .condition, .timeout]
        case .validate: [.spec, .output]
        case .export, .okToStop, .safeToRemove, .diff: [.spec, .databaseURL]
        case .events, .object, .inventory: [.databaseURL, .output]
        case .confirmCatalog: [.databaseURL]
        case .scrub, .rebalance: [.spec, .databaseURL, .logLevel]
        case .adopt: [.spec, .databaseURL]
        case .explain, .schema, .completion, .version, .help: []
        }
    }

    var switches: [Switch] {
        switch self {
        case .serve: [.allowRollback, .help]
        case .reconcile: [.dryRun, .detailedExitcode, .allowRollback, .noColor, .help]
        case .status: [.noColor, .watch, .help]
        case .rebalance: [.dryRun, .cancel, .help]
        case .adopt: [.dryRun, .help]
        case .validate: [.resolveSecrets, .noColor, .help]
        case .apply, .wait, .export, .diff, .events, .object, .inventory, .scrub, .okToStop, .safeToRemove,
            .confirmCatalog,
            .explain,
            .schema, .completion, .version, .help:
            [.help]
        }
    }

    /// What may follow the options, for the usage line; empty: nothing.
    var operands: String {
        switch self {
        case .apply: "PLAN.json"
        case .wait: "KIND/NAME"
        case .validate: "[PATH]"
        case .export: "[BUCKET]"
        case .help: "[COMMAND]"
        case .object: "locate BUCKET/KEY | lost"
        case .inventory, .adopt, .scrub: "[BACKEND]"
        case .okToStop, .safeToRemove: "NAME"
        case .confirmCatalog: "TOKEN"
        case .explain: "[WORD]"
        case .completion: "bash|zsh|fish"
        case .serve, .reconcile, .diff, .status, .events, .rebalance, .schema, .version: ""
        }
    }

    var operandsMax: Int {
        switch self {
        case .object: 2
        case .apply, .wait, .validate, .export, .inventory, .adopt, .scrub, .okToStop, .safeToRemove, .confirmCatalog,
            .explain, .completion,
            .help:
            1
        case .serve, .reconcile, .diff, .status, .events, .rebalance, .schema, .version: 0
        }
    }

    /// Paragraphs that teach what the options alone do not say.
    var explanation: String {
        switch self {
        case .serve:
            """
            Serves S3 to clients and keeps the fleet as the spec says. The spec is watched: an edit takes effect by itself,
            whole or not at all; SIGHUP reads it again at once. Any number of instances may share one database. SIGTERM
            finishes the requests under way, then ends.
            """
        case .reconcile:
            """
            One run until the fleet has converged or is blocked. With --dry-run it prints what a run would do and changes
            nothing: its database transactions are read-only, and its backend client has no method that writes.

            Exit status: 0 converged, or nothing to do; 2 changes pending (--dry-run --detailed-exitcode); 3 blocked; 4 the
            spec is stale; 5 the spec is invalid; 6 the database cannot be reached.
            """
        case .apply:
            """
            Runs as 'reconcile' does, if the plan is still what would be done; else it changes nothing and says why (exit status
            4). Numbers of copies may differ, what happens to backends and buckets may not.

              sluice reconcile --dry-run -o plan.json
              sluice apply plan.json
            """
        case .status:
            """
            Reads Postgres only, so it also works while no server runs. The columns are those of the conditions in
            docs/conditions.md.
            """
        case .wait:
            """
            Returns 0 once the condition holds, 7 when the timeout (default 10m) has passed before.

              sluice wait --for=condition=Drained backend/b2-eu --timeout 2h
            """
        case .validate:
            """
            Reports every mistake at once, each with its place and a hint. Exit status 5 if there is one.
            """
        case .export:
            """
            With 'bucketCreation: allowed' S3 clients make buckets of their own. This prints one of them, or all, as the
            documents that declare them; put into the spec, they are the spec's from its next revision on, with all objects.

              sluice export photos >> specs/buckets.yaml
            """
        case .diff:
            """
            Lines with a minus are in force, lines with a plus are in the files. Secrets written in a spec are not shown.
            Exit status 0: nothing differs; 2: something does.
            """
        case .object:
            """
            Shows the current version of an object, and the names that its copies have on their backends. A person who has
            lost everything but a backend finds the file under that name. With 'lost': the objects whose last copy went with a
            backend that was abandoned.
            """
        case .inventory:
            """
            The reconciler looks through every backend once a day and writes down objects that are ours by their names while no
            row names them: a crash of Postgres may take away the intent of a write that was under way. They stay for
            safety.orphanQuarantine (7d), and are deleted if they are still in no row. With a BACKEND, one line for each.
            """
        case .okToStop, .safeToRemove:
            """
            Asks the backends now, and counts from the catalog. Exit status 0: yes; 3: no, with the reasons.
            """
        case .adopt:
            """
            After Postgres was restored from a backup, objects that were written since are on the backends and in no row:
            'sluice inventory' finds them. This takes them back: all copies of each are read in full, and it becomes what its
            key has, unless the key has something newer or the copies differ. Objects that were deleted or replaced since the
            backup may come back, too: look at --dry-run first. Run it when two rounds of the inventory are over, before
            'sluice confirm-catalog'.
            """
        case .rebalance:
            """
            Moves copies from full backends to empty ones, together with whoever else is at it, and ends with what has moved. No
            backend is moved beyond the mean, so large objects may keep the fleet uneven. Needs routing: spread, and waits while
            copies are missing or a backend drains. With --dry-run it prints what would move; with --cancel it ends what was
            asked for before. 'sluice serve' does this by itself where rebalance.threshold is in the spec.
            """
        case .scrub:
            """
            A damaged or absent copy becomes suspect: it is not served first, and the reconciler makes it anew from another. A
            round that was interrupted goes on where it stood. With scrub.interval in the spec, 'sluice serve' does this by
            itself. Exit status 0: all verified; 1: something was damaged or could not be read.
            """
        case .confirmCatalog:
            """
            After a restore, a promotion or a move of Postgres the catalog may lack what was written last. Copies are then made,
            and none is dropped or deleted, until this says that the database is the right one. 'sluice status' shows the token
            and what was seen.
            """
        case .schema:
            """
            For editors with a YAML language server:

              sluice schema > sluice.schema.json
              # yaml-language-server: $schema=sluice.schema.json    (first line of a spec file)
            """
        case .completion:
            """
              sluice completion bash > /etc/bash_completion.d/sluice
            """
        case .explain, .events, .version, .help: ""
        }
    }
}
