package io.github.sealpost

import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File

/** An unpaired surrogate: half of a character that needs two UTF-16 units. */
private const val HALF = "\uD83D"

class BorderTest {
    @Test
    fun `unusual strings are passed on unchanged`() = world { world ->
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                ada.directThread(ben.userId()).use { hers ->
                    val strange = listOf("  a ", "\u0000", "a\u0000b", "\uFEFF", "\uD83D\uDE00 \u202E", "ё".repeat(10_000))
                    strange.forEach { assertEquals(it, hers.sendText(it).text) }
                    ben.directThread(ada.userId()).use { his -> assertEquals(strange, his.textsWhen(strange.size)) }
                }
            }
        }
    }

    @Test
    fun `every call refuses an unpaired surrogate before the library is called`() = world { world ->
        val url = world.relay.url
        suspend fun refusedAs(argument: String, call: suspend () -> Unit) {
            val refused = thrownBy<SealpostException.InvalidArgument> { call() }
            assertEquals(argument, refused.argument)
            assertEquals("invalid_argument", refused.code())
        }
        for (text in listOf(HALF, "\uDE00", "a${HALF}b", "\uDE00\uD83D", "x".repeat(16_000_000) + HALF)) {
            refusedAs("database") { openClient(text, key("new"), url) }
        }
        refusedAs("relay") { openClient(world.database("new"), key("new"), HALF) }
        refusedAs("database") { fetchForPush(HALF, key("new"), url) }
        refusedAs("relay") { fetchForPush(world.database("new"), key("new"), HALF) }
        world.person("ada") { ada ->
            world.person("ben") { ben ->
                refusedAs("user") { ada.directThread(HALF) }
                refusedAs("id") { ada.thread(HALF) }
                refusedAs("words") { ada.search(HALF) }
                refusedAs("user") { ada.safetyNumber(HALF) }
                refusedAs("user") { ada.trustState(HALF) }
                refusedAs("user") { ada.acceptSafetyNumber(HALF) }
                refusedAs("user") { ada.verifySafetyNumber(HALF, "1") }
                refusedAs("number") { ada.verifySafetyNumber(ben.userId(), HALF) }
                ada.directThread(ben.userId()).use { hers ->
                    refusedAs("text") { hers.sendText(HALF) }
                    refusedAs("text") { hers.reply(1, HALF) }
                    refusedAs("emoji") { hers.react(1, HALF) }
                    refusedAs("card") { hers.sendContact(ContactCard("Cyd", email = HALF)) }
                    refusedAs("location") { hers.sendLocation(Location(0, 0, name = HALF)) }
                    refusedAs("markup") { hers.sendText("text", Markup(preview = LinkPreview("https://example.org", HALF))) }
                    refusedAs("options") { hers.sendPoll("When?", listOf("today", HALF)) }
                    refusedAs("before") { hers.history(HALF) }
                    assertEquals(emptyList<String?>(), hers.texts())
                }
            }
        }
    }

    @Test
    fun `a value with an unpaired surrogate can be printed`() {
        assertEquals("Text(..)", MessageBody.Text(HALF).toString())
        val problem = SealpostException.InvalidArgument(HALF)
        assertEquals("invalid_argument, false", "${problem.code()}, ${problem.retryable()}")
        assertEquals("the argument ? is not valid", problem.toString())
    }

    @Test
    fun `every call reports a missing library`() {
        assertEquals(LAMENT, callsOf("/nowhere/${System.mapLibraryName("sealpost")}"))
    }

    @Test
    fun `every call reports a library that is another one, or has another version`() {
        val another = File(System.getProperty("java.home"), "lib/${System.mapLibraryName("java")}").path
        for (library in listOf(another, System.getProperty("sealpost.another"))) {
            assertTrue(File(library).exists(), library)
            assertEquals(LAMENT, callsOf(library))
        }
    }

    private fun callsOf(library: String) = said(CallsWithoutObjects::class.java, library) { redirectErrorStream(true) }
}

private val LAMENT = List(2 * CallsWithoutObjects.all.size) { "misuse, false, not allowed now: the native library is missing, or not of this version" }

/** All calls that need no object. */
internal object CallsWithoutObjects {
    val all: List<suspend () -> Unit> = listOf(
        { openClient("no/such/folder", key("new"), "http://127.0.0.1:1") },
        { fetchForPush("no/such/folder", key("new"), "http://127.0.0.1:1") },
        { cancellable { } },
        { CancelToken() },
        { setLogger(object : Logger { override fun log(line: LogLine) {} }, LogLevel.DEBUG) },
    )

    @JvmStatic
    fun main(words: Array<String>) = runBlocking {
        for (call in all + all) {
            try {
                call()
                println("nothing was thrown")
            } catch (problem: SealpostException) {
                println("${problem.code()}, ${problem.retryable()}, $problem")
            } catch (problem: Throwable) {
                println(problem)
            }
        }
    }
}
