import Foundation
import Sealpost
import Testing

extension SealpostTests {
    /// Calls, and notifications.
    @Suite struct CallTests {
        @Test("two people agree on a call and on its keys")
        func keys() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let his = try await ben.directThread(user: ada.userId())
                        try await hers.sendText("hello")
                        _ = try await his.shows { $0.text == "hello" }
                        try await his.sendText("hi")
                        _ = try await hers.shows { $0.text == "hi" }
                        let (atAda, atBen) = (try Heard(ada), try Heard(ben))
                        let call = try await hers.call(description: Data("offer".utf8), isVideo: true)
                        let signal = CallSignal.offer(description: Data("offer".utf8), isVideo: true)
                        let offer = CallEvent(thread: try his.id(), user: try ada.userId(), call: call, signal: signal)
                        #expect(try await atBen.next() == offer)
                        // Who looks only now sees that it rings.
                        #expect(try await ben.subscribeCalls().next() == [offer])
                        let refused = await thrown { try await his.call(description: Data("offer".utf8)) }
                        #expect(refused == .WrongState)
                        let keys = try await his.answerCall(call: call, description: Data("answer".utf8))
                        let answer = try await atAda.next().signal
                        let crossed = CallKeys(sending: keys.receiving, receiving: keys.sending)
                        #expect(answer == .answer(description: Data("answer".utf8), keys: crossed))
                        #expect("\(answer)" == "Answer(..)")
                        #expect((keys.sending.key.count, keys.sending.salt.count) == (32, 14))
                        #expect(keys.sending != keys.receiving)
                        #expect("\(keys.sending)" == "SrtpKey(..)")
                        let copy = keys
                        keys.wipe()
                        #expect(keys.receiving.key == Data(count: 32) && copy.sending.key == Data(count: 32))
                        try await hers.sendCallCandidates(call: call, candidates: Data("candidates".utf8))
                        #expect(try await atBen.next().signal == .candidates(candidates: Data("candidates".utf8)))
                        try await his.hangUp(call: call)
                        #expect(try await atAda.next().signal == .ended(end: .hungUp))
                        #expect(await thrown { try await hers.hangUp(call: call) } == .NotFound)
                        let second = try await his.call(description: Data("offer".utf8))
                        #expect(try await atAda.next().call == second)
                        try await hers.refuseCallAsBusy(call: second)
                        #expect(try await atBen.next().signal == .ended(end: .busy))
                        let wrong = await thrown { try await hers.hangUp(call: "nothing") }
                        #expect(wrong == .InvalidArgument(argument: "call"))
                    }
                }
            }
        }

        @Test("a message is notified once, and taken back when it was read")
        func notices() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let his = try await ben.directThread(user: ada.userId())
                        let sent = try await his.sendText("hello")
                        let view = try ada.subscribeNotices()
                        let first = try #require(try await view.next())
                        #expect(first.count == 1 && first[0].shown?.text == "hello")
                        #expect(try first[0].thread == hers.id())
                        #expect(try await view.next() == first, "it was not confirmed")
                        try await view.confirm()
                        try await his.edit(message: sent.id, text: "hello!")
                        var notices = ada.notices.makeAsyncIterator()
                        let second = try #require(try await notices.next())
                        #expect(second.shown?.text == "hello!" && second.message == first[0].message)
                        try await hers.markRead(upTo: second.message)
                        let third = try #require(try await notices.next())
                        #expect(try third == Notice(thread: hers.id(), message: second.message, action: .withdraw))
                    }
                }
            }
        }

        @Test("names of others are also given as they can be shown")
        func names() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let (name, shown) = ("Ada\u{202e}  \u{200b}Lovelace\n", "Ada Lovelace")
                        try await ada.setProfile(profile: Profile(name: name, about: "busy"))
                        #expect(try await ada.profile().displayableName == shown)
                        let hers = try await ada.directThread(user: ben.userId())
                        try await hers.sendText("hello")
                        let of = try ada.userId()
                        let profile = try await eventually { try await ben.profiles(users: [of])[of] }
                        #expect(profile == Profile(name: name, about: "busy", displayableName: shown))
                        #expect(try await ben.threads().map(\.displayableName) == [shown])
                        #expect(try displayableName(name: name) == shown)
                    }
                }
            }
        }
    }
}

/// What happens in the calls of a client, from now on, one after the other.
private final class Heard {
    private let view: Calls
    private var events: [CallEvent] = []

    init(_ client: Client) throws {
        view = try client.subscribeCalls()
    }

    func next() async throws -> CallEvent {
        while events.isEmpty { events = try #require(try await view.next()) }
        return events.removeFirst()
    }
}

extension Notice {
    /// The message that is to be shown.
    fileprivate var shown: Message? {
        switch action {
        case .show(let message), .update(let message): message
        case .request, .withdraw: nil
        }
    }
}
