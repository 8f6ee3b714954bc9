package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.nio.file.Files

class StorageTest {
    @Test
    fun `a database that cannot be used is reported with the reason`() = world { world ->
        world.person("ada") { }
        for (reason in StorageReason.entries - StorageReason.FULL) {
            val told = thrownBy<SealpostException.Storage> { world.openToFailWith(reason) }
            assertEquals(reason, told.reason)
            val code = "storage.${reason.name.lowercase()}"
            assertEquals(code to (reason == StorageReason.IN_USE), told.code() to told.retryable())
            // The database itself can still be used.
            world.person("ada") { assertTrue(it.userId().isNotEmpty()) }
        }
    }

    private suspend fun World.openToFailWith(reason: StorageReason): Any = when (reason) {
        StorageReason.WRONG_KEY -> openClient(database("ada"), key("not ada"), relay.url)
        StorageReason.CORRUPT -> {
            File(database("text")).writeText("this is no database, but long enough to be looked at")
            open("text")
        }
        StorageReason.NEWER -> {
            person("new") { }
            sql("new", "PRAGMA user_version = 99")
            open("new")
        }
        StorageReason.NO_FOLDER -> open("no/such/folder")
        StorageReason.NOT_A_FILE -> {
            File(database("a folder")).mkdirs()
            open("a folder")
        }
        // Not even root can create files there.
        StorageReason.READ_ONLY -> openClient("/proc/ada.db", key("ada"), relay.url)
        StorageReason.FULL -> error("it has a test of its own")
        StorageReason.IN_USE -> person("ada") { open("ada") }
        StorageReason.IO -> {
            val link = File(database("link")).toPath()
            if (!Files.isSymbolicLink(link)) Files.createSymbolicLink(link, link)
            open("link")
        }
    }

    @Test
    fun `a full disk makes calls fail, and loses nothing`() = world { world ->
        world.person("ben") { ben ->
            world.person("ada") { ada -> ada.directThread(ben.userId()).use { it.sendText("before") } }
            // SQLite writes to this file first.
            assumeTrue(trouble("full", world.database("ada") + "-wal") == "full", "this user may not create devices here")
            world.person("ada") { ada ->
                ada.thread(ada.threads().single().id).use { thread ->
                    val told = thrownBy<SealpostException.Storage> { thread.sendText("in vain") }
                    assertEquals(StorageReason.FULL, told.reason)
                    assertEquals("storage.full" to true, told.code() to told.retryable())
                    assertEquals(listOf("before"), thread.texts())
                }
            }
            // SQLite has deleted the file that it could not write, and with it the device that stood for the full disk.
            world.person("ada") { ada ->
                ada.thread(ada.threads().single().id).use { thread ->
                    thread.sendText("after")
                    assertEquals(listOf("before", "after"), thread.texts())
                }
            }
        }
    }
}
