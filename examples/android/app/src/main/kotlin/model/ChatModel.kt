package io.github.sealpost.example

import io.github.sealpost.Client
import io.github.sealpost.Direction
import io.github.sealpost.Event
import io.github.sealpost.Message
import io.github.sealpost.SealpostException
import io.github.sealpost.ThreadId
import io.github.sealpost.UserId
import io.github.sealpost.cancellable
import io.github.sealpost.events
import io.github.sealpost.openClient
import io.github.sealpost.shown
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.mapNotNull
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.withContext
import kotlin.time.Duration.Companion.seconds

/** What the screen shows. */
data class ChatState(
    /** Who we are, for others to write to. Null before the account was opened. */
    val me: UserId? = null,
    /** Whom we talk to. Null before somebody has begun. */
    val peer: UserId? = null,
    /** The newest of them, oldest first. */
    val messages: List<Message> = emptyList(),
    /** What went wrong last. docs/mobile.md says what to do about each of the library's. */
    val problem: Exception? = null,
)

/** A conversation, without its screen: the one that was written in last, or the first that anybody begins. */
class ChatModel(private val account: Account) {
    private val shown = MutableStateFlow(ChatState())
    @Volatile private var client: Client? = null
    @Volatile private var thread: ThreadId? = null

    val state: StateFlow<ChatState> = shown.asStateFlow()

    /**
     * While the app is in the foreground: opens the account, which is registered first when it is new, and follows the
     * conversation. Cancel it when the app goes to the background. When it has ended, the database is closed: the system may
     * freeze or end the app.
     */
    suspend fun run() {
        try {
            do {
                val problem = problemOf { follow(open()) }
                val again = (problem as? SealpostException)?.retryable() == true
                if (again) delay(2.seconds)
            } while (again)
        } finally {
            withContext(NonCancellable) { problemOf { client?.suspend() } }
        }
    }

    /** Begins a conversation with somebody. False when that did not work. */
    suspend fun meet(user: UserId): Boolean {
        val client = client ?: return false
        return problemOf { cancellable { token -> client.directThread(user, token) }.close() } == null
    }

    /** Writes a text. False when it is not on disk: then it is still the person's. */
    suspend fun send(text: String): Boolean {
        val client = client ?: return false
        val thread = thread ?: return false
        val problem = problemOf {
            client.thread(thread).use { it.sendText(text) }
            // A person waits.
            client.reconnect()
        }
        return problem == null
    }

    private suspend fun open(): Client {
        client?.let {
            it.resume()
            return it
        }
        return openClient(account.database, account.key(), account.relay).also { opened ->
            client = opened
            shown.update { it.copy(me = opened.userId()) }
        }
    }

    private suspend fun follow(client: Client) {
        val id = client.firstThread()
        client.thread(id).use { thread ->
            this.thread = id
            val peer = thread.others().first()
            shown.update { it.copy(peer = peer) }
            thread.shown().collect { list ->
                shown.update { it.copy(messages = list.messages.reversed(), problem = null) }
                list.messages.firstOrNull { it.direction == Direction.Incoming(read = false) }?.let { thread.markRead(it.id) }
            }
        }
    }

    private suspend fun problemOf(call: suspend () -> Unit): Exception? =
        try {
            call()
            null
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (problem: Exception) {
            // Not of the library alone: the Keystore has some too.
            shown.update { it.copy(problem = problem) }
            problem
        }
}

/** Waits for one when there is none. */
private suspend fun Client.firstThread(): ThreadId =
    events().mapNotNull { event ->
        when (event) {
            is Event.Snapshot -> event.overview.threads.firstOrNull()?.id
            is Event.ThreadAdded -> event.thread
            else -> null
        }
    }.first()
