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

        @Test("two people who call each other at the same time have one call")
        func crossing() async throws {
            try await twoPeople { people in
                let (hers, his) = (people.hers, people.his)
                try await people.greet()
                let (atAda, atBen) = (try Heard(people.ada), try Heard(people.ben))
                var crossed: (CallId, CallId)?
                // More attempts in a minute would not ring.
                for _ in 0..<4 where crossed == nil {
                    // So that both have called before either call arrives.
                    await people.world.relay.freeze()
                    async let herCall = hers.tryToCall()
                    async let hisCall = his.tryToCall()
                    try await Task.sleep(for: .milliseconds(100))
                    await people.world.relay.thaw()
                    let calls = try await (herCall, hisCall)
                    if case (let first?, let second?) = calls {
                        crossed = (first, second)
                        continue
                    }
                    let (thread, heard) = calls.0 == nil ? (his, atAda) : (hers, atBen)
                    let call = try #require(calls.0 ?? calls.1)
                    #expect(try await heard.next().call == call)
                    try await thread.hangUp(call: call)
                    #expect(try await heard.next().signal == .ended(end: .hungUp))
                }
                let (first, second) = try #require(crossed, "the calls did not cross")
                // The call with the smaller id remains.
                let isHers = first < second
                let (remaining, ended) = isHers ? (first, second) : (second, first)
                let (callee, atCallee, atCaller) = isHers ? (his, atBen, atAda) : (hers, atAda, atBen)
                let end = try await atCallee.next()
                #expect(end.call == ended && end.signal == .ended(end: .crossed))
                let offer = try await atCallee.next()
                let signal = CallSignal.offer(description: Data("offer".utf8), isVideo: false)
                #expect(offer.call == remaining && offer.signal == signal)
                let keys = try await callee.answerCall(call: remaining, description: Data("answer".utf8))
                let answer = try await atCaller.next()
                #expect(answer.call == remaining && answer.signal == .answered("answer", keys))
            }
        }

        @Test("a step of a call that could not be sent is repeated, and a lost hang-up is told later")
        func badConnection() async throws {
            try await twoPeople { people in
                let (hers, his, relay) = (people.hers, people.his, people.world.relay)
                try await people.greet()
                let (atAda, atBen) = (try Heard(people.ada), try Heard(people.ben))
                let (offer, description) = (Data("offer".utf8), Data("answer".utf8))
                let call = try await hers.call(description: offer)
                #expect(try await atBen.next().call == call)
                await relay.kill()
                // These do not change the state of the call, and can be repeated.
                try await withoutConnection {
                    try await hers.sendCallCandidates(call: call, candidates: Data("candidates".utf8))
                }
                try await withoutConnection { try await his.answerCall(call: call, description: description) }
                try await people.restartRelay()
                let keys = try await his.answerCall(call: call, description: description)
                #expect(try await atAda.next().signal == .answered("answer", keys))
                #expect(await thrown { try await his.answerCall(call: call, description: description) } == .NotFound)
                await relay.kill()
                // This ends the call here, and the other side can be told later.
                try await withoutConnection { try await his.hangUp(call: call) }
                let gone = await thrown { try await his.sendCallCandidates(call: call, candidates: offer) }
                #expect(gone == .NotFound)
                try await people.restartRelay()
                try await his.hangUp(call: call)
                #expect(await thrown { try await his.hangUp(call: call) } == .NotFound)
                let end = try await atAda.next()
                #expect(end.call == call && end.signal == .ended(end: .hungUp))
                // She gives up while he cannot be told, and he answers.
                let second = try await hers.call(description: offer)
                #expect(try await atBen.next().call == second)
                await relay.kill()
                try await withoutConnection { try await hers.hangUp(call: second) }
                try await people.restartRelay()
                _ = try await his.answerCall(call: second, description: description)
                let late = try await atBen.next()
                #expect(late.call == second && late.signal == .ended(end: .hungUp))
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

/// Repeats a step until it fails because there is no connection any more.
private func withoutConnection(_ step: () async throws -> some Any) async throws {
    try await until {
        do {
            _ = try await step()
            return false
        } catch SealpostError.Offline(reason: .unreachable) {
            return true
        }
    }
}

extension Sealpost.Thread {
    /// Calls, unless the call of the other one rings already.
    fileprivate func tryToCall() async throws -> CallId? {
        do {
            return try await call(description: Data("offer".utf8))
        } catch SealpostError.WrongState {
            return nil
        }
    }
}

extension CallSignal {
    /// What the caller hears when somebody has answered who has these keys.
    fileprivate static func answered(_ description: String, _ keys: CallKeys) -> CallSignal {
        let theirs = CallKeys(sending: keys.receiving, receiving: keys.sending)
        return .answer(description: Data(description.utf8), keys: theirs)
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
