package io.github.sealpost

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import java.io.File
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes

/** Longer than any test takes that works. */
val PATIENCE = 5.minutes

/** A relay in a separate process, which can be killed and started again at the same address. */
class Relay(private val folder: Path) : AutoCloseable {
    private var process: Process? = null
    private var port = 0

    val url: String get() = "http://127.0.0.1:$port"

    init {
        start()
    }

    fun start() {
        val program = System.getProperty("sealpost.relay")
        val arguments = listOf("--data", "$folder/relay", "--listen", "127.0.0.1:$port", "--registration", "dev")
        val process = ProcessBuilder(listOf(program) + arguments)
            .redirectError(ProcessBuilder.Redirect.appendTo(File("$folder/relay.log")))
            .start()
        this.process = process
        // It prints one line when it is ready: `listening on http://127.0.0.1:39527`.
        val line = checkNotNull(process.inputStream.bufferedReader().readLine()) { "the relay did not start" }
        port = line.substringAfterLast(':').toInt()
    }

    /** From now on, the relay accepts connections but answers nothing, until [thaw]. */
    fun freeze() = signal("STOP")

    fun thaw() = signal("CONT")

    private fun signal(name: String) {
        // `kill` is built into every shell; not every system has it as a program.
        process?.let { check(ProcessBuilder("sh", "-c", "kill -$name ${it.pid()}").start().waitFor() == 0) }
    }

    /** Kills the relay, without any warning to its clients. */
    fun kill() {
        process?.destroyForcibly()?.waitFor(1, TimeUnit.MINUTES)
        process = null
    }

    /** Restarts the relay without its data. */
    fun forget() {
        kill()
        File("$folder/relay").deleteRecursively()
        start()
    }

    override fun close() = kill()
}

/** A folder with a relay and the databases of its users. */
class World : AutoCloseable {
    val folder: Path = Files.createTempDirectory("sealpost")
    val relay = Relay(folder)

    fun database(name: String): String = "$folder/$name.db"

    /** Opens the client of somebody who answers everyone. */
    suspend fun open(name: String): Client = openClient(database(name), key(name), relay.url, config = Config(acceptAllRequests = true))

    suspend fun <R> person(name: String, block: suspend (Client) -> R): R = open(name).useAndShutDown { block(it) }

    override fun close() {
        relay.close()
        folder.toFile().deleteRecursively()
    }
}

/** A key that is suitable for tests only. */
fun key(name: String): ByteArray = name.toByteArray().copyOf(32)

/** Runs a test with its own world, on several threads and with a time limit. */
fun world(block: suspend CoroutineScope.(World) -> Unit): Unit = World().use { world ->
    runBlocking(Dispatchers.Default) { withTimeout(PATIENCE) { block(world) } }
}

/** Two people with a thread: `hers` is that of Ada, `his` that of Ben. */
class TwoPeople(
    scope: CoroutineScope,
    val world: World,
    val ada: Client,
    val ben: Client,
    val hers: Thread,
    val his: Thread,
) : CoroutineScope by scope {
    /** Each of them hears from the other, so that both can encrypt and know that they talk. */
    suspend fun greet() {
        hers.sendText("hello")
        his.shows { it.text == "hello" }
        his.sendText("hi")
        hers.shows { it.text == "hi" }
    }

    /** Starts the relay again, and waits until both are connected. */
    suspend fun restartRelay() {
        world.relay.start()
        for (client in listOf(ada, ben)) {
            client.reconnect()
            eventually { Unit.takeIf { client.connectionState() == ConnectionState.LIVE } }
        }
    }
}

/** Runs a test with two people and a relay of their own. */
fun twoPeople(test: suspend TwoPeople.() -> Unit): Unit = world { world ->
    world.person("ada") { ada ->
        world.person("ben") { ben ->
            ada.directThread(ben.userId()).use { hers ->
                ben.directThread(ada.userId()).use { his -> TwoPeople(this, world, ada, ben, hers, his).test() }
            }
        }
    }
}

/** Runs a test with two clients, given as their user ids and the thread of each with the other. */
fun talk(block: suspend (people: List<UserId>, hers: Thread, his: Thread) -> Unit): Unit =
    twoPeople { block(listOf(ada.userId(), ben.userId()), hers, his) }

/** Waits until the newest page has such a message. */
suspend fun Thread.shows(such: (Message) -> Boolean): Message = eventually { history().messages.firstOrNull(such) }

/** Waits until the check returns something. */
suspend fun <T : Any> eventually(check: suspend () -> T?): T {
    while (true) {
        check()?.let { return it }
        delay(10.milliseconds)
    }
}

/** The texts of the thread, oldest first. */
suspend fun Thread.texts(): List<String?> = messages().toList().map { it.text }.reversed()

suspend fun Thread.textsWhen(count: Int): List<String?> = eventually { texts().takeIf { it.size >= count } }

/** The exception that a call throws, which must be of this type. */
suspend inline fun <reified E : SealpostException> thrownBy(crossinline call: suspend () -> Unit): E {
    try {
        call()
    } catch (thrown: Throwable) {
        return thrown as? E ?: throw AssertionError("not a ${E::class.simpleName}", thrown)
    }
    throw AssertionError("nothing was thrown")
}

/** The output of a program of these tests, which runs with a given library in its own JVM. */
fun said(program: Class<*>, library: String, prepare: ProcessBuilder.() -> Unit): List<String> {
    val java = File(System.getProperty("java.home"), "bin/java").path
    val over = "-Duniffi.component.sealpost.libraryOverride=$library"
    val jvm = ProcessBuilder(java, over, "-cp", System.getProperty("java.class.path"), program.name)
    // The system would also search there.
    jvm.environment().remove("LD_LIBRARY_PATH")
    val process = jvm.redirectError(ProcessBuilder.Redirect.DISCARD).apply(prepare).start()
    return process.inputStream.bufferedReader().readLines().also { check(process.waitFor() == 0) { "it died: $it" } }
}

/** Runs statements in a database without the library. */
fun World.sql(name: String, statements: String) {
    trouble("database", database(name), hexKey(name), statements)
}

fun hexKey(name: String): String = key(name).joinToString("") { "%02x".format(it) }

/** The output of the program that causes failures around an app: see tests/src/bin/trouble.rs. */
fun trouble(vararg what: String): String {
    val process = ProcessBuilder(System.getProperty("sealpost.trouble"), *what).redirectErrorStream(true).start()
    val said = process.inputStream.bufferedReader().readText().trim()
    check(process.waitFor() == 0) { said }
    return said
}
