package io.github.sealpost

import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.util.concurrent.CopyOnWriteArrayList

class ReadmeTest {
    private val heard = CopyOnWriteArrayList<String>()

    private fun println(line: String) {
        heard += line
    }

    @Test
    fun `the first message works as shown in the README`() = world { world ->
        world.person("friend") { other ->
            val (database, key, relay) = Triple(world.database("me"), key("me"), world.relay.url)
            val friend = other.userId()
            launch {
                val added = eventually { other.threads().firstOrNull() }
                other.thread(added.id).use { theirs ->
                    theirs.textsWhen(1)
                    // Repeats until the code of the README listens.
                    while (heard.isEmpty()) theirs.sendText("hello yourself")
                    theirs.sendText("bye")
                }
            }
            openClient(database, key, relay).useAndShutDown { client ->
                client.directThread(friend).use { thread ->
                    thread.sendText("hello") // It is on disk now, and is sent once there is a connection.
                    thread.arrivals().takeWhile { it.text != "bye" }.collect { message ->
                        println("${message.sender}: ${message.text}")
                    }
                }
            }
            assertTrue("$friend: hello yourself" in heard)
        }
    }

    @Test
    fun `the code in the README is compiled here`() {
        val shown = File("README.md").readText().substringAfter("```kotlin\n").substringBefore("```").lines()
        val compiled = File("src/test/kotlin/ReadmeTest.kt").readLines().map { it.trim() }
        shown.map { it.trim() }.forEach { assertTrue(it in compiled, it) }
    }
}
