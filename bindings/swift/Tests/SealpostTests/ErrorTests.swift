import Foundation
import Sealpost
import Testing

private let nobody = "00000000-0000-4000-8000-000000000000"

extension SealpostTests {
    @Suite struct ErrorTests {
        @Test("each error has its own case")
        func mistakes() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let thread = try await ada.directThread(user: ben.userId())
                        for length in [1_000_000, 64_000_000] {
                            let tooLong = await thrown {
                                try await thread.sendText(String(repeating: "x", count: length))
                            }
                            guard case .TooLong(let maxBytes) = tooLong else {
                                Issue.record("not TooLong: \(tooLong as Any)")
                                return
                            }
                            #expect(maxBytes < 1_000_000)
                        }
                        #expect(await thrown { try await thread.sendText("") } == .EmptyText)
                        #expect(await thrown { try await thread.retry(message: 4711) } == .NotFound)
                        let sent = try await thread.sendText("this one did not fail")
                        #expect(await thrown { try await thread.retry(message: sent.id) } == .WrongState)
                        let view = try thread.subscribe()
                        _ = try await view.snapshot()
                        let token = try CancelToken()
                        try token.cancel()
                        // What has changed since then is not discarded.
                        let cancelled = await thrown { () async throws -> Void in
                            while true { _ = try await view.next(cancel: token) }
                        }
                        #expect(cancelled == .Cancelled)
                    }
                    #expect(await thrown { try await ada.directThread(user: nobody) } == .NotFound)
                    let oneself = await thrown { try await ada.directThread(user: ada.userId()) }
                    #expect(oneself?.code() == "misuse")
                    let wrong = await thrown { try await ada.directThread(user: "nobody") }
                    #expect(wrong == .InvalidArgument(argument: "user"))
                    let thread = await thrown { try await ada.thread(id: "\0") }
                    #expect(thread == .InvalidArgument(argument: "thread"))
                    try await ada.suspend()
                    #expect(await thrown { try await ada.threads() }?.code() == "misuse")
                    try await ada.shutdown()
                    #expect(await thrown { try await ada.resume() }?.code() == "misuse")
                    #expect(await thrown { try await ada.threads() }?.code() == "misuse")
                }
                let opening = { (key: Data, relay: String) in
                    await thrown { try await openClient(database: world.database("ada"), key: key, relay: relay) }
                }
                let address = await world.relay.url
                #expect(await opening(Data(count: 31), address) == .InvalidArgument(argument: "key"))
                #expect(await opening(key("ada"), "ftp://relay")?.code() == "misuse")
                let unknown = await thrown {
                    try await fetchForPush(database: world.database("new"), key: key("new"), relay: world.relay.url)
                }
                #expect(unknown == .Unauthorized)
                try await world.person("ada") { ada in
                    try await world.relay.forget()
                    #expect(await thrown { try await ada.directThread(user: nobody) } == .UnknownDevice)
                }
            }
        }

        @Test("every error has a code that never changes")
        func codes() {
            let offline: [OfflineReason] = [.unreachable, .timedOut, .busy, .notARelay, .refused, .untrusted]
            let storage: [StorageReason] = [
                .wrongKey, .corrupt, .newer, .noFolder, .notAFile, .readOnly, .full, .inUse, .io,
            ]
            let links: [LinkFailure] = [
                .expired, .taken, .notAuthentic, .refused, .alreadyLinked, .notPrimary, .tooManyDevices, .deviceIdsUsedUp,
                .name, .busy, .other,
            ]
            let codes: [CodeError] = [.notACode, .otherVersion, .cut, .damaged]
            let errors: [SealpostError] =
                offline.map { .Offline(reason: $0) } + storage.map { .Storage(reason: $0) } + [
                    .Unauthorized, .UnknownDevice, .Unlinked,
                ] + links.map { .Link(reason: $0) } + codes.map { .InvalidCode(reason: $0) } + [
                    .NotFound, .RecipientDeleted, .WrongState, .EmptyText,
                    .TooLong(maxBytes: 1), .InvalidContent(reason: .contactCard), .InvalidContent(reason: .location),
                    .InvalidContent(reason: .poll), .InvalidContent(reason: .choices),
                    .InvalidContent(reason: .tooManyPinned), .InvalidContent(reason: .timer),
                    .InvalidContent(reason: .markup), .InvalidContent(reason: .profile),
                    .InvalidContent(reason: .other), .InvalidArgument(argument: "user"), .Cancelled,
                    .Misuse(what: "twice"), .Bug(what: "here"),
                ]
            #expect(
                errors.map { $0.code() } == [
                    "offline.unreachable", "offline.timed_out", "offline.busy", "offline.not_a_relay", "offline.refused",
                    "offline.untrusted", "storage.wrong_key", "storage.corrupt", "storage.newer",
                    "storage.no_folder", "storage.not_a_file", "storage.read_only", "storage.full",
                    "storage.in_use", "storage.io", "unauthorized", "unknown_device", "unlinked", "link.expired",
                    "link.taken", "link.not_authentic", "link.refused", "link.already_linked", "link.not_primary",
                    "link.too_many_devices", "link.device_ids_used_up", "link.name", "link.busy", "link.other",
                    "invalid_code.not_a_code", "invalid_code.other_version", "invalid_code.cut", "invalid_code.damaged",
                    "not_found",
                    "recipient_deleted", "wrong_state", "empty_text", "too_long", "invalid_content.contact_card",
                    "invalid_content.location", "invalid_content.poll", "invalid_content.choices",
                    "invalid_content.too_many_pinned", "invalid_content.timer", "invalid_content.markup",
                    "invalid_content.profile", "invalid_content.other", "invalid_argument",
                    "cancelled", "misuse", "bug",
                ])
            #expect(
                errors.filter { $0.retryable() }.map { $0.code() } == [
                    "offline.unreachable", "offline.timed_out", "offline.busy", "offline.not_a_relay",
                    "offline.untrusted", "storage.full", "storage.in_use", "link.busy",
                ])
            #expect("\(SealpostError.Bug(what: "here"))" == "a bug in the library: here")
            #expect(SealpostError.Bug(what: "here").localizedDescription == "a bug in the library: here")
        }

        @Test("unusual strings are passed on unchanged")
        func strangeStrings() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let long = String(repeating: "ё", count: 10_000)
                        // A Swift string cannot contain an unpaired surrogate: it becomes a replacement character.
                        let half: [UInt16] = [0xD83D]
                        let repaired = String(decoding: half, as: UTF16.self)
                        #expect(repaired == "\u{FFFD}")
                        let strange = ["  a ", "\0", "a\0b", "\u{FEFF}", "\u{1F600} \u{202E}", long, repaired]
                        for text in strange {
                            #expect(try await hers.sendText(text).text?.utf8.elementsEqual(text.utf8) == true)
                        }
                        // The same applies to a string that Foundation has created from UTF-16.
                        let bridged = String(NSString(characters: half, length: half.count))
                        #expect(try await hers.sendText(bridged).text == repaired)
                        let his = try await ben.directThread(user: ada.userId())
                        #expect(try await his.texts(when: strange.count + 1) == strange + [repaired])
                    }
                }
            }
        }

        #if os(Linux)
            @Test("a library of another version is reported")
            func anotherVersion() throws {
                let arguments = ["--name", "ada", "--with", "ben", "--state", NSTemporaryDirectory()]
                let chat = try program("SEALPOST_CHAT", arguments)
                chat.environment = ["LD_PRELOAD": try built("SEALPOST_ANOTHER")]
                let said = Pipe()
                chat.standardError = said
                try chat.run()
                let words = String(decoding: said.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                chat.waitUntilExit()
                #expect(words == "chat: not allowed now: the native library is not of this version\n")
                #expect(chat.terminationReason == .exit)
            }
        #endif

        @Test("descriptions do not contain what people write")
        func printing() {
            let (secret, user) = ("between us", "00000000-0000-4000-8000-000000000000")
            let values: [(any Redacted, String)] = [
                (MessageBody.text(text: secret), "Text(..)"), (ContactCard(name: secret, email: secret), "ContactCard(..)"),
                (Location(latitudeE7: 0, longitudeE7: 0, name: secret), "Location(..)"),
                (Poll(question: secret, options: [PollOption(text: secret)]), "Poll("),
                (PollOption(text: secret), "PollOption("),
                (LinkPreview(url: secret, title: secret, summary: secret), "LinkPreview("),
                (Search(words: secret), "Search"), (Profile(name: secret), "Profile("),
                (SrtpKey(key: Data(secret.utf8), salt: Data()), "SrtpKey("),
                (CallSignal.offer(description: Data(secret.utf8), isVideo: true), "Offer("),
                (Quote(author: user, text: secret), "Quote"),
                (ReactionCount(emoji: secret), "ReactionCount("), (Reaction(author: user, emoji: secret), "Reaction"),
                (Version(text: secret), "Version("), (Vote(author: user, choices: [7]), "Vote"),
            ]
            for (value, shown) in values {
                var dumped = ""
                dump(value, to: &dumped)
                for printed in ["\(value)", String(reflecting: value), String(describing: [value]), dumped] {
                    #expect(printed.contains(shown))
                    #expect(!printed.contains(secret))
                }
            }
        }

        @Test("a cancelled task stops waiting, and loses nothing")
        func cancellation() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let view = try hers.subscribe()
                        _ = try await view.snapshot()
                        let waiting = Task { try await view.next() }
                        waiting.cancel()
                        await #expect(throws: CancellationError.self) { try await waiting.value }
                        try await hers.sendText("still there")
                        let changes = try #require(try await view.next())
                        #expect(changes.contains { $0.shows("still there") })
                        let looking = Task { for try await _ in ada.updates {} }
                        looking.cancel()
                        await #expect(throws: CancellationError.self) { try await looking.value }
                    }
                }
            }
        }

        @Test("a cancelled fetch for a push notification returns what it has received")
        func cancelledFetch() async throws {
            try await world { world in
                _ = try await world.person("ada") { try $0.userId() }
                let (database, relay) = (world.database("ada"), await world.relay.url)
                await world.relay.freeze()
                let fetching = Task {
                    try await fetchForPush(database: database, key: key("ada"), relay: relay, atMostMs: .max)
                }
                fetching.cancel()
                #expect(try await fetching.value == Fetched(messages: [], complete: false))
            }
        }
    }
}

extension Change {
    fileprivate func shows(_ text: String) -> Bool {
        switch self {
        case .added(let message), .changed(let message, was: _): message.text == text
        case .snapshot(let page): page.messages.contains { $0.text == text }
        case .removed, .waiting: false
        }
    }
}
