import Sealpost
import SwiftUI

struct ChatView: View {
    let model: ChatModel
    @State private var entered = ""

    var body: some View {
        VStack(spacing: 0) {
            if let problem = model.problem {
                Text(problem.localizedDescription).font(.footnote).foregroundStyle(.red).padding(8)
            }
            if model.peer == nil { introduction } else { conversation }
            HStack {
                TextField(model.peer == nil ? "Their user id" : "Message", text: $entered)
                    .textFieldStyle(.roundedBorder)
                    .onSubmit(enter)
                Button("Send", action: enter).disabled(entered.isEmpty)
            }
            .padding()
        }
    }

    private var introduction: some View {
        VStack(alignment: .leading, spacing: 8) {
            Text("Your user id, for somebody to write to:")
            Text(model.me ?? "…").font(.body.monospaced()).textSelection(.enabled)
            Text("Or enter theirs.")
            Spacer()
        }
        .padding()
    }

    private var conversation: some View {
        ScrollView {
            LazyVStack(alignment: .leading, spacing: 4) {
                ForEach(model.messages, id: \.id) { MessageRow(message: $0) }
            }
            .padding(.horizontal)
        }
        .defaultScrollAnchor(.bottom)
    }

    private func enter() {
        let text = entered
        Task {
            let done = model.peer == nil ? await model.meet(text) : await model.send(text)
            if done && entered == text { entered = "" }
        }
    }
}

private struct MessageRow: View {
    let message: Message

    var body: some View {
        switch message.direction {
        case .incoming:
            Text(message.text ?? "(could not be opened)").frame(maxWidth: .infinity, alignment: .leading)
        case .outgoing(let delivery):
            VStack(alignment: .trailing) {
                Text(message.text ?? "")
                Text(state(delivery)).font(.caption2).foregroundStyle(.secondary)
            }
            .frame(maxWidth: .infinity, alignment: .trailing)
        }
    }

    private func state(_ delivery: Delivery) -> String {
        switch delivery {
        case .queued: "waiting"
        case .sent: "sent"
        case .delivered: "delivered"
        case .read: "read"
        case .failed: "not sent"
        case .expired: "not delivered"
        }
    }
}
