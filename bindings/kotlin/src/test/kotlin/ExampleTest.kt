package io.github.sealpost

import io.github.sealpost.example.Account
import io.github.sealpost.example.ChatModel
import io.github.sealpost.example.fetchNews
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File

private const val NOBODY = "00000000-0000-4000-8000-000000000000"

/** The part of `examples/android` that has no user interface. */
class ExampleTest {
    @Test
    fun `two people chat, and one of them receives a push notification in the background`() = world { world ->
        val (ada, ben) = listOf("ada", "ben").map { ChatModel(world.account(it)) }
        val adaIsHere = launch { ada.run() }
        val benIsHere = launch { ben.run() }
        assertFalse(ada.send("to nobody yet"))
        val friend = ben.state.first { it.me != null }.me!!
        val me = ada.state.first { it.me != null }.me!!
        assertFalse(ada.meet(NOBODY))
        assertEquals("not_found", ada.code())
        assertTrue(ada.meet(friend))
        assertEquals(friend, ada.state.first { it.peer != null }.peer)
        assertTrue(ada.send("hello"))
        assertEquals(me, ben.state.first { state -> state.messages.any { it.text == "hello" } }.peer)
        ada.state.first { it.messages.lastOrNull()?.direction == Direction.Outgoing(Delivery.Read) }

        assertEquals(Fetched(emptyList(), complete = true), fetchNews(world.account("ben")), "it receives by itself")
        benIsHere.cancelAndJoin()
        assertTrue(ada.send("wake up"))
        ada.state.first { it.messages.lastOrNull()?.isSent == true }
        assertEquals(listOf("wake up"), fetchNews(world.account("ben")).messages.map { it.text })

        val benIsBack = launch { ben.run() }
        val seen = ben.state.first { it.messages.size == 2 }
        assertEquals(listOf("hello", "wake up"), seen.messages.map { it.text })
        benIsBack.cancelAndJoin()
        adaIsHere.cancelAndJoin()
    }

    @Test
    fun `errors are shown`() = world { world ->
        world.person("ada") {}
        val ada = ChatModel(Account(world.database("ada"), world.relay.url) { key("not ada") })
        ada.run()
        assertEquals("storage.wrong_key", ada.code())
        val locked = IllegalStateException("the Keystore is locked")
        val ben = ChatModel(Account(world.database("ben"), world.relay.url) { throw locked })
        ben.run()
        assertEquals(locked, ben.state.value.problem)
    }

    private fun ChatModel.code() = (state.value.problem as? SealpostException)?.code()

    private fun World.account(name: String) = Account(database(name), relay.url) { key(name) }
}
