import Foundation
import Sealpost
import Testing

extension SealpostTests {
    @Suite struct EnduranceTests {
        @Test("calls may be cancelled at any moment")
        func storm() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let ben = (client: ben, id: try ben.userId())
                        let hers = try await ada.directThread(user: ben.id)
                        var dice = Dice(seed: 20_261_122)
                        for round in 0..<2_000 {
                            let call = Task {
                                switch round % 6 {
                                case 0: try await hers.sendText("round \(round)")
                                case 1: _ = try await ada.directThread(user: ben.id)
                                case 2: for try await _ in hers.changes {}
                                case 3: for try await _ in ada.updates {}
                                case 4: _ = try await hers.history()
                                default: _ = try await ada.search(words: "round")
                                }
                            }
                            try await Task.sleep(for: .microseconds(Int.random(in: 0..<500, using: &dice)))
                            call.cancel()
                            do {
                                try await call.value
                            } catch is CancellationError {
                                #expect((1...3).contains(round % 6))
                            }
                        }
                        try await hers.sendText("the last")
                        let his = try await ben.client.directThread(user: ada.userId())
                        try await until { try await his.history(limit: 1).messages.first?.text == "the last" }
                        // Every message that was written arrives exactly once.
                        let written = try await hers.texts()
                        #expect(try await his.texts(when: written.count) == written)
                        #expect(Set(written).count == written.count)
                    }
                }
            }
        }

        @Test("ten thousand messages pass through a sequence")
        func tenThousand() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let his = try await ben.directThread(user: ada.userId())
                        let arriving = Task {
                            try await his.arrivals.map(\.text).prefix { $0 != "the last" }.collect()
                        }
                        try await withThrowingTaskGroup(of: Void.self) { lanes in
                            for lane in 0..<10 {
                                lanes.addTask {
                                    for number in 0..<1_000 { try await hers.sendText("\(lane).\(number)") }
                                }
                            }
                            try await lanes.waitForAll()
                        }
                        try await hers.sendText("the last")
                        let arrived = try await arriving.value.compactMap { $0 }
                        #expect(arrived.count == 10_000)
                        #expect(Set(arrived).count == 10_000)
                        for lane in 0..<10 {
                            let ofLane = arrived.filter { $0.hasPrefix("\(lane).") }
                            #expect(ofLane == (0..<1_000).map { "\(lane).\($0)" })
                        }
                    }
                }
            }
        }

        #if os(Linux)
            @Test("a thousand clients, one after the other, leak nothing")
            func cycles() async throws {
                try await world { world in
                    func cycles(_ count: Int) async throws {
                        for _ in 0..<count { _ = try await world.person("ada") { try await $0.threads() } }
                    }
                    try await cycles(200)
                    let (memory, threads) = (try status("VmRSS"), try status("Threads"))
                    try await cycles(1_000)
                    let grown = try status("VmRSS") - memory
                    #expect(grown < 24_000, "kB")
                    #expect(try status("Threads") <= threads + 4)
                }
            }
        #endif

        @Test("calls may be made from many tasks at the same time")
        func manyTasks() async throws {
            try await world { world in
                try await world.person("ada") { ada in
                    try await world.person("ben") { ben in
                        let hers = try await ada.directThread(user: ben.userId())
                        let view = try hers.subscribe()
                        _ = try await view.snapshot()
                        // A view is for one consumer. With several, the worst that happens is that they get fresh snapshots.
                        let pulling = (0..<4).map { _ in
                            Task { while try await view.next() != nil {} }
                        }
                        try await withThrowingTaskGroup(of: Void.self) { tasks in
                            for number in 0..<200 {
                                tasks.addTask {
                                    try await hers.sendText("\(number)")
                                    _ = try await hers.history()
                                    _ = try await ada.threads()
                                }
                            }
                            try await tasks.waitForAll()
                        }
                        for pull in pulling {
                            pull.cancel()
                            await #expect(throws: CancellationError.self) { try await pull.value }
                        }
                        #expect(try await Set(hers.texts()).count == 200)
                    }
                }
            }
        }
    }
}

/// A line of the status of this process. Memory is in kB.
private func status(_ name: String) throws -> Int {
    let lines = try String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n")
    let line = try #require(lines.first { $0.hasPrefix("\(name):") })
    return try #require(Int(line.filter(\.isNumber)))
}

/// A generator that returns the same numbers in each run (SplitMix64).
private struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
