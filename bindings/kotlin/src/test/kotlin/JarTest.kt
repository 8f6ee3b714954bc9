package io.github.sealpost

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.util.jar.JarFile
import java.util.spi.ToolProvider

/** The class path of the tests: folders of classes, and libraries. */
private val CLASSPATH = System.getProperty("java.class.path").split(File.pathSeparator).map(::File)
private val CLASSES = CLASSPATH.single { it.path.endsWith("target/classes") }
private val TESTS = CLASSPATH.single { it.path.endsWith("target/test-classes") }
private val JNA = library("jna").single()
private val KOTLIN = library("kotlin-stdlib") + library("kotlinx-coroutines") + library("annotations")

private fun library(name: String) = CLASSPATH.filter { it.name.startsWith("$name-") && it.extension == "jar" }

/** Apps that consist of jars only. Each runs in its own JVM, without a path to the library. */
class JarTest {
    @Test
    fun `one jar contains everything that an app needs`() = world { world ->
        talk(world, listOf(jar(world), TESTS, JNA) + KOTLIN)
    }

    @Test
    fun `a shrunk app still works`() = world { world ->
        val shrunk = File("${world.folder}/shrunk.jar")
        val entry = "-keep class io.github.sealpost.TalkKt { public static void main(java.lang.String[]); }"
        val app = listOf("-injars", "${jar(world)}", "-injars", "$TESTS(io/github/sealpost/Talk*.class)")
        val jna = listOf("-injars", "$JNA(!META-INF/**,!module-info.class)", "-outjars", "$shrunk")
        val modules = listOf("base", "desktop", "logging").map { "${System.getProperty("java.home")}/jmods/java.$it.jmod(!**.jar;!module-info.class)" }
        val libraries = (modules + KOTLIN).flatMap { listOf("-libraryjars", "$it") }
        val rules = listOf("-include", "android/consumer-rules.pro", entry, "-dontnote")
        java(CLASSPATH, listOf("proguard.ProGuard") + app + jna + libraries + rules)
        JarFile(shrunk).use { assertFalse(it.stream().anyMatch { file -> file.name == "io/github/sealpost/Client.class" }, "it was shrunk") }
        talk(world, listOf(shrunk) + KOTLIN)
    }

    private fun jar(world: World): File {
        val jar = File("${world.folder}/sealpost.jar")
        val made = ToolProvider.findFirst("jar").get()
            .run(System.out, System.err, "--create", "--file", "$jar", "-C", "$CLASSES", ".")
        assertEquals(0, made)
        return jar
    }

    private fun talk(world: World, classpath: List<File>) {
        val said = java(classpath, listOf("io.github.sealpost.TalkKt", world.relay.url, "${world.folder}"))
        assertTrue(said.containsAll(listOf("refused: user", "heard: hello")) && said.any { it.startsWith("logged: ") }, "$said")
    }

    /** Runs a program to its end, and returns its output as lines. */
    private fun java(classpath: List<File>, arguments: List<String>): List<String> {
        val java = "${System.getProperty("java.home")}/bin/java"
        val process = ProcessBuilder(listOf(java, "-Xmx512m", "-cp", classpath.joinToString(File.pathSeparator)) + arguments)
            .redirectErrorStream(true)
            .start()
        val lines = process.inputStream.bufferedReader().readLines()
        assertEquals(0, process.waitFor(), lines.joinToString("\n"))
        return lines
    }
}
