package io.github.sealpost.example

/** Where an account lives, and which relay it is at. */
class Account(
    /** The path of the database, in a folder that exists. */
    val database: String,
    val relay: String,
    /** Reads the 32 bytes that the database is encrypted with. */
    val key: () -> ByteArray,
)
