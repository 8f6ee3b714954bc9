/*
 * Ranges of texts. The library counts bytes of UTF-8, and Kotlin counts code units of UTF-16.
 */
package io.github.sealpost

/**
 * The part of a text that consists of these code units, for [Markup]; null if it is not within the text, or begins or ends inside of a
 * character.
 */
public fun textRange(text: String, units: IntRange): TextRange? {
    val (start, end) = units.first to units.last + 1
    val isWithin = start in 0..end && end <= text.length && !text.isInsideOfCharacter(start) && !text.isInsideOfCharacter(end)
    if (!isWithin) return null
    val before = text.substring(0, start).encodeToByteArray().size
    return TextRange(before.toUInt(), text.substring(start, end).encodeToByteArray().size.toUInt())
}

/** The code units of this part of a text; null if it is not within the text, or begins or ends inside of a character. */
public fun TextRange.units(text: String): IntRange? {
    val end = start.toLong() + length.toLong()
    var (bytes, unit) = 0L to 0
    var (first, last) = -1 to -1
    while (true) {
        if (bytes == start.toLong()) first = unit
        if (bytes == end) last = unit
        if (unit >= text.length) break
        val character = text.codePointAt(unit)
        bytes += if (character < 0x80) 1 else if (character < 0x800) 2 else if (character < 0x10000) 3 else 4
        unit += Character.charCount(character)
    }
    return if (first < 0 || last < 0) null else first until last
}

/** The code units of a place that was found. */
public val FoundRange.units: IntRange
    get() = utf16Start.toInt() until utf16End.toInt()

private fun String.isInsideOfCharacter(unit: Int) = unit in 1 until length && this[unit].isLowSurrogate() && this[unit - 1].isHighSurrogate()
