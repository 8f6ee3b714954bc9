import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.library") version "8.13.0"
    id("org.jetbrains.kotlin.android") version "2.2.20"
    `maven-publish`
}

// `./dev android` passes the location of the libraries that it has built, and the destination of the package.
val libraries = providers.gradleProperty("sealpost.libraries").orElse("../target/android/libraries")
val packages = providers.gradleProperty("sealpost.packages").orElse("../target/android/maven")

android {
    namespace = "io.github.sealpost"
    compileSdk = 36
    defaultConfig {
        minSdk = 26
        consumerProguardFiles("consumer-rules.pro")
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    sourceSets["main"].apply {
        // The same sources as the package for the JVM: the handwritten layer and the generated code.
        kotlin.srcDirs("../src/main/kotlin", "../target/generated")
        jniLibs.srcDir(libraries.get())
    }
    publishing { singleVariant("release") }
}

kotlin {
    compilerOptions { jvmTarget = JvmTarget.JVM_17 }
}

dependencies {
    api("org.jetbrains.kotlinx:kotlinx-coroutines-android:1.11.0")
    implementation("net.java.dev.jna:jna:5.19.1@aar")
}

publishing {
    publications.register<MavenPublication>("release") {
        groupId = "io.github.sealpost"
        artifactId = "sealpost-android"
        version = "0.1.0"
        afterEvaluate { from(components["release"]) }
    }
    repositories.maven { url = uri(packages.get()) }
}
