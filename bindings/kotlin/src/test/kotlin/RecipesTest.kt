package io.github.sealpost

import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import java.util.concurrent.ConcurrentHashMap

/** The recipes of docs/mobile.md, with a screen that remembers what it was told to show. */
class RecipesTest {
    @Volatile private var rows = emptyList<String>()

    @Volatile private var screen = emptyList<String>()

    @Volatile private var badge = 0u
    private val notifications = ConcurrentHashMap<MessageId, String>()
    private val isVisible = true

    private fun show(threads: List<ThreadSummary>) {
        rows = threads.map { "${it.unread} ${preview(it)}" }
    }

    private fun showMessages(messages: List<Message>) {
        screen = messages.reversed().map { message -> listOfNotNull(message.text, details(message)).joinToString(" ") }
    }

    private fun notify(message: Message) {
        notifications[message.id] = message.text.orEmpty()
    }

    /** If it is shown. */
    private fun replace(message: Message) {
        notifications.computeIfPresent(message.id) { _, _ -> message.text.orEmpty() }
    }

    private fun takeBack(id: MessageId) {
        notifications.remove(id)
    }

    private fun setBadge(count: UInt) {
        badge = count
    }

    private var chats = ThreadList()

    suspend fun followChats(client: Client) = client.threadsChanges().collect { change ->
        chats = chats.after(change)
        show(chats.threads)
    }

    suspend fun showMoreChats(client: Client) {
        val next = chats.next ?: return
        chats = chats.withNext(client.folderPage(Folder.CHATS, next))
        show(chats.threads)
    }

    fun preview(chat: ThreadSummary): String = chat.draft ?: when (val body = chat.newest?.body) {
        is MessageBody.Text -> body.text
        is MessageBody.Contact -> "Contact: ${body.card.name}"
        is MessageBody.Location -> "Location"
        is MessageBody.Poll -> "Poll: ${body.poll.question}"
        is MessageBody.TimerChanged -> "The timer was changed"
        MessageBody.Deleted -> "Deleted"
        MessageBody.NotUnderstood -> "Update the app to see this message"
        is MessageBody.Undecryptable -> "This message could not be decrypted"
        null -> ""
    }

    suspend fun followChat(thread: Thread) = thread.shown().collect { list ->
        showMessages(list.messages)
        val unread = list.messages.firstOrNull { it.direction == Direction.Incoming(read = false) }
        if (unread != null && isVisible) thread.markRead(unread.id)
    }

    fun details(message: Message): String = listOfNotNull(
        message.quote?.let { "> ${it.text}" },
        "forwarded".takeIf { message.isForwarded },
        "edited".takeIf { message.editedMs != null },
        message.reactions.joinToString(" ") { "${it.emoji} ${it.count}" }.ifEmpty { null },
        (message.direction as? Direction.Outgoing)?.let { tick(it.delivery) },
    ).joinToString(", ")

    fun tick(delivery: Delivery): String = when (delivery) {
        Delivery.Queued -> "…"
        Delivery.Sent -> "✓"
        Delivery.Delivered -> "✓✓"
        Delivery.Read -> "read"
        is Delivery.Failed -> "failed"
    }

    suspend fun followNotifications(client: Client) = client.updates().collect { update ->
        when (val event = (update as? Update.Event)?.event) {
            is Event.MessageAdded -> if (isNew(event.message) && !isMuted(client, event.message.thread)) notify(event.message)
            // It was read or deleted, perhaps in another process; or it was edited.
            is Event.MessageChanged -> if (!isNew(event.message)) takeBack(event.message.id) else replace(event.message)
            is Event.MessageRemoved -> takeBack(event.id)
            else -> {}
        }
    }

    fun isNew(message: Message): Boolean = message.direction == Direction.Incoming(read = false) && message.body != MessageBody.Deleted

    suspend fun isMuted(client: Client, id: ThreadId): Boolean = client.thread(id).use { thread ->
        thread.summary().mutedUntilMs.let { it != null && it > System.currentTimeMillis() }
    }

    suspend fun followBadge(client: Client) = client.threadsChanges().conflate().collect {
        setBadge(client.unreadTotals().messages)
    }

    @Test
    fun `the recipes show chats, messages, notifications and a badge`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                val following = listOf(
                    launch { followChats(ada) },
                    launch { followNotifications(ada) },
                    launch { followBadge(ada) },
                )
                ben.directThread(ada.userId()).use { his ->
                    val first = his.sendText("hello")
                    eventually { Unit.takeIf { rows == listOf("1 hello") && notifications.values.toList() == listOf("hello") && badge == 1u } }
                    his.edit(first.id, "hello!")
                    eventually { Unit.takeIf { rows == listOf("1 hello!") && notifications.values.toList() == listOf("hello!") } }
                    ada.directThread(ben.userId()).use { hers ->
                        val reading = launch { followChat(hers) }
                        eventually { Unit.takeIf { rows == listOf("0 hello!") && notifications.isEmpty() && badge == 0u } }
                        val message = hers.history().messages.single()
                        hers.react(message.id, "👍")
                        hers.reply(message.id, "hello yourself")
                        his.shows { it.text == "hello yourself" }.let { his.markRead(it.id) }
                        eventually { Unit.takeIf { screen == listOf("hello! edited, 👍 1", "hello yourself > hello!, read") } }
                        reading.cancelAndJoin()
                        hers.setMutedUntil(Long.MAX_VALUE)
                        hers.setDraft("what I wanted to say")
                    }
                    his.sendText("are you still there?")
                    eventually { Unit.takeIf { rows == listOf("1 what I wanted to say") } }
                    assertEquals(0u to 0, ada.unreadTotals().messages to notifications.size)
                    showMoreChats(ada)
                }
                following.forEach { it.cancelAndJoin() }
            }
        }
    }
}
